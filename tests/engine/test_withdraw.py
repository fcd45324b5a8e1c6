"""What was published is taken down: platforms asked for real, every answer told and kept."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from channels.sandbox.faults import FaultName
from channels.translations import in_language
from scheduler.settings import Settings
from scheduler.store import reroutes
from scheduler.web.withdraw_phrases import WITHDRAWALS
from scheduler.withdrawal import Fate
from tests.engine.conftest import Engine, unhurried
from tests.engine.test_desk_pages import Desk
from tests.web.support import ask, put

Api = TestClient[Any, Any]
PAGES = ("facebook", "linkedin", "mastodon", "bluesky", "blog.wordpress", "blog.ghost")
EVERYWHERE = {*PAGES, "newsletter", "webhook"}


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return unhurried(settings).model_copy(update=getattr(request, "param", {}))


@pytest.fixture
def connected() -> Collection[str]:
    return EVERYWHERE


async def published(engine: Engine, *channels: str, **words: Any) -> str:
    """A post that went out there; its id."""
    post = await engine.post(*channels, **words)
    async with engine.worker():
        await engine.settled(post, *["delivered"] * len(await engine.rows(post)))
    return post


async def kinds(api: Api, post: str) -> list[str]:
    said = await ask(api, "GET", f"/posts/{post}/events")
    return [one["kind"] for one in said["events"] if "withdraw" in one["kind"]]


def fates(said: dict[str, Any]) -> dict[str, str]:
    return {one["channel"]: one["fate"] for one in said["deliveries"]}


async def test_a_whole_post_is_taken_down_wherever_its_channels_can(
    engine: Engine, api: Api
) -> None:
    post = await published(engine, *PAGES, "blog")
    article = next(row.url for row in await engine.rows(post) if "127.0.0.1:1" in row.url)
    path = article.removeprefix("http://127.0.0.1:1")
    assert (await api.get(path)).status == 200
    said = await ask(api, "POST", f"/posts/{post}/withdraw")
    assert said["complete"] is True
    assert {one["fate"] for one in said["deliveries"]} == {"withdrawn"}
    for platform in ("facebook", "linkedin", "mastodon", "bluesky"):
        assert engine.ledger(platform) == []
        assert engine.practice.ledger.entries(platform, deleted=True)
    assert (await api.get(path)).status == 410
    for public in ("/blog", "/blog/feed.atom", "/blog/sitemap.xml"):
        answer = await api.get(public)
        assert (answer.status, path in await answer.text()) == (200, False), public
    read = await ask(api, "GET", f"/posts/{post}")
    assert {one["state"] for one in read["deliveries"]} == {"delivered"}
    assert all(one["withdrawn_at"] for one in read["deliveries"])
    events = (await ask(api, "GET", f"/posts/{post}/events"))["events"]
    noted = [one for one in events if one["kind"] == "delivery.withdrawn"]
    assert len(noted) == len(PAGES) + 1
    assert {one["actor"] for one in noted} == {"token:tests"}
    again = await ask(api, "POST", f"/posts/{post}/withdraw")
    assert set(fates(again).values()) == {"already"}
    assert len(await kinds(api, post)) == len(noted)


async def test_what_was_taken_down_is_never_sent_again(engine: Engine, api: Api) -> None:
    post = await published(engine, "mastodon")
    (row,) = await engine.rows(post)
    await ask(api, "POST", f"/deliveries/{row.id}/withdraw")
    for decision in ("retry", "cancel"):
        await ask(api, "POST", f"/deliveries/{row.id}/{decision}", status=409)
    probe = await published(engine, "mastodon", title="Another")  # a worker ran meanwhile
    assert len(engine.ledger("mastodon")) == 1
    assert (await engine.rows(probe))[0].state == "delivered"


@pytest.mark.parametrize("channel", ["facebook", "bluesky"])
async def test_an_answer_that_is_lost_costs_another_click(
    engine: Engine, api: Api, channel: str
) -> None:
    post = await published(engine, channel)
    (row,) = await engine.rows(post)
    path = f"/deliveries/{row.id}/withdraw"
    engine.fault(channel, FaultName.ANSWER_LOST, times=1)
    problem = await ask(api, "POST", path, status=502)
    assert problem["type"].endswith("#problem-platform")
    assert "again" in problem["errors"][0]["remedy"]
    assert engine.ledger(channel) == []
    assert (await engine.rows(post))[0].withdrawn_at is None
    engine.mend(channel)
    read = await ask(api, "POST", path)
    assert read["withdrawn_at"]
    assert await kinds(api, post) == ["delivery.withdrawal_failed", "delivery.withdrawn"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (FaultName.SERVER_ERROR, 502),
        (FaultName.THROTTLED, 502),
        (FaultName.TOKEN_DEAD, 409),
        (FaultName.PAGE_GONE, 409),
    ],
)
async def test_what_still_stands_is_never_called_taken_down(
    engine: Engine, api: Api, fault: FaultName, status: int
) -> None:
    post = await published(engine, "facebook")
    (row,) = await engine.rows(post)
    engine.fault("facebook", fault)
    problem = await ask(api, "POST", f"/deliveries/{row.id}/withdraw", status=status)
    assert all(problem["errors"][0][name] for name in ("detail", "remedy"))
    whole = await ask(api, "POST", f"/posts/{post}/withdraw")
    assert whole["complete"] is False
    assert (await engine.rows(post))[0].withdrawn_at is None
    assert len(engine.ledger("facebook")) == 1


@pytest.mark.parametrize("settings", [{"send_timeout": 2}], indirect=True)
async def test_a_platform_that_hangs_has_taken_nothing_down(engine: Engine, api: Api) -> None:
    await test_what_still_stands_is_never_called_taken_down(engine, api, FaultName.HANG, 502)


async def test_what_went_out_by_mail_cannot_be_taken_back(engine: Engine, api: Api) -> None:
    post = await engine.post("newsletter", "webhook", "mastodon")
    for row in await engine.rows(post):
        if row.account_id != engine.accounts["mastodon"]:
            await put(engine.services, row.id, state="delivered", remote_id="there")
    async with engine.worker():
        await engine.settled(post, "delivered", "delivered", "delivered")
    said = await ask(api, "POST", f"/posts/{post}/withdraw")
    assert fates(said) == {
        "newsletter": "impossible", "webhook": "impossible", "mastodon": "withdrawn",
    }  # fmt: skip
    assert said["complete"] is False
    mail = next(one for one in said["deliveries"] if one["channel"] == "newsletter")
    path = f"/api/v1/deliveries/{mail['delivery_id']}/withdraw"
    async with api.post(path, headers={"Accept-Language": "fr"}) as answer:
        problem = await answer.json()
        assert answer.status == 422
    assert problem["errors"][0]["detail"] == "ce qui est envoyé à chacun ne peut pas être repris"
    assert problem["errors"][0]["remedy"] == "envoyez-leur un rectificatif"


async def test_what_is_not_there_is_not_taken_down(engine: Engine, api: Api) -> None:
    post = await engine.post("facebook", seconds=3600)
    (row,) = await engine.rows(post)
    for path in (f"/posts/{post}/withdraw", f"/deliveries/{row.id}/withdraw"):
        problem = await ask(api, "POST", path, status=409)
        assert problem["errors"][0]["remedy"] == "cancel it instead"
        for state, words in (("unconfirmed", "settle it first"), ("failed", "nothing to take")):
            await put(engine.services, row.id, state=state)
            problem = await ask(api, "POST", path, status=409)
            assert words in problem["errors"][0]["remedy"]
        await put(engine.services, row.id, state="delivered", remote_id=None)
        problem = await ask(api, "POST", path, status=409)
        assert problem["errors"][0]["detail"] == "nobody knows which post it is there"
        await put(engine.services, row.id, state="scheduled")
    for path in ("/posts/none/withdraw", "/deliveries/none/withdraw"):
        await ask(api, "POST", path, status=404)


async def test_an_archived_account_is_out_of_reach_unless_it_needs_no_credential(
    engine: Engine, api: Api
) -> None:
    post = await published(engine, "facebook", "blog")
    for channel in ("facebook", "blog"):
        await ask(api, "DELETE", f"/accounts/{engine.accounts[channel]}", status=204)
    row = next(r for r in await engine.rows(post) if r.account_id == engine.accounts["facebook"])
    problem = await ask(api, "POST", f"/deliveries/{row.id}/withdraw", status=409)
    assert problem["errors"][0]["detail"] == "its account is archived"
    assert problem["errors"][0]["remedy"] == "take it down there by hand"
    said = await ask(api, "POST", f"/posts/{post}/withdraw")
    assert fates(said) == {"facebook": "out-of-reach", "blog": "withdrawn"}


async def test_a_comment_that_waits_goes_with_its_post(engine: Engine, api: Api) -> None:
    post = await engine.post("facebook", first_comment="Book a table.", seconds=3600)
    own, comment = sorted(await engine.rows(post), key=lambda row: row.part != "post")
    await put(engine.services, own.id, due_at=1)
    async with engine.worker():
        await engine.until(post, lambda rows: any(r.state == "delivered" for r in rows))
        await put(engine.services, comment.id, state="scheduled", due_at=2**53)
    await ask(api, "POST", f"/deliveries/{own.id}/withdraw")
    assert sorted(row.state for row in await engine.rows(post)) == ["cancelled", "delivered"]


async def test_nobody_catches_up_with_what_was_taken_down(engine: Engine, api: Api) -> None:
    post = await published(engine, "mastodon")
    (there,) = await engine.rows(post)
    page = engine.accounts["facebook"]
    body = {"title": "We reopen", "at": "2030-01-07T09:00", "accounts": [page]}
    made = await ask(api, "POST", "/posts", body, status=201)
    await put(engine.services, made["deliveries"][0]["id"], state="rerouted")
    parent = made["deliveries"][0]["id"]
    await put(engine.services, there.id, parent_id=parent, origin_id=parent)
    async with engine.services.database.read() as connection:
        missed = await reroutes.missed_by(connection, page, since=0)
        assert [one.id for one, _ in missed] == [parent]
        assert await reroutes.missed(connection, since=0) == {page: 1}
        late = missed[0][0].due_at + 1
        assert await reroutes.missed_by(connection, page, since=late) == []
        assert await reroutes.missed(connection, since=late) == {}
    await ask(api, "POST", f"/deliveries/{there.id}/withdraw")  # a carrier's, like any other
    async with engine.services.database.read() as connection:
        assert await reroutes.missed_by(connection, page, since=0) == []


@pytest.fixture
async def desk(engine: Engine, api: Api) -> Desk:
    async with api.post("/login", data={"token": api_token(api)}) as answer:
        found = re.search(r'name="word" value="([^"]+)"', await answer.text())
    assert found
    return Desk(engine, api, found[1])


def api_token(api: Api) -> str:
    return str(api.session.headers["Authorization"]).removeprefix("Bearer ")


async def test_a_button_asks_first_and_takes_it_down(desk: Desk, engine: Engine) -> None:
    post = await published(engine, "facebook", "blog")
    own = next(r for r in await engine.rows(post) if r.account_id == engine.accounts["facebook"])
    page = await desk.see(f"/posts/{post}", "fr")
    link = f"/posts/{post}/withdraw?delivery={own.id}"
    assert link in page
    assert ">Tout retirer<" in page
    asks = await desk.see(link, "fr")
    assert "Oui, retirer" in asks
    assert "<script" not in asks
    assert len(engine.ledger("facebook")) == 1  # looking takes nothing down
    form = {"word": desk.word, "delivery": own.id}
    async with desk.client.post(f"/posts/{post}/withdraw", data={**form, "word": "x"}) as answer:
        assert answer.status == 403
    engine.fault("facebook", FaultName.SERVER_ERROR)
    async with desk.client.post(
        f"/posts/{post}/withdraw", data=form, headers={"Accept-Language": "fr"}
    ) as answer:
        said = await answer.text()
        assert answer.status == 200
    assert WITHDRAWALS["fr"]["f_unconfirmed"] in said
    assert "Réessayer" in said
    engine.mend("facebook")
    async with desk.client.post(f"/posts/{post}/withdraw", data=form) as answer:
        assert answer.url.path == f"/posts/{post}"
        shown = await answer.text()
    assert engine.ledger("facebook") == []
    assert "<del>published</del>" in shown
    assert "Taken down" in shown
    assert link not in shown
    assert "<del>" in await desk.see("/")
    async with desk.client.post(f"/posts/{post}/withdraw", data={"word": desk.word}) as answer:
        assert answer.url.path == f"/posts/{post}"
    assert all(row.withdrawn_at for row in await engine.rows(post))


async def test_the_page_says_what_stays(desk: Desk, engine: Engine) -> None:
    post = await engine.post("newsletter", "mastodon")
    for row in await engine.rows(post):
        await put(engine.services, row.id, state="delivered", remote_id="there")
    assert "withdraw?delivery" in await desk.see(f"/posts/{post}")
    assert "Take everything down" not in await desk.see(f"/posts/{post}")  # only one can be
    asks = await desk.see(f"/posts/{post}/withdraw", "fr")
    assert "ce qui est envoyé à chacun ne peut pas être repris" in asks
    assert asks.index("Ceci serait retiré") < asks.index("Ceci ne le serait pas")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_fate_has_its_words(language: str) -> None:
    assert {f"f_{one}" for one in Fate} <= WITHDRAWALS[language].keys()
    assert WITHDRAWALS["en"].keys() == WITHDRAWALS["fr"].keys()
    assert in_language("nothing of this post can be taken down", "fr").startswith("rien")
