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
from tests.channels.blog.wire import Site
from tests.channels.replay import Replay, assert_read, recorded

REPLIES = recorded("ghost")
API = "/ghost/api/admin"
ID = "64f0c0ffee0123456789abcd"
KEY, SECRET = "6489a0c5f1d2e3b4a5968778", "ab" * 32


def account(url: str) -> Account[GhostSettings]:
    return Account(
        id="g",
        name="Shop",
        settings=GhostSettings.model_validate({"url": url, "admin_api_key": f"{KEY}:{SECRET}"}),
    )


@pytest.fixture
def site(tools: Tools, replay: Replay) -> Site:
    return Site(GhostAdapter(tools), account(replay.url), replay, REPLIES)


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
    site: Site, reply: str, kind: type[Outcome], details: dict[str, Any]
) -> None:
    # The site's clock is ours, so that a refused token is not a matter of time.
    headers = {**REPLIES[reply].headers, "Date": format_datetime(NOON, usegmt=True)}
    site.on("POST", f"{API}/posts/", reply, headers=headers)

    assert_read(await site.publish(), REPLIES[reply], kind, details)
    assert len(site.replay.asked) == 1


async def test_each_request_is_signed_for_a_few_minutes(site: Site) -> None:
    site.on("POST", f"{API}/posts/", "created")

    await site.publish()

    (asked,) = site.replay.asked
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


async def test_a_clock_that_differs_is_learnt_from_the_sites_answer(site: Site) -> None:
    theirs = NOON + timedelta(hours=2)
    headers = {"Date": format_datetime(theirs, usegmt=True)}
    site.on("POST", f"{API}/posts/", "invalid_jwt", headers=headers)

    assert isinstance(await site.publish(), AccessLost)
    first, second = (asked.headers["Authorization"].split()[1] for asked in site.replay.asked)
    claims = [jwt.decode(t, options={"verify_signature": False}) for t in (first, second)]
    assert claims[1]["iat"] - claims[0]["iat"] == 7200

    site.on("POST", f"{API}/posts/", "created")
    assert isinstance(await site.publish(), Delivered)
    assert len(site.replay.asked) == 3


async def test_no_secret_is_kept_with_an_attempt(site: Site) -> None:
    errors = {"errors": [{"type": "ValidationError", "message": f"bad {KEY}:{SECRET}"}]}
    site.on("POST", f"{API}/posts/", "validation", body=errors)

    await site.refused_without(SECRET, Rejected)


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
    site: Site, picture: Callable[..., Media], reply: str, kind: type[Outcome]
) -> None:
    site.on("POST", f"{API}/images/upload/", reply)

    upload = await site.fail_to_upload(picture, kind)

    assert len(site.replay.asked) == 1
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
    site: Site, reply: str, finding: Finding
) -> None:
    site.on("GET", f"{API}/posts/", reply)

    assert await site.find() is finding


def unsummed(site: Site) -> Message:
    """Without a summary of its own, as the recorded posts are."""
    return replace(site.message(), summary="")


async def test_a_collision_after_our_own_change_is_a_success(site: Site) -> None:
    """The first answer was lost, the engine repeats the edit, Ghost says that it is not new."""
    site.on("GET", f"{API}/posts/", "post_changed")
    site.on("PUT", f"{API}/posts/", "update_collision")

    assert isinstance(await site.edit(ID, unsummed(site)), Delivered)
    assert [asked.method for asked in site.replay.asked] == ["GET", "PUT", "GET"]


async def test_a_collision_with_somebody_else_is_tried_again_on_top_of_theirs(site: Site) -> None:
    site.on("GET", f"{API}/posts/", "post")
    site.on("PUT", f"{API}/posts/", "update_collision")

    assert isinstance(await site.edit(ID, unsummed(site)), Unavailable)
    assert [asked.method for asked in site.replay.asked] == ["GET", "PUT", "GET", "PUT"]


@pytest.mark.parametrize(
    ("front", "config", "status"),
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
    site: Site, front: str, config: str, status: HealthStatus
) -> None:
    site.on("GET", f"{API}/site/", front)
    site.on("GET", f"{API}/config/", config)

    assert (await site.probe()).status is status


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
