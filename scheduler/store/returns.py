"""What came back about readers, each report once, and how far a mailbox was read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, insert, select, update

from channels.abilities import Bookmark
from scheduler.audience.returns import Kind, Returned
from scheduler.deliveries import State
from scheduler.store.audience_tables import recipients
from scheduler.store.db import Connection, Database
from scheduler.store.recipients import RecipientState
from scheduler.store.return_tables import mailboxes, returns
from scheduler.store.tables import deliveries

FULL = ("4.2.2", "5.2.2")
LONGEST_MAILING = 14 * 24 * 3600 * 1_000_000  # for the index: mailings are due before they end
COUNTED = "counted"  # a refusal that already ended a reader's subscription once


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a mailbox was read (None: never), which mails there are to be put away, and how
    often in a row it could not be read."""

    bookmark: Bookmark | None = None
    handled: tuple[int, ...] = ()
    failures: int = 0


async def account_of(
    connection: Connection, contact_id: str, names: Callable[[str], bool]
) -> str | None:
    """The account whose delivery, of those that somebody was chosen for, `names` says it is."""
    statement = (
        select(deliveries.c.id, deliveries.c.account_id)
        .join(recipients, recipients.c.delivery_id == deliveries.c.id)
        .where(recipients.c.contact_id == contact_id)
    )
    rows = await connection.execute(statement)
    return next((row.account_id for row in rows if names(row.id)), None)


async def take(
    connection: Connection,
    database: Database,
    returned: Returned,
    *,
    slot: str,
    source: str,
    now: int,
) -> bool:
    """Note a report; False when it was noted before."""
    statement = (
        database.insert(returns)
        .values(
            id=slot,
            contact_id=returned.contact_id,
            kind=returned.kind,
            status=returned.status,
            detail=returned.detail,
            source=source,
            at=now,
        )
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(returns.c.id)
    )
    return (await connection.execute(statement)).first() is not None


async def refusals(connection: Connection, contact_id: str, *, since: int) -> Sequence[int]:
    """When mails to somebody were refused, microseconds since 1970, oldest first."""
    statement = (
        select(returns.c.at)
        .where(
            returns.c.contact_id == contact_id,
            returns.c.kind == Kind.REFUSED,
            returns.c.at >= since,
        )
        .order_by(returns.c.at)
    )
    return (await connection.execute(statement)).scalars().all()


async def start_over(connection: Connection, contact_id: str) -> None:
    """Count the refusals so far no more: what they led to has happened."""
    await connection.execute(
        update(returns)
        .where(returns.c.contact_id == contact_id, returns.c.kind == Kind.REFUSED)
        .values(kind=COUNTED)
    )


async def full_mailboxes(
    database: Database, account_ids: Collection[str], *, since: int
) -> Sequence[RowMapping]:
    """Readers whose relay itself said that their mailbox is full, in mailings of these accounts
    that ended at or after `since`: `delivery_id, contact_id, code, detail`."""
    statement = (
        select(
            recipients.c.delivery_id, recipients.c.contact_id, recipients.c.code,
            recipients.c.detail,
        )
        .join(deliveries, deliveries.c.id == recipients.c.delivery_id)
        .where(
            deliveries.c.account_id.in_(account_ids),
            deliveries.c.state == State.DELIVERED,
            deliveries.c.due_at >= since - LONGEST_MAILING,
            deliveries.c.finished_at >= since,
            recipients.c.state == RecipientState.REFUSED,
            recipients.c.code.in_(FULL),
        )
    )  # fmt: skip
    async with database.read() as connection:
        return (await connection.execute(statement)).mappings().all()


async def progress(database: Database, account_id: str) -> Progress:
    """How far the mailbox of an account was read."""
    statement = select(mailboxes).where(mailboxes.c.account_id == account_id)
    async with database.read() as connection:
        row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        return Progress()
    bookmark = Bookmark(row["validity"], row["uid"]) if row["validity"] else None
    return Progress(bookmark=bookmark, handled=tuple(row["handled"]), failures=row["failures"])


async def move_on(
    connection: Connection,
    account_id: str,
    *,
    before: Progress,
    bookmark: Bookmark,
    handled: Sequence[int],
    now: int,
) -> bool:
    """Note how far the mailbox was read; False when another reader was there since `before`."""
    values = {
        "validity": bookmark.validity,
        "uid": bookmark.uid,
        "handled": list(handled),
        "failures": 0,
        "updated_at": now,
    }
    at = before.bookmark or Bookmark(0, 0)
    moved = (
        update(mailboxes)
        .where(
            mailboxes.c.account_id == account_id,
            mailboxes.c.validity == at.validity,
            mailboxes.c.uid == at.uid,
        )
        .values(values)
    )
    if (await connection.execute(moved)).rowcount:
        return True
    held = select(mailboxes.c.account_id).where(mailboxes.c.account_id == account_id)
    if (await connection.execute(held)).first() is not None:
        return False
    await connection.execute(insert(mailboxes).values(account_id=account_id, **values))
    return True


async def failed(connection: Connection, database: Database, account_id: str, now: int) -> int:
    """Count a mailbox that could not be read; how often in a row."""
    row = {
        "account_id": account_id,
        "validity": 0,
        "uid": 0,
        "handled": [],
        "failures": 1,
        "updated_at": now,
    }
    statement = (
        database.insert(mailboxes)
        .values(row)
        .on_conflict_do_update(
            index_elements=["account_id"],
            set_={"failures": mailboxes.c.failures + 1, "updated_at": now},
        )
        .returning(mailboxes.c.failures)
    )
    found: int = (await connection.execute(statement)).scalar_one()
    return found
