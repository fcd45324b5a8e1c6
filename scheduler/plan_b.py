"""Plan B at work: close a delivery that cannot go out here and open its child elsewhere, in one
transaction; move a whole queue when its page is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from channels.posts import Part
from scheduler import metrics, tracing
from scheduler.changes import Change, columns, event
from scheduler.clock import Clock
from scheduler.decide import Move
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.gathering import Gatherer
from scheduler.leaning import GIVES_UP, leaners
from scheduler.refusals import conflict, not_found
from scheduler.reroute import Covered, Taken, Unplaced
from scheduler.roads import Found, Survey
from scheduler.roster import Member, Roster
from scheduler.store import digests, reroutes
from scheduler.store.alerts import raise_alert, resolve, tell
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import append
from scheduler.warning import NEXT, warn

_FOLLOWS = {Part.FIRST_COMMENT}


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a delivery: its new columns, and what its event says."""

    state: State
    cause: str
    data: Mapping[str, object]
    hold: HoldReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanB:
    """Moves deliveries to their fallbacks. `actor` is written to the journal; `zone` is where a
    digest's hour and a calendar week are told."""

    database: Database
    roster: Roster
    clock: Clock
    media_dir: Path
    zone: str
    actor: str

    async def move(
        self, delivery: Delivery, move: Move, *, asked: bool = False, quiet: bool = False
    ) -> State | None:
        """Reroute `delivery` (as it was when its token was read), else hold or fail it.

        `asked`: a person said yes; `quiet`: one alert for the whole queue speaks of it. Returns
        the state it got, None when the token no longer held: somebody else decided.
        """
        survey = await self._survey(asked=asked)
        async with self.database.write() as connection:
            current = await reroutes.delivery(connection, delivery.id)
            if current is None or current.token != delivery.token or current.final:
                return None
            with tracing.span("reroute", current.trace, tracing.of(current)):
                if current.part is Part.DIGEST:
                    return await self._dissolve(connection, current, move, survey)
                return await self._take_road(connection, current, move, survey, quiet=quiet)

    async def approve(self, delivery_id: str) -> State:
        """A person lets a held delivery take its other road now. Error: RefusedError."""
        async with self.database.read() as connection:
            delivery = await reroutes.delivery(connection, delivery_id)
        if delivery is None:
            raise not_found("delivery", delivery_id)
        if delivery.state is not State.HELD or delivery.hold_reason is HoldReason.UNCONFIRMED:
            raise conflict(
                f"the delivery is {delivery.state}: there is nothing to approve",
                "approve only what is held, and settle what may have been published",
            )
        state = await self.move(delivery, Move("approved by a person"), asked=True)
        if state is None:
            raise conflict("somebody else decided at the same moment", "read it again")
        return state

    async def move_queue(self, account_id: str, cause: str) -> dict[State, int]:
        """Everything that waits for the account takes its other road, in order; how many got
        which state."""
        counts: dict[State, int] = {}
        async for some in reroutes.queue_of(self.database, account_id):
            for delivery in some:
                state = await self.move(delivery, Move(cause), quiet=True)
                if state is not None:
                    counts[state] = counts.get(state, 0) + 1
        return counts

    async def _survey(self, *, asked: bool) -> Survey:
        return Survey(
            everyone=await self.roster.everyone(),
            media_dir=self.media_dir,
            zone=self.zone,
            now=self.clock.micros(),
            asked=asked,
        )

    async def _take_road(
        self,
        connection: Connection,
        delivery: Delivery,
        move: Move,
        survey: Survey,
        *,
        quiet: bool,
    ) -> State | None:
        found = await survey.find(connection, delivery)
        ended = _ended(delivery, move, found, survey.everyone)
        now = survey.now
        new = columns(delivery, ended.state, now, cause=ended.cause, hold_reason=ended.hold)
        if not await write_changes(connection, [Change(delivery, delivery.token, new)], now):
            return None
        data = dict(ended.data)
        if isinstance(found.choice, Taken):
            data |= await self._place(connection, delivery, move, found, survey)
        kind = f"delivery.{ended.state.value}"
        await append(connection, [event(kind, delivery, now, self.actor, data)])
        if ended.state is not State.HELD:
            await resolve(connection, f"delivery:{delivery.id}:{State.HELD.value}", now)
        if not quiet and ended.state is not State.CANCELLED:
            await self._alert(connection, delivery, ended, now)
        if ended.state in GIVES_UP and delivery.part is Part.POST:
            await self._let_go(connection, [delivery], delivery.account_id, move, survey)
        return ended.state

    async def _let_go(
        self,
        connection: Connection,
        carried: Sequence[Delivery],
        account_id: str,
        move: Move,
        survey: Survey,
    ) -> None:
        """The account says these posts no more: what was not sent elsewhere because it would have
        looks for its own road."""
        for one in await leaners(connection, {each.post_id for each in carried}, account_id):
            await self._take_road(connection, one, Move(move.cause), survey, quiet=False)

    async def _place(
        self, connection: Connection, parent: Delivery, move: Move, found: Found, survey: Survey
    ) -> dict[str, object]:
        """The child, or a place in the day's digest; what the event says of it."""
        assert isinstance(found.choice, Taken)
        fallback = survey.everyone[found.choice.account_id]
        metrics.REROUTED.labels(fallback.channel.channel).inc()
        if found.choice.account_id in found.route.last_resort:
            await self._tell_last_resort(connection, parent, fallback, survey.now)
        if not found.choice.digest:
            child = await reroutes.add_child(
                connection, parent, fallback.id, now=survey.now, cause=f"rerouted: {move.cause}",
                trace=tracing.here(),
            )  # fmt: skip
            return {"child_id": child}
        digest = await Gatherer(zone=self.zone, now=survey.now).gather(
            connection, parent, fallback=fallback, origin=found.origin, route=found.route,
            slot=found.slot,
        )  # fmt: skip
        return {"digest_id": digest.id}

    async def _dissolve(
        self, connection: Connection, digest: Delivery, move: Move, survey: Survey
    ) -> State | None:
        """A digest that cannot go out either: each of its posts looks for its own next road."""
        parents = await digests.parents_of(connection, digest.id)
        cause = _then(move.cause, "its posts look for other roads")
        new = columns(digest, State.REROUTED, survey.now, cause=cause)
        if not await write_changes(connection, [Change(digest, digest.token, new)], survey.now):
            return None
        data: dict[str, object] = {"cause": move.cause, "posts": len(parents)}
        await append(connection, [event("delivery.rerouted", digest, survey.now, self.actor, data)])
        for parent in parents:
            await self._take_road(connection, parent, Move(move.cause), survey, quiet=False)
        await self._let_go(connection, parents, digest.account_id, move, survey)
        return State.REROUTED

    async def _alert(
        self, connection: Connection, delivery: Delivery, ended: Ended, now: int
    ) -> None:
        """Nothing fails in silence: name the post, the cause and what to do next."""
        if ended.state is State.REROUTED:
            data = {
                "post_id": delivery.post_id,
                "delivery_id": delivery.id,
                "account_id": delivery.account_id,
                "action": "nothing to do, unless you prefer to undo it",
                **ended.data,
            }
            await tell(connection, kind=f"delivery.{ended.state.value}", data=data, now=now)
            return
        await warn(
            connection, self.database, delivery, kind=f"delivery.{ended.state.value}",
            cause=ended.cause, action=NEXT, now=now,
            severity="critical" if ended.state is State.FAILED else "warning",
        )  # fmt: skip

    async def _tell_last_resort(
        self, connection: Connection, parent: Delivery, fallback: Member, now: int
    ) -> None:
        """One alert for the account, not one a post: its roads are all closed."""
        await raise_alert(
            connection,
            self.database,
            fact=f"account:{parent.account_id}:last-resort",
            kind="account.last-resort",
            severity="critical",
            data={
                "account_id": parent.account_id,
                "post_id": parent.post_id,
                "cause": f"every other road is closed; readers find it on {fallback.account.name}",
                "action": "reopen one of its fallbacks, or write it another plan B",
            },
            now=now,
        )


def _then(cause: str, more: str) -> str:
    """A cause that is a sentence of its own is followed by another one."""
    if cause.endswith((".", "!", "?")):
        return f"{cause} {more[0].upper()}{more[1:]}"
    return f"{cause}; {more}"


def _ended(delivery: Delivery, move: Move, found: Found, everyone: Mapping[str, Member]) -> Ended:
    """What the choice means for the delivery. Pure."""
    match found.choice:
        case Taken(account_id) | Covered(account_id):
            name = everyone[account_id].account.name
            how = "goes out by" if isinstance(found.choice, Taken) else "is carried already by"
            data = {"cause": move.cause, "to_account": account_id, "to_name": name}
            return Ended(State.REROUTED, _then(move.cause, f"{how} {name}"), data)
        case Unplaced(why, ask):
            data = {"cause": move.cause, "why": why}
            if delivery.part in _FOLLOWS:
                return Ended(State.CANCELLED, "the post that it comments on went elsewhere", data)
            cause = _then(move.cause, f"no other road: {why}")
            if move.problem is not None or delivery.part is not Part.POST:
                return Ended(State.FAILED, cause, data)
            hold = HoldReason.APPROVAL if ask else HoldReason.NO_ROAD
            return Ended(State.HELD, cause, data, hold)
