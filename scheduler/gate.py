"""The gate of one broadcast: who may pass now, by the limits of the relay and of each domain.

Who has to wait gets a later turn of their own, so that nobody else waits for them. A domain that
answers "slow down", or refuses one mail after the other for now, is closed for a while, longer each
time, until it takes a mail again: for the relay that it said so to, since another has another
address and another standing.

Mailings that share a relay with a limit go by turns: who finds no free slot has the next few
reserved, behind those of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from channels.streams import Rates
from scheduler.decide import SECOND
from scheduler.lanes import Lane, domain_of, slots_in, turn_at
from scheduler.retry import backoff
from scheduler.store import lanes as store
from scheduler.store.db import Database
from scheduler.store.recipients import Claimed
from scheduler.verdicts import Pace

_LONGEST = 320  # characters of a lane's id
KEPT = 10 * SECOND  # a turn that nobody takes is not kept for longer


@dataclass(frozen=True, slots=True)
class _Turn:
    """`count` slots of a relay from `at` to `end`, for this mailing alone."""

    at: int
    count: int
    end: int


class Gate:
    """`road`: the relay in use, by its name in `rates`."""

    def __init__(self, database: Database, rates: Rates, pace: Pace, rng: Random) -> None:
        self._database, self._rates, self._pace, self._rng = database, rates, pace, rng
        self._lanes: dict[str, Lane] = {}  # what is closed, as last read or decided here
        self._closed_here: set[str] = set()
        self._in_a_row: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self.road = rates.first or next(iter(rates.roads), "")
        self._opens: dict[str, int] = {}
        self._turns: dict[str, _Turn] = {}

    # --- What the books ask, inside their transaction --------------------------------------

    @property
    def opens_at(self) -> int:
        """Before then the relay lets nobody through (microseconds), as far as was last read."""
        return self._opens.get(self.road, 0)

    @property
    def changed(self) -> bool:
        """Whether a domain was closed or opened here and nobody else knows."""
        return bool(self._closed_here)

    async def write_down(self, connection: Any) -> None:
        """Tell the others, and a restart, what was closed or opened here."""
        changed = [self._lanes[each] for each in self._closed_here if each in self._lanes]
        self._closed_here.clear()
        # The relay's before the domains', as whoever claims has it: else two wait for each other.
        roads = [_road(self.road)] if self.road in self._rates.roads else []
        kept = await store.hold(
            self._database, connection, [*roads, *(lane.id for lane in changed)]
        )
        for lane in changed:
            lane.next_at = kept[lane.id].next_at
        await store.save(self._database, connection, changed)

    async def look(self, connection: Any, now: int) -> None:
        """Read what others closed."""
        self._lanes = await store.closed(connection, now)

    async def width(self, connection: Any, wanted: int, now: int) -> int:
        """How many the relay lets through now, `wanted` at most; without any, this mailing's turn
        comes at `opens_at`."""
        rate = self._rates.roads.get(self.road)
        if rate is None or not wanted:
            return wanted
        turn = self._turns.get(self.road)
        if turn is not None and now < turn.at:
            return 0
        if turn is not None and now - turn.at > KEPT:
            self._turns.pop(self.road)
            turn = None
        lane_id = _road(self.road)
        lane = (await store.hold(self._database, connection, [lane_id]))[lane_id]
        free = lane.free(now, rate) + (0 if turn is None else turn.count)
        if free:
            self._opens[self.road] = 0
            return min(wanted, free)
        count = min(wanted, slots_in(self._pace.flush_us, rate))
        at = lane.reserve(now, rate, count)
        self._turns[self.road] = _Turn(at, count, lane.next_at)
        self._opens[self.road] = at
        await store.save(self._database, connection, [lane])
        return 0

    async def passed(self, connection: Any, count: int, now: int) -> None:
        """So many were claimed for this relay."""
        rate = self._rates.roads.get(self.road)
        turn = self._turns.pop(self.road, None)
        own = 0 if turn is None else turn.count
        if rate is None or count == own:
            return
        lane_id = _road(self.road)
        lane = (await store.hold(self._database, connection, [lane_id]))[lane_id]
        if turn is not None and count < own:
            lane.give_back(rate, own - count, turn.end)
        else:
            lane.take(now, rate, count - own)
        await store.save(self._database, connection, [lane])

    def lose_turn(self) -> None:
        """What was reserved may not be written down."""
        self._turns.clear()
        self._opens.clear()

    async def sort(
        self, connection: Any, claimed: Sequence[Claimed], now: int
    ) -> tuple[list[Claimed], dict[str, int]]:
        """Who may pass, and when the turn of the others comes (by contact id)."""
        if not self._lanes and not self._rates.domains:
            return list(claimed), {}
        limited = {domain for one in claimed if self._rate(domain := domain_of(one.address))}
        held = await store.hold(self._database, connection, [_to(each) for each in limited])
        go: list[Claimed] = []
        later: dict[str, int] = {}
        for one in claimed:
            at = self._turn(domain_of(one.address), held, now)
            if at is None:
                go.append(one)
            else:
                later[one.contact_id] = at
        await store.save(self._database, connection, held.values())
        return go, later

    def _turn(self, domain: str, held: Mapping[str, Lane], now: int) -> int | None:
        """None: now."""
        shut = self._lanes.get(_closing(domain, self.road))
        if shut is not None and shut.closed_until > now:
            return self.after(domain, shut)
        rate = self._rate(domain)
        if rate is None:
            return None
        lane = held[_to(domain)]
        if lane.free(now, rate):
            lane.take(now, rate, 1)
            self._waiting.pop(domain, None)
            return None
        before = self._waiting.get(domain, 0)
        self._waiting[domain] = before + 1
        return turn_at(lane, now, rate, before)

    def _rate(self, domain: str) -> float | None:
        return self._rates.domains.get(domain) or self._rates.domains.get("*")

    # --- What the crowd tells --------------------------------------------------------------

    def after(self, domain: str, lane: Lane) -> int:
        """A turn behind a closing: one a second or so, not all at once."""
        before = self._waiting.get(domain, 0)
        self._waiting[domain] = before + 1
        return lane.closed_until + before * (self._pace.defer_us // 60)

    def went_well(self, address: str, road: Callable[[], str]) -> None:
        """Cheap while no domain makes trouble."""
        if not self._in_a_row and not self._lanes:
            return
        domain = domain_of(address)
        name = _closing(domain, road())
        self._in_a_row.pop(name, None)
        lane = self._lanes.get(name)
        if lane is not None and lane.strikes:
            lane.strikes = lane.closed_until = 0
            self._waiting.pop(domain, None)
            self._closed_here.add(lane.id)

    def refused_for_now(self, address: str, now: int, *, road: str, slow: bool) -> Lane | None:
        """The lane of this domain when it is closed now for the relay that said so. `slow`: we were
        told to slow down."""
        domain = domain_of(address)
        name = _closing(domain, road)
        lane = self._lanes.get(name)
        if lane is not None and lane.closed_until > now:
            return lane
        count = self._in_a_row[name] = self._in_a_row.get(name, 0) + 1
        if not slow and count < self._pace.in_a_row:
            return None
        self._in_a_row.pop(name)
        self._waiting.pop(domain, None)
        lane = lane or Lane(name)
        lane.strikes += 1
        lane.closed_until = now + backoff(lane.strikes, self._pace.retries, self._rng)
        self._lanes[lane.id] = lane
        self._closed_here.add(lane.id)
        return lane


def _to(domain: str) -> str:
    return f"to {domain}"


def _closing(domain: str, road: str) -> str:
    """The lane that says whether a domain is closed for a relay."""
    return f"{_to(domain)} by {road}"[:_LONGEST] if road else _to(domain)


def _road(name: str) -> str:
    return f"by {name}"
