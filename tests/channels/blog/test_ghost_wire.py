"""What the adapter makes of each answer that Ghost, or what stands before it, documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import jwt
import pytest
from pydantic import ValidationError

from channels.base import Account, Tools
from channels.blog.ghost.adapter import GhostAdapter
from channels.blog.ghost.site import GhostSettings
from channels.outcome import (
    Accepted,
    AccessLost,
    AccessReason,
    Delivered,
    Finding,
    Gone,
    HealthStatus,
    Outcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Media, Message, Post
from tests.channels.blog.conftest import NOON
from tests.channels.replay import Replay, assert_read, recorded

REPLIES = recorded("ghost")
API = "/ghost/api/admin"
ID = "64f0c0ffee0123456789abcd"
KEY, SECRET = "6489a0c5f1d2e3b4a5968778", "ab" * 32
POST = Post(id="p", title="We reopen", body="On Tuesday.")


def account(url: str) -> Account[GhostSettings]:
    return Account(
        id="g",
        name="Shop",
        settings=GhostSettings.model_validate({"url": url, "admin_api_key": f"{KEY}:{SECRET}"}),
    )


def words(tools: Tools, replay: Replay) -> Message:
    """Without a summary of its own, as the recorded posts are."""
    message = GhostAdapter(tools).render(POST, account(replay.url))
    return replace(message, summary="")


ROWS: list[tuple[str, type[Outcome], dict[str, Any]]] = [
    ("created", Delivered, {"remote_id": ID, "url": "https://shop.example/x/"}),
    ("created_draft", Accepted, {"remote_id": ID}),
    ("created_scheduled", Accepted, {"remote_id": ID}),
    ("created_unreadable", Unconfirmed, {}),
    ("unknown_key", AccessLost, {"reason": AccessReason.TOKEN}),
    ("invalid_jwt", AccessLost, {"reason": AccessReason.TOKEN}),
    ("invalid_jwt_400", AccessLost, {"reason": AccessReason.TOKEN}),
    ("missing_kid", AccessLost, {"reason": AccessReason.TOKEN}),
    ("invalid_auth_header", AccessLost, {"reason": AccessReason.TOKEN}),
    ("invalid_key_type", AccessLost, {"reason": AccessReason.TOKEN}),
    ("no_permission", AccessLost, {"reason": AccessReason.PERMISSION}),
    ("host_limit", AccessLost, {"reason": AccessReason.POLICY}),
    ("version_too_new", AccessLost, {"reason": AccessReason.VERSION}),
    ("resource_not_found", Gone, {}),
    ("api_not_found_html", Gone, {}),
    ("update_collision", Unavailable, {}),
    ("validation", Rejected, {}),
    ("too_large", Rejected, {}),
    ("too_large_html", Rejected, {}),
    ("unsupported_media", Rejected, {}),
    ("bad_request", Rejected, {}),
    ("too_many_requests", Throttled, {"until": NOON + timedelta(seconds=60)}),
    ("too_many_requests_html", Throttled, {"until": NOON + timedelta(seconds=120)}),
    ("maintenance", Unavailable, {"until": NOON + timedelta(seconds=30)}),
    ("internal_error", Unconfirmed, {}),
    ("bad_gateway_html", Unconfirmed, {}),
    ("gateway_timeout_html", Unconfirmed, {}),
    ("interstitial_html", Unconfirmed, {}),
    ("moved", AccessLost, {"reason": AccessReason.MISCONFIGURED}),
]


@pytest.mark.parametrize(("reply", "kind", "details"), ROWS, ids=[row[0] for row in ROWS])
async def test_a_publication_ends_as_the_table_says(
    tools: Tools, replay: Replay, reply: str, kind: type[Outcome], details: dict[str, Any]
) -> None:
    # The site's clock is ours, so that a refused token is not a matter of time.
    recorded_reply = REPLIES[reply]
    headers = {**recorded_reply.headers, "Date": format_datetime(NOON, usegmt=True)}
    replay.on("POST", f"{API}/posts/", replace(recorded_reply, headers=headers))

    outcome = await GhostAdapter(tools).send(words(tools, replay), account(replay.url), key="k")

    assert_read(outcome, recorded_reply, kind, details)
    assert len(replay.asked) == 1


async def test_each_request_is_signed_for_a_few_minutes(tools: Tools, replay: Replay) -> None:
    replay.on("POST", f"{API}/posts/", REPLIES["created"])

    await GhostAdapter(tools).send(words(tools, replay), account(replay.url), key="k")

    (asked,) = replay.asked
    scheme, _, token = asked.headers["Authorization"].partition(" ")
    assert scheme == "Ghost"
    assert asked.headers["Accept-Version"] == "v6.0"
    assert asked.path.endswith("/posts/?source=html")
    assert jwt.get_unverified_header(token)["kid"] == KEY
    claims = jwt.decode(
        token,
        bytes.fromhex(SECRET),
        algorithms=["HS256"],
        audience="/admin/",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["iat"] == int(NOON.timestamp())
    assert 0 < claims["exp"] - claims["iat"] <= 300


async def test_a_clock_that_differs_is_learnt_from_the_sites_answer(
    tools: Tools, replay: Replay
) -> None:
    theirs = NOON + timedelta(hours=2)
    headers = {"Date": format_datetime(theirs, usegmt=True)}
    replay.on("POST", f"{API}/posts/", replace(REPLIES["invalid_jwt"], headers=headers))
    adapter = GhostAdapter(tools)

    outcome = await adapter.send(words(tools, replay), account(replay.url), key="k")

    assert isinstance(outcome, AccessLost)
    first, second = (asked.headers["Authorization"].split()[1] for asked in replay.asked)
    claims = [jwt.decode(t, options={"verify_signature": False}) for t in (first, second)]
    assert claims[1]["iat"] - claims[0]["iat"] == 7200

    replay.on("POST", f"{API}/posts/", REPLIES["created"])
    sent = await adapter.send(words(tools, replay), account(replay.url), key="k")
    assert isinstance(sent, Delivered)
    assert len(replay.asked) == 3


async def test_no_secret_is_kept_with_an_attempt(tools: Tools, replay: Replay) -> None:
    errors = {"errors": [{"type": "ValidationError", "message": f"bad {KEY}:{SECRET}"}]}
    replay.on("POST", f"{API}/posts/", replace(REPLIES["validation"], body=errors))

    outcome = await GhostAdapter(tools).send(words(tools, replay), account(replay.url), key="k")

    assert isinstance(outcome, Rejected)
    assert SECRET not in repr(outcome)
    assert SECRET not in repr(account(replay.url))


BEFORE: list[tuple[str, type[Outcome]]] = [
    ("unsupported_media", Rejected),
    ("too_large_html", Rejected),
    ("no_permission", AccessLost),
    ("internal_error", Unavailable),
    ("bad_gateway_html", Unavailable),
    ("interstitial_html", Unavailable),
    ("created", Unavailable),  # an upload that does not say where the picture is
]


@pytest.mark.parametrize(("reply", "kind"), BEFORE, ids=[row[0] for row in BEFORE])
async def test_a_failed_upload_publishes_nothing(
    tools: Tools, replay: Replay, picture: Callable[..., Media], reply: str, kind: type[Outcome]
) -> None:
    replay.on("POST", f"{API}/images/upload/", REPLIES[reply])
    adapter, there = GhostAdapter(tools), account(replay.url)
    message = adapter.render(replace(POST, media=(picture(),)), there)

    outcome = await adapter.send(message, there, key="k")

    assert isinstance(outcome, kind)
    (upload,) = replay.asked
    assert b'name="purpose"' in upload.body
    assert b"Content-Type: image/jpeg" in upload.body


@pytest.mark.parametrize(
    ("reply", "finding"),
    [
        ("none_found", Finding.ABSENT),
        ("created_draft", Finding.UNKNOWN),
        ("resource_not_found", Finding.UNKNOWN),
        ("unknown_key", Finding.UNKNOWN),
        ("interstitial_html", Finding.UNKNOWN),
        ("maintenance", Finding.UNKNOWN),
        ("bad_gateway_html", Finding.UNKNOWN),
        ("site", Finding.UNKNOWN),
    ],
)
async def test_absence_is_only_read_out_of_an_empty_list(
    tools: Tools, replay: Replay, reply: str, finding: Finding
) -> None:
    replay.on("GET", f"{API}/posts/", REPLIES[reply])
    adapter = GhostAdapter(tools)

    found = await adapter.find(words(tools, replay), account(replay.url), key="k", since=NOON)

    assert found is finding


async def test_a_collision_after_our_own_change_is_a_success(tools: Tools, replay: Replay) -> None:
    """The first answer was lost, the engine repeats the edit, Ghost says that it is not new."""
    replay.on("GET", f"{API}/posts/", REPLIES["post_changed"])
    replay.on("PUT", f"{API}/posts/", REPLIES["update_collision"])
    adapter = GhostAdapter(tools)

    edited = await adapter.edit(words(tools, replay), account(replay.url), remote_id=ID)

    assert isinstance(edited, Delivered)
    assert [asked.method for asked in replay.asked] == ["GET", "PUT", "GET"]


async def test_a_collision_with_somebody_else_is_tried_again_on_top_of_theirs(
    tools: Tools, replay: Replay
) -> None:
    replay.on("GET", f"{API}/posts/", REPLIES["post"])
    replay.on("PUT", f"{API}/posts/", REPLIES["update_collision"])
    adapter = GhostAdapter(tools)

    edited = await adapter.edit(words(tools, replay), account(replay.url), remote_id=ID)

    assert isinstance(edited, Unavailable)
    assert [asked.method for asked in replay.asked] == ["GET", "PUT", "GET", "PUT"]


@pytest.mark.parametrize(
    ("site", "config", "status"),
    [
        ("site", "config", HealthStatus.HEALTHY),
        ("site", "unknown_key", HealthStatus.ACCESS_LOST),
        ("site", "host_limit", HealthStatus.ACCESS_LOST),
        ("api_not_found_html", "config", HealthStatus.VANISHED),
        ("maintenance", "config", HealthStatus.PLATFORM_DOWN),
        ("bad_gateway_html", "config", HealthStatus.PLATFORM_DOWN),
        ("interstitial_html", "config", HealthStatus.PLATFORM_DOWN),
        ("too_many_requests", "config", HealthStatus.THROTTLED),
    ],
)
async def test_a_probe_tells_them_apart(
    tools: Tools, replay: Replay, site: str, config: str, status: HealthStatus
) -> None:
    replay.on("GET", f"{API}/site/", REPLIES[site])
    replay.on("GET", f"{API}/config/", REPLIES[config])

    assert (await GhostAdapter(tools).probe(account(replay.url))).status is status


@pytest.mark.parametrize(
    "key", ["", "abc", f"{KEY}{SECRET}", SECRET[:26], f"{KEY}:{SECRET[:-1]}", f"{KEY}:{'xy' * 32}"]
)
def test_half_a_key_is_refused_with_the_remedy(key: str) -> None:
    with pytest.raises(ValidationError, match="Admin API key of a custom integration"):
        GhostSettings.model_validate({"url": "https://shop.example", "admin_api_key": key})


def test_a_title_too_long_for_ghost_is_said_before(tools: Tools) -> None:
    adapter, there = GhostAdapter(tools), account("https://shop.example")
    message = adapter.render(Post(id="p", title="x" * 256, body="B", summary="y " * 400), there)

    assert [problem.code for problem in adapter.check(message, there)] == ["title-too-long"]
    assert len(message.summary) <= 300


def test_every_recorded_reply_is_used() -> None:
    used = {row[0] for row in ROWS}

    assert set(REPLIES) - used == {"post", "post_changed", "none_found", "site", "config"}
