"""How fast mails may follow one another through a relay or to a domain: pure.

A lane lets `per_minute` through, evenly, with at most one second's worth at once. Times are
microseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.decide import SECOND

BURST = SECOND


@dataclass(slots=True)
class Lane:
    """`next_at`: when its next slot is free; nothing passes before `closed_until`. `strikes`: how
    often it was closed since something last passed."""

    id: str
    next_at: int = 0
    closed_until: int = 0
    strikes: int = 0

    def free(self, now: int, per_minute: float) -> int:
        """How many may pass now."""
        gap, start = _gap(per_minute), max(self.next_at, now - BURST)
        return 0 if start > now else (now - start) // gap + 1

    def take(self, now: int, per_minute: float, count: int) -> None:
        """So many pass now; `free` allowed them."""
        if count:
            self.next_at = max(self.next_at, now - BURST) + count * _gap(per_minute)

    def reserve(self, now: int, per_minute: float, count: int) -> int:
        """So many slots behind all that are taken; when the first of them comes."""
        at = max(self.next_at, now)
        self.next_at = at + count * _gap(per_minute)
        return at

    def give_back(self, per_minute: float, count: int, end: int) -> None:
        """Slots that were reserved until `end` and are not used, unless others stand behind."""
        if self.next_at == end:
            self.next_at -= count * _gap(per_minute)


def slots_in(duration: int, per_minute: float) -> int:
    """How many slots such a time holds, one at least."""
    return max(duration // _gap(per_minute), 1)


def _gap(per_minute: float) -> int:
    return max(int(60 * SECOND / per_minute), 1)


def turn_at(lane: Lane, now: int, per_minute: float, before: int) -> int:
    """When the turn of somebody comes who has `before` others in front of them."""
    return max(lane.next_at, now) + (before + 1) * _gap(per_minute)


def domain_of(address: str) -> str:
    """What follows the last @, in lower case; empty for an address that is none."""
    return address.rpartition("@")[2].lower() if "@" in address else ""
