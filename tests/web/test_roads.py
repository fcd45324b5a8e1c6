"""The pages where plan B is read and written, without JavaScript."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from scheduler.services import Services
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app
from tests.web.conftest import Client, token
from tests.web.support import ask, connect, facebook, post

FRENCH = {"Accept-Language": "fr"}
DETAILS = {
    "essential": "at-once", "ordinary": "digest", "promotional": "never", "note": "",
    "digest_hour": "18", "worth_hours": "48", "weekly_mails": "7",
}  # fmt: skip


@pytest.fixture
async def browser(services: Services) -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app(services))) as client:
        yield client


async def signed_in(browser: Client, services: Services, scope: Scope = Scope.WRITE) -> str:
    """The word that forms carry."""
    answer = await browser.post("/login", data={"token": await token(services, scope)})
    found = re.search(r'name="word" value="([^"]+)"', await answer.text())
    assert found
    return found[1]


async def saved(client: Client, account: str) -> dict[str, Any]:
    return await ask(client, "GET", f"/routes/{account}")


def form(word: str, *fallbacks: str, **changed: str) -> list[tuple[str, str]]:
    fields = {"word": word, "do": "save", **DETAILS, **changed}
    return [*fields.items(), *(("fallback", one) for one in fallbacks)]


async def test_each_account_shows_its_road_in_order_and_what_is_wrong_with_it(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    page = await facebook(services)
    list_ = await connect(services, "Our <list>")
    await ask(client, "PUT", f"/routes/{page}", {"fallbacks": [list_, blog]})
    await signed_in(browser, services, Scope.READ)
    shown = await (await browser.get("/routes")).text()
    road = shown.index("Our page")
    assert road < shown.index("Our &lt;list&gt;", road) < shown.index("Our site", road)
    assert "no plan B: what cannot go out here is held" in shown
    french = await (await browser.get("/routes", headers=FRENCH)).text()
    assert "pas de plan B\u00a0: ce qui ne peut pas partir d’ici" in french
    assert "no plan B" not in french


async def test_a_plan_is_written_in_its_order_and_keeps_what_the_form_does_not_show(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    page, other = await facebook(services), await connect(services, "Second site")
    word = await signed_in(browser, services)
    sent = form(word, "", other, blog, ordinary="ask", note="Our page is away.", last_resort="yes")
    answer = await browser.post(f"/routes/{page}", data=sent)
    assert answer.status == 200
    assert "Saved." in await answer.text()
    written = await saved(client, page)
    assert written["fallbacks"] == [other, blog]
    assert written["kinds"] == {
        "essential": "at-once", "ordinary": "ask", "promotional": "never"
    }  # fmt: skip
    assert (written["note"], written["last_resort"]) == ("Our page is away.", True)
    shown = await (await browser.get(f"/routes/{page}")).text()
    chosen = re.findall(r'<option value="([^"]*)" selected>', shown)
    assert chosen == [other, blog, "at-once", "ask", "never"]


async def test_a_plan_that_cannot_be_is_refused_where_it_is_wrong_and_nothing_is_written(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    page, other = await facebook(services), await connect(services, "Second site")
    word = await signed_in(browser, services)
    before = await saved(client, page)
    twice = await browser.post(
        f"/routes/{page}", data=form(word, other, "", other, digest_hour="24"), headers=FRENCH
    )
    assert twice.status == 422
    shown = await twice.text()
    assert "la valeur doit être au plus 23" in shown
    assert re.search(r'name="digest_hour"[^>]*value="24"[^>]*aria-invalid', shown)
    twice = await browser.post(f"/routes/{page}", data=form(word, other, "", other), headers=FRENCH)
    shown = await twice.text()
    assert 'id="wrong-fallback2"' in shown
    assert "il est déjà dans la liste" in shown
    assert "retirez-le" in shown
    itself = await (await browser.post(f"/routes/{page}", data=form(word, page))).text()
    assert "an account cannot replace itself" in itself
    assert await saved(client, page) == before


async def test_a_plan_can_be_tried_and_taken_back(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    page = await facebook(services)
    word = await signed_in(browser, services)
    tried = await browser.post(f"/routes/{page}", data=form(word, blog, do="check"))
    assert "It is not saved yet." in await tried.text()
    assert (await saved(client, page))["default"]
    await browser.post(f"/routes/{page}", data=form(word))
    assert (await saved(client, page))["fallbacks"] == []
    back = await browser.post(f"/routes/{page}", data={"word": word, "do": "reset"})
    assert "The default holds again." in await back.text()
    assert (await saved(client, page))["default"]


async def test_what_of_the_queue_finds_no_road_is_told_when_it_is_saved(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    page = await facebook(services)
    await post(client, accounts=[page], kind="promotional")
    word = await signed_in(browser, services)
    answer = await browser.post(f"/routes/{page}", data=form(word, blog), headers=FRENCH)
    shown = await answer.text()
    assert "Enregistré." in shown
    assert "1 des 1 publications en attente seraient retenues" in shown


async def test_only_our_form_and_a_token_that_may_write_change_a_plan(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    page = await facebook(services)
    for path in ("/routes", f"/routes/{page}"):
        answer = await browser.get(path, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert (await browser.post(f"/routes/{page}", data=form("guessed", blog))).status == 403
    word = await signed_in(browser, services, Scope.READ)
    assert (await browser.post(f"/routes/{page}", data=form("guessed", blog))).status == 403
    refused = await browser.post(f"/routes/{page}", data=form(word, blog), headers=FRENCH)
    assert refused.status == 403
    assert "votre jeton n’a pas le droit «\u00a0write\u00a0»" in await refused.text()
    assert (await saved(client, page))["default"]
    word = await signed_in(browser, services)
    nobody = await browser.get("/routes/nobody", headers=FRENCH)
    assert nobody.status == 404
    assert (await browser.post("/routes/nobody", data=form(word, blog))).status == 404


async def test_a_fallback_that_was_archived_is_named_as_such(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    page, other = await facebook(services), await connect(services, "Second site")
    await ask(client, "PUT", f"/routes/{page}", {"fallbacks": [other, blog]})
    await ask(client, "DELETE", f"/accounts/{other}", status=204)
    await signed_in(browser, services)
    for path in (f"/routes/{page}", "/routes"):
        assert "not connected any more" in await (await browser.get(URL(path))).text()
    warnings = (await saved(client, page))["warnings"]
    assert warnings == [f"the fallback {other} is not connected any more"]
    overview = await (await browser.get("/")).text()
    assert other not in overview
