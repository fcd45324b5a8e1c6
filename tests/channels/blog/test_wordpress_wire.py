"""What the adapter makes of each answer that WordPress, or what stands before it, documents."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from channels.base import Account, Tools
from channels.blog.wordpress.adapter import WordPressAdapter
from channels.blog.wordpress.site import WordPressSettings
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
from channels.posts import Media
from tests.channels.blog.conftest import NOON
from tests.channels.blog.wire import POST, Site
from tests.channels.replay import Replay, assert_read, recorded

REPLIES = recorded("wordpress")
POSTS = "/wp-json/wp/v2/posts"
MEDIA = "/wp-json/wp/v2/media"


def account(url: str, **settings: Any) -> Account[WordPressSettings]:
    return Account(
        id="wp",
        name="Shop",
        settings=WordPressSettings.model_validate(
            {"url": url, "username": "jeanne", "application_password": "s3cr3t pass", **settings}
        ),
    )


@pytest.fixture
def site(tools: Tools, replay: Replay) -> Site:
    """Its REST API is where it should be."""
    site = Site(WordPressAdapter(tools), account(replay.url), replay, REPLIES)
    site.on("GET", "/wp-json/", "index")
    return site


# Every row of the error table: the reply, the outcome, and what else it says.
ROWS: list[tuple[str, type[Outcome], dict[str, Any]]] = [
    ("created", Delivered, {"remote_id": "5", "url": "https://shop.example/x/"}),
    ("created_future", Accepted, {"remote_id": "6"}),
    ("created_pending", Accepted, {"remote_id": "6"}),
    ("created_after_notice", Unconfirmed, {}),
    ("incorrect_password", AccessLost, {"reason": AccessReason.TOKEN}),
    ("invalid_username", AccessLost, {"reason": AccessReason.TOKEN}),
    ("not_logged_in", AccessLost, {"reason": AccessReason.TOKEN}),
    ("cannot_create_unseen", AccessLost, {"reason": AccessReason.TOKEN}),
    ("passwords_disabled", AccessLost, {"reason": AccessReason.TOKEN}),
    ("passwords_disabled_for_user", AccessLost, {"reason": AccessReason.TOKEN}),
    ("cannot_create", AccessLost, {"reason": AccessReason.ROLE}),
    ("cannot_publish", AccessLost, {"reason": AccessReason.ROLE}),
    ("cannot_edit", AccessLost, {"reason": AccessReason.ROLE}),
    ("forbidden", AccessLost, {"reason": AccessReason.ROLE}),
    ("no_route", Gone, {}),
    ("not_found_html", Gone, {}),
    ("post_invalid_id", Rejected, {}),
    ("already_trashed", Rejected, {}),
    ("invalid_param", Rejected, {}),
    ("invalid_json", Rejected, {}),
    ("too_large_html", Rejected, {}),
    ("too_many_requests", Throttled, {"until": NOON + timedelta(seconds=120)}),
    ("firewall_403_html", Throttled, {"until": None}),
    ("firewall_406_html", Throttled, {"until": None}),
    ("maintenance", Unavailable, {"until": NOON + timedelta(seconds=600)}),
    ("maintenance_html", Unavailable, {"until": NOON + timedelta(seconds=600)}),
    ("db_insert_error", Unconfirmed, {}),
    ("database_down_html", Unconfirmed, {}),
    ("bad_gateway_html", Unconfirmed, {}),
    ("critical_error", Unconfirmed, {}),
    # The sheet says transient; on a publication nobody can tell, so it is looked for first.
    ("interstitial_html", Unconfirmed, {}),
    ("moved", AccessLost, {"reason": AccessReason.MISCONFIGURED}),
]


@pytest.mark.parametrize(("reply", "kind", "details"), ROWS, ids=[row[0] for row in ROWS])
async def test_a_publication_ends_as_the_table_says(
    site: Site, reply: str, kind: type[Outcome], details: dict[str, Any]
) -> None:
    site.on("POST", POSTS, reply)

    assert_read(await site.publish(), REPLIES[reply], kind, details)
    assert [asked.method for asked in site.replay.asked] == ["GET", "POST"]


async def test_the_field_that_is_refused_is_named(site: Site) -> None:
    site.on("POST", POSTS, "invalid_param")

    outcome = await site.publish()

    assert isinstance(outcome, Rejected)
    assert outcome.problem.field == "body"


async def test_no_secret_is_kept_with_an_attempt(site: Site) -> None:
    body = deepcopy(REPLIES["invalid_param"].body)
    echo = "Authorization: Basic amVhbm5lOnMzY3IzdCBwYXNz, password s3cr3t pass"
    body["data"]["params"]["content"] = echo
    site.on("POST", POSTS, "invalid_param", body=body)

    outcome = await site.refused_without("s3cr3t", Rejected)

    assert "amVhbm5l" not in repr(outcome)


# What goes wrong before the publication has published nothing.
BEFORE: list[tuple[str, type[Outcome]]] = [
    ("upload_no_data", Rejected),
    ("upload_hash_mismatch", Unavailable),
    ("upload_refused_type", Rejected),
    ("too_large_html", Rejected),
    ("cannot_create", AccessLost),
    ("database_down_html", Unavailable),
    ("bad_gateway_html", Unavailable),
    ("interstitial_html", Unavailable),
    ("maintenance", Unavailable),
    ("created_after_notice", Unavailable),
]


@pytest.mark.parametrize(("reply", "kind"), BEFORE, ids=[row[0] for row in BEFORE])
async def test_a_failed_upload_publishes_nothing(
    site: Site, picture: Callable[..., Media], reply: str, kind: type[Outcome]
) -> None:
    site.on("GET", MEDIA, "index")
    site.on("POST", MEDIA, reply)

    upload = await site.fail_to_upload(picture, kind)

    assert not [asked for asked in site.replay.asked if asked.path.startswith(POSTS)]
    assert upload.headers["Content-Type"] == "image/jpeg"
    assert upload.headers["Content-Disposition"].startswith('attachment; filename="estafette-')
    assert upload.body.startswith(b"\xff\xd8")


async def test_a_term_that_exists_under_another_spelling_is_used(site: Site) -> None:
    site.on("POST", "/wp-json/wp/v2/tags", "term_exists")
    site.on("POST", POSTS, "created")

    assert isinstance(await site.publish(replace(POST, tags=("Pain <1>",))), Delivered)
    assert b'"tags": [2]' in site.replay.asked[-1].body


@pytest.mark.parametrize(
    ("reply", "finding"),
    [
        ("not_logged_in", Finding.UNKNOWN),
        ("invalid_param", Finding.UNKNOWN),
        ("interstitial_html", Finding.UNKNOWN),
        ("maintenance", Finding.UNKNOWN),
        ("not_found_html", Finding.UNKNOWN),
        ("database_down_html", Finding.UNKNOWN),
        ("created", Finding.UNKNOWN),  # an object where a list belongs proves nothing
    ],
)
async def test_absence_is_never_read_out_of_an_error(
    site: Site, reply: str, finding: Finding
) -> None:
    site.on("GET", POSTS, reply)

    assert await site.find() is finding


@pytest.mark.parametrize(
    ("pretty", "plain", "status"),
    [
        ("not_found_html", "not_found_html", HealthStatus.VANISHED),
        ("no_route", "no_route", HealthStatus.VANISHED),
        ("not_found_html", "interstitial_html", HealthStatus.VANISHED),
        ("interstitial_html", "interstitial_html", HealthStatus.PLATFORM_DOWN),
        ("maintenance_html", "index", HealthStatus.PLATFORM_DOWN),
        ("database_down_html", "index", HealthStatus.PLATFORM_DOWN),
        ("bad_gateway_html", "index", HealthStatus.PLATFORM_DOWN),
        ("too_many_requests", "index", HealthStatus.THROTTLED),
        ("firewall_403_html", "index", HealthStatus.THROTTLED),
    ],
)
async def test_a_probe_tells_gone_from_down(
    site: Site, pretty: str, plain: str, status: HealthStatus
) -> None:
    site.on("GET", "/wp-json/", pretty)
    site.on("GET", "/", plain)

    assert (await site.probe()).status is status


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("incorrect_password", AccessReason.TOKEN),
        ("not_logged_in", AccessReason.TOKEN),
        ("passwords_disabled", AccessReason.TOKEN),
        ("forbidden", AccessReason.ROLE),
    ],
)
async def test_a_probe_tells_why_access_is_lost(
    site: Site, reply: str, reason: AccessReason
) -> None:
    site.on("GET", "/wp-json/wp/v2/users/me", reply)

    health = await site.probe()

    assert (health.status, health.reason) == (HealthStatus.ACCESS_LOST, reason)
    assert health.remedy


async def test_a_rest_api_closed_to_visitors_is_still_one(site: Site) -> None:
    site.on("GET", "/wp-json/", "logged_in_only")
    site.on("POST", POSTS, "created")

    assert isinstance(await site.publish(), Delivered)


async def test_every_recorded_reply_is_used() -> None:
    used = {row[0] for row in ROWS} | {row[0] for row in BEFORE}

    assert set(REPLIES) - used == {"index", "term_exists", "logged_in_only"}
