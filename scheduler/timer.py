"""What is armed and waits for its time: a heap, and a sleep until the next of it is due."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator

from scheduler.attempt import Armed
from scheduler.clock import Clock
from scheduler.decide import SECOND

_LONGEST_SLEEP = 0.25


class Timer:
    """Times are microseconds since 1970."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Armed]] = []
        self._order = itertools.count()
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Armed]:
        return (armed for _, _, armed in self._heap)

    def push(self, armed: Armed, *, at: int | None = None) -> None:
        """To be due at its own time, or then; `wake` whoever sleeps."""
        due = armed.fire_at if at is None else at
        heapq.heappush(self._heap, (due, next(self._order), armed))

    def due(self, most: int) -> list[Armed]:
        """What is due by now, taken out, earliest first."""
        now = self._clock.micros()
        due: list[Armed] = []
        while self._heap and self._heap[0][0] <= now and len(due) < most:
            due.append(heapq.heappop(self._heap)[2])
        return due

    def take_out(self, goes: Callable[[int, Armed], bool]) -> list[Armed]:
        """Those that are to go, by when they are due and what they are."""
        kept: list[tuple[int, int, Armed]] = []
        back: list[Armed] = []
        for one in self._heap:
            if goes(one[0], one[2]):
                back.append(one[2])
            else:
                kept.append(one)
        heapq.heapify(kept)
        self._heap = kept
        return back

    def wake(self) -> None:
        """End a sleep, this one or the next."""
        self._woken.set()

    async def sleep(self) -> None:
        """Until the next is due, somebody wakes us, or a quarter second (the clock may step)."""
        self._woken.clear()
        wait = _LONGEST_SLEEP
        if self._heap:
            wait = min(wait, max((self._heap[0][0] - self._clock.micros()) / SECOND, 0))
        timer = asyncio.get_running_loop().call_later(wait, self._woken.set)
        await self._woken.wait()
        timer.cancel()
