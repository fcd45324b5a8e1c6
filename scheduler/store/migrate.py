"""Bring a database to this release's schema. Alembic does it; each migration leaves a schema
that the previous release can run beside."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from scheduler.store import audience_tables, plan_b_tables, platform_tables
from scheduler.store.db import Database
from scheduler.store.tables import metadata

# Alembic compares with the whole schema: importing the module registers its tables.
ALL_TABLES = {
    audience_tables.contacts.metadata,
    plan_b_tables.digests.metadata,
    platform_tables.receipts.metadata,
    metadata,
}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


async def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade to `revision`; safe to call from several processes at once."""

    def upgrade(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    async with database.write() as connection:
        if database.is_postgresql:
            await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7310295)")
        await connection.run_sync(upgrade)


async def pending(database: Database) -> list[str]:
    """Revisions this release knows and the database has not had."""

    def current(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with database.read() as connection:
        here = await connection.run_sync(current)
    script = ScriptDirectory.from_config(_config())
    return [revision.revision for revision in script.iterate_revisions("heads", here)]
