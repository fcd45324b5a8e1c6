"""All workers deal an account's places out alike, and never more than there are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from scheduler.decide import SECOND
from scheduler.sharing import Sharing

SILENCE = 10.0
BEAT = 2.0
FAILURES = 5
ACCOUNTS = ("page", "list", "site")
MOST = (1, 2, 5, 8, 13)


def sharing(worker: str) -> Sharing:
    return Sharing(worker, silence=SILENCE, failures=FAILURES)


def settled(workers: int) -> list[Sharing]:
    """So many, all of whom know of all others."""
    signs = {f"worker {number}": 0 for number in range(workers)}
    company = [sharing(worker) for worker in signs]
    for beat in (1, 2):
        signs = dict.fromkeys(signs, beat * SECOND)
        for one in company:
            one.hear(signs, now=beat * SECOND, said=float(beat))
    assert all(one.settled and one.workers == workers for one in company)
    return company


@given(st.integers(1, 40), st.integers(1, 40), st.text(max_size=36))
def test_together_they_have_all_places_and_none_twice(
    workers: int, most: int, account: str
) -> None:
    parts = [one.places(account, most) for one in settled(workers)]
    assert sum(parts) == most
    assert max(parts) - min(parts) <= 1


def test_accounts_rank_the_workers_differently() -> None:
    company = settled(4)
    holders = {
        number
        for account in range(40)
        for number, one in enumerate(company)
        if one.places(f"page {account}", 1)
    }
    assert holders == {0, 1, 2, 3}


@given(st.integers(2, 20), st.sampled_from(MOST), st.text(max_size=9))
def test_those_who_stay_only_gain_when_one_goes(workers: int, most: int, account: str) -> None:
    before = [one.places(account, most) for one in settled(workers)]
    after = [one.places(account, most) for one in settled(workers - 1)]
    assert all(less <= more for less, more in zip(before[:-1], after, strict=True))


def test_on_probation_one_worker_of_all_lets_one_through() -> None:
    company = settled(3)
    assert sum(one.places("page", one.most(8, FAILURES)) for one in company) == 1
    assert sum(one.places("page", one.most(8, FAILURES - 1)) for one in company) == 8


def test_one_that_joins_leaves_what_is_left_over_to_those_who_do_not_know_of_it() -> None:
    old, new = sharing("old"), sharing("new")
    old.hear({"old": 0}, now=0, said=0.0)
    signs = {"old": 0, "new": SECOND}
    new.hear(signs, now=SECOND, said=1.0)
    pages = [f"page {number}" for number in range(9)]
    assert [new.places(page, 1) for page in pages] == [0] * 9
    assert new.places("page", 9) == 4  # the even part at once: who stops the other counts on it
    new.hear(signs, now=2 * SECOND, said=2.0)
    assert not new.settled
    signs["old"] = 2 * SECOND
    old.hear(signs, now=2 * SECOND, said=2.0)
    new.hear(signs, now=3 * SECOND, said=3.0)
    assert [old.places(page, 1) + new.places(page, 1) for page in pages] == [1] * 9
    assert sum(new.places(page, 1) for page in pages) > 0


def test_one_that_was_silent_for_long_joins_anew() -> None:
    one, two = settled(2)
    assert not one.stale(2 + SILENCE - 0.1)
    assert one.stale(2 + SILENCE)
    late = {"worker 0": 20 * SECOND, "worker 1": 19 * SECOND}
    one.hear(late, now=20 * SECOND, said=20.0)
    assert not one.settled
    two.hear(late, now=19 * SECOND, said=19.0)
    assert not one.stale(20.0)


def test_a_clock_that_steps_or_differs_makes_nobody_dead() -> None:
    hour = 3600 * SECOND
    one, _ = settled(2)
    # Both clocks are put forward; the other has not said anything since.
    assert not one.hear({"worker 1": 2 * SECOND}, now=hour, said=4.0)
    assert one.workers == 2
    # And back again, for one of them alone.
    assert not one.hear({"worker 1": hour}, now=6 * SECOND, said=6.0)
    assert one.workers == 2


@pytest.mark.parametrize("at", [-3600 * SECOND, 3600 * SECOND])
def test_a_sign_of_another_time_is_none_until_it_changes(at: int) -> None:
    one = sharing("one")
    one.hear({"other": at}, now=0, said=0.0)
    assert (one.workers, one.places("page", 8)) == (1, 8)
    one.hear({"other": at + 2 * SECOND}, now=2 * SECOND, said=2.0)
    assert one.workers == 2


def test_a_killed_worker_s_places_pass_on_after_its_silence() -> None:
    one, _ = settled(2)
    gone = {"worker 1": 2 * SECOND}
    one.hear(gone, now=11 * SECOND, said=2 + SILENCE - 0.1)
    assert one.workers == 2
    one.hear(gone, now=12 * SECOND, said=2 + SILENCE)
    assert (one.workers, one.places("page", 1)) == (1, 1)


def test_what_has_no_place_is_passed_over_until_it_has_one() -> None:
    company = settled(2)
    for one in company:
        one.pass_over([("page", 1, 0), ("other", 8, FAILURES)])
    assert sum("page" in one.lacking for one in company) == 1
    assert sum("other" in one.lacking for one in company) == 1
    one = company[0]
    one.pass_over([])
    assert not one.lacking
    found = one.has_place("page", 1)
    assert ("page" in one.lacking) is not found


class Company(RuleBasedStateMachine):
    """Workers come, go, are killed, freeze and wake in any order; each gives a sign of life as
    long as it runs, and knows nothing but what it read then."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 100.0
        self.table: dict[str, int] = {}
        self.running: dict[str, Sharing] = {}
        self.born = 0

    def say(self, worker: str, one: Sharing) -> None:
        now = int(self.time * SECOND)
        self.table[worker] = now
        one.hear(dict(self.table), now=now, said=self.time)

    @rule()
    def join(self) -> None:
        self.born += 1
        worker = f"worker {self.born}"
        self.running[worker] = sharing(worker)
        self.say(worker, self.running[worker])

    @rule(which=st.integers(0, 20))
    def one_more_sign(self, which: int) -> None:
        if self.running:
            worker = sorted(self.running)[which % len(self.running)]
            self.say(worker, self.running[worker])

    @rule(which=st.integers(0, 20), says=st.booleans())
    def go(self, which: int, *, says: bool) -> None:
        """In good order, or killed."""
        if self.running:
            worker = sorted(self.running)[which % len(self.running)]
            del self.running[worker]
            if says:
                del self.table[worker]

    @rule(which=st.integers(0, 20), beats=st.sampled_from([1, 6]))
    def freeze(self, which: int, beats: int) -> None:
        """For a while. What it does first then may be to send: it gave no sign of life yet."""
        if self.running:
            worker = sorted(self.running)[which % len(self.running)]
            one = self.running.pop(worker)
            self.time_passes(beats)
            self.running[worker] = one

    @rule(beats=st.sampled_from([0.2, 1, 1, 6]))
    def time_passes(self, beats: float) -> None:
        """All that run give their signs meanwhile, each in its own moment."""
        while beats > 0:
            before, part = self.time, min(beats, 1) * BEAT
            for number, (worker, one) in enumerate(sorted(self.running.items())):
                self.time = before + part * number / len(self.running)
                if self.time - one._said >= BEAT:
                    self.say(worker, one)
            self.time = before + part
            beats -= 1

    def parts(self, account: str, most: int) -> Mapping[str, int]:
        """What each would send at once now."""
        return {
            worker: 0 if one.stale(self.time) else one.places(account, most)
            for worker, one in self.running.items()
        }

    @invariant()
    def never_more_than_there_are(self) -> None:
        newcomers = [
            one for one in self.running.values() if not (one.settled or one.stale(self.time))
        ]
        for account in ACCOUNTS:
            for most in MOST:
                spare = sum(one.places(account, most) for one in newcomers)
                assert sum(self.parts(account, most).values()) <= most + spare

    @invariant()
    def one_alone_has_everything(self) -> None:
        if len(self.table) == len(self.running) == 1:
            ((worker, one),) = self.running.items()
            self.say(worker, one)
            assert self.parts("page", 5) == {worker: 5}


def test_never_more_than_there_are() -> None:
    run_state_machine_as_test(
        Company, settings=settings(max_examples=150, stateful_step_count=40, deadline=None)
    )
