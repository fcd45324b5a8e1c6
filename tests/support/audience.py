"""A post, an account, a delivery and its readers, put straight into the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update

from scheduler.deliveries import Delivery, State
from scheduler.store.audience_tables import contacts, lists, memberships, recipients
from scheduler.store.db import Database
from scheduler.store.tables import accounts, deliveries, posts

ACCOUNT = "account-1"
DELIVERY = "delivery-1"


async def seed(
    database: Database, readers: Sequence[Mapping[str, Any]], *, now: int, token: str = "token-1"
) -> Delivery:
    """A delivery claimed by `token`, for an account whose list has these `readers` (`id`, `email`
    and whatever else a contact has)."""
    row = {"created_at": now, "updated_at": now}
    async with database.write() as connection:
        await connection.execute(
            insert(posts).values(
                id="post-1", kind="ordinary", title="t", content={}, due_at=now, zone="UTC",
                late_policy="publish", version=1, created_by="test", **row,
            )
        )  # fmt: skip
        await connection.execute(
            insert(accounts).values(
                id=ACCOUNT, adapter="newsletter", channel="newsletter", name="n", settings={},
                status="healthy", status_since=now, policy={}, **row,
            )
        )  # fmt: skip
        await connection.execute(
            insert(deliveries).values(
                id=DELIVERY, post_id="post-1", account_id=ACCOUNT, part="post", state="sending",
                due_at=now, planned_at=now, token=token, worker="w", lease_until=now, attempt=1,
                **row,
            )
        )  # fmt: skip
        await connection.execute(
            insert(lists).values(id=ACCOUNT, name="l", language="fr", created_at=now)
        )
        for start in range(0, len(readers), 1000):
            some = readers[start : start + 1000]
            people = [
                {"name": "", "language": "fr", "attributes": {}, "tags": [], **row, **reader}
                for reader in some
            ]
            await connection.execute(insert(contacts), people)
            await connection.execute(
                insert(memberships),
                [
                    {
                        "list_id": ACCOUNT,
                        "contact_id": reader["id"],
                        "state": "subscribed",
                        "since": 0,
                    }
                    for reader in some
                ],
            )
    return Delivery(
        id=DELIVERY, post_id="post-1", account_id=ACCOUNT, state=State.SENDING, due_at=now,
        planned_at=now, token=token, attempt=1,
    )  # fmt: skip


async def take_over(database: Database, token: str) -> None:
    async with database.write() as connection:
        await connection.execute(update(deliveries).values(token=token))


async def states(database: Database) -> dict[str, str]:
    """The state of each recipient, by contact id."""
    async with database.read() as connection:
        rows = await connection.execute(select(recipients.c.contact_id, recipients.c.state))
        return {row[0]: row[1] for row in rows}
