"""Who cannot be written to on their own channel is written to at another address of theirs.

Done once a delivery knows all of its recipients' fates, in the transaction that settles them: by
the account's plan B, with consent for that list only, and never to somebody who has the post by
another delivery.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from channels.posts import Kind, Part
from scheduler import tracing
from scheduler.changes import event
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.deliveries import Delivery, State
from scheduler.digest import slot_after, week_of
from scheduler.limits import FOREVER
from scheduler.reroute import Mode, Route
from scheduler.roads import BROKEN
from scheduler.roster import Member, Roster
from scheduler.store import reroutes
from scheduler.store import stand_ins as store
from scheduler.store.alerts import tell
from scheduler.store.db import Connection, Database
from scheduler.store.events import append
from scheduler.store.recipients import RecipientState, hold_post, lease_of, tally

# So long the readers of one page wait for those of another to join them: an account carries a post
# to others once.
PATIENCE = 600 * SECOND
WAITS = "for readers who could not be reached on their own channel, once all of them are known"
_FOR = "for readers who could not be reached on their own channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIns:
    """Finds other addresses. `zone`: where a digest's hour and a calendar week are told."""

    database: Database
    roster: Roster
    clock: Clock
    zone: str
    actor: str = "broadcast"

    async def place(self, delivery: Delivery, token: str) -> dict[RecipientState, int] | None:
        """Settle everyone who was not reached, and let stand-ins go that waited for them; how many
        recipients are then in each state. None when the run lost its claim."""
        everyone = await self.roster.everyone()
        now = self.clock.micros()
        async with self.database.write() as connection:
            await hold_post(self.database, connection, delivery.post_id)
            if await lease_of(connection, delivery.id, token) is None:
                return None
            before = (await tally(connection, delivery.id)).get(RecipientState.UNREACHED, 0)
            pages = [one.id for one in everyone.values() if _has_addresses(one)]
            busy = await store.others_busy(connection, delivery, pages, before=now + PATIENCE)
            if before:
                await self._place(connection, delivery, before, everyone, now, busy=busy)
            if not busy:
                await store.hasten(connection, delivery.post_id, WAITS, now=now)
            return await tally(connection, delivery.id)

    async def _place(
        self,
        connection: Connection,
        delivery: Delivery,
        unreached: int,
        everyone: Mapping[str, Member],
        now: int,
        *,
        busy: bool,
    ) -> None:
        carriers = await store.carriers(connection, delivery)
        covered = await store.note_covered(connection, delivery, carriers, now=now)
        route = await reroutes.route_of(connection, delivery.account_id)
        row = await reroutes.post_row(connection, delivery.post_id)
        rerouted: dict[str, int] = {}
        if route.mode(Kind(row["kind"])) in {Mode.AT_ONCE, Mode.DIGEST}:
            due_at = _due_at(route, Kind(row["kind"]), delivery, now, self.zone)
            waits = busy and due_at < now + PATIENCE
            due_at = now + PATIENCE if waits else due_at
            for account_id in route.fallbacks:
                fallback = everyone.get(account_id)
                if fallback is None or not _can_write(fallback):
                    continue
                name = fallback.account.name
                count = await self._hand_over(
                    connection, delivery, fallback, route, due_at, now, waits=waits
                )
                if count:
                    rerouted[name] = rerouted.get(name, 0) + count
        left = unreached - covered - sum(rerouted.values())
        data = {
            "unreached": unreached,
            "rerouted": rerouted,
            "covered": covered,
            "left": left,
            "cause": _said(unreached, rerouted, covered, left),
        }
        await append(
            connection, [event("recipients.unreached", delivery, now, self.actor, dict(data))]
        )
        await tell(
            connection,
            kind="recipients.unreached",
            data={
                "post_id": delivery.post_id,
                "delivery_id": delivery.id,
                "account_id": delivery.account_id,
                **data,
            },
            now=now,
        )

    async def _hand_over(
        self,
        connection: Connection,
        delivery: Delivery,
        fallback: Member,
        route: Route,
        due_at: int,
        now: int,
        *,
        waits: bool,
    ) -> int:
        """Give this account those it may write to; how many."""
        by_email = fallback.channel.capabilities.address == "email"
        if not await store.reachable(connection, delivery, fallback.id, by_email=by_email, now=now):
            return 0
        child = await store.stand_in_of(connection, delivery.post_id, fallback.id)
        if child is not None and (child.state is not State.SCHEDULED or child.attempt):
            return 0  # it has begun: who joins now would be overlooked
        if child is None:
            begin, end = week_of(due_at, self.zone, route.day_us)
            mails = await reroutes.mails_between(connection, fallback.id, begin, end)
            if by_email and mails >= route.weekly_mails:
                return 0
            child_id = await reroutes.add_child(
                connection,
                delivery,
                fallback.id,
                now=now,
                cause=WAITS if waits else _FOR,
                part=Part.STAND_IN,
                due_at=due_at,
                trace=tracing.here(),
            )
        else:
            child_id = child.id
        return await store.hand_over(
            self.database, connection, delivery, child_id, fallback.id, by_email=by_email, now=now
        )


def _has_addresses(page: Member) -> bool:
    """Whether it writes to people at an address they have with it alone, and may not reach some."""
    able = page.channel.capabilities
    return able.addressed and able.address == "account"


def _can_write(fallback: Member) -> bool:
    able = fallback.channel.capabilities.addressed
    return able and fallback.status not in BROKEN and fallback.paused_until < FOREVER


def _due_at(route: Route, kind: Kind, delivery: Delivery, now: int, zone: str) -> int:
    """At once, or at the hour of the day's digest unless that would be past its deadline."""
    if route.mode(kind) is not Mode.DIGEST:
        return now
    slot = slot_after(now, zone, route.digest_hour, route.day_us)
    return slot if slot <= (delivery.deadline_at or slot) else now


def _said(unreached: int, rerouted: Mapping[str, int], covered: int, left: int) -> str:
    ways = [f"{count} by {name}" for name, count in rerouted.items()]
    if covered:
        ways.append(f"{covered} have it by another delivery")
    if left:
        ways.append(f"{left} have no other address that they agreed to")
    return f"{unreached} could not be written to: {', '.join(ways)}"
