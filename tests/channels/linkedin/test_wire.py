"""Every row of the error table, from the documented reply on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.linkedin.adapter import LinkedIn
from channels.linkedin.api import LinkedInSettings
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    Gone,
    HealthStatus,
    Outcome,
    Rejected,
    Throttled,
    Unconfirmed,
)
from channels.posts import Message
from tests.channels.linkedin.conftest import NOW
from tests.channels.replay import Recorded, Replay, assert_read, recorded

REPLIES = recorded("linkedin")
URN = "urn:li:share:7141138937766391808"
HELLO = Message(post_id="p1", text="We open again on Monday.")
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)

# The outcome of a publish that is answered so, and what it has to say.
READINGS: Mapping[str, tuple[type[Outcome], Mapping[str, Any]]] = {
    "created": (Delivered, {"remote_id": "urn:li:share:6844785523593134080"}),
    "created_unnamed": (Unconfirmed, {}),
    "token_empty": (AccessLost, {"reason": AccessReason.TOKEN}),
    "token_revoked": (AccessLost, {"reason": AccessReason.TOKEN}),
    "token_expired": (AccessLost, {"reason": AccessReason.TOKEN}),
    "token_invalid": (AccessLost, {"reason": AccessReason.TOKEN}),
    "no_permission": (AccessLost, {"reason": AccessReason.PERMISSION}),
    "author_refused": (AccessLost, {"reason": AccessReason.ROLE}),
    "author_invalid": (AccessLost, {"reason": AccessReason.ROLE}),
    "forbidden_unexplained": (AccessLost, {"reason": AccessReason.PERMISSION}),
    "organization_unknown": (Gone, {}),
    "duplicate": (Unconfirmed, {}),
    "duplicate_conflict": (Unconfirmed, {}),
    "duplicate_unnamed": (Unconfirmed, {}),
    "too_long": (Rejected, {"problem.code": "text-too-long", "problem.field": "body"}),
    "missing_field": (Rejected, {"problem.code": "missing-field"}),
    "invalid_parameter": (Rejected, {"problem.code": "invalid-field"}),
    "content_blocked": (Rejected, {"problem.code": "content-blocked"}),
    "unrecognized_field": (Rejected, {"problem.code": "refused"}),
    "version_retired": (AccessLost, {"reason": AccessReason.VERSION}),
    "version_deprecated": (AccessLost, {"reason": AccessReason.VERSION}),
    "quota_used_up": (Throttled, {"until": MIDNIGHT}),
    "quota_hinted": (Throttled, {"until": NOW.replace(second=30)}),
    "trace_like_code": (AccessLost, {"reason": AccessReason.PERMISSION}),
    "server_error": (Unconfirmed, {}),
    "gateway_html": (Unconfirmed, {}),
}


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    async with Replay() as server:
        yield server


@pytest.fixture
def linkedin(http: HttpClient) -> LinkedIn:
    return LinkedIn(Tools(http=http, now=lambda: NOW))


@pytest.fixture
def page(replay: Replay) -> Account[LinkedInSettings]:
    settings = LinkedInSettings(
        organization_id="2414183", access_token=SecretStr("s3cret"), api_url=replay.url
    )
    return Account(id="page", name="Atelier", settings=settings)


def reply(status: int, body: Any) -> Recorded:
    return Recorded("", "", "", status, {}, body)


def test_every_documented_reply_has_a_reading() -> None:
    assert READINGS.keys() | {"post_gone"} == REPLIES.keys()
    assert all(reply.source and reply.date for reply in REPLIES.values())


@pytest.mark.parametrize("name", READINGS)
async def test_reply_is_read_as_documented(
    name: str, replay: Replay, linkedin: LinkedIn, page: Account[LinkedInSettings]
) -> None:
    replay.on("POST", "/rest/posts", REPLIES[name])
    outcome = await linkedin.send(HELLO, page, key="k")
    assert_read(outcome, REPLIES[name], *READINGS[name])
    assert sum(asked.method == "POST" for asked in replay.asked) == 1


@pytest.mark.parametrize("name", ["duplicate", "duplicate_conflict"])
async def test_duplicate_is_the_post_it_names_if_that_is_ours(
    name: str, replay: Replay, linkedin: LinkedIn, page: Account[LinkedInSettings]
) -> None:
    replay.on("POST", "/rest/posts", REPLIES[name])
    named = URN.replace("share", "ugcPost") if name == "duplicate_conflict" else URN
    stamp = int(NOW.timestamp() * 1000)
    replay.on("GET", "/rest/posts/", reply(200, {"id": named, "createdAt": stamp - 60_000}))
    outcome = await linkedin.send(HELLO, page, key="k")
    assert isinstance(outcome, Delivered)
    assert outcome.remote_id == named
    assert outcome.note
    assert replay.asked[-1].path == f"/rest/posts/{named.replace(':', '%3A')}"


@pytest.mark.parametrize(
    "answer",
    [
        reply(404, {"status": 404}),
        reply(200, {"createdAt": int(NOW.timestamp() * 1000) - 40 * 86_400_000}),
    ],
    ids=["deleted", "old"],
)
async def test_duplicate_of_another_post_is_refused(
    answer: Recorded, replay: Replay, linkedin: LinkedIn, page: Account[LinkedInSettings]
) -> None:
    replay.on("POST", "/rest/posts", REPLIES["duplicate"])
    replay.on("GET", "/rest/posts/", answer)
    outcome = await linkedin.send(HELLO, page, key="k")
    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "duplicate"


async def test_version_is_named_and_evidence_keeps_no_token(
    replay: Replay, linkedin: LinkedIn, page: Account[LinkedInSettings]
) -> None:
    replay.on("POST", "/rest/posts", reply(400, {"message": "s3cret is no token", "status": 400}))
    outcome = await linkedin.send(HELLO, page, key="k")
    headers = replay.asked[0].headers
    assert headers["LinkedIn-Version"] == "202609"
    assert headers["X-Restli-Protocol-Version"] == "2.0.0"
    assert "s3cret" not in repr(outcome)


async def test_a_post_that_is_gone_is_not_the_page_that_is_gone(
    replay: Replay, linkedin: LinkedIn, page: Account[LinkedInSettings]
) -> None:
    replay.on("POST", "/rest/posts/", REPLIES["post_gone"])
    edited = await linkedin.edit(HELLO, page, remote_id=URN)
    assert isinstance(edited, Rejected)
    assert edited.problem.code == "post-gone"
    replay.on("DELETE", "/rest/posts/", REPLIES["post_gone"])
    assert isinstance(await linkedin.withdraw(URN, page), Delivered)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("token_revoked", HealthStatus.ACCESS_LOST),
        ("no_permission", HealthStatus.ACCESS_LOST),
        ("version_retired", HealthStatus.ACCESS_LOST),
        ("quota_used_up", HealthStatus.THROTTLED),
        ("server_error", HealthStatus.PLATFORM_DOWN),
        ("gateway_html", HealthStatus.PLATFORM_DOWN),
        ("organization_unknown", HealthStatus.VANISHED),
    ],
)
async def test_probe_reads_the_page_the_same_way(
    name: str,
    status: HealthStatus,
    replay: Replay,
    linkedin: LinkedIn,
    page: Account[LinkedInSettings],
) -> None:
    replay.on("GET", "/rest/organizationAcls", reply(200, {"elements": []}))
    replay.on("GET", "/rest/organizations/", REPLIES[name])
    health = await linkedin.probe(page)
    assert health.status is status
    assert status is not HealthStatus.VANISHED or health.remedy


async def test_roles_that_are_not_there_say_nothing_of_the_page(
    replay: Replay, linkedin: LinkedIn, page: Account[LinkedInSettings]
) -> None:
    replay.on("GET", "/rest/organizationAcls", REPLIES["organization_unknown"])
    assert (await linkedin.probe(page)).status is HealthStatus.PLATFORM_DOWN
