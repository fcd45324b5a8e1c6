"""Plan B at work: close a delivery that cannot go out here and open its child elsewhere, in one
transaction; move a whole queue when its page is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from channels.base import Kind, Part, Reroute
from channels.media import foreseen
from channels.outcome import HealthStatus, Severity
from scheduler import metrics
from scheduler.changes import Change, columns, event
from scheduler.clock import Clock
from scheduler.content import to_post
from scheduler.decide import Move
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.limits import FOREVER
from scheduler.reroute import Choice, Covered, Taken, Unplaced, choose
from scheduler.roster import Member, Roster
from scheduler.store import reroutes
from scheduler.store.alerts import raise_alert
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import append

log = structlog.get_logger()

# A road that carries the post already, or still may.
_CARRIES = frozenset(
    {
        State.SCHEDULED,
        State.ARMED,
        State.SENDING,
        State.ACCEPTED,
        State.UNCONFIRMED,
        State.DELIVERED,
    }
)
_BROKEN = {HealthStatus.ACCESS_LOST, HealthStatus.VANISHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanB:
    """Moves deliveries to their fallbacks. `actor` is written to the journal."""

    database: Database
    roster: Roster
    clock: Clock
    media_dir: Path
    actor: str

    async def move(self, delivery: Delivery, move: Move) -> State | None:
        """Reroute `delivery` (as it was when its token was read), else hold or fail it.

        Returns the state it got, None when the token no longer held: somebody else decided.
        """
        everyone = await self.roster.everyone()
        async with self.database.write() as connection:
            current = await reroutes.delivery(connection, delivery.id)
            if current is None or current.token != delivery.token or current.final:
                return None
            choice = await self._choose(connection, current, everyone)
            return await self._apply(connection, current, move, choice, everyone)

    async def move_queue(self, account_id: str, cause: str) -> dict[State, int]:
        """Everything that waits for the account takes its other road, in order; how many got
        which state."""
        counts: dict[State, int] = {}
        for row in await reroutes.queue_of(self.database, account_id):
            async with self.database.read() as connection:
                delivery = await reroutes.delivery(connection, row["id"])
            if delivery is None:
                continue
            state = await self.move(delivery, Move(cause))
            if state is not None:
                counts[state] = counts.get(state, 0) + 1
        return counts

    async def _choose(
        self,
        connection: Connection,
        delivery: Delivery,
        everyone: Mapping[str, Member],
    ) -> Choice:
        if delivery.part is not Part.POST:
            return Unplaced("only the post itself is rerouted")
        siblings = await reroutes.siblings_of(connection, delivery.post_id)
        origin = next((s for s in siblings if s.id == delivery.origin_id), delivery)
        route = await reroutes.route_of(connection, origin.account_id)
        posts = [s for s in siblings if s.part is Part.POST and s.id != delivery.id]
        row = await reroutes.post_row(connection, delivery.post_id)
        refused: dict[str, str] = {
            s.account_id: "the post did not get through here"
            for s in posts
            if s.state not in _CARRIES and s.state is not State.CANCELLED
        }
        refused[delivery.account_id] = "it comes from here"
        closed = {
            account_id: f"{member.account.name} is {member.status}"
            for account_id, member in everyone.items()
            if member.status in _BROKEN or member.paused_until >= FOREVER
        }
        closed |= {
            account_id: "no such account"
            for account_id in route.fallbacks
            if account_id not in everyone
        }
        come_from = everyone.get(origin.account_id)
        words = Reroute(
            from_channel="" if come_from is None else come_from.channel.channel,
            from_name="" if come_from is None else come_from.account.name,
            note=route.note,
        )
        post = replace(to_post(row, self.media_dir), rerouted=words)
        for account_id in route.fallbacks:
            member = everyone.get(account_id)
            if member is None or account_id in refused:
                continue
            message = member.channel.render(foreseen(post, member.channel), member.account)
            problems = [
                problem
                for problem in member.channel.check(message, member.account)
                if problem.severity is Severity.ERROR
            ]
            if problems:
                refused[account_id] = problems[0].detail
        return choose(
            route,
            Kind(row["kind"]),
            carried={s.account_id for s in posts if s.state in _CARRIES},
            closed=closed,
            refused=refused,
        )

    async def _apply(
        self,
        connection: Connection,
        delivery: Delivery,
        move: Move,
        choice: Choice,
        everyone: Mapping[str, Member],
    ) -> State | None:
        now = self.clock.micros()
        data: dict[str, object] = {"cause": move.cause}
        hold: HoldReason | None = None
        match choice:
            case Taken(account_id) | Covered(account_id):
                name = everyone[account_id].account.name
                how = "goes out by" if isinstance(choice, Taken) else "is carried already by"
                state, cause = State.REROUTED, f"{move.cause}; {how} {name}"
                data |= {"to_account": account_id, "to_name": name}
            case Unplaced(why, ask):
                cause = f"{move.cause}; no other road: {why}"
                data["why"] = why
                state = State.FAILED
                if move.problem is None and delivery.part is Part.POST:
                    state = State.HELD
                    hold = HoldReason.APPROVAL if ask else HoldReason.NO_ROAD
        new = columns(delivery, state, now, cause=cause, hold_reason=hold)
        if not await write_changes(connection, [Change(delivery, delivery.token, new)], now):
            return None
        if isinstance(choice, Taken):
            data["child_id"] = await reroutes.add_child(
                connection, delivery, choice.account_id, now=now, cause=f"rerouted: {move.cause}"
            )
            metrics.REROUTED.labels(everyone[choice.account_id].channel.channel).inc()
        await append(
            connection, [event(f"delivery.{state.value}", delivery, now, self.actor, data)]
        )
        if state is not State.REROUTED:
            await self._alert(connection, delivery, state, cause, now)
        return state

    async def _alert(
        self, connection: Connection, delivery: Delivery, state: State, cause: str, now: int
    ) -> None:
        """Nothing fails in silence: name the post, the cause and what to do next."""
        await raise_alert(
            connection,
            self.database,
            fact=f"delivery:{delivery.id}:{state.value}",
            kind=f"delivery.{state.value}",
            severity="critical" if state is State.FAILED else "warning",
            data={
                "post_id": delivery.post_id,
                "delivery_id": delivery.id,
                "account_id": delivery.account_id,
                "cause": cause,
                "action": "redirect it to another account, change the post, or let it go",
            },
            now=now,
        )
