"""Looks that another worker is claiming: its own, and no reason to ask for them for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, select

from scheduler.decide import Move
from scheduler.deliveries import Delivery, State
from scheduler.doubt import LookPolicy
from scheduler.ending import end
from scheduler.reconcile import PAGE, Reconciler
from scheduler.rendering import Renderer
from scheduler.store.tables import accounts, deliveries, posts
from tests.engine.conftest import Engine

NAMES = [f"a{number:03}" for number in range(PAGE)]
LAST = "the last"


def row(name: str, table: Any, now: int) -> dict[str, Any]:
    """An account nobody can open, so that a look there is over at once, a post, its delivery."""
    stamps = {"created_at": now, "updated_at": now}
    if table is accounts:
        return stamps | {
            "id": name, "adapter": "facebook", "channel": "facebook", "name": name, "settings": {},
            "secrets": b"", "status": "healthy", "status_since": now, "policy": {},
        }  # fmt: skip
    if table is posts:
        return stamps | {
            "id": name, "kind": "essential", "title": "t", "content": {}, "due_at": now,
            "zone": "UTC", "late_policy": "publish", "version": 1, "created_by": "test",
        }  # fmt: skip
    return stamps | {
        "id": name, "post_id": name, "account_id": name, "part": "post", "due_at": now,
        "planned_at": now, "state": State.UNCONFIRMED, "first_sent_at": now,
        "look_at": now + (name == LAST),
    }  # fmt: skip


async def unmoved(_delivery: Delivery, _move: Move) -> None:
    raise AssertionError("nothing is held")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_page_of_looks_that_others_hold_is_passed_over(engine: Engine) -> None:
    """On SQLite who claims is alone."""
    services = engine.services
    now = services.clock.micros() - 1_000_000
    async with services.database.write() as connection:
        for table in (accounts, posts, deliveries):
            await connection.execute(
                insert(table), [row(name, table, now) for name in (*NAMES, LAST)]
            )
    reconciler = Reconciler(
        database=services.database, clock=services.clock, worker="w",
        renderer=Renderer(
            database=services.database, roster=services.roster,
            media_dir=services.settings.data_dir / "media", own_hosts=services.settings.own_hosts,
        ),
        policy=LookPolicy(in_flight_us=1, patience_us=1), mover=unmoved,
    )  # fmt: skip
    async with services.database.write() as other:
        held = select(deliveries.c.id).where(deliveries.c.id.in_(NAMES)).with_for_update()
        await other.execute(held)
        async with asyncio.timeout(10):
            assert not await reconciler.begin()
    await end(reconciler._under_way)
    async with services.database.read() as connection:
        looks = dict((await connection.execute(select(deliveries.c.id, deliveries.c.looks))).all())
    assert looks == dict.fromkeys(NAMES, 0) | {LAST: 1}
