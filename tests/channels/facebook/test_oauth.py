"""Connecting a page in the browser, through the practice platform's own dialog."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from channels.abilities import Connects
from channels.base import Account, Tools
from channels.facebook.adapter import FacebookAdapter, FacebookSettings
from channels.facebook.oauth import GraphApp
from channels.facebook.practice.graph import LE_PETIT_CAFE
from channels.facebook.sandbox import FacebookSandbox
from channels.http import HttpClient
from channels.messenger.adapter import MessengerAdapter, MessengerSettings
from channels.messenger.sandbox import VERIFY_TOKEN, MessengerSandbox
from channels.outcome import AccessLost, AccessReason, Delivered, HealthStatus
from channels.posts import Message
from channels.sandbox.server import PracticeServer
from tests.channels.logins import BACK, STATE, CodeOf, LoginPromises, answer_dialog

PAGES = (LE_PETIT_CAFE.id, "108811559930042")


@pytest.fixture
def app(server: PracticeServer, platform: FacebookSandbox) -> GraphApp:
    return GraphApp(**platform.practice_app(f"{server.url}/facebook"))


def dialog(url: str, declined: str = "", pages: tuple[str, ...] = PAGES) -> list[tuple[str, str]]:
    """The form as a person leaves it who agrees."""
    (asked,) = parse_qs(urlsplit(url).query)["scope"]
    ticked = [("scope", scope) for scope in asked.split(",") if scope != declined]
    return [*ticked, *(("page", page) for page in pages), ("answer", "yes")]


@pytest.fixture
def code_of(adapter: FacebookAdapter, http: HttpClient) -> CodeOf:
    async def agree(app: GraphApp, **left: Any) -> str:
        url = adapter.authorize_url(app, redirect_uri=BACK, state=STATE)
        return (await answer_dialog(http, url, dialog(url, **left)))["code"]

    return agree


class TestLogin(LoginPromises):
    secret = "app_secret"
    refused = "access_denied"
    address = "base_url"


async def test_a_login_lists_the_pages_with_what_the_person_may_do(
    adapter: FacebookAdapter, app: GraphApp, code_of: CodeOf, platform: FacebookSandbox
) -> None:
    assert isinstance(adapter, Connects)
    code = await code_of(app)
    candidates = await adapter.exchange(app, code=code, redirect_uri=BACK)
    assert isinstance(candidates, list)
    ours, theirs = candidates
    assert (ours.name, ours.problem) == ("Le Petit Café", None)
    assert "CREATE_CONTENT" in ours.tasks
    assert theirs.tasks == ("ANALYZE",)
    assert theirs.problem is not None
    assert theirs.problem.remedy
    assert LE_PETIT_CAFE.token not in repr(candidates)

    account = Account(id="a", name=ours.name, settings=FacebookSettings(**ours.settings))
    assert (await adapter.probe(account)).status is HealthStatus.HEALTHY
    sent = await adapter.send(Message(post_id="p", text="Connected."), account, key="k")
    assert isinstance(sent, Delivered)
    assert len(platform.ledger.entries("facebook")) == 1


@pytest.mark.parametrize(
    ("live", "code", "refused"),
    [(True, None, False), (None, "app-mode-unknown", False), (False, "app-not-live", True)],
)
async def test_an_app_that_is_not_live_is_said_before_anything_is_saved(
    adapter: FacebookAdapter,
    app: GraphApp,
    code_of: CodeOf,
    live: bool | None,  # noqa: FBT001 -- a table's column
    code: str | None,
    refused: bool,  # noqa: FBT001 -- a table's column
) -> None:
    app = app.model_copy(update={"live": live})
    login = await code_of(app)
    candidates = await adapter.exchange(app, code=login, redirect_uri=BACK)
    assert isinstance(candidates, list)
    ours = candidates[0]
    assert (None if ours.problem is None else ours.problem.code) == code
    assert ours.refused is refused
    assert candidates[1].problem is not None
    assert candidates[1].problem.code == "role-missing"


async def test_a_declined_permission_is_named_before_anything_is_saved(
    adapter: FacebookAdapter, app: GraphApp, code_of: CodeOf
) -> None:
    code = await code_of(app, declined="pages_manage_posts")
    refused = await adapter.exchange(app, code=code, redirect_uri=BACK)
    assert isinstance(refused, AccessLost)
    assert refused.reason is AccessReason.PERMISSION
    assert "pages_manage_posts" in refused.detail
    assert refused.remedy


async def test_a_person_without_a_page_is_told_so(
    adapter: FacebookAdapter, app: GraphApp, code_of: CodeOf
) -> None:
    code = await code_of(app, pages=("none",))
    refused = await adapter.exchange(app, code=code, redirect_uri=BACK)
    assert isinstance(refused, AccessLost)
    assert refused.reason is AccessReason.ROLE


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("client_id", "1", "Invalid App ID"),
        ("scope", "publish_everything", "Invalid Scopes"),
        ("redirect_uri", "nowhere", "URL blocked"),
    ],
)
async def test_a_dialog_that_is_called_wrongly_says_so(
    adapter: FacebookAdapter, app: GraphApp, http: HttpClient, name: str, value: str, said: str
) -> None:
    url = urlsplit(adapter.authorize_url(app, redirect_uri=BACK, state="s"))
    query = {key: values[0] for key, values in parse_qs(url.query).items()}
    bare = url._replace(query="").geturl()
    reply = await http.request("GET", bare, params={**query, name: value})
    assert reply.status == 400
    assert said in reply.text


def test_messenger_asks_for_its_own_permission(http: HttpClient, app: GraphApp) -> None:
    messenger = MessengerAdapter(Tools(http=http, now=lambda: datetime.now(UTC)))
    assert isinstance(messenger, Connects)
    url = messenger.authorize_url(app, redirect_uri=BACK, state="s")
    assert parse_qs(urlsplit(url).query)["scope"] == ["pages_messaging,pages_show_list"]


async def test_what_was_agreed_for_the_webhook_comes_with_the_inbox(
    practice: PracticeServer, http: HttpClient
) -> None:
    platform = practice.platforms["messenger"]
    assert isinstance(platform, MessengerSandbox)
    held = platform.practice_app(f"{practice.url}/messenger")
    app = GraphApp.model_validate({**held, "verify_token": VERIFY_TOKEN})
    messenger = MessengerAdapter(Tools(http=http, now=lambda: datetime.now(UTC)))
    url = messenger.authorize_url(app, redirect_uri=BACK, state=STATE)
    code = (await answer_dialog(http, url, dialog(url)))["code"]
    candidates = await messenger.exchange(app, code=code, redirect_uri=BACK)
    assert isinstance(candidates, list)
    settings = MessengerSettings.model_validate(candidates[0].settings)
    asked = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "7"}
    assert messenger.challenge(asked, Account(id="a", name="Inbox", settings=settings)) == "7"
    assert VERIFY_TOKEN not in repr(candidates)
