"""A database connection that goes dead without a word: its server vanished, or a firewall forgot
it. Nobody is told, and nothing may wait for it longer than a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from channels.sandbox.server import PracticeServer
from scheduler.drafts import Draft
from scheduler.settings import Settings
from scheduler.store import accounts, silence
from scheduler.store.faults import StoreError
from scheduler.store.tables import deliveries
from tests.engine.conftest import CALLER, PATIENCE, Engine, opened
from tests.support.cable import Cable, cable
from tests.support.servers import Postgres

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@dataclass
class Far:
    """An author beside the database, and a worker at the end of a cable."""

    author: Engine
    engine: Engine
    cable: Cable


@pytest.fixture
def idle_within() -> float:
    """Seconds that the database grants a transaction of which it hears nothing."""
    return 1.0


@pytest.fixture
async def far(
    settings: Settings, practice: PracticeServer, postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch, idle_within: float,
) -> AsyncIterator[Far]:  # fmt: skip
    monkeypatch.setattr(silence, "ACKNOWLEDGED_WITHIN", 1.0)
    monkeypatch.setattr(silence, "IDLE_WITHIN", idle_within)
    monkeypatch.setattr(silence, "TRIED_AFTER", 1)
    monkeypatch.setattr(silence, "TRIED_EVERY", 1)
    assert settings.database_url is not None
    async with cable(postgres.directory / ".s.PGSQL.5432") as line:
        url = settings.database_url.replace("@/", f"@127.0.0.1:{line.port}/").partition("?")[0]
        by_cable = settings.model_copy(update={"database_url": url})
        async with (
            opened(settings, practice) as author,
            opened(by_cable, practice, connected=()) as engine,
        ):
            yield Far(author, engine, line)


async def test_a_worker_goes_on_by_new_connections(far: Far) -> None:
    author = far.author
    async with far.engine.worker():
        await author.settled(await author.post("facebook", title="Before"), "delivered")
        armed = await author.post("facebook", seconds=2, title="Armed")
        await author.until(armed, lambda rows: rows[0].state != "scheduled")
        far.cable.go_dead()
        await author.settled(armed, "delivered")
        await author.settled(await author.post("facebook", title="After"), "delivered")
    assert len(author.ledger("facebook")) == 3


async def test_locks_of_who_is_cut_off_end(far: Far) -> None:
    author = far.author
    post = await author.post("facebook")
    with suppress(DBAPIError):  # its connection ended meanwhile
        async with far.engine.services.database.write() as connection:
            ours = select(deliveries.c.id).where(deliveries.c.post_id == post)
            await connection.execute(ours.with_for_update())
            far.cable.go_dead()
            async with author.worker():
                await author.settled(post, "delivered")


async def test_commits_whose_answer_is_lost_are_told_from_those_that_failed(far: Far) -> None:
    author, posts = far.author, []
    async with far.engine.worker():
        for number in range(12):
            posts.append(await author.post("facebook", seconds=0.5, title=f"Post {number}"))
            await far.cable.lose_answers()
        for post in posts:
            await author.settled(post, "delivered")
    assert sorted(author.ledger("facebook")) == sorted(set(author.ledger("facebook")))
    assert len(author.ledger("facebook")) == len(posts)
    assert [one.kind for one in await author.alerts()] == []


@pytest.mark.parametrize("idle_within", [60.0])  # the test holds a lock for as long as it needs
async def test_posts_whose_commit_is_not_answered_are_not_stored_again(far: Far) -> None:
    """Their authors are told that nobody knows; what refuses one post is another matter."""
    author, services = far.author, far.engine.services
    account = author.accounts["facebook"]
    await services.intake.accept(_draft(account), CALLER)  # it is connected by now
    async with author.services.database.write() as connection:
        await accounts.lock(connection, account)
        both = [
            asyncio.create_task(services.intake.accept(_draft(account), CALLER)) for _ in range(2)
        ]
        waits = text("SELECT 1 FROM pg_locks WHERE NOT granted")
        async with author.services.database.read() as looking, asyncio.timeout(PATIENCE):
            while (await looking.execute(waits)).first() is None:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)
        losing = asyncio.create_task(far.cable.lose_answers())
        await asyncio.sleep(0)
    await losing
    for one in both:
        with pytest.raises(StoreError):
            await one
    async with author.services.database.read() as looking, asyncio.timeout(PATIENCE):
        while (stored := len((await looking.execute(select(deliveries.c.id))).all())) < 3:  # noqa: ASYNC110 -- no event
            await asyncio.sleep(0.01)
    assert stored == 3


def _draft(account: str) -> Draft:
    words = {"title": "Hello", "body": "Hello", "at": "2035-01-07T09:00", "accounts": [account]}
    return Draft.model_validate(words)


async def test_a_server_that_takes_no_writes_any_more_is_left(
    settings: Settings, practice: PracticeServer, postgres: Postgres
) -> None:
    assert settings.database_url is not None
    name = make_url(settings.database_url).database
    async with opened(settings, practice) as author, opened(settings, practice) as engine:
        post = await author.post("facebook", seconds=0.5)
        # As of a former primary: who connects now cannot write, ever.
        postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await engine.services.database._dispose()  # they were made while it could
        for _ in range(3):
            with pytest.raises(DBAPIError, match="read-only"):
                async with engine.worker():
                    pass
        postgres.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        async with engine.worker():
            await author.settled(post, "delivered")
