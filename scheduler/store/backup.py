"""A consistent copy of the database while it is in use, and its way back.

SQLite copies itself; PostgreSQL's own programs, `pg_dump` and `pg_restore`, do it there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, update
from sqlalchemy.engine import URL, make_url

from scheduler.deliveries import State
from scheduler.store.db import Database
from scheduler.store.tables import deliveries


class BackupError(Exception):
    """The copy or its restoration did not work; the message says why."""


def copy_out(url: str, target: Path) -> None:
    """Write a copy of the database to the file `target`. Error: BackupError."""
    where = make_url(url)
    if where.get_backend_name() == "sqlite":
        _copy_sqlite(Path(where.database or ""), target)
    else:
        _run(["pg_dump", "--format=custom", "--no-owner", f"--file={target}"], where)


def copy_in(url: str, source: Path) -> None:
    """Replace what the database holds with the copy in `source`. Error: BackupError."""
    where = make_url(url)
    if where.get_backend_name() == "sqlite":
        _copy_sqlite(source, Path(where.database or ""))
        return
    _run(
        ["pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction",
         "--exit-on-error", f"--dbname={where.database}", str(source)],
        where,
    )  # fmt: skip


def is_empty(url: str) -> bool:
    """Whether a restoration would overwrite nothing; PostgreSQL is not asked, but assumed full."""
    where = make_url(url)
    return where.get_backend_name() == "sqlite" and not Path(where.database or "").exists()


async def doubt_what_came_due(database: Database, *, now: int) -> int:
    """After a restoration: what came due since the copy was made may have been published by the
    installation that the copy was taken from. Have it looked for before it is sent; how many."""
    statement = (
        update(deliveries)
        .where(
            deliveries.c.state.in_([State.SCHEDULED, State.ARMED, State.SENDING]),
            deliveries.c.due_at <= now,
        )
        .values(
            state=State.UNCONFIRMED,
            first_sent_at=func.coalesce(deliveries.c.first_sent_at, deliveries.c.due_at),
            token=None,
            worker=None,
            lease_until=None,
            look_at=now,
            cause="the database was restored from a copy made before it was due",
            updated_at=now,
        )
    )
    async with database.write() as connection:
        return (await connection.execute(statement)).rowcount


def _copy_sqlite(source: Path, target: Path) -> None:
    if not source.exists():
        raise BackupError(f"there is no database at {source}")
    try:
        with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(target)) as there:
            here.backup(there)
    except sqlite3.Error as error:
        raise BackupError(f"SQLite could not copy {source} to {target}: {error}") from error


def _run(command: list[str], url: URL) -> None:
    program = shutil.which(command[0])
    if program is None:
        raise BackupError(
            f"{command[0]} is not installed; install the PostgreSQL client programs"
            " (Debian, Ubuntu: apt install postgresql-client)"
        )
    done = subprocess.run(  # noqa: S603 -- a program of ours with our own settings
        [program, *command[1:]],
        check=False, capture_output=True, text=True, env=os.environ | _libpq(url),
    )  # fmt: skip
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BackupError(f"{command[0]} failed: {last}")


def _libpq(url: URL) -> dict[str, str]:
    """The connection as libpq's variables: a password on a command line is readable by all."""
    host = url.query.get("host") or url.host
    values = {
        "PGHOST": host if isinstance(host, str) else None,
        "PGPORT": str(url.port) if url.port else None,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    return {name: str(value) for name, value in values.items() if value is not None}
