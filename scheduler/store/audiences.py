"""How many people follow each account, as its platform said last."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, select, update

from scheduler.store.db import Database
from scheduler.store.tables import accounts


async def uncounted(database: Database) -> dict[str, int]:
    """Accounts whose followers nobody has counted yet, and when they were connected."""
    statement = select(accounts.c.id, accounts.c.created_at).where(
        accounts.c.audience.is_(None), accounts.c.archived_at.is_(None)
    )
    async with database.read() as connection:
        return {row.id: row.created_at for row in await connection.execute(statement)}


async def note(database: Database, followers: Mapping[str, int]) -> None:
    """Keep these counts. Not a change of the account: nobody has to open it again."""
    if not followers:
        return
    statement = (
        update(accounts)
        .where(accounts.c.id == bindparam("account"))
        .values(audience=bindparam("followers"))
    )
    rows = [{"account": name, "followers": count} for name, count in sorted(followers.items())]
    async with database.write() as connection:
        await connection.execute(statement, rows)
