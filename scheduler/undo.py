"""Take a reroute back, as long as nothing of it has left."""

from __future__ import annotations

from dataclasses import dataclass

from channels.posts import Part
from scheduler.changes import Change, columns, event
from scheduler.clock import Clock
from scheduler.deliveries import Delivery, State
from scheduler.doorbell import Doorbell
from scheduler.gathering import Gatherer
from scheduler.leaning import bring_back
from scheduler.refusals import RefusedError, conflict, not_found
from scheduler.reroute import HOUR
from scheduler.roads import BROKEN, takes_more
from scheduler.roster import Member, Roster
from scheduler.sitting import Sitting, may_be_leaving, sitting
from scheduler.store import desk, digests, reroutes
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import append

WINDOW = 24 * HOUR
_WAITS = {State.SCHEDULED, State.ARMED, State.HELD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Brings rerouted deliveries back to the account they were meant for."""

    database: Database
    roster: Roster
    clock: Clock
    doorbell: Doorbell
    zone: str

    async def one(self, delivery_id: str, actor: str) -> None:
        """Undo one reroute. Error: RefusedError, nothing changed."""
        everyone = await self.roster.everyone()
        async with sitting(self.database, self.clock) as held:
            parent = await desk.locked(held.connection, delivery_id)
            if parent is None:
                raise not_found("delivery", delivery_id)
            await self._undo(held, parent, everyone, actor)
        await self.doorbell.ring(held.now)

    async def account(self, account_id: str, actor: str) -> tuple[int, int]:
        """Undo every reroute of an account that still can be: how many were, how many stay."""
        everyone = await self.roster.everyone()
        if account_id not in everyone:
            raise not_found("account", account_id)
        undone = kept = 0
        async with sitting(self.database, self.clock) as held:
            since = held.now - WINDOW
            for parent in await reroutes.rerouted_since(held.connection, account_id, since):
                try:
                    await self._undo(held, parent, everyone, actor)
                    undone += 1
                except RefusedError:
                    kept += 1
        await self.doorbell.ring(held.now)
        return undone, kept

    async def _undo(
        self, held: Sitting, parent: Delivery, everyone: dict[str, Member], actor: str
    ) -> None:
        connection, now = held.connection, held.now
        if parent.state is not State.REROUTED:
            raise conflict(f"the delivery is {parent.state}: no reroute to undo", "read it again")
        self._check_account(everyone.get(parent.account_id), now)
        digest = await digests.holding(connection, parent.id)
        child = await reroutes.child_of(connection, parent.id)
        if await digests.sent_elsewhere(connection, parent.id):
            raise conflict(
                "a person sent the digest that tells of it to another account",
                "undo that of the digest first",
            )
        if parent.part is Part.DIGEST and child is None:
            raise conflict(
                "its posts took roads of their own since",
                "undo them one by one, where they were meant for",
            )
        if digest is not None:
            await self._leave(connection, digest, parent, everyone, now)
            await bring_back(connection, parent, digest.account_id, actor, now)
        elif child is not None:
            held.taken.append(child)
            await self._recall(connection, child, now)
            await bring_back(connection, parent, child.account_id, actor, now)
        await desk.reschedule(
            connection, parent.id, due_at=max(now, parent.due_at),
            deadline_at=parent.deadline_at if (parent.deadline_at or 0) > now else None,
            now=now, fresh=True,
        )  # fmt: skip
        await append(connection, [event("delivery.undone", parent, now, actor)])

    def _check_account(self, member: Member | None, now: int) -> None:
        if member is None or member.status in BROKEN or member.paused_until > now:
            raise conflict(
                "the account cannot publish: the post would take the other road again",
                "resume or reconnect the account first",
            )

    async def _recall(self, connection: Connection, child: Delivery, now: int) -> None:
        if child.state not in _WAITS or may_be_leaving(child, now):
            raise conflict(
                f"it is {child.state} on the other road already", "nothing is left to undo"
            )
        new = columns(child, State.CANCELLED, now, cause="its reroute was undone")
        await write_changes(connection, [Change(child, child.token, new)], now)

    async def _leave(
        self,
        connection: Connection,
        digest: Delivery,
        parent: Delivery,
        everyone: dict[str, Member],
        now: int,
    ) -> None:
        if not takes_more(digest):
            raise conflict(f"its digest is {digest.state} already", "nothing is left to undo")
        await Gatherer(zone=self.zone, now=now).leave(connection, digest, parent.post_id, everyone)
