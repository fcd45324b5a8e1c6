"""Bring a database to this release's schema. Alembic does it; each migration leaves a schema
that the previous release can run beside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from scheduler.store import (
    article_tables,
    audience_tables,
    plan_b_tables,
    platform_tables,
    return_tables,
)
from scheduler.store.db import Database
from scheduler.store.tables import metadata

if TYPE_CHECKING:  # large, and of no use where nothing waits
    from alembic.config import Config

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
# Alembic compares with the whole schema: importing the module registers its tables.
ALL_TABLES = {
    article_tables.slugs.metadata,
    audience_tables.contacts.metadata,
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
    finds the schema of the one after it."""
    if _reached(await current(database), newest() if revision == "head" else revision):
        return

    def upgrade(connection: Connection) -> None:
        from alembic import command

        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    async with database.write() as connection:
        if database.is_postgresql:
            await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7310295)")
        await connection.run_sync(upgrade)


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

    def look(connection: Connection) -> str | None:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found

    async with database.read() as connection:
        return await connection.run_sync(look)


def _reached(here: str | None, wanted: str) -> bool:
    return here is not None and here >= wanted


def newest() -> str:
    """The last revision of this release. Their files begin with their numbers, so that nobody
    needs to load Alembic, which is large, to learn that nothing waits."""
    return max(path.name for path in _VERSIONS.glob("[0-9]*.py"))[:4]
