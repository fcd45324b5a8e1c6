"""The desk as a person uses it: every button of the pages, in her language, from our page alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from channels.outcome import HealthStatus
from channels.sandbox.faults import FaultName
from scheduler.care import plan_b_of
from scheduler.deliveries import HoldReason, State
from scheduler.store import tokens
from scheduler.store.tokens import Scope
from scheduler.web.decisions import DECISIONS
from scheduler.web.desk_phrases import DESK
from scheduler.web.phrases import PHRASES
from tests.engine.conftest import Engine
from tests.engine.test_digest import queue, route, states

Api = TestClient[Any, Any]


class Desk:
    """Somebody signed in."""

    def __init__(self, engine: Engine, client: Api, word: str) -> None:
        self.engine = engine
        self.client = client
        self.word = word

    async def see(self, path: str, language: str = "en") -> str:
        async with self.client.get(path, headers={"Accept-Language": language}) as answer:
            assert answer.status == 200, path
            return await answer.text()

    async def press(self, what: str, name: str, status: int = 200, **fields: str) -> str:
        """Press a button; the path where it leads."""
        form = {"what": what, "id": name, "word": self.word, **fields}
        async with self.client.post("/decide", data=form) as answer:
            assert answer.status == status, await answer.text()
            return answer.url.path


@pytest.fixture
async def desk(engine: Engine, api: Api) -> Desk:
    async with engine.services.database.write() as connection:
        made = await tokens.create(
            connection, name="somebody", scopes=[Scope.WRITE], now=engine.services.clock.micros()
        )
    async with api.post("/login", data={"token": made.secret}) as answer:
        found = re.search(r'name="word" value="([^"]+)"', await answer.text())
    assert found
    return Desk(engine, api, found[1])


async def gone(desk: Desk) -> None:
    page = desk.engine.accounts["facebook"]
    await plan_b_of(desk.engine.services, "tests").move_queue(page, "gone")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_everything_has_its_words(language: str) -> None:
    say = {**PHRASES[language], **DESK[language]}
    wanted = {f"h_{one}" for one in HoldReason} | {f"s_{one}" for one in HealthStatus}
    wanted |= {f"d_{one}" for one in HealthStatus if one is not HealthStatus.HEALTHY}
    wanted |= {one.value for one in State} | {"s_suspected", "d_suspected"}
    wanted |= DECISIONS.keys() - {"undo_all", "cancel_post"}
    assert wanted <= say.keys()
    assert DESK["en"].keys() == DESK["fr"].keys()


async def test_the_week_is_told_by_day_in_her_language(desk: Desk) -> None:
    await queue(desk.engine, 9, 10)
    english, french = await desk.see("/"), await desk.see("/", "fr")
    for page, words in (
        (english, ("This week", "At 9", "Times are those of Europe/Paris", "Rehearse its loss")),
        (french, ("Cette semaine", "At 9", "Les heures sont celles de", "Répéter sa perte")),
    ):
        for word in words:
            assert word in page
    assert 'lang="fr"' in french
    assert "<script" not in french


async def test_a_held_post_says_why_and_takes_its_other_road(desk: Desk) -> None:
    await route(desk.engine, "blog", kinds={"essential": "ask"})
    (post,) = await queue(desk.engine, 9, kind="essential")
    await gone(desk)
    assert "elle attend votre accord" in await desk.see("/", "fr")
    (held,) = await desk.engine.rows(post)
    await desk.press("approve", held.id)
    assert await states(desk.engine, [post]) == [["rerouted", "scheduled"]]
    await desk.press("undo", held.id)
    assert await states(desk.engine, [post]) == [["scheduled", "cancelled"]]


async def test_a_post_is_sent_elsewhere_by_choice(desk: Desk) -> None:
    (post,) = await queue(desk.engine, 9)
    (own,) = await desk.engine.rows(post)
    path = f"/posts/{post}"
    assert "Send elsewhere" in await desk.see(path)
    await desk.press("redirect", own.id, status=422)
    there = await desk.press(
        "redirect", own.id, account=desk.engine.accounts["linkedin"], back=path
    )
    assert there == path
    page = await desk.see(path)
    assert "Sent elsewhere" in page
    assert "token:somebody" in page


async def test_a_post_is_hurried_or_dropped_as_a_whole(desk: Desk) -> None:
    first, second = await queue(desk.engine, 9, 10)
    await desk.press("publish_now", first)
    await desk.press("cancel_post", second)
    assert await states(desk.engine, [second]) == [["cancelled"]]
    (row,) = await desk.engine.rows(first)
    assert row.due_at <= desk.engine.services.clock.micros()
    assert "cancelled" in await desk.see(f"/posts/{second}")


async def test_a_whole_queue_is_brought_back(desk: Desk) -> None:
    ids = await queue(desk.engine, 9, 10)
    await gone(desk)
    assert "Bring back what has not left (2)" in await desk.see("/")
    await desk.press("undo_all", desk.engine.accounts["facebook"])
    assert await states(desk.engine, ids) == [["scheduled"]] * 2


async def test_a_page_is_looked_at_and_its_loss_rehearsed(desk: Desk) -> None:
    await queue(desk.engine, 9)
    page = desk.engine.accounts["facebook"]
    desk.engine.fault("facebook", FaultName.PHONE_ONLY)
    await desk.press("look", page)
    seen = await desk.see("/", "fr")
    assert "Visible en partie seulement" in seen
    assert "n’est visible qu’en partie" in seen
    there = await desk.press("drill", page)
    report = await desk.see(there)
    assert "1 posts wait there: 1 would find another road" in report
    assert "Our site" in report
    assert "last rehearsed" in await desk.see("/")


async def test_a_page_that_is_back_catches_up_in_one_post(desk: Desk) -> None:
    engine = desk.engine
    engine.fault("facebook", FaultName.PAGE_GONE)
    async with engine.worker():
        post = await engine.post("facebook", title="Today")
        await engine.settled(post, "rerouted", "delivered")
        engine.mend("facebook")
        await desk.press("look", engine.accounts["facebook"])
        assert "Publish one catch-up post (1)" in await desk.see("/")
        there = await desk.press("catch_up", engine.accounts["facebook"])
        assert "Today" in await desk.see(there)
    await desk.press("catch_up", engine.accounts["facebook"], status=409)


async def test_the_basket_is_shown(desk: Desk) -> None:
    await queue(desk.engine, 9)
    page = await desk.see("/basket", "fr")
    assert "Concentration" in page
    assert "Publications sans autre chemin" in page


async def test_pages_are_for_those_signed_in_and_refusals_are_pages(desk: Desk) -> None:
    async with desk.client.get("/posts/unknown") as answer:
        assert (answer.status, answer.content_type) == (404, "text/html")
    await desk.press("undo", "unknown", status=404)
    there = await desk.press("look", desk.engine.accounts["facebook"], back="//evil.example/")
    assert there == "/"
    for what in DECISIONS:
        form = {"what": what, "id": "x", "word": "guessed"}
        async with desk.client.post("/decide", data=form) as answer:
            assert answer.status == 403
    await desk.client.post("/logout", data={"word": desk.word})
    for path in ("/", "/posts/x", "/drills/x", "/basket"):
        async with desk.client.get(path, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
