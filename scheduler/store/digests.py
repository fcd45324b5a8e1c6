"""Digests: which posts one delivery gathers, and on which account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uuid_utils
from sqlalchemy import RowMapping, delete, insert, select, update

from channels.posts import Kind, Part
from scheduler.deliveries import Delivery, LatePolicy, State
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection
from scheduler.store.plan_b_tables import digest_items, digests
from scheduler.store.posts import refuse_archived
from scheduler.store.tables import accounts, deliveries, posts

DIGEST = "digest"
CATCH_UP = "catch-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDigest:
    """A post of our own making and its one delivery; `slot` names it among its kind."""

    account_id: str
    kind: str
    part: Part
    slot: int
    due_at: int
    deadline_at: int
    zone: str
    title: str
    content: Mapping[str, Any]


async def lock_account(connection: Connection, account_id: str) -> None:
    """One digest of an account is opened or filled at a time."""
    await connection.execute(
        select(accounts.c.id).where(accounts.c.id == account_id).with_for_update()
    )


async def at_slot(connection: Connection, account_id: str, kind: str, slot: int) -> Delivery | None:
    """The digest of this moment, locked, whatever became of it."""
    statement = (
        select(deliveries)
        .join(digests, digests.c.delivery_id == deliveries.c.id)
        .where(digests.c.account_id == account_id, digests.c.kind == kind, digests.c.slot == slot)
        .with_for_update(of=deliveries)
    )
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else to_delivery(row)


async def create(connection: Connection, new: NewDigest, now: int) -> tuple[str, str]:
    """Store it; ids of its post and its delivery. Error: ArchivedError."""
    post_id, delivery_id = str(uuid_utils.uuid7()), str(uuid_utils.uuid7())
    await connection.execute(
        insert(posts).values(
            id=post_id,
            kind=Kind.ORDINARY,
            title=new.title,
            content=dict(new.content),
            due_at=new.due_at,
            zone=new.zone,
            late_policy=LatePolicy.PUBLISH,
            deadline_at=new.deadline_at,
            version=1,
            created_by="plan-b",
            created_at=now,
            updated_at=now,
        )
    )
    await connection.execute(
        insert(deliveries).values(
            id=delivery_id,
            post_id=post_id,
            account_id=new.account_id,
            part=new.part,
            state=State.SCHEDULED,
            due_at=new.due_at,
            planned_at=new.due_at,
            deadline_at=new.deadline_at,
            cause=f"plan B: {new.kind}",
            created_at=now,
            updated_at=now,
        )
    )
    await refuse_archived(connection, [new.account_id])
    await connection.execute(
        insert(digests).values(
            delivery_id=delivery_id,
            account_id=new.account_id,
            kind=new.kind,
            slot=new.slot,
            created_at=now,
        )
    )
    return post_id, delivery_id


async def add_items(
    connection: Connection, digest_id: str, parents: Sequence[Delivery], now: int
) -> None:
    """The digest says what these deliveries would have said."""
    await connection.execute(
        insert(digest_items),
        [
            {
                "delivery_id": digest_id,
                "parent_id": parent.id,
                "post_id": parent.post_id,
                "created_at": now,
            }
            for parent in parents
        ],
    )


async def remove_item(connection: Connection, digest_id: str, parent_id: str) -> None:
    await connection.execute(
        delete(digest_items).where(
            digest_items.c.delivery_id == digest_id, digest_items.c.parent_id == parent_id
        )
    )


async def parents_of(connection: Connection, digest_id: str) -> list[Delivery]:
    """What the digest gathers, in the order it would have gone out."""
    statement = (
        select(deliveries)
        .join(digest_items, digest_items.c.parent_id == deliveries.c.id)
        .where(digest_items.c.delivery_id == digest_id)
        .order_by(deliveries.c.due_at, deliveries.c.id)
    )
    return [to_delivery(row) for row in (await connection.execute(statement)).mappings()]


async def post_rows(connection: Connection, ids: Sequence[str]) -> list[RowMapping]:
    """Rows of posts, in the order of `ids`."""
    statement = select(posts).where(posts.c.id.in_(ids))
    found = {row["id"]: row for row in (await connection.execute(statement)).mappings()}
    return [found[one] for one in ids]


async def rewrite(
    connection: Connection, post_id: str, title: str, content: Mapping[str, Any], now: int
) -> None:
    """The digest's words, after what it gathers has changed."""
    await connection.execute(
        update(posts)
        .where(posts.c.id == post_id)
        .values(title=title, content=dict(content), version=posts.c.version + 1, updated_at=now)
    )


async def holding(connection: Connection, parent_id: str) -> Delivery | None:
    """The digest that this delivery went into, locked; None when it is in none that counts."""
    statement = (
        select(deliveries)
        .join(digest_items, digest_items.c.delivery_id == deliveries.c.id)
        .where(
            digest_items.c.parent_id == parent_id,
            deliveries.c.part == Part.DIGEST,
            deliveries.c.state.not_in((State.CANCELLED, State.REROUTED)),
        )
        .with_for_update(of=deliveries)
    )
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else to_delivery(row)


async def sent_elsewhere(connection: Connection, parent_id: str) -> bool:
    """Whether a digest that gathers this delivery goes on by another account, as a person chose."""
    digest, onward = deliveries.alias(), deliveries.alias()
    statement = (
        select(onward.c.id)
        .join(digest, digest.c.id == onward.c.parent_id)
        .join(digest_items, digest_items.c.delivery_id == digest.c.id)
        .where(
            digest_items.c.parent_id == parent_id,
            digest.c.state == State.REROUTED,
            onward.c.state != State.CANCELLED,
        )
        .limit(1)
    )
    return (await connection.execute(statement)).first() is not None


async def waiting_with(connection: Connection, post_ids: Sequence[str]) -> list[Delivery]:
    """Digests that still wait and say what any of these posts says, locked, in a fixed order."""
    told = select(digest_items.c.delivery_id).where(digest_items.c.post_id.in_(post_ids))
    statement = (
        select(deliveries)
        .where(
            deliveries.c.id.in_(told),
            deliveries.c.part == Part.DIGEST,
            deliveries.c.state.in_((State.SCHEDULED, State.ARMED, State.HELD)),
        )
        .order_by(deliveries.c.id)
        .with_for_update()
    )
    return [to_delivery(row) for row in (await connection.execute(statement)).mappings()]


async def carriers_of(
    connection: Connection, post_ids: Sequence[str]
) -> list[tuple[str, Delivery]]:
    """Deliveries of digests that say what one of these posts says, and which it is."""
    statement = (
        select(deliveries, digest_items.c.post_id.label("said"))
        .join(digest_items, digest_items.c.delivery_id == deliveries.c.id)
        .where(digest_items.c.post_id.in_(post_ids))
    )
    rows = (await connection.execute(statement)).mappings()
    return [(row["said"], to_delivery(row)) for row in rows]
