"""The pages for people: signing in, the overview, and forms that only our pages can send."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from scheduler.services import Services
from scheduler.store.tokens import Scope
from scheduler.web import session
from scheduler.web.app import create_app
from scheduler.web.auth import Doorkeeper
from tests.web.conftest import Client, token
from tests.web.support import ask, post, put

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def browser(services: Services) -> AsyncIterator[Client]:
    """Somebody who is not signed in and keeps cookies."""
    async with TestClient(TestServer(create_app(services))) as client:
        yield client


async def _sign_in(browser: Client, services: Services, scope: Scope = Scope.WRITE) -> str:
    """The overview, once signed in."""
    secret = await token(services, scope)
    answer = await browser.post("/login", data={"token": secret})
    page = await answer.text()
    assert (answer.status, answer.url.path) == (200, "/")
    assert secret not in page
    return page


def _word(page: str) -> str:
    found = re.search(r'name="word" value="([^"]+)"', page)
    assert found
    return found[1]


async def test_nothing_is_shown_before_signing_in(browser: Client, services: Services) -> None:
    answer = await browser.get("/", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/login")
    wrong = await browser.post("/login", data={"token": "est_wrong"}, allow_redirects=False)
    assert wrong.status == 401
    assert "Set-Cookie" not in wrong.headers
    secret = await token(services, Scope.READ)
    right = await browser.post("/login", data={"token": secret}, allow_redirects=False)
    cookie = right.headers["Set-Cookie"]
    assert secret not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


async def test_a_calendar_s_token_opens_no_page(browser: Client, services: Services) -> None:
    secret = await token(services, Scope.CALENDAR)
    answer = await browser.post("/login", data={"token": secret}, allow_redirects=False)
    assert answer.status == 401
    assert "Set-Cookie" not in answer.headers
    caller = await Doorkeeper(services.database, services.clock).caller(secret)
    assert caller is not None
    response = web.Response()
    session.begin(response, services, caller)  # as one signed in before this was refused
    cookies = {session.COOKIE: response.cookies[session.COOKIE].value}
    for path in ("/", "/basket", "/preview/x", "/deliverability/x", "/posts/x", "/drills/x"):
        answer = await browser.get(path, cookies=cookies, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/login"), path


async def test_a_form_with_a_word_that_cannot_be_ours_is_refused(
    browser: Client, services: Services
) -> None:
    await _sign_in(browser, services)
    for word in ("é", "", "\udcff"):
        form = {"word": word.encode("utf-8", "surrogatepass"), "what": "retry", "id": "x"}
        answer = await browser.post("/decide", data=urlencode(form), headers=FORM)
        assert answer.status == 403, word


async def test_the_cookie_does_not_open_the_api(browser: Client, services: Services) -> None:
    await _sign_in(browser, services)
    assert (await browser.get("/api/v1/posts")).status == 401


async def test_the_overview_shows_plans_doubts_and_accounts_and_escapes_them(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    planned = await post(client, title="<script>alert(1)</script>")
    held = await post(client, title="A doubt", at="now")
    one = held["deliveries"][0]["id"]
    cause = "the access token has expired Reconnect the account."
    await put(services, one, state="held", hold_reason="unconfirmed", cause=cause)
    page = await _sign_in(browser, services)
    assert planned["title"] not in page
    for shown in ("&lt;script&gt;", "A doubt", "has expired", "Our site", "It is there", "worker"):
        assert shown in page
    answer = await browser.get("/", headers={"Accept-Language": "fr-FR,fr;q=0.9,en;q=0.8"})
    shown = await answer.text()
    assert "C’est en ligne" in shown
    assert "Reconnectez le compte." in shown
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_a_button_decides_once_and_only_from_our_page(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    held = await post(client)
    one = held["deliveries"][0]["id"]
    await put(services, one, state="held", hold_reason="no-road")
    page = await _sign_in(browser, services)
    forged = {"what": "cancel", "id": one, "word": "guessed"}
    assert (await browser.post("/decide", data=forged)).status == 403
    assert (await ask(client, "GET", f"/deliveries/{one}"))["state"] == "held"
    answer = await browser.post("/decide", data={**forged, "word": _word(page)})
    assert answer.status == 200
    assert (await ask(client, "GET", f"/deliveries/{one}"))["state"] == "cancelled"


async def test_an_account_is_paused_and_resumed_from_the_overview(
    browser: Client, client: Client, services: Services, blog: str
) -> None:
    asked = {"id": blog, "word": _word(await _sign_in(browser, services))}
    for what, paused in (("pause", True), ("resume", False)):
        assert (await browser.post("/decide", data={**asked, "what": what})).status == 200
        assert (await ask(client, "GET", f"/accounts/{blog}"))["paused"] is paused


async def test_a_reader_decides_nothing_and_a_sign_out_ends(
    browser: Client, services: Services, blog: str
) -> None:
    page = await _sign_in(browser, services, Scope.READ)
    asked = {"what": "retry", "id": "x", "word": _word(page)}
    assert (await browser.post("/decide", data=asked)).status == 403
    answer = await browser.post("/logout", data={"word": _word(page)})
    assert answer.url.path == "/login"
    assert (await browser.get("/")).url.path == "/login"


async def test_an_address_that_leads_nowhere_is_told_as_who_asks_reads(
    browser: Client, services: Services
) -> None:
    person = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": "fr"}
    answer = await browser.get("/nothing", headers=person)
    assert (answer.status, answer.content_type) == (404, "text/html")
    page = await answer.text()
    assert "il n’y a pas de page" in page
    assert "Retour à la vue d’ensemble" in page
    for path in ("/api/v1/nothing", "/hooks/nothing"):
        answer = await browser.get(path, headers=person)
        assert (answer.status, answer.content_type) == (404, "application/problem+json"), path
    answer = await browser.get("/nothing")
    assert answer.content_type == "application/problem+json"
    answer = await browser.get("/api/v1/nothing", headers={"Accept-Language": "fr"})
    assert (await answer.json())["title"] == "Cela n’existe pas"
