"""The readers of a delivery that its own channel could not reach, and their other addresses.

Set by set, never one by one: a page may have thousands of people whose window is closed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import CursorResult, exists, func, literal, or_, select, update
from sqlalchemy.sql import ColumnElement, Select

from channels.posts import Part
from scheduler.deliveries import Delivery, State
from scheduler.store.audience_tables import addresses, contacts, memberships, recipients
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection, Database
from scheduler.store.plan_b_tables import digest_items
from scheduler.store.recipients import SUBSCRIBED, UNCHOSEN, RecipientState
from scheduler.store.tables import deliveries, events

# The event that says what came of those whom a delivery did not reach.
_HANDED_OVER = "recipients.unreached"

# Has it, gets it, or may have it.
_LIVE = (
    RecipientState.PENDING,
    RecipientState.SENDING,
    RecipientState.ACCEPTED,
    RecipientState.UNCERTAIN,
)
_COMING = (State.SCHEDULED, State.ARMED, State.SENDING)


async def carriers(connection: Connection, delivery: Delivery) -> list[str]:
    """Accounts whose own delivery of the post, or whose digest with it, has not chosen its readers
    yet: their subscribers will be among them."""
    unchosen = recipients.alias("unchosen")
    chosen = exists().where(recipients.c.delivery_id == deliveries.c.id) & ~exists().where(
        unchosen.c.delivery_id == deliveries.c.id, unchosen.c.contact_id == UNCHOSEN
    )
    in_digest = select(digest_items.c.delivery_id).where(digest_items.c.post_id == delivery.post_id)
    statement = select(deliveries.c.account_id).where(
        or_(
            (deliveries.c.post_id == delivery.post_id) & (deliveries.c.part == Part.POST),
            deliveries.c.id.in_(in_digest),
        ),
        deliveries.c.id != delivery.id,
        deliveries.c.state.in_(_COMING),
        ~chosen,
    )
    return list((await connection.execute(statement)).scalars())


async def note_covered(
    connection: Connection, delivery: Delivery, carrier_ids: Sequence[str], *, now: int
) -> int:
    """Who has the post by another delivery already, or will as a subscriber of `carrier_ids`; how
    many those were."""
    other = recipients.alias("other")
    sibling = deliveries.alias("sibling")
    digest_of = select(digest_items.c.delivery_id).where(digest_items.c.post_id == delivery.post_id)
    has_it = exists().where(
        other.c.contact_id == recipients.c.contact_id,
        other.c.delivery_id == sibling.c.id,
        other.c.delivery_id != delivery.id,
        other.c.state.in_(_LIVE),
        or_(sibling.c.post_id == delivery.post_id, sibling.c.id.in_(digest_of)),
    )
    choosing, carrier = recipients.alias("choosing"), deliveries.alias("carrier")
    too_late = exists().where(
        carrier.c.account_id == memberships.c.list_id,
        or_(carrier.c.post_id == delivery.post_id, carrier.c.id.in_(digest_of)),
        choosing.c.delivery_id == carrier.c.id,
        choosing.c.contact_id == UNCHOSEN,
        choosing.c.updated_at < memberships.c.since,
    )
    will_have_it = exists().where(
        memberships.c.contact_id == recipients.c.contact_id,
        memberships.c.list_id.in_(carrier_ids),
        memberships.c.state == SUBSCRIBED,
        ~too_late,
    )
    return await _mark(
        connection, delivery, or_(has_it, will_have_it), RecipientState.COVERED, now=now
    )


def _mark_of(delivery: Delivery) -> ColumnElement[bool]:
    return (recipients.c.delivery_id == delivery.id) & (
        recipients.c.state == RecipientState.UNREACHED
    )


async def _mark(
    connection: Connection,
    delivery: Delivery,
    which: ColumnElement[bool],
    state: RecipientState,
    *,
    now: int,
) -> int:
    result: CursorResult[object] = await connection.execute(
        update(recipients).where(_mark_of(delivery), which).values(state=state, updated_at=now)
    )
    return result.rowcount


def _others(delivery: Delivery, account_id: str, *, by_email: bool, now: int) -> Select[object]:
    """(contact id, address) of the unreached who may be written to by this account: by mail to
    subscribers only, else where a window is open."""
    unreached = recipients.alias("unreached")
    mine = (unreached.c.delivery_id == delivery.id) & (
        unreached.c.state == RecipientState.UNREACHED
    )
    if by_email:
        return (
            select(contacts.c.id, contacts.c.email)
            .join(unreached, unreached.c.contact_id == contacts.c.id)
            .join(memberships, memberships.c.contact_id == contacts.c.id)
            .where(
                mine,
                contacts.c.email.is_not(None),
                memberships.c.list_id == account_id,
                memberships.c.state == SUBSCRIBED,
            )
        )
    return (
        select(addresses.c.contact_id, func.min(addresses.c.address))
        .join(unreached, unreached.c.contact_id == addresses.c.contact_id)
        .where(
            mine,
            addresses.c.account_id == account_id,
            or_(addresses.c.writable_until.is_(None), addresses.c.writable_until > now),
        )
        .group_by(addresses.c.contact_id)
    )


async def reachable(
    connection: Connection, delivery: Delivery, account_id: str, *, by_email: bool, now: int
) -> int:
    """How many of the unreached this account may write to."""
    found = _others(delivery, account_id, by_email=by_email, now=now).subquery()
    count: int = (await connection.execute(select(func.count()).select_from(found))).scalar_one()
    return count


async def hand_over(
    database: Database,
    connection: Connection,
    delivery: Delivery,
    child_id: str,
    account_id: str,
    *,
    by_email: bool,
    now: int,
) -> int:
    """The unreached whom this account may write to become recipients of the child; how many."""
    chosen = _others(delivery, account_id, by_email=by_email, now=now).add_columns(
        literal(child_id), literal(RecipientState.PENDING.value), literal(0), literal(now)
    )
    columns = ["contact_id", "address", "delivery_id", "state", "next_at", "updated_at"]
    insert = database.insert(recipients).from_select(columns, chosen)
    await connection.execute(insert.on_conflict_do_nothing())
    child = recipients.alias("child")
    taken = exists().where(
        child.c.delivery_id == child_id, child.c.contact_id == recipients.c.contact_id
    )
    return await _mark(connection, delivery, taken, RecipientState.REROUTED, now=now)


async def others_busy(
    connection: Connection, delivery: Delivery, account_ids: Collection[str], *, before: int
) -> bool:
    """Whether one of these accounts, due by then, still writes this post to its own readers, or
    has yet to hand over those it did not reach (an event tells of it once it has)."""
    theirs = recipients.c.delivery_id == deliveries.c.id
    open_ = recipients.c.state.in_((RecipientState.PENDING, RecipientState.SENDING))
    left = recipients.c.state == RecipientState.UNREACHED
    handed_over = exists().where(
        events.c.post_id == delivery.post_id,
        events.c.delivery_id == deliveries.c.id,
        events.c.kind == _HANDED_OVER,
    )
    statement = select(deliveries.c.id).where(
        deliveries.c.post_id == delivery.post_id,
        deliveries.c.id != delivery.id,
        deliveries.c.account_id.in_(sorted(account_ids)),
        deliveries.c.part == Part.POST,
        deliveries.c.state.in_(_COMING),
        deliveries.c.due_at <= before,
        or_(
            ~exists().where(theirs),
            exists().where(theirs, open_),
            exists().where(theirs, left) & ~handed_over,
        ),
    )
    return (await connection.execute(statement.limit(1))).first() is not None


async def hasten(connection: Connection, post_id: str, cause: str, *, now: int) -> None:
    """Stand-ins with this post that only waited (their cause says so) go now."""
    await connection.execute(
        update(deliveries)
        .where(
            deliveries.c.post_id == post_id,
            deliveries.c.part == Part.STAND_IN,
            deliveries.c.state == State.SCHEDULED,
            deliveries.c.cause == cause,
            deliveries.c.due_at > now,
        )
        .values(due_at=now, planned_at=now, cause="", updated_at=now)
    )


async def stand_in_of(connection: Connection, post_id: str, account_id: str) -> Delivery | None:
    """The delivery by which this account stands in for others with this post, locked."""
    statement = (
        select(deliveries)
        .where(
            deliveries.c.post_id == post_id,
            deliveries.c.account_id == account_id,
            deliveries.c.part == Part.STAND_IN,
            deliveries.c.state != State.CANCELLED,
        )
        .with_for_update()
    )
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else to_delivery(row)
