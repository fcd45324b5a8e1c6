"""Who is on which list, and the proof of how they came and went.

A membership is where somebody stands; `consents` is append-only evidence of how they got there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from sqlalchemy import RowMapping, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.audience_tables import (
    addresses,
    consents,
    contacts,
    lists,
    memberships,
    service_mails,
    suppressions,
    traces,
)
from scheduler.store.db import Database


class Standing(StrEnum):
    """Where somebody stands with a list; only the subscribed are written to."""

    PENDING = "pending"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"


class Action(StrEnum):
    """What a row of evidence proves."""

    SUBSCRIBE = "subscribe"
    IMPORT = "import"
    UNSUBSCRIBE = "unsubscribe"
    RENEW = "renew"
    TRACK_CLICKS = "track-clicks"
    TRACK_OPENS = "track-opens"
    UNTRACK_CLICKS = "untrack-clicks"
    UNTRACK_OPENS = "untrack-opens"


# What a confirmation confirms; the first also proves that somebody wants to be written to.
_ASKED = (Action.SUBSCRIBE, Action.TRACK_CLICKS, Action.TRACK_OPENS)
TO_BE_WRITTEN_TO = (Action.SUBSCRIBE, Action.IMPORT, Action.RENEW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What somebody agreed to, where and in which words. Times are microseconds since 1970;
    `confirmed_at` None: nobody has proved yet that the address is theirs."""

    action: Action
    at: int
    form: str = ""
    wording: str = ""
    wording_version: str = ""
    source: str = ""
    confirmed_at: int | None = None


async def standing(connection: AsyncConnection, contact_id: str, list_id: str) -> RowMapping | None:
    """`email`, `language`, `state` and `list_name` of somebody, the last two None when they are
    not on the list; None for somebody we do not know (any more)."""
    statement = (
        select(
            contacts.c.email,
            contacts.c.language,
            memberships.c.state,
            lists.c.name.label("list_name"),
        )
        .select_from(contacts)
        .outerjoin(
            memberships,
            and_(memberships.c.contact_id == contacts.c.id, memberships.c.list_id == list_id),
        )
        .outerjoin(lists, lists.c.id == memberships.c.list_id)
        .where(contacts.c.id == contact_id)
    )
    return (await connection.execute(statement)).mappings().one_or_none()


async def unsubscribe(
    connection: AsyncConnection, *, contact_id: str, list_id: str, source: str, now: int
) -> bool:
    """Take somebody off a list and write down that they asked; False if they were not on it.

    The row stays, so that an import cannot put them back. What they did with its mails, if they
    let that be noted, is erased.
    """
    left = (
        update(memberships)
        .where(
            memberships.c.contact_id == contact_id,
            memberships.c.list_id == list_id,
            memberships.c.state != Standing.UNSUBSCRIBED,
        )
        .values(state=Standing.UNSUBSCRIBED, since=now, tracking="")
        .returning(memberships.c.contact_id)
    )
    if (await connection.execute(left)).first() is None:
        return False
    await connection.execute(
        delete(traces).where(traces.c.contact_id == contact_id, traces.c.list_id == list_id)
    )
    await connection.execute(
        insert(consents).values(
            contact_id=contact_id, list_id=list_id, action=Action.UNSUBSCRIBE, source=source, at=now
        )
    )
    return True


async def leave_everything(
    connection: AsyncConnection, *, contact_id: str, source: str, now: int
) -> None:
    """Take somebody off every list they are on."""
    joined = select(memberships.c.list_id).where(
        memberships.c.contact_id == contact_id, memberships.c.state != Standing.UNSUBSCRIBED
    )
    for list_id in (await connection.execute(joined)).scalars().all():
        await unsubscribe(
            connection, contact_id=contact_id, list_id=list_id, source=source, now=now
        )


async def subscribe(
    connection: AsyncConnection,
    database: Database,
    *,
    contact_id: str,
    list_id: str,
    consent: Consent,
    now: int,
) -> Standing:
    """Note a consent and put somebody on a list: subscribed when confirmed, else pending. Where
    they stand then. Who is subscribed stays so, and gets no second row of evidence."""
    wanted = Standing.PENDING if consent.confirmed_at is None else Standing.SUBSCRIBED
    row = {"list_id": list_id, "contact_id": contact_id, "state": wanted, "since": now}
    joined = (
        database.insert(memberships)
        .values(row)
        .on_conflict_do_update(
            index_elements=["list_id", "contact_id"],
            set_={"state": wanted, "since": now},
            where=memberships.c.state.not_in([wanted, Standing.SUBSCRIBED]),
        )
        .returning(memberships.c.state)
    )
    changed = (await connection.execute(joined)).first() is not None
    if changed:
        await connection.execute(
            insert(consents).values(
                contact_id=contact_id,
                list_id=list_id,
                action=consent.action,
                form=consent.form,
                wording=consent.wording,
                wording_version=consent.wording_version,
                source=consent.source,
                at=consent.at,
                confirmed_at=consent.confirmed_at,
            )
        )
        return wanted
    statement = select(memberships.c.state).where(
        memberships.c.contact_id == contact_id, memberships.c.list_id == list_id
    )
    return Standing((await connection.execute(statement)).scalar_one())


async def renew(
    connection: AsyncConnection, *, contact_id: str, list_id: str, consent: Consent
) -> bool:
    """Note that somebody who is subscribed wants to stay so; False if they are not."""
    there = await standing(connection, contact_id, list_id)
    if there is None or there["state"] != Standing.SUBSCRIBED:
        return False
    await connection.execute(
        insert(consents).values(contact_id=contact_id, list_id=list_id, **asdict(consent))
    )
    return True


async def confirm(
    connection: AsyncConnection, *, contact_id: str, list_id: str, address_hash: str, now: int
) -> bool:
    """Somebody proved that the address is theirs and that they want the list; False when nothing
    waits for them. It lifts what kept us from writing to that address."""
    joined = (
        update(memberships)
        .where(
            memberships.c.contact_id == contact_id,
            memberships.c.list_id == list_id,
            memberships.c.state == Standing.PENDING,
        )
        .values(state=Standing.SUBSCRIBED, since=now)
        .returning(memberships.c.contact_id)
    )
    if (await connection.execute(joined)).first() is None:
        return False
    latest = select(func.max(consents.c.id)).where(
        consents.c.contact_id == contact_id,
        consents.c.list_id == list_id,
        consents.c.action == Action.SUBSCRIBE,
    )
    await connection.execute(
        update(consents)
        .where(
            consents.c.contact_id == contact_id,
            consents.c.list_id == list_id,
            consents.c.action.in_(_ASKED),
            consents.c.id >= latest.scalar_subquery(),
        )
        .values(confirmed_at=now)
    )
    await lift(connection, address_hash)
    return True


async def lift(connection: AsyncConnection, address_hash: str) -> None:
    """Take an address off the never-again list: its owner wants so, and has proved to be that."""
    await connection.execute(delete(suppressions).where(suppressions.c.hash == address_hash))


async def expire(connection: AsyncConnection, *, before: int) -> int:
    """Forget sign-ups that nobody confirmed since `before`; how many. Who had unsubscribed earlier
    stays unsubscribed; of who was never anything else, nothing stays."""
    waiting = and_(memberships.c.state == Standing.PENDING, memberships.c.since < before)
    left_once = (
        select(consents.c.id)
        .where(
            consents.c.contact_id == memberships.c.contact_id,
            consents.c.list_id == memberships.c.list_id,
            consents.c.action == Action.UNSUBSCRIBE,
        )
        .exists()
    )
    back = (
        update(memberships)
        .where(waiting, left_once)
        .values(state=Standing.UNSUBSCRIBED, tracking="")
    ).returning(memberships.c.contact_id)
    returned = len((await connection.execute(back)).all())
    gone = (
        delete(memberships)
        .where(waiting)
        .returning(memberships.c.contact_id, memberships.c.list_id)
    )
    pairs = (await connection.execute(gone)).all()
    for contact_id, list_id in pairs:
        for table in (consents, service_mails):
            await connection.execute(
                delete(table).where(table.c.contact_id == contact_id, table.c.list_id == list_id)
            )
        await _forget_if_nothing_is_left(connection, contact_id)
    return returned + len(pairs)


async def _forget_if_nothing_is_left(connection: AsyncConnection, contact_id: str) -> None:
    held = or_(
        *(
            select(table.c.contact_id).where(table.c.contact_id == contact_id).exists()
            for table in (memberships, addresses, consents)
        )
    )
    await connection.execute(delete(contacts).where(contacts.c.id == contact_id, ~held))
