"""For any posts, plans B and sequence of outcomes: no account receives a post twice, and every
post ends delivered, rerouted to delivered, or held with somebody told."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from channels.outcome import Problem
from channels.posts import Kind, Part
from scheduler.care import plan_b_of, undo_of
from scheduler.decide import Move
from scheduler.deliveries import State
from scheduler.drafts import Draft
from scheduler.refusals import RefusedError
from scheduler.reroute import Mode
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts, reroutes, routes
from scheduler.store.alert_tables import alerts
from scheduler.store.plan_b_tables import digest_items
from scheduler.store.tables import deliveries, events
from scheduler.store.tables import posts as post_table
from scheduler.store.tokens import Caller, Scope

NAMES = ("a", "b", "c", "d")
CALLER = Caller(id="tests", name="tests", scopes=frozenset(Scope))

names = st.sampled_from(NAMES)
posts = st.lists(
    st.tuples(
        st.sampled_from([Kind.ORDINARY, Kind.ORDINARY, *Kind]),
        st.sets(names, min_size=1, max_size=2),
        st.integers(1, 17) | st.integers(1, 30),  # most of them before the first digest leaves
    ),
    min_size=2,
    max_size=6,
)
plan = st.tuples(
    st.permutations(NAMES).flatmap(lambda order: st.integers(1, 4).map(lambda n: order[:n])),
    st.dictionaries(st.sampled_from(list(Kind)), st.sampled_from(list(Mode)), max_size=1),
)
plans = st.fixed_dictionaries(dict.fromkeys(NAMES, plan))
# The first is always a page that vanishes: nothing else makes a digest so well.
happenings = st.lists(
    st.tuples(
        st.sampled_from(
            ["vanish", "vanish", "exhaust", "deliver", "undo", "reject", "approve", "cancel digest"]
        ),
        st.integers(0, 30),
    ),
    min_size=3,
    max_size=12,
).map(lambda events: [("vanish", events[0][1]), *events])


class World:
    """Four pages of our own site, and what happens to their queues."""

    def __init__(self, services: Services, ids: dict[str, str]) -> None:
        self.services = services
        self.ids = ids
        self.told: set[str] = set()  # deliveries whose page's one alert speaks of them
        self.accepted = 0
        self.plan_b = plan_b_of(services, "tests")

    async def rows(self) -> Sequence[Any]:
        async with self.services.database.read() as connection:
            statement = select(deliveries).order_by(deliveries.c.id)
            return (await connection.execute(statement)).all()

    async def accept(self, kind: Kind, where: set[str], hours: int) -> None:
        self.accepted += 1
        draft = Draft.model_validate(
            {
                "title": f"Post number {self.accepted}.",
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
            before = {row.id for row in await self.rows() if row.state == State.SCHEDULED}
            await self.plan_b.move_queue(account, "gone")
            self.told |= {
                row.id
                for row in await self.rows()
                if row.id in before and row.account_id == account and row.state == State.HELD
            }
            return
        wanted = {"approve": State.HELD, "undo": State.REROUTED}.get(what, State.SCHEDULED)
        rows = [row for row in await self.rows() if row.state == wanted]
        if what == "cancel digest":
            rows = [row for row in rows if row.part == Part.DIGEST]
        if not rows:
            return
        row = rows[which % len(rows)]
        if what == "deliver":
            await self.deliver(row.id)
        elif what == "approve":
            self.told.discard(row.id)
            await self.plan_b.approve(row.id)
        elif what == "cancel digest":
            await self.services.desk.cancel(row.id, "tests")
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


@dataclass
class End:
    """How the world ended. `items`: of digests; `titles`, `bodies`: of posts by id; `roads`: what
    the journal says of each delivery's last reroute."""

    rows: dict[str, Any]
    items: Sequence[Any]
    titles: dict[str, str]
    bodies: dict[str, str]
    roads: dict[str, dict[str, Any]]
    facts: set[str]
    told: set[str]

    def carriers(self, post_id: str) -> list[Any]:
        """Deliveries that say what the post says, and count."""
        own = [row for row in self.rows.values() if (row.post_id, row.part) == (post_id, "post")]
        digests = [self.rows[item.delivery_id] for item in self.items if item.post_id == post_id]
        return [row for row in own + digests if row.state not in {"cancelled", "rerouted"}]

    def next_of(self, row: Any) -> list[Any]:
        """What carries a rerouted delivery on."""
        children = [one for one in self.rows.values() if one.parent_id == row.id]
        digests = [self.rows[item.delivery_id] for item in self.items if item.parent_id == row.id]
        return [one for one in children + digests if one.state != "cancelled"]


async def end_of(world: World) -> End:
    rows = {row.id: row for row in await world.rows()}
    async with world.services.database.read() as connection:
        items = (await connection.execute(select(digest_items))).all()
        written = (await connection.execute(select(post_table))).all()
        statement = select(events).where(events.c.kind == "delivery.rerouted")
        lines = (await connection.execute(statement.order_by(events.c.seq))).all()
        facts = select(alerts.c.fact).where(alerts.c.resolved_at.is_(None))
        return End(
            rows=rows,
            items=items,
            titles={post.id: post.title for post in written},
            bodies={post.id: post.content["body"] for post in written},
            roads={line.delivery_id: line.data for line in lines},
            facts=set((await connection.execute(facts)).scalars()),
            told=world.told,
        )


def check(end: End) -> None:
    check_once(end)
    for row in end.rows.values():
        if row.part == "post":
            check_ending(end, row)


def check_once(end: End) -> None:
    """No account says a post twice, and a digest says all that it gathers, each once."""
    said = Counter(
        (row.post_id, row.account_id)
        for row in end.rows.values()
        if row.state == "delivered" and row.part == "post"
    )
    for item in end.items:
        digest = end.rows[item.delivery_id]
        if digest.state == "delivered":
            said[item.post_id, digest.account_id] += 1
            assert end.bodies[digest.post_id].count(end.titles[item.post_id]) == 1
    assert all(times == 1 for times in said.values()), said


def check_ending(end: End, row: Any) -> None:
    """Delivered, rerouted to what ends so too, or waiting for a person who was told."""
    match row.state:
        case "delivered":
            return
        case "held" | "failed":
            assert f"delivery:{row.id}:{row.state}" in end.facts or row.id in end.told, row.cause
        case "cancelled":
            assert row.parent_id is not None, "only an undone reroute is cancelled here"
        case _:
            assert row.state == "rerouted", (row.state, row.cause)
            road = end.roads[row.id]
            assert sum(one.state != "rerouted" for one in end.next_of(row)) <= 1, row.cause
            further = [one for one in end.next_of(row) if one.state != "rerouted" or one.parent_id]
            if "child_id" in road or "digest_id" in road:
                assert further, (row.cause, road)
                return
            carriers = end.carriers(row.post_id)
            carried = {one.account_id for one in carriers if one.state != "failed"}
            assert road["to_account"] in carried, road


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
            check(await end_of(world))


_TWO_PAGES = [(Kind.ORDINARY, {"b", "c"}, 5)]
_HERE_TOO = [(Kind.ORDINARY, {"a", "c"}, 5)]
_ALL_TO_A: dict[str, tuple[list[str], dict[Kind, Mode]]] = {one: (["a"], {}) for one in NAMES}


@pytest.mark.timeout(300)
@given(posts, plans, happenings)
# The second page's post leans on the digest that the first one's went into.
@example(_TWO_PAGES, _ALL_TO_A, [("vanish", 1), ("vanish", 2), ("cancel digest", 0)])
@example(_TWO_PAGES, _ALL_TO_A, [("vanish", 1), ("vanish", 2), ("undo", 0)])
@example(_TWO_PAGES, _ALL_TO_A, [("vanish", 1), ("vanish", 2), ("exhaust", 0)])
# It leans on what its author meant for there.
@example(_HERE_TOO, _ALL_TO_A, [("vanish", 2), ("exhaust", 0)])
@example(_HERE_TOO, _ALL_TO_A, [("vanish", 2), ("reject", 0)])
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
