"""The gate of one broadcast: who may pass now, by the limits of the relay and of each domain.

Who has to wait gets a later turn of their own, so that nobody else waits for them. A domain that
answers "slow down", or refuses one mail after the other for now, is closed for a while, longer each
time, until it takes a mail again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from channels.streams import Rates
from scheduler.lanes import Lane, domain_of, turn_at
from scheduler.retry import backoff
from scheduler.store import lanes as store
from scheduler.store.db import Database
from scheduler.store.recipients import Claimed
from scheduler.verdicts import Pace


class Gate:
    """`road`: the relay in use, by its name in `rates`."""

    def __init__(self, database: Database, rates: Rates, pace: Pace, rng: Random) -> None:
        self._database, self._rates, self._pace, self._rng = database, rates, pace, rng
        self._lanes: dict[str, Lane] = {}  # what is closed, as last read or decided here
        self._closed_here: set[str] = set()
        self._in_a_row: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self.road = next(iter(rates.roads), "")
        self._opens: dict[str, int] = {}

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
        """How many the relay lets through now, `wanted` at most."""
        rate = self._rates.roads.get(self.road)
        if rate is None or not wanted:
            return wanted
        lane_id = _road(self.road)
        lane = (await store.hold(self._database, connection, [lane_id]))[lane_id]
        free = lane.free(now, rate)
        self._opens[self.road] = 0 if free else lane.next_at
        return min(wanted, free)

    async def passed(self, connection: Any, count: int, now: int) -> None:
        """So many were claimed for this relay."""
        rate = self._rates.roads.get(self.road)
        if rate is not None and count:
            lane_id = _road(self.road)
            lane = (await store.hold(self._database, connection, [lane_id]))[lane_id]
            lane.take(now, rate, count)
            await store.save(self._database, connection, [lane])

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
        shut = self._lanes.get(_to(domain))
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

    def lane(self, domain: str) -> Lane | None:
        return self._lanes.get(_to(domain))

    def after(self, domain: str, lane: Lane) -> int:
        """A turn behind a closing: one a second or so, not all at once."""
        before = self._waiting.get(domain, 0)
        self._waiting[domain] = before + 1
        return lane.closed_until + before * (self._pace.defer_us // 60)

    def went_well(self, address: str) -> None:
        """Cheap while no domain makes trouble."""
        if not self._in_a_row and not self._lanes:
            return
        domain = domain_of(address)
        self._in_a_row.pop(domain, None)
        lane = self._lanes.get(_to(domain))
        if lane is not None and lane.strikes:
            lane.strikes = lane.closed_until = 0
            self._waiting.pop(domain, None)
            self._closed_here.add(lane.id)

    def refused_for_now(self, address: str, now: int, *, slow: bool) -> Lane | None:
        """The lane of this domain when it is closed now. `slow`: we were told to slow down."""
        domain = domain_of(address)
        lane = self._lanes.get(_to(domain))
        if lane is not None and lane.closed_until > now:
            return lane
        count = self._in_a_row[domain] = self._in_a_row.get(domain, 0) + 1
        if not slow and count < self._pace.in_a_row:
            return None
        self._in_a_row.pop(domain)
        self._waiting.pop(domain, None)
        lane = lane or Lane(_to(domain))
        lane.strikes += 1
        lane.closed_until = now + backoff(lane.strikes, self._pace.retries, self._rng)
        self._lanes[lane.id] = lane
        self._closed_here.add(lane.id)
        return lane


def _to(domain: str) -> str:
    return f"to {domain}"


def _road(name: str) -> str:
    return f"by {name}"
