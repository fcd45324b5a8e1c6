"""What a person decides about deliveries: cancel, publish now, retry, redirect, settle.

Each decision holds the rows it is about, checks that they are still where it may be taken, and
takes their token away: a worker that had armed one sees at its last look that it is not its any
more (see `scheduler.sitting`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from channels.posts import Part
from scheduler.changes import Change, columns, event
from scheduler.clock import Clock
from scheduler.deliveries import Delivery, State
from scheduler.doorbell import Doorbell
from scheduler.gathering import Gatherer
from scheduler.leaning import hold, leaners
from scheduler.refusals import conflict, invalid, not_found
from scheduler.roster import Roster
from scheduler.sitting import (
    Sitting,
    in_doubt,
    leaving,
    may_be_leaving,
    nothing_left,
    post_at,
    settle_first,
    sitting,
)
from scheduler.store import desk, digests, reroutes
from scheduler.store.alerts import resolve
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import append, line
from scheduler.store.faults import ConstraintError

_WAITS = frozenset({State.SCHEDULED, State.ARMED, State.HELD})
# A comment, and what is for those readers alone whom their own channel could not reach.
_NOT_THE_POST = frozenset({Part.FIRST_COMMENT, Part.STAND_IN})
_LEANED = "the post that would have said it elsewhere was cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Carries out decisions; `actor` says whose. Errors of all: RefusedError, nothing changed."""

    database: Database
    roster: Roster
    clock: Clock
    doorbell: Doorbell
    zone: str
    grace_us: int  # how long a delivery brought back may take when its deadline has passed

    async def cancel(self, delivery_id: str, actor: str) -> None:
        """Not to be published there at all; what relied on it waits for a word."""
        async with sitting(self.database, self.clock) as held:
            delivery = await self._taken(held, delivery_id)
            await self._cancel(held, delivery, actor)
            if delivery.part is Part.POST:
                for one in await leaners(held.connection, [delivery.post_id], delivery.account_id):
                    await hold(held.connection, self.database, one, _LEANED, actor, held.now)

    async def cancel_post(self, post_id: str, actor: str) -> None:
        """Cancel every delivery that still can be, and its place in digests that wait; refused
        when there is none."""
        everyone = await self.roster.everyone()
        async with sitting(self.database, self.clock) as held:
            connection, now = held.connection, held.now
            every = await self._of_post(connection, post_id)
            waiting = [one for one in every if one.state in _WAITS and not may_be_leaving(one, now)]
            gatherer = Gatherer(zone=self.zone, now=now)
            for digest in await digests.waiting_with(connection, [post_id]):
                if not may_be_leaving(digest, now):
                    held.taken.append(digest)
                    waiting += await gatherer.leave(connection, digest, post_id, everyone)
            if not waiting:
                raise nothing_left(every, now)
            held.taken.extend(waiting)
            for delivery in waiting:
                await self._cancel(held, delivery, actor)
            await desk.update_post(connection, post_id, {"cancelled_at": now, "updated_at": now})
            await append(connection, [line("post.cancelled", now, actor, post_id=post_id)])

    async def publish_now(self, post_id: str, actor: str) -> None:
        """Everything that is scheduled for later goes out now."""
        async with sitting(self.database, self.clock) as held:
            connection, now = held.connection, held.now
            every = await self._of_post(connection, post_id)
            waiting = [
                one
                for one in every
                if one.state in {State.SCHEDULED, State.ARMED} and not may_be_leaving(one, now)
            ]
            if not waiting:
                raise nothing_left(every, now)
            held.taken.extend(waiting)
            for delivery in waiting:
                await self._reschedule(held, delivery)
            await desk.update_post(connection, post_id, {"due_at": now, "updated_at": now})
            await append(connection, [line("post.hurried", now, actor, post_id=post_id)])
        await self.doorbell.ring(now)

    async def retry(self, delivery_id: str, actor: str) -> None:
        """Try once more, now: what is held, failed or waits for its next try."""
        async with sitting(self.database, self.clock) as held:
            delivery = await self._taken(held, delivery_id, or_failed=True)
            if in_doubt(delivery):
                raise settle_first(delivery)
            await self._reschedule(held, delivery, fresh=True)
            await self._note(held, "delivery.retried", delivery, actor)
        await self.doorbell.ring(held.now)

    async def redirect(self, delivery_id: str, account_id: str, actor: str) -> str:
        """Send it by another account; the id of the delivery that carries on."""
        try:
            async with sitting(self.database, self.clock) as held:
                delivery = await self._taken(held, delivery_id, or_failed=True)
                if in_doubt(delivery):
                    raise settle_first(delivery)
                if delivery.part in _NOT_THE_POST:
                    raise conflict(
                        "it is no post for everybody: elsewhere all would read what some have read",
                        "try it again or cancel it",
                    )
                child = await self._redirect(held, delivery, account_id, actor)
        except ConstraintError as error:
            raise conflict(
                f"the account {account_id!r} carries this post already",
                "choose another account",
                "account_id",
            ) from error
        await self.doorbell.ring(held.now)
        return child

    async def settle(
        self, delivery_id: str, *, published: bool, url: str | None, actor: str
    ) -> None:
        """A person has looked: it is there (delivered), or it is not (sent again)."""
        async with sitting(self.database, self.clock) as held:
            connection, now = held.connection, held.now
            delivery = await self._found(held, delivery_id)
            if not (in_doubt(delivery) or delivery.state is State.HELD):
                raise conflict(
                    f"the delivery is {delivery.state}: there is nothing to settle",
                    "settle only what is unconfirmed, accepted or held",
                )
            if published:
                new = columns(delivery, State.DELIVERED, now, cause="seen by a person", url=url)
                await write_changes(connection, [Change(delivery, delivery.token, new)], now)
            else:
                await self._reschedule(held, delivery, fresh=True)
            data = {"published": published}
            await self._note(held, "delivery.settled", delivery, actor, data)
        if not published:
            await self.doorbell.ring(now)

    async def _found(self, held: Sitting, delivery_id: str) -> Delivery:
        delivery = await desk.locked(held.connection, delivery_id)
        if delivery is None:
            raise not_found("delivery", delivery_id)
        held.taken.append(delivery)
        return delivery

    async def _taken(self, held: Sitting, delivery_id: str, *, or_failed: bool = False) -> Delivery:
        """The delivery, if it still waits (or failed) and nothing of it may be under way."""
        delivery = await self._found(held, delivery_id)
        if may_be_leaving(delivery, held.now):
            raise leaving()
        if delivery.state in _WAITS or (or_failed and delivery.state is State.FAILED):
            return delivery
        if in_doubt(delivery):
            raise settle_first(delivery)
        raise conflict(f"the delivery is already {delivery.state}", "nothing is left to decide")

    async def _of_post(self, connection: Connection, post_id: str) -> list[Delivery]:
        await post_at(connection, post_id)
        return await desk.locked_of_post(connection, post_id)

    async def _cancel(self, held: Sitting, delivery: Delivery, actor: str) -> None:
        """A digest's posts are not dropped with it: its reader never saw them."""
        new = columns(delivery, State.CANCELLED, held.now, cause="cancelled")
        change = Change(delivery, delivery.token, new)
        await write_changes(held.connection, [change], held.now)
        await self._note(held, "delivery.cancelled", delivery, actor)
        if delivery.part is Part.DIGEST:
            gatherer = Gatherer(zone=self.zone, now=held.now)
            await gatherer.scatter(held.connection, self.database, delivery, actor)

    async def _reschedule(self, held: Sitting, delivery: Delivery, *, fresh: bool = False) -> None:
        deadline, now = delivery.deadline_at, held.now
        if deadline is not None and deadline <= now:
            deadline = now + self.grace_us
        await desk.reschedule(
            held.connection, delivery.id, due_at=now, deadline_at=deadline, now=now, fresh=fresh
        )

    async def _redirect(
        self, held: Sitting, delivery: Delivery, account_id: str, actor: str
    ) -> str:
        connection, now = held.connection, held.now
        if not await desk.is_connected(connection, account_id):
            raise invalid(
                "account_id", f"there is no account {account_id!r}", "see GET /api/v1/accounts"
            )
        new = columns(delivery, State.REROUTED, now, cause="redirected by a person")
        await write_changes(connection, [Change(delivery, delivery.token, new)], now)
        child = await reroutes.add_child(
            connection, delivery, account_id, now=now, cause="redirected by a person"
        )
        data = {"to_account": account_id, "child_id": child}
        await self._note(held, "delivery.redirected", delivery, actor, data)
        return child

    async def _note(
        self,
        held: Sitting,
        kind: str,
        delivery: Delivery,
        actor: str,
        data: dict[str, Any] | None = None,
    ) -> None:
        """The journal, and the end of the alert that asked for this decision."""
        await append(held.connection, [event(kind, delivery, held.now, actor, data)])
        for state in (State.HELD, State.FAILED, State.UNCONFIRMED):
            await resolve(held.connection, f"delivery:{delivery.id}:{state.value}", held.now)
