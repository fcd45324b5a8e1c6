"""What readers do with mailings, of those who agreed to that (`scheduler.audience.tracking`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b

from sqlalchemy import RowMapping, case, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.audience.tracking import Kind, kinds_in, stored_as
from scheduler.store.audience import Action, Consent
from scheduler.store.audience_tables import consents, lists, memberships, traces
from scheduler.store.db import Database
from scheduler.store.tables import deliveries

OPENED = ""
GIVEN = {Kind.CLICKS: Action.TRACK_CLICKS, Kind.OPENS: Action.TRACK_OPENS}
_TAKEN_BACK = {Kind.CLICKS: Action.UNTRACK_CLICKS, Kind.OPENS: Action.UNTRACK_OPENS}


def link_of(url: str) -> str:
    """What a link is remembered by."""
    return blake2b(url.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list offers, and what somebody on it agreed to; each only while it stands."""

    offered: frozenset[Kind]
    agreed: frozenset[Kind]


async def wanted(
    connection: AsyncConnection, contact_id: str, list_id: str, *, lock: bool = False
) -> Wanted | None:
    """None for who is not on the list. `lock`: nobody takes it back before the transaction ends."""
    statement = (
        select(lists.c.tracking.label("offered"), memberships.c.tracking.label("agreed"))
        .select_from(memberships)
        .join(lists, lists.c.id == memberships.c.list_id)
        .where(memberships.c.list_id == list_id, memberships.c.contact_id == contact_id)
    )
    if lock:
        statement = statement.with_for_update(read=True, of=memberships)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else Wanted(kinds_in(row.offered), kinds_in(row.agreed))


async def agree(
    connection: AsyncConnection, *, contact_id: str, list_id: str, kind: Kind, consent: Consent
) -> bool:
    """Note that somebody on a list agreed, with the evidence; False if they had, or are not on it.
    `consent.action` is that of `GIVEN`."""
    now = await wanted(connection, contact_id, list_id)
    if now is None or kind in now.agreed:
        return False
    await _put(connection, contact_id, list_id, now.agreed | {kind})
    await connection.execute(
        insert(consents).values(contact_id=contact_id, list_id=list_id, **asdict(consent))
    )
    return True


async def take_back(
    connection: AsyncConnection, *, contact_id: str, list_id: str, kind: Kind, source: str, now: int
) -> bool:
    """Note that somebody took it back, and erase what was noted of them; False if they had not
    agreed."""
    stands = await wanted(connection, contact_id, list_id)
    if stands is None or kind not in stands.agreed:
        return False
    await _put(connection, contact_id, list_id, stands.agreed - {kind})
    await connection.execute(
        insert(consents).values(
            contact_id=contact_id, list_id=list_id, action=_TAKEN_BACK[kind],
            source=source, at=now,
        )
    )  # fmt: skip
    await forget(connection, contact_id=contact_id, list_id=list_id, kinds=[kind])
    return True


async def forget(
    connection: AsyncConnection, *, contact_id: str, list_id: str, kinds: Collection[Kind]
) -> None:
    """Erase what was noted of somebody on a list."""
    for kind in kinds:
        of_kind = traces.c.link == OPENED if kind is Kind.OPENS else traces.c.link != OPENED
        await connection.execute(
            delete(traces).where(
                traces.c.contact_id == contact_id, traces.c.list_id == list_id, of_kind
            )
        )


async def note(
    connection: AsyncConnection,
    database: Database,
    *,
    delivery_id: str,
    contact_id: str,
    url: str | None,
    now: int,
) -> bool:
    """Somebody followed a link of a mailing, or opened it (`url` None); False, and nothing noted,
    unless they agreed and their list still asks."""
    kind = Kind.OPENS if url is None else Kind.CLICKS
    account = select(deliveries.c.account_id).where(deliveries.c.id == delivery_id)
    list_id = (await connection.execute(account)).scalar_one_or_none()
    if list_id is None:
        return False
    # Whoever takes it back meanwhile waits for this, and then erases it.
    found = await wanted(connection, contact_id, list_id, lock=database.is_postgresql)
    if found is None or kind not in found.offered & found.agreed:
        return False
    row = {
        "delivery_id": delivery_id, "contact_id": contact_id, "list_id": list_id,
        "link": OPENED if url is None else link_of(url), "url": url or "", "count": 1,
        "first_at": now, "last_at": now,
    }  # fmt: skip
    await connection.execute(
        database.insert(traces)
        .values(row)
        .on_conflict_do_update(
            index_elements=["delivery_id", "contact_id", "link"],
            set_={"count": traces.c.count + 1, "last_at": now},
        )
    )
    return True


async def of_delivery(
    connection: AsyncConnection, delivery_id: str, ids: Sequence[str]
) -> Mapping[str, RowMapping]:
    """`clicks` and `opens` of each of these contacts of whom anything was noted."""
    opened = traces.c.link == OPENED
    statement = (
        select(
            traces.c.contact_id,
            func.sum(case((opened, 0), else_=traces.c.count)).label("clicks"),
            func.sum(case((opened, traces.c.count), else_=0)).label("opens"),
        )
        .where(traces.c.delivery_id == delivery_id, traces.c.contact_id.in_(ids))
        .group_by(traces.c.contact_id)
    )
    return {row["contact_id"]: row for row in (await connection.execute(statement)).mappings()}


async def people(connection: AsyncConnection, delivery_id: str) -> tuple[int, int]:
    """Of how many people a click was noted, and an opening."""
    clicked = func.count(case((traces.c.link != OPENED, traces.c.contact_id)).distinct())
    opened = func.count(case((traces.c.link == OPENED, traces.c.contact_id)).distinct())
    statement = select(clicked, opened).where(traces.c.delivery_id == delivery_id)
    row = (await connection.execute(statement)).one()
    return row[0], row[1]


async def _put(
    connection: AsyncConnection, contact_id: str, list_id: str, kinds: Collection[Kind]
) -> None:
    statement = update(memberships).where(
        memberships.c.list_id == list_id, memberships.c.contact_id == contact_id
    )
    await connection.execute(statement.values(tracking=stored_as(kinds)))
