"""Which of an account's places are this worker's: all workers deal them out alike.

Each does so for itself, from the signs of life that all leave in SQL; no send asks anybody. With
n workers each has the n-th part of the places of an account, and what is left over goes, one each,
to those whom the account ranks first (by a hash of both: an account's places stay where they are
while others come and go). An account that takes fewer at once than there are workers, or only one
(on probation after failures), has places at some workers alone; the others claim nothing of it.

What this keeps to while workers come and go:

- One that joins uses its even part at once, and what is left over once all who were there have
  given a sign of life since, and so know of it. Until then, one heartbeat, those use what they
  had: an account may get so many more at once as the even part of one worker, and an account that
  has fewer places than there are workers gets none more.
- One that leaves says so; one that is killed is missed after `worker_dead_after`, or when one
  that starts on its machine has taken over what it left. Whoever notices takes over its part: parts
  of those who stay only grow, so that it does not matter who notices first. What the one that left
  had under way may still be on its way then: so many more at once, for no longer than a send takes.
- One that gave no sign of life for so long that others may have missed it starts nothing until it
  has; then it joins anew.
- Until they notice, the places of a dead worker are nobody's. What is due to an account that had
  places there alone waits for `worker_dead_after` and a heartbeat at most; one that joins lets it
  wait for two heartbeats at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from scheduler.decide import SECOND


@dataclass(slots=True)
class _Heard:
    """`at`: of its last sign of life, by its own clock (microseconds); `when`: by our monotonic
    one (seconds)."""

    at: int
    when: float


class Sharing:
    """The part of one worker. `silence`: seconds without a sign of life that mean dead;
    `failures`: in a row, from which on an account is on probation."""

    def __init__(self, worker: str, *, silence: float, failures: int) -> None:
        self._worker = worker
        self._silence = silence
        self._failures = failures
        self._heard: dict[str, _Heard] = {}
        self._others: tuple[str, ...] = ()
        self._unaware: dict[str, int] = {}
        self._said = float("-inf")
        self._dealt: dict[tuple[str, int], int] = {}
        self.lacking: set[str] = set()

    @property
    def workers(self) -> int:
        """How many live, this one too."""
        return len(self._others) + 1

    @property
    def settled(self) -> bool:
        """Whether all others know of this one."""
        return not self._unaware

    def stale(self, now: float) -> bool:
        """Whether others may have missed us (`now`: monotonic seconds)."""
        return now - self._said >= self._silence

    def hear(self, signs: Mapping[str, int], *, now: int, said: float) -> bool:
        """Whether anything changed. `signs`: the last sign of life of each worker that is not
        about to end, read after ours was given; that was at `now` (microseconds) or `said`
        (monotonic seconds)."""
        self._heard = {
            worker: self._news(worker, at, now, said)
            for worker, at in signs.items()
            if worker != self._worker
        }
        others = tuple(
            sorted(who for who, one in self._heard.items() if said - one.when < self._silence)
        )
        before = self._others, self.settled
        if self.stale(said):  # it joins
            self._unaware = {who: self._heard[who].at for who in others}
        else:
            self._unaware = {
                who: at
                for who, at in self._unaware.items()
                if who in others and self._heard[who].at == at
            }
        self._said, self._others = said, others
        if (others, self.settled) == before:
            return False
        self._dealt.clear()
        return True

    def _news(self, worker: str, at: int, now: int, said: float) -> _Heard:
        """Clocks step, and differ: once known, a worker lives as long as its sign changes."""
        known = self._heard.get(worker)
        if known is None:
            age = (now - at) / SECOND
            return _Heard(at, said - max(age, 0) if abs(age) < self._silence else float("-inf"))
        return known if known.at == at else _Heard(at, said)

    def on_probation(self, failures: int) -> bool:
        """Half-open: one delivery is let through, by whichever worker has that place."""
        return failures >= self._failures

    def most(self, max_concurrent: int, failures: int) -> int:
        """Requests at once that an account takes of all workers together."""
        return 1 if self.on_probation(failures) else max(max_concurrent, 1)

    def places(self, account_id: str, most: int) -> int:
        """How many of them are ours."""
        if not self._others:
            return most
        key = account_id, most
        found = self._dealt.get(key)
        if found is None:
            found = self._dealt[key] = self._deal(account_id, most)
        return found

    def _deal(self, account_id: str, most: int) -> int:
        even, left = divmod(most, self.workers)
        if not left or not self.settled:
            return even
        ours = _rank(self._worker, account_id)
        before = sum(_rank(each, account_id) < ours for each in self._others)
        return even + (before < left)

    def has_place(self, account_id: str, most: int) -> bool:
        """Whether anything of this account is ours; if not, it is passed over from now on."""
        if self.places(account_id, most):
            return True
        self.lacking.add(account_id)
        return False

    def pass_over(self, narrow: Iterable[tuple[str, int, int]]) -> None:
        """Claim nothing of those of which nothing is ours. `narrow`: id, `max_concurrent` and
        `failures` of the accounts with fewer places than there are workers."""
        self.lacking.clear()
        for account_id, max_concurrent, failures in narrow:
            self.has_place(account_id, self.most(max_concurrent, failures))


def _rank(worker: str, account_id: str) -> bytes:
    return blake2b(f"{worker}\0{account_id}".encode(), digest_size=8).digest()
