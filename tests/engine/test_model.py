"""A model walks the state machine against the store: whatever order things come in, only listed
transitions happen, who lost the token writes nothing, and nothing is on the platform twice."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import uuid_utils
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import insert, select, update

from scheduler.changes import Change, columns
from scheduler.deliveries import FINAL, TRANSITIONS, Delivery, HoldReason, State
from scheduler.store import claims, looks, rescue
from scheduler.store.completions import write_changes
from scheduler.store.db import Database
from scheduler.store.look import open_look
from scheduler.store.tables import accounts, deliveries, posts

SECOND = 1_000_000
LEASE = 30 * SECOND
TIMEOUT = 20 * SECOND
WORKERS = ("one", "two")
OUTCOMES = (
    State.DELIVERED, State.ACCEPTED, State.UNCONFIRMED, State.HELD, State.SCHEDULED, State.FAILED,
    State.REROUTED,
)  # fmt: skip


class Walk(RuleBasedStateMachine):
    """One delivery, two workers, a clock that only these rules move."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="e-"))
        shutil.copy(self.template, self.directory / "model.db")
        self.database = Database(f"sqlite+aiosqlite:///{self.directory / 'model.db'}")
        self.now = 1_800_000_000 * SECOND
        self.held: list[Delivery] = []
        self.was = State.SCHEDULED
        self.delivery_id = str(uuid_utils.uuid7())
        self.waiting: list[tuple[str, Delivery]] = []  # armed, by worker; gone when it is killed
        self.sent: dict[str, set[tuple[str, int]]] = {worker: set() for worker in WORKERS}
        self.there = 0  # how often it is on the platform

    def teardown(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize()
    def accept(self) -> None:
        async def store() -> None:
            stamps = {"created_at": self.now, "updated_at": self.now}
            async with self.database.write() as connection:
                await connection.execute(
                    insert(posts).values(
                        id="post", kind="essential", title="", content={}, due_at=self.now,
                        zone="UTC", late_policy="publish", version=1, created_by="", **stamps,
                    )
                )  # fmt: skip
                await connection.execute(
                    insert(accounts).values(
                        id="account", adapter="facebook", channel="facebook", name="", settings={},
                        status="healthy", status_since=self.now, policy={}, **stamps,
                    )
                )  # fmt: skip
                await connection.execute(
                    insert(deliveries).values(
                        id=self.delivery_id, post_id="post", account_id="account", part="post",
                        state=State.SCHEDULED, due_at=self.now + 3 * SECOND,
                        planned_at=self.now + 3 * SECOND, **stamps,
                    )
                )  # fmt: skip

        self.do(store())

    def row(self) -> Any:
        async def read() -> Any:
            async with self.database.read() as connection:
                return (await connection.execute(select(deliveries))).one()

        return self.do(read())

    @rule(seconds=st.sampled_from([1, 20, 3600, -1, -20, -3600]))
    def time_passes(self, seconds: int) -> None:
        """Or the clock is put forward or back."""
        self.now += seconds * SECOND

    @rule(worker=st.sampled_from(WORKERS))
    def arm(self, worker: str) -> None:
        claimed = self.do(
            claims.claim_due(
                self.database, horizon=self.now + 5 * SECOND, worker=worker,
                token=str(uuid_utils.uuid7()), lease_until=self.now + LEASE, now=self.now,
            )
        )  # fmt: skip
        self.held += claimed
        self.waiting += [(worker, delivery) for delivery in claimed]

    @rule(
        data=st.data(),
        written=st.booleans(),
        heard=st.sampled_from(["all", "nothing", "killed"]),
        frozen=st.booleans(),
    )
    def send(self, data: st.DataObject, *, written: bool, heard: str, frozen: bool) -> None:
        """As the dispatcher does: a last look, the journal, the request. What left was written or
        not; the answer is read or not, or the worker is killed before it can say."""
        if not self.waiting:
            self.arm(data.draw(st.sampled_from(WORKERS)))
        if not self.waiting:
            return
        worker, delivery = data.draw(st.sampled_from(self.waiting))
        if delivery.due_at > self.now + 10 * SECOND:
            return
        self.now = max(self.now, delivery.due_at)
        seen = self.do(self.look([delivery.id])).get(delivery.id)
        self.waiting.remove((worker, delivery))
        if seen is None or seen.token != delivery.token:
            return
        assert delivery.lease_until is not None
        if delivery.lease_until - self.now < TIMEOUT:
            return
        self.sent[worker].add((delivery.id, delivery.attempt))
        self.there += written
        if heard == "killed":
            self.after_kill(worker, data.draw(st.sampled_from(["restart", "rescue", "nothing"])))
            return
        if frozen:  # past its lease: another may have looked meanwhile, and even sent
            self.now += LEASE + SECOND
            self.rescue(alive=True)
            self.claim_a_look("two" if worker == "one" else "one", what="platform")
        outcome = State.UNCONFIRMED
        if heard == "all":
            outcome = State.DELIVERED if written else State.SCHEDULED
        self.settle(delivery, outcome)
        self.sent[worker].discard((delivery.id, delivery.attempt))

    async def look(self, ids: list[str]) -> dict[str, Any]:
        look = open_look(self.database)
        try:
            return dict(await look.seen(ids))
        finally:
            await look.close()

    @rule(worker=st.sampled_from(WORKERS))
    def kill(self, worker: str) -> None:
        """What it had in its hands is gone; its journal stays."""
        self.waiting = [(who, delivery) for who, delivery in self.waiting if who != worker]

    def after_kill(self, worker: str, then: str) -> None:
        """Its own machine starts it again, or another worker finds its silence."""
        self.kill(worker)
        if then == "restart":
            self.restart(worker)
        elif then == "rescue":
            self.rescue(alive=False)
            self.now += LEASE + 11 * SECOND
            self.rescue(alive=False)

    @rule(worker=st.sampled_from(WORKERS))
    def restart(self, worker: str) -> None:
        """On the same machine: its journal says what really left."""
        self.kill(worker)
        self.do(
            rescue.settle_left(
                self.database, worker, self.sent[worker], now=self.now, first_look=self.now
            )
        )
        self.sent[worker] = set()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), to=st.sampled_from(["later", "paused", "moved away"]))
    def take_away(self, data: st.DataObject, to: str) -> None:
        """A person moves, pauses or redirects what is not due yet: its token is taken with it."""
        before = self.row()
        if before.state not in (State.ARMED, State.SCHEDULED) or before.due_at <= self.now:
            return
        delivery = claims.to_delivery(before._mapping)
        state = {"later": State.SCHEDULED, "paused": State.HELD, "moved away": State.REROUTED}[to]
        data.draw(st.none())
        self.settle(
            delivery, state, due_at=self.now + 60 * SECOND,
            hold_reason=HoldReason.BY_HAND if state is State.HELD else None,
        )  # fmt: skip
        assert self.row().token is None

    @rule()
    def resume(self) -> None:
        """What a person held goes on; what may have been published does not."""
        before = self.row()
        if before.state == State.HELD and before.hold_reason != HoldReason.UNCONFIRMED:
            self.settle(claims.to_delivery(before._mapping), State.SCHEDULED, due_at=self.now)

    def settle(self, delivery: Delivery, state: State, **values: Any) -> set[str]:
        new = columns(delivery, state, self.now, look_at=self.now, **values)

        async def write() -> set[str]:
            async with self.database.write() as connection:
                return await write_changes(
                    connection, [Change(delivery, delivery.token, new)], self.now
                )

        return set(self.do(write()))

    @rule(worker=st.sampled_from(WORKERS), what=st.sampled_from(["platform", "nothing", "killed"]))
    def claim_a_look(self, worker: str, what: str) -> None:
        """Found, proven absent, cannot tell, or killed while looking."""
        due = self.do(looks.due_looks(self.database, now=self.now, without=(), limit=10))
        claimed = self.do(
            looks.claim_looks(
                self.database, [delivery for delivery, _ in due], now=self.now, worker=worker,
                token=str(uuid_utils.uuid7()), lease_until=self.now + LEASE,
            )
        )  # fmt: skip
        self.held += claimed
        for delivery in claimed:
            if delivery.state is not State.UNCONFIRMED or what == "killed":
                continue
            if what == "nothing":
                self.settle(delivery, State.HELD, hold_reason=HoldReason.UNCONFIRMED)
            elif self.there:
                self.settle(delivery, State.DELIVERED)
            else:
                self.settle(delivery, State.SCHEDULED, due_at=self.now)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def complete(self, data: st.DataObject, outcome: State) -> None:
        """With a lost token: nothing is written."""
        claimed = data.draw(st.sampled_from(self.held))
        before = self.row()
        if outcome not in TRANSITIONS[claimed.state] or before.token == claimed.token:
            return
        new = columns(
            claimed, outcome, self.now, due_at=self.now, look_at=self.now,
            hold_reason=HoldReason.NO_ROAD if outcome is State.HELD else None,
        )  # fmt: skip

        async def write() -> set[str]:
            async with self.database.write() as connection:
                change = Change(claimed, claimed.token, new)
                return await write_changes(connection, [change], self.now)

        assert self.do(write()) == set()
        assert self.row() == before

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """As a worker does that ends in good order: only what did not leave."""
        claimed = data.draw(st.sampled_from(self.held))
        if any((claimed.id, claimed.attempt) in sent for sent in self.sent.values()):
            return

        async def write() -> None:
            async with self.database.write() as connection:
                await claims.release(connection, [(claimed.id, claimed.token or "")], now=self.now)

        before = self.row()
        self.do(write())
        if before.token != claimed.token:
            assert self.row() == before

    @rule(alive=st.booleans())
    def rescue(self, alive: bool) -> None:  # noqa: FBT001 -- drawn by name
        if alive:
            for worker in WORKERS:
                self.do(
                    claims.heartbeat(
                        self.database, worker=worker, host="h", pid=1, started_at=self.now,
                        now=self.now,
                    )
                )  # fmt: skip
        before = self.row()
        self.do(
            rescue.rescue(
                self.database, now=self.now, dead_before=self.now - 10 * SECOND,
                first_look=self.now,
            )
        )  # fmt: skip
        after = self.row()
        if after.state == State.SCHEDULED and before.state == State.ARMED:
            assert before.due_at > self.now, "what may have left is never simply sent again"

    @rule()
    def cancel(self) -> None:
        async def write() -> None:
            async with self.database.write() as connection:
                await connection.execute(
                    update(deliveries)
                    .where(
                        deliveries.c.state.in_((State.SCHEDULED, State.ARMED, State.HELD)),
                        deliveries.c.due_at > self.now,
                    )
                    .values(state=State.CANCELLED, token=None, finished_at=self.now)
                )

        self.do(write())

    @invariant()
    def is_never_published_twice(self) -> None:
        assert self.there <= 1

    @invariant()
    def only_listed_transitions(self) -> None:
        row = self.row_if_stored()
        if row is None:
            return
        state = State(row.state)
        assert state is self.was or state in reachable(self.was), (self.was, state)
        self.was = state

    @invariant()
    def a_final_row_says_when_and_belongs_to_nobody(self) -> None:
        row = self.row_if_stored()
        if row is not None:
            assert (row.finished_at is not None) == (State(row.state) in FINAL)
            assert row.token is None or State(row.state) not in FINAL

    def row_if_stored(self) -> Any:
        async def read() -> Any:
            async with self.database.read() as connection:
                return (await connection.execute(select(deliveries))).first()

        return self.do(read())


def reachable(state: State) -> set[State]:
    """In one rule, which may be a send, a rescue, a look and its outcome: some steps."""
    found = {state}
    for _ in range(4):
        found |= {further for step in found for further in TRANSITIONS[step]}
    return found


@pytest.mark.timeout(300)
def test_whatever_the_order_the_store_keeps_to_the_state_machine(
    _sqlite_template: Path,  # noqa: PT019 -- its value is used
) -> None:
    Walk.template = _sqlite_template
    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
