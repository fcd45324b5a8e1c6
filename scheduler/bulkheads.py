"""Who may be sent now: a lane for each account, and a bulkhead around the lanes of each channel.

A platform that hangs fills its own bulkhead and no other: the places of one channel are never
another's. Within a channel the accounts take turns.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from scheduler.attempt import Armed
from scheduler.store.claims import NOBODY, Crowded

# An account may have armed a fourth of what is free besides.
_ACCOUNT_SHARE = 4


@dataclass(slots=True)
class Lane:
    """The queue of one account, which takes `most` requests at once of all workers together.
    `look_after`: what was looked at before that looks again."""

    account_id: str
    bulkhead: Bulkhead
    most: int = 1
    waiting: deque[Armed] = field(default_factory=deque)
    in_flight: int = 0
    look_after: int = 0

    def begun(self) -> None:
        """One more of its sends is under way."""
        self.in_flight += 1
        self.bulkhead.in_flight += 1

    def ended(self) -> None:
        """One of its sends is over."""
        self.in_flight -= 1
        self.bulkhead.in_flight -= 1

    @contextmanager
    def resting(self, room: Callable[[], None]) -> Iterator[None]:
        """One of its sends only waits: its place is another's meanwhile (`room` tells that there
        is some), and it goes on without waiting for one."""
        self.ended()
        room()
        try:
            yield
        finally:
            self.begun()


@dataclass(slots=True)
class Bulkhead:
    """The lanes of one channel; `turn`: those with something waiting."""

    turn: deque[Lane] = field(default_factory=deque)
    in_flight: int = 0


class Lanes:
    """All of a worker's. `places`: sends at once of one channel."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._lanes: dict[str, Lane] = {}
        self._bulkheads: dict[str, Bulkhead] = {}

    def add(self, armed: Armed, most: int) -> None:
        """To the end of its account's queue. `most`: requests at once that the account takes, as
        just read."""
        member = armed.member
        lane = self._lanes.get(member.id)
        if lane is None:
            bulkhead = self._bulkheads.setdefault(member.channel.name, Bulkhead())
            lane = self._lanes[member.id] = Lane(member.id, bulkhead)
        lane.most = most
        if not lane.waiting:
            lane.bulkhead.turn.append(lane)
        lane.waiting.append(armed)

    def take(self, room: Callable[[Lane], int]) -> Iterator[tuple[Lane, Armed]]:
        """What may start now, counted as under way in its lane; the caller starts it, or says
        that it ended. `room`: sends at once that this account takes of this worker."""
        for bulkhead in self._bulkheads.values():
            turn = bulkhead.turn
            for _ in range(len(turn)):
                if bulkhead.in_flight >= self._places:
                    break
                lane = turn.popleft()
                while (
                    lane.waiting
                    and bulkhead.in_flight < self._places
                    and lane.in_flight < room(lane)
                ):
                    lane.begun()
                    yield lane, lane.waiting.popleft()
                if lane.waiting:
                    turn.append(lane)

    def waiting(self) -> Iterator[Armed]:
        for lane in self._lanes.values():
            yield from lane.waiting

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def give_up(self, accounts: Collection[str]) -> list[Armed]:
        """What waits for these accounts, taken out."""
        taken: list[Armed] = []
        for id_ in accounts:
            lane = self._lanes.get(id_)
            if lane is not None and lane.waiting:
                taken += lane.waiting
                lane.waiting.clear()
                lane.bulkhead.turn.remove(lane)
        return taken

    def clear(self) -> list[Armed]:
        """Everything that waits, taken out."""
        taken = list(self.waiting())
        for lane in self._lanes.values():
            lane.waiting.clear()
        for bulkhead in self._bulkheads.values():
            bulkhead.turn.clear()
        return taken


def free(load: int, most: int, chunk: int) -> int:
    """How many to claim at once: some room is always left for who has nothing armed yet."""
    return min(chunk, (most - load + 1) // 2)


def crowded(waiting: Sequence[Armed], most: int, lacking: Collection[str] = frozenset()) -> Crowded:
    """Whose deliveries are not to be claimed now: of the accounts that `lacking` names, and of
    those with as much armed as is still free of a worker's room for `most`; of an account, a fourth
    of it. One channel alone gets half of the room; each that comes makes the shares of all smaller,
    and none is ever left without one."""
    room = most - len(waiting)
    if len(waiting) * _ACCOUNT_SHARE < room:
        return Crowded(list(lacking)) if lacking else NOBODY
    accounts = Counter(armed.member.id for armed in waiting)
    adapters = Counter(armed.member.channel.name for armed in waiting)
    return Crowded(
        [*lacking, *(id_ for id_, count in accounts.items() if count * _ACCOUNT_SHARE >= room)],
        [name for name, count in adapters.items() if count >= room],
    )
