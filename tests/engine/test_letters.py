"""A mailing's page in the archive goes with its post, and says its new words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import insert, select, update

from channels.sandbox.server import PracticeServer
from scheduler import firing
from scheduler.mailing import Mailing, mailing
from scheduler.settings import Settings
from scheduler.store.audience_tables import contacts, letters, lists, memberships
from scheduler.store.tables import deliveries
from scheduler.worker import Worker
from tests.engine.conftest import PATIENCE, Engine, opened
from tests.web.support import ask

Api = TestClient[Any, Any]


@pytest.fixture
async def engine(settings: Settings, practice: PracticeServer) -> AsyncIterator[Engine]:
    async with opened(settings, practice, connected={"facebook", "newsletter"}) as engine:
        list_id = engine.accounts["newsletter"]
        now = engine.services.clock.micros()
        async with engine.services.database.write() as connection:
            await connection.execute(
                insert(lists).values(
                    id=list_id, name="Letter", language="en", created_at=now, archive=True
                )
            )
            await connection.execute(
                insert(contacts).values(
                    id="ann", email="ann@example.org", attributes={}, tags=[], created_at=now,
                    updated_at=now,
                )
            )  # fmt: skip
            await connection.execute(
                insert(memberships).values(
                    list_id=list_id, contact_id="ann", state="subscribed", since=now
                )
            )
        yield engine


async def sent(engine: Engine, *channels: str) -> str:
    """A post that went out there; its id."""
    post = await engine.post(*channels)
    services = engine.services
    async with Worker(services, redis_url=None, broadcast=mailing(services)).running():
        await engine.settled(post, *["delivered"] * len(channels))
    return post


async def mail_of(engine: Engine, post: str) -> str:
    """The newsletter's delivery of a post."""
    wanted = engine.accounts["newsletter"]
    return next(str(row.id) for row in await engine.rows(post) if row.account_id == wanted)


async def page_of(engine: Engine, api: Api, post: str) -> tuple[str, dict[str, Any]]:
    """The path of its page (empty: it has none), and its figures."""
    said = await ask(api, "GET", f"/deliveries/{await mail_of(engine, post)}/mailing")
    return (said["page"] or "").removeprefix(engine.services.settings.effective_public_url), said


def fates(said: dict[str, Any]) -> dict[str, str]:
    return {one["channel"]: one["fate"] for one in said["deliveries"]}


async def test_the_page_of_a_letter_goes_with_its_post(engine: Engine, api: Api) -> None:
    post = await sent(engine, "newsletter", "facebook")
    path, _ = await page_of(engine, api, post)
    archive = path.rpartition("/")[0]
    assert (await api.get(path)).status == 200
    assert path in await (await api.get(archive)).text()

    said = await ask(api, "POST", f"/posts/{post}/withdraw")
    assert fates(said) == {"newsletter": "page-only", "facebook": "withdrawn"}
    assert said["complete"] is False  # the mails are where they are
    gone = await api.get(path, headers={"Accept-Language": "en"})
    assert gone.status == 410
    assert "was taken down" in await gone.text()
    assert path not in await (await api.get(archive)).text()
    path, figures = await page_of(engine, api, post)
    assert (path, figures["accepted"]) == ("", 1)

    told = await ask(api, "GET", f"/posts/{post}/events")
    kinds = [one["kind"] for one in told["events"]]
    assert kinds.count("delivery.page_withdrawn") == 1
    again = await ask(api, "POST", f"/posts/{post}/withdraw")
    assert fates(again) == {"newsletter": "impossible", "facebook": "already"}


async def test_a_letter_alone_is_taken_down_by_its_delivery(engine: Engine, api: Api) -> None:
    post = await sent(engine, "newsletter")
    path, _ = await page_of(engine, api, post)
    async with engine.services.database.write() as connection:
        # As when the rest of a mailing was called off: somebody has it.
        await connection.execute(update(deliveries).values(state="cancelled"))
    await ask(api, "POST", f"/deliveries/{await mail_of(engine, post)}/withdraw")
    assert (await api.get(path)).status == 410
    problem = await ask(api, "POST", f"/posts/{post}/withdraw", status=409)
    assert problem["detail"] == "nothing of this post can be taken down"


async def test_the_page_of_a_letter_says_its_new_words(engine: Engine, api: Api) -> None:
    post = await sent(engine, "newsletter")
    path, _ = await page_of(engine, api, post)
    words = {"title": "We reopen on Tuesday", "body": "Not on **Monday**, sorry."}
    said = await ask(api, "POST", f"/posts/{post}/edit", words)
    assert fates(said) == {"newsletter": "page-only"}
    text = await (await api.get(path)).text()
    assert "Not on <strong>Monday</strong>, sorry." in text
    assert "Come and see us." not in text
    async with engine.services.database.read() as connection:
        assert await connection.scalar(select(letters.c.title)) == "We reopen on Tuesday"
    mails = engine.practice.ledger.entries("newsletter")
    assert len(mails) == 1  # nobody gets it again


async def test_the_page_asks_in_the_reader_s_language(engine: Engine, api: Api) -> None:
    post = await sent(engine, "newsletter")
    secret = str(api.session.headers["Authorization"]).removeprefix("Bearer ")
    async with api.post("/login", data={"token": secret}):
        pass
    french = {"Accept-Language": "fr"}
    async with api.get(f"/posts/{post}", headers=french) as answer:
        shown = await answer.text()
    assert f"/posts/{post}/withdraw?delivery=" in shown
    assert f"/posts/{post}/edit" in shown
    async with api.get(f"/posts/{post}/withdraw", headers=french) as answer:
        asks = await answer.text()
    assert "sa page dans les archives le serait ; ce qui est envoyé à chacun reste" in asks


@pytest.mark.parametrize("moment", ["saying that it begins", "making its page"])
async def test_a_mailing_cut_off_before_its_run_is_everyones_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    reached = asyncio.Event()

    async def hangs(*_args: Any, **_how: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    if moment == "making its page":
        monkeypatch.setattr(Mailing, "_prepared", hangs)
    else:
        monkeypatch.setattr(firing, "mark_sending", hangs)
    post = await engine.post("newsletter")
    services = engine.services
    async with Worker(services, redis_url=None, broadcast=mailing(services)).running() as worker:
        await asyncio.wait_for(reached.wait(), PATIENCE)
        await worker.dispatcher.stop(0)
        (row,) = await engine.rows(post)
    assert (row.state, row.token, row.lease_until) == ("scheduled", None, None)
    monkeypatch.undo()
    async with Worker(services, redis_url=None, broadcast=mailing(services)).running():
        await engine.settled(post, "delivered")
    (mail,) = engine.practice.ledger.entries("newsletter")
    assert mail.payload["recipient"] == "ann@example.org"
