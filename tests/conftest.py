"""What every test may ask for: both databases, a Redis, the practice platforms.

Servers run once a session (once a worker under xdist); databases are new for each test, copied
from a template that was migrated once.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis
import structlog

from channels import http
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from tests.support.files import in_memory, keep_in_memory, short
from tests.support.servers import Postgres, postgres_server, redis_server

keep_in_memory()

# A busy machine is no counterexample.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
http.CONNECT_TIMEOUT = 60.0

_numbers = itertools.count(1)
# Files in memory are copied faster than they are read and written page by page; on disks not.
_COPIED = "file_copy" if in_memory() else "wal_log"


def _apart(work: Coroutine[Any, Any, None]) -> None:
    """Run in a loop of another thread: a test's own loop stays untouched."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


async def _migrated(url: str) -> None:
    database = Database(url)
    await migrate(database)
    await database.close()


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    """Plain tracebacks, as in production: the default prints the local variables, and slowly."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        # What a command says on stdout is for programs; a service beside it logs elsewhere.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


@pytest.fixture(scope="session")
def short_dir() -> Iterator[Path]:
    """A directory whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="e-", dir=short()) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres(short_dir: Path) -> Iterator[Postgres]:
    """A running PostgreSQL, with nothing in it."""
    with postgres_server(short_dir) as server:
        yield server


@pytest.fixture(scope="session")
def _redis_server(short_dir: Path) -> Iterator[str]:
    with redis_server(short_dir) as url:
        yield url


@pytest.fixture
def redis_url(_redis_server: str) -> str:
    """A real Redis, emptied."""
    with redis.Redis.from_url(_redis_server) as client:
        client.flushall()
    return _redis_server


@pytest.fixture(scope="session")
def _sqlite_template(short_dir: Path) -> Path:
    path = short_dir / "template.db"
    _apart(_migrated(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def _postgres_template(postgres: Postgres) -> str:
    postgres.run("CREATE DATABASE template")
    _apart(_migrated(postgres.url("template")))
    return "template"


def _fresh_postgres(postgres: Postgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    postgres.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY {_COPIED}")
    yield postgres.url(name)
    postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database at this release's schema."""
    path = tmp_path / "estafette.db"
    shutil.copy(_sqlite_template, path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: Postgres, _postgres_template: str) -> Iterator[str]:
    """A fresh PostgreSQL database at this release's schema."""
    yield from _fresh_postgres(postgres, _postgres_template)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database; the test runs once on each engine."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """`database_url`, open; the test runs once on each engine."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a schema, for what is about migrations."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
    else:
        yield from _fresh_postgres(request.getfixturevalue("postgres"), "template0")


@pytest.fixture
def postgres_empty_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL database without a schema."""
    yield from _fresh_postgres(request.getfixturevalue("postgres"), "template0")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """What exists on the practice platforms."""
    ledger = Ledger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


@pytest.fixture
async def practice(ledger: Ledger) -> AsyncIterator[PracticeServer]:
    """All practice platforms on one free port, without a fault."""
    async with PracticeServer(ledger) as server:
        yield server
