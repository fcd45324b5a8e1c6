"""Connecting a page in the browser, through the practice platform's own dialog."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from channels.abilities import Connects
from channels.base import Account
from channels.http import HttpClient
from channels.linkedin.adapter import LinkedIn
from channels.linkedin.api import LinkedInSettings
from channels.linkedin.oauth import LinkedInApp
from channels.linkedin.sandbox import ORGANIZATION, THEIRS, TOKEN, LinkedInSandbox
from channels.outcome import AccessLost, AccessReason, HealthStatus, Unavailable
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer

BACK = "https://estafette.example/connect/linkedin/back"


@pytest.fixture
def app(server: PracticeServer, platform: LinkedInSandbox) -> LinkedInApp:
    return LinkedInApp.model_validate(platform.practice_app(f"{server.url}/linkedin"))


async def log_in(http: HttpClient, url: str, answer: str = "yes") -> dict[str, str]:
    """What a person does in the dialog; the query with which their browser comes back."""
    assert (await http.request("GET", url)).status == 200
    reply = await http.request("POST", url, form={"answer": answer})
    assert reply.status == 302
    back = urlsplit(reply.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
    return {name: values[0] for name, values in parse_qs(back.query).items()}


async def code_of(http: HttpClient, adapter: LinkedIn, app: LinkedInApp) -> str:
    url = adapter.authorize_url(app, redirect_uri=BACK, state="s t/1")
    query = await log_in(http, url)
    assert query["state"] == "s t/1"
    return query["code"]


async def test_a_login_lists_the_pages_with_the_roles_the_person_has(
    adapter: LinkedIn, app: LinkedInApp, http: HttpClient
) -> None:
    assert isinstance(adapter, Connects)
    code = await code_of(http, adapter, app)
    candidates = await adapter.exchange(app, code=code, redirect_uri=BACK)
    assert isinstance(candidates, list)
    ours, theirs = candidates
    assert (ours.remote_id, ours.name, ours.problem) == (ORGANIZATION, "Atelier Rosa", None)
    assert ours.tasks == ("ADMINISTRATOR",)
    assert theirs.remote_id == THEIRS
    assert theirs.problem is not None
    assert theirs.problem.remedy
    assert TOKEN not in repr(candidates)

    settings = LinkedInSettings.model_validate(ours.settings)
    assert settings.refresh_token is not None
    assert ours.expires_at is not None
    assert ours.expires_at > datetime.now(UTC) + timedelta(days=300)
    health = await adapter.probe(Account(id="a", name=ours.name, settings=settings))
    assert health.status is HealthStatus.HEALTHY


async def test_who_says_no_comes_back_without_a_code(
    adapter: LinkedIn, app: LinkedInApp, http: HttpClient
) -> None:
    query = await log_in(http, adapter.authorize_url(app, redirect_uri=BACK, state="s"), "no")
    assert (query["error"], query["state"]) == ("user_cancelled_authorize", "s")
    assert "code" not in query


async def test_a_code_is_good_once_and_for_its_own_address(
    adapter: LinkedIn, app: LinkedInApp, http: HttpClient
) -> None:
    code = await code_of(http, adapter, app)
    assert isinstance(await adapter.exchange(app, code=code, redirect_uri=BACK), list)
    again = await adapter.exchange(app, code=code, redirect_uri=BACK)
    assert isinstance(again, AccessLost)
    assert again.remedy
    assert code not in repr(again)
    other = await code_of(http, adapter, app)
    elsewhere = await adapter.exchange(app, code=other, redirect_uri="https://evil.example/")
    assert isinstance(elsewhere, AccessLost)


async def test_a_wrong_secret_is_our_configuration(
    adapter: LinkedIn, app: LinkedInApp, http: HttpClient
) -> None:
    code = await code_of(http, adapter, app)
    wrong = app.model_copy(update={"client_secret": SecretStr("guessed")})
    refused = await adapter.exchange(wrong, code=code, redirect_uri=BACK)
    assert isinstance(refused, AccessLost)
    assert refused.reason is AccessReason.MISCONFIGURED
    assert "guessed" not in repr(refused)


@pytest.mark.parametrize(
    ("fault", "ended"),
    [(FaultName.PERMISSION_LOST, AccessLost), (FaultName.SERVER_ERROR, Unavailable)],
)
async def test_pages_that_cannot_be_listed_are_no_pages(
    adapter: LinkedIn,
    app: LinkedInApp,
    http: HttpClient,
    platform: LinkedInSandbox,
    fault: FaultName,
    ended: type[Any],
) -> None:
    code = await code_of(http, adapter, app)
    platform.faults.add(Fault(fault))
    assert isinstance(await adapter.exchange(app, code=code, redirect_uri=BACK), ended)


async def test_one_closed_page_does_not_hide_the_others(
    adapter: LinkedIn, app: LinkedInApp, http: HttpClient, platform: LinkedInSandbox
) -> None:
    code = await code_of(http, adapter, app)
    platform.hidden.add(ORGANIZATION)
    candidates = await adapter.exchange(app, code=code, redirect_uri=BACK)
    assert isinstance(candidates, list)
    closed, other = candidates
    assert (closed.remote_id, closed.refused) == (ORGANIZATION, True)
    assert closed.problem is not None
    assert closed.problem.code == "page-unseen"
    assert other.name == "Union des commerçants"


async def test_no_answer_is_no_refusal(adapter: LinkedIn, app: LinkedInApp) -> None:
    nowhere = app.model_copy(update={"oauth_url": "http://127.0.0.1:1/oauth"})
    ended = await adapter.exchange(nowhere, code="c", redirect_uri=BACK)
    assert isinstance(ended, Unavailable)
