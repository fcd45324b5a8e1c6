"""For any posts, plans B and sequence of outcomes: no account receives a post twice, and every
post ends delivered, rerouted to delivered, or held with somebody told."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from channels.outcome import Problem
from channels.posts import Kind
from scheduler.care import plan_b_of, undo_of
from scheduler.decide import Move
from scheduler.deliveries import State
from scheduler.drafts import Draft
from scheduler.refusals import RefusedError
from scheduler.reroute import Mode
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts, reroutes, routes
from scheduler.store.plan_b_tables import digest_items
from scheduler.store.tables import alerts, deliveries
from scheduler.store.tokens import Caller, Scope

NAMES = ("a", "b", "c", "d")
CALLER = Caller(id="tests", name="tests", scopes=frozenset(Scope))

names = st.sampled_from(NAMES)
posts = st.lists(
    st.tuples(
        st.sampled_from([Kind.ORDINARY, *Kind]), st.sets(names, min_size=2), st.integers(1, 30)
    ),
    min_size=1,
    max_size=3,
)
plan = st.tuples(
    st.permutations(NAMES).flatmap(lambda order: st.integers(1, 4).map(lambda n: order[:n])),
    st.dictionaries(st.sampled_from(list(Kind)), st.sampled_from(list(Mode)), max_size=1),
)
plans = st.fixed_dictionaries(dict.fromkeys(NAMES, plan))
happenings = st.lists(
    st.tuples(
        st.sampled_from(["vanish", "exhaust", "deliver", "undo", "reject", "approve"]),
        st.integers(0, 30),
    ),
    min_size=3,
    max_size=12,
)


class World:
    """Four pages of our own site, and what happens to their queues."""

    def __init__(self, services: Services, ids: dict[str, str]) -> None:
        self.services = services
        self.ids = ids
        self.told: set[str] = set()
        self.plan_b = plan_b_of(services, "tests")

    async def rows(self) -> Sequence[Any]:
        async with self.services.database.read() as connection:
            statement = select(deliveries).order_by(deliveries.c.id)
            return (await connection.execute(statement)).all()

    async def accept(self, kind: Kind, where: set[str], hours: int) -> None:
        draft = Draft.model_validate(
            {
                "title": f"{kind.value} to {sorted(where)}",
                "body": "Come and see us.",
                "kind": kind,
                "accounts": [self.ids[name] for name in sorted(where)],
                "at": f"2030-01-{1 + hours // 24:02}T{hours % 24:02}:30",
            }
        )
        await self.services.intake.accept(draft, CALLER)

    async def write_plan(self, name: str, fallbacks: list[str], kinds: dict[Kind, Mode]) -> None:
        async with self.services.database.write() as connection:
            await routes.write(
                connection, self.services.database, account_id=self.ids[name],
                fallbacks=[self.ids[one] for one in fallbacks if one != name], mode="at-once",
                rules={"kinds": {k.value: mode.value for k, mode in kinds.items()}}, now=1,
            )  # fmt: skip

    async def happen(self, what: str, which: int) -> None:
        if what == "vanish":
            account = self.ids[NAMES[which % len(NAMES)]]
            await self.plan_b.move_queue(account, "gone")
            self.told.add(account)
            return
        wanted = {"approve": State.HELD, "undo": State.REROUTED}.get(what, State.SCHEDULED)
        rows = [row for row in await self.rows() if row.state == wanted]
        if not rows:
            return
        row = rows[which % len(rows)]
        if what == "deliver":
            await self.deliver(row.id)
        elif what == "approve":
            await self.plan_b.approve(row.id)
        elif what == "undo":
            try:
                await undo_of(self.services).one(row.id, "tests")
            except RefusedError:
                return
        else:
            problem = Problem(code="refused", detail="refused") if what == "reject" else None
            async with self.services.database.read() as connection:
                delivery = await reroutes.delivery(connection, row.id)
            assert delivery is not None
            await self.plan_b.move(delivery, Move(what, problem))

    async def deliver(self, delivery_id: str) -> None:
        async with self.services.database.write() as connection:
            await connection.execute(
                deliveries.update()
                .where(deliveries.c.id == delivery_id)
                .values(state="delivered", finished_at=1, attempt=1)
            )

    async def end(self) -> None:
        """Everything that still waits for its time goes out."""
        for row in await self.rows():
            if row.state == State.SCHEDULED:
                await self.deliver(row.id)


async def check(world: World) -> None:
    rows = {row.id: row for row in await world.rows()}
    async with world.services.database.read() as connection:
        items = (await connection.execute(select(digest_items))).all()
        facts = set((await connection.execute(select(alerts.c.fact))).scalars())
    said = Counter(
        (row.post_id, row.account_id)
        for row in rows.values()
        if row.state == "delivered" and row.part == "post"
    )
    said.update(
        (item.post_id, rows[item.delivery_id].account_id)
        for item in items
        if rows[item.delivery_id].state == "delivered"
    )
    assert all(times == 1 for times in said.values()), said
    reached = {post for post, _ in said}
    for row in rows.values():
        if row.part != "post" or row.state in {"delivered", "cancelled"}:
            continue
        if row.state in {"held", "failed"}:
            told = f"delivery:{row.id}:{row.state}" in facts or row.account_id in world.told
            assert told, (row.state, row.cause)
            continue
        assert row.state == "rerouted", (row.state, row.cause)
        siblings = [one for one in rows.values() if one.post_id == row.post_id]
        waiting = any(one.state in {"held", "failed"} for one in siblings)
        assert row.post_id in reached or waiting, row.cause


async def live(
    template: Path,
    wanted: Sequence[tuple[Kind, set[str], int]],
    written: dict[str, tuple[list[str], dict[Kind, Mode]]],
    events: Sequence[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        shutil.copy(template, path / "estafette.db")
        config = Settings(data_dir=path, redis_url="none", private_addresses_ok=True)
        async with open_services(config) as services:
            channel = services.registry["blog"]
            ids = {}
            for name in NAMES:
                async with services.database.write() as connection:
                    ids[name] = await accounts.connect(
                        connection, services.vault, channel=channel, name=name, now=1,
                        settings=channel.settings_type.model_validate(
                            {"base_url": "http://site.example"}
                        ),
                    )  # fmt: skip
            world = World(services, ids)
            for name, (fallbacks, kinds) in written.items():
                await world.write_plan(name, fallbacks, kinds)
            for kind, where, hours in wanted:
                await world.accept(kind, where, hours)
            for what, which in events:
                await world.happen(what, which)
            await world.end()
            await check(world)


@pytest.mark.timeout(300)
@given(posts, plans, happenings)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
def test_no_account_gets_a_post_twice_and_nothing_ends_in_silence(
    _sqlite_template: Path,  # noqa: PT019 -- its value is the template
    wanted: list[tuple[Kind, set[str], int]],
    written: dict[str, tuple[list[str], dict[Kind, Mode]]],
    events: list[tuple[str, int]],
) -> None:
    asyncio.run(live(_sqlite_template, wanted, written, events))
