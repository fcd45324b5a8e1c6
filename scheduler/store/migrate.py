"""Bring a database to this release's schema. Alembic does it; each migration leaves a schema
that the previous release can run beside."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from scheduler.store import (
    access_tables,
    alert_tables,
    article_tables,
    audience_tables,
    campaign_tables,
    plan_b_tables,
    platform_tables,
    return_tables,
)
from scheduler.store.ahead import build_ahead, my_turn
from scheduler.store.db import Connection as AsyncConnection
from scheduler.store.db import Database
from scheduler.store.tables import metadata

if TYPE_CHECKING:  # large, and of no use where nothing waits
    from alembic.config import Config

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
# Alembic compares with the whole schema: importing the module registers its tables.
ALL_TABLES = {
    access_tables.tokens.metadata,
    alert_tables.alerts.metadata,
    article_tables.slugs.metadata,
    audience_tables.contacts.metadata,
    campaign_tables.campaigns.metadata,
    plan_b_tables.digests.metadata,
    platform_tables.receipts.metadata,
    return_tables.returns.metadata,
    metadata,
}


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_VERSIONS.parent))
    return config


async def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade to `revision`; safe to call from several processes at once, and for a release that
    finds the schema of the one after it.

    A transaction a step, so that none keeps a table from the release that still runs while
    another one waits. On PostgreSQL large indexes are built before their step, while others write.
    Errors: the driver's own; what is missing is made by the next call.
    """
    wanted = newest() if revision == "head" else revision
    if _reached(await current(database), wanted):
        return
    if not database.is_postgresql:
        await _upgrade(database, wanted, None)
        return
    async with my_turn(database) as builder:
        await _upgrade(database, wanted, builder)


async def _upgrade(database: Database, wanted: str, builder: AsyncConnection | None) -> None:
    here = await current(database)
    # Nobody runs beside an empty database.
    steps = [wanted] if here is None else [one for one in _known() if here < one <= wanted]

    def upgrade(connection: Connection, step: str) -> None:
        from alembic import command

        if _reached(_version(connection), step):
            return  # another process did it meanwhile
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, step)

    for step in steps:
        if builder is not None and here is not None:
            await build_ahead(builder, _migration(step))
        async with database.write() as connection:
            if database.is_postgresql:  # for releases that know no turns
                await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7310295)")
            await connection.run_sync(upgrade, step)


def _migration(revision: str) -> ModuleType:
    from alembic.script import ScriptDirectory

    found = ScriptDirectory.from_config(_config()).get_revision(revision)
    assert found is not None
    return found.module


async def is_current(database: Database) -> bool:
    """Whether nothing waits; asking loads no Alembic."""
    return _reached(await current(database), newest())


async def pending(database: Database) -> list[str]:
    """Revisions this release knows and the database has not had."""
    here = await current(database)
    if _reached(here, newest()):
        return []
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_config())
    return [revision.revision for revision in script.iterate_revisions("heads", here)]


async def current(database: Database) -> str | None:
    """The revision that the database is at; None when it is empty."""
    async with database.read() as connection:
        return await connection.run_sync(_version)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _reached(here: str | None, wanted: str) -> bool:
    return here is not None and here >= wanted


def newest() -> str:
    """The last revision of this release. Their files begin with their numbers, so that nobody
    needs to load Alembic, which is large, to learn that nothing waits."""
    return _known()[-1]


def _known() -> list[str]:
    """This release's revisions, in order."""
    return sorted(path.name[:4] for path in _VERSIONS.glob("[0-9]*.py"))
