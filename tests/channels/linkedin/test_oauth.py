"""Connecting a page in the browser, through the practice platform's own dialog."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.abilities import Connects
from channels.base import Account
from channels.http import HttpClient
from channels.linkedin.adapter import LinkedIn
from channels.linkedin.api import LinkedInSettings
from channels.linkedin.oauth import LinkedInApp
from channels.linkedin.sandbox import ORGANIZATION, THEIRS, TOKEN, LinkedInSandbox
from channels.outcome import AccessLost, HealthStatus, Unavailable
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from tests.channels.logins import BACK, STATE, CodeOf, LoginPromises, answer_dialog


@pytest.fixture
def app(server: PracticeServer, platform: LinkedInSandbox) -> LinkedInApp:
    return LinkedInApp.model_validate(platform.practice_app(f"{server.url}/linkedin"))


@pytest.fixture
def code_of(adapter: LinkedIn, http: HttpClient) -> CodeOf:
    async def agree(app: LinkedInApp) -> str:
        url = adapter.authorize_url(app, redirect_uri=BACK, state=STATE)
        return (await answer_dialog(http, url, [("answer", "yes")]))["code"]

    return agree


class TestLogin(LoginPromises):
    secret = "client_secret"
    refused = "user_cancelled_authorize"
    address = "oauth_url"


async def test_a_login_lists_the_pages_with_the_roles_the_person_has(
    adapter: LinkedIn, app: LinkedInApp, code_of: CodeOf
) -> None:
    assert isinstance(adapter, Connects)
    code = await code_of(app)
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


async def test_somebody_with_many_pages_sees_them_all(
    adapter: LinkedIn, app: LinkedInApp, code_of: CodeOf, platform: LinkedInSandbox
) -> None:
    platform.others = [str(900_000 + number) for number in range(250)]
    platform.hidden.update(platform.others[1:])
    candidates = await adapter.exchange(app, code=await code_of(app), redirect_uri=BACK)
    assert isinstance(candidates, list)
    assert [one.remote_id for one in candidates] == [*platform.others, ORGANIZATION, THEIRS]
    ours = candidates[-2]
    assert ours.problem is None
    settings = LinkedInSettings.model_validate(ours.settings)
    health = await adapter.probe(Account(id="a", name=ours.name, settings=settings))
    assert health.status is HealthStatus.HEALTHY
    platform.faults.add(Fault(FaultName.ROLE_LOST))
    health = await adapter.probe(Account(id="a", name=ours.name, settings=settings))
    assert health.status is HealthStatus.ACCESS_LOST


@pytest.mark.parametrize(
    ("fault", "ended"),
    [(FaultName.PERMISSION_LOST, AccessLost), (FaultName.SERVER_ERROR, Unavailable)],
)
async def test_pages_that_cannot_be_listed_are_no_pages(
    adapter: LinkedIn,
    app: LinkedInApp,
    code_of: CodeOf,
    platform: LinkedInSandbox,
    fault: FaultName,
    ended: type[Any],
) -> None:
    code = await code_of(app)
    platform.faults.add(Fault(fault))
    assert isinstance(await adapter.exchange(app, code=code, redirect_uri=BACK), ended)


async def test_one_closed_page_does_not_hide_the_others(
    adapter: LinkedIn, app: LinkedInApp, code_of: CodeOf, platform: LinkedInSandbox
) -> None:
    code = await code_of(app)
    platform.hidden.add(ORGANIZATION)
    candidates = await adapter.exchange(app, code=code, redirect_uri=BACK)
    assert isinstance(candidates, list)
    closed, other = candidates
    assert (closed.remote_id, closed.refused) == (ORGANIZATION, True)
    assert closed.problem is not None
    assert closed.problem.code == "page-unseen"
    assert other.name == "Union des commerçants"
