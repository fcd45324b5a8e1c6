"""`migrate`, and how commands of this machine open its database."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from scheduler.cli.exits import CommandError, Exit
from scheduler.cli.output import console
from scheduler.cli.place import load_settings
from scheduler.settings import Settings
from scheduler.store.db import Database
from scheduler.store.faults import explain
from scheduler.store.migrate import is_current, pending
from scheduler.store.migrate import migrate as bring_up


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database that the settings name.

    Error: CommandError, also for what goes wrong inside, when the database is what fails.
    """
    make_data_dir(settings)
    database = None
    try:
        database = Database(settings.effective_database_url)
        yield database
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        raise CommandError(
            f"the database does not work: {explained}; see ESTAFETTE_DATABASE_URL"
        ) from error
    finally:
        if database is not None:
            await database.close()


def make_data_dir(settings: Settings) -> None:
    """Error: CommandError when the data directory cannot be made or written."""
    probe = settings.data_dir / ".writable"
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CommandError(
            f"the data directory {settings.data_dir.absolute()} cannot be written:"
            f" {error.strerror}; set ESTAFETTE_DATA_DIR to one that can"
        ) from error


async def bring_up_apart(settings: Settings) -> None:
    """Bring the database up in a process of its own: Alembic and what it loads would stay in this
    one for as long as it runs.

    Error: CommandError. The other process ends its work when this one is told to stop meanwhile.
    """
    async with open_database(settings) as database:
        if await is_current(database):
            return
    own = {
        "ESTAFETTE_DATA_DIR": str(settings.data_dir.absolute()),
        "ESTAFETTE_DATABASE_URL": settings.effective_database_url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scheduler", "migrate", env=os.environ | own,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    _, said = await process.communicate()
    if process.returncode:
        why = said.decode(errors="replace").strip().removeprefix("estafette: ")
        raise CommandError(why or f"the migration ended with {process.returncode}")


def migrate(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if migrations wait.")
    ] = False,
) -> None:
    """Bring the database to this release's schema; safe to run twice, and from several places."""
    settings = load_settings()

    async def work() -> list[str]:
        async with open_database(settings) as database:
            waiting = await pending(database)
            if not check:
                await bring_up(database)
            return waiting

    waiting = asyncio.run(work())
    if not waiting:
        console().print("The database is up to date.")
    elif check:
        console().print(f"These migrations wait: {', '.join(reversed(waiting))}.")
        raise typer.Exit(Exit.FAILED)
    else:
        console().print(f"The database is up to date; migrated: {', '.join(reversed(waiting))}.")
