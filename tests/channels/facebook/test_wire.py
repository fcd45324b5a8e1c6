"""Every row of the error table, from the documented reply on; and the practice platform's own
refusals, measured by the same replies, so that one misreading does not pass twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from channels.base import Account, Tools
from channels.facebook.adapter import FacebookAdapter, FacebookSettings
from channels.facebook.oauth import GraphApp
from channels.facebook.practice.graph import APP_SECRET, LE_PETIT_CAFE
from channels.facebook.sandbox import FacebookSandbox
from channels.http import HttpClient
from channels.outcome import (
    Accepted,
    AccessLost,
    AccessReason,
    Delivered,
    Finding,
    Gone,
    Health,
    HealthStatus,
    Outcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Media, Message, Part
from channels.sandbox.faults import Fault, FaultName
from tests.channels.replay import Replay, assert_read, recorded

REPLIES = recorded("facebook")
NOW = datetime(2026, 11, 22, 17, 0, 30, tzinfo=UTC)
PAGE = f"/v26.0/{LE_PETIT_CAFE.id}"
POST = f"{LE_PETIT_CAFE.id}_122104862915374"
HELLO = Message(post_id="p1", text="We open again on Monday.")
DAY = timedelta(hours=24)

TOKEN = {"reason": AccessReason.TOKEN}
PERMISSION = {"reason": AccessReason.PERMISSION}
POLICY = {"reason": AccessReason.POLICY}

# The outcome of a text post that is answered so, and what it has to say.
READINGS: Mapping[str, tuple[type[Outcome], Mapping[str, Any]]] = {
    "created": (Delivered, {"remote_id": POST, "slow_until": None}),
    "created_bare": (Delivered, {"url": f"https://www.facebook.com/{POST}"}),
    "created_unnamed": (Unconfirmed, {}),
    "created_near_limit": (Delivered, {"slow_until": NOW + timedelta(minutes=5)}),
    "unknown_error": (Unconfirmed, {"presumed_sent": False}),
    "service_unavailable": (Unconfirmed, {}),
    "service_unavailable_as_400": (Unconfirmed, {}),
    "gateway_html": (Unconfirmed, {}),
    "interstitial_html": (Unconfirmed, {}),
    "trace_like_code": (Unconfirmed, {}),
    "app_limit": (Throttled, {"human": False, "until": None}),
    "user_limit": (Throttled, {}),
    "page_limit": (Throttled, {}),
    "post_limit": (Throttled, {}),
    "custom_limit": (Throttled, {}),
    "erratic_limit": (Throttled, {}),
    "business_limit": (Throttled, {"until": NOW + timedelta(minutes=7), "human": False}),
    "business_limit_unhinted": (Throttled, {"until": None}),
    "instagram_limit": (Throttled, {}),
    "too_fast": (Throttled, {"human": False}),
    "policy_block": (Throttled, {"until": NOW + DAY, "human": True}),
    "account_limited": (Throttled, {"until": NOW + DAY, "human": True}),
    "token_invalid": (AccessLost, TOKEN),
    "session_invalid": (AccessLost, TOKEN),
    "app_removed": (AccessLost, TOKEN),
    "checkpoint": (AccessLost, TOKEN),
    "password_changed": (AccessLost, TOKEN),
    "token_expired": (AccessLost, TOKEN),
    "account_unconfirmed": (AccessLost, TOKEN),
    "token_invalidated": (AccessLost, TOKEN),
    "role_lost": (AccessLost, {"reason": AccessReason.ROLE}),
    "permission_missing": (AccessLost, PERMISSION),
    "permission_publish": (AccessLost, PERMISSION),
    "permission_other": (AccessLost, PERMISSION),
    "capability_missing": (AccessLost, PERMISSION),
    "security_check": (AccessLost, POLICY),
    "publishing_authorisation": (AccessLost, POLICY),
    "identity_check": (AccessLost, POLICY),
    "path_unknown": (AccessLost, {"reason": AccessReason.MISCONFIGURED}),
    "object_unknown": (Gone, {}),
    "alias_unknown": (Gone, {}),
    "parameter_invalid": (Rejected, {"problem.code": "refused"}),
    "link_blocked": (Rejected, {"problem.code": "link-refused", "problem.field": "link"}),
    "link_blocked_as_subcode": (Rejected, {"problem.code": "link-refused"}),
    "link_invalid": (Rejected, {"problem.code": "link-refused"}),
    "link_refused": (Rejected, {"problem.code": "link-refused"}),
    "picture_too_large": (Rejected, {"problem.code": "image-refused", "problem.field": "media"}),
    "picture_too_large_as_subcode": (Rejected, {"problem.code": "image-refused"}),
    "media_refused": (Rejected, {"problem.code": "image-refused"}),
    "media_unreadable": (Rejected, {"problem.code": "image-refused"}),
    "flagged": (Rejected, {"problem.code": "content-flagged"}),
    "flagged_otherwise": (Rejected, {"problem.code": "content-flagged"}),
}


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    async with Replay() as server:
        yield server


@pytest.fixture
def facebook(http: HttpClient) -> FacebookAdapter:
    return FacebookAdapter(Tools(http=http, now=lambda: NOW))


@pytest.fixture
def page(replay: Replay) -> Account[Any]:
    settings = FacebookSettings(
        page_id=LE_PETIT_CAFE.id,
        access_token="page-token",
        app_id="482915370264118",
        app_secret=APP_SECRET,
        base_url=replay.url,
    )
    return Account(id="a", name="Le Petit Café", settings=settings)


@pytest.mark.parametrize("name", READINGS)
async def test_a_post_that_is_answered_so(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any], name: str
) -> None:
    replay.on("POST", f"{PAGE}/feed", REPLIES[name])
    outcome = await facebook.send(HELLO, page, key="k")
    assert_read(outcome, REPLIES[name], *READINGS[name])
    assert len(replay.asked) == 1


@pytest.mark.parametrize("name", ["duplicate", "photo_repeated"])
async def test_a_repeat_is_looked_for(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any], name: str
) -> None:
    replay.on("POST", f"{PAGE}/feed", REPLIES[name])
    replay.on("GET", f"{PAGE}/published_posts", REPLIES["listing"])
    outcome = await facebook.send(HELLO, page, key="k")
    assert isinstance(outcome, Delivered)
    assert outcome.remote_id == f"{LE_PETIT_CAFE.id}_2"
    other = await facebook.send(replace(HELLO, text="Quite another text"), page, key="k")
    assert isinstance(other, Rejected)
    assert other.problem.code == "duplicate"
    replay.on("GET", f"{PAGE}/published_posts", REPLIES["service_unavailable"])
    assert isinstance(await facebook.send(HELLO, page, key="k"), Unconfirmed)


def test_every_documented_reply_is_read_by_a_test() -> None:
    read_elsewhere = {
        "duplicate", "photo_repeated", "photo_created", "photo_uploaded", "video_created",
        "deleted", "page_published", "page_unpublished", "page_closed", "listing",
        "token_state_valid", "token_state_expiring", "token_state_unscoped",
        "token_state_other_pages", "token_state_dead", "token_state_user",
        "login_token_short", "login_token_long", "login_pages", "login_code_expired",
        "login_code_elsewhere", "login_secret_wrong",
    }  # fmt: skip
    assert set(REPLIES) == set(READINGS) | read_elsewhere
    assert all(reply.source and reply.date for reply in REPLIES.values())


async def test_a_photo_is_known_by_the_post_that_shows_it(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any]
) -> None:
    replay.on("POST", f"{PAGE}/photos", REPLIES["photo_created"])
    photo = Media(id="m", content_type="image/png", url="https://cafe.example/a.png", alt="Menu")
    outcome = await facebook.send(replace(HELLO, media=(photo,)), page, key="k")
    assert isinstance(outcome, Delivered)
    assert outcome.remote_id == POST
    (asked,) = replay.asked
    assert b"alt_text_custom=Menu" in asked.body


async def test_an_album_asks_for_each_picture_then_for_the_post(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any], tmp_path: Path
) -> None:
    replay.on("POST", f"{PAGE}/photos", REPLIES["photo_uploaded"])
    replay.on("POST", f"{PAGE}/feed", REPLIES["created"])
    file = tmp_path / "a.jpg"
    file.write_bytes(b"\xff\xd8 the bytes")
    media = (
        Media(id="1", content_type="image/jpeg", path=file),
        Media(id="2", content_type="image/jpeg", url="https://cafe.example/b.jpg"),
    )
    assert isinstance(await facebook.send(replace(HELLO, media=media), page, key="k"), Delivered)
    *uploads, feed = replay.asked
    assert all(b"published" in upload.body for upload in uploads)
    assert any(b"\xff\xd8 the bytes" in upload.body for upload in uploads)
    sent = parse_qs(feed.body.decode(), strict_parsing=True)
    assert json.loads(*sent["attached_media"]) == [{"media_fbid": "122104862915001"}] * 2
    assert sent["message"] == [HELLO.text]


async def test_a_form_says_any_letters(
    facebook: FacebookAdapter, page: Account[Any], replay: Replay
) -> None:
    replay.on("POST", f"{PAGE}/feed", REPLIES["created"])
    text = "50 % off & more; a+b=c, « Réouvert » 🎈\n\tcafé.example/?x=1#y %C3%A9 \x01"
    await facebook.send(replace(HELLO, text=text), page, key="k")
    assert parse_qs(replay.asked[0].body.decode(), strict_parsing=True)["message"] == [text]


@pytest.mark.parametrize("name", ["service_unavailable", "gateway_html"])
async def test_an_upload_in_doubt_publishes_nothing(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any], name: str
) -> None:
    replay.on("POST", f"{PAGE}/photos", REPLIES[name])
    photo = Media(id="m", content_type="image/png", url="https://cafe.example/a.png")
    outcome = await facebook.send(replace(HELLO, media=(photo, photo)), page, key="k")
    assert isinstance(outcome, Unavailable)
    assert not any(asked.path.startswith(f"{PAGE}/feed") for asked in replay.asked)


async def test_a_video_is_accepted(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any]
) -> None:
    replay.on("POST", f"{PAGE}/videos", REPLIES["video_created"])
    video = Media(id="v", content_type="video/mp4", url="https://cafe.example/a.mp4")
    outcome = await facebook.send(replace(HELLO, media=(video,)), page, key="k")
    assert isinstance(outcome, Accepted)
    assert outcome.remote_id == "122104862915002"


async def test_the_page_is_not_gone_when_only_the_post_is(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any]
) -> None:
    for method, path in (("POST", f"/v26.0/{POST}"), ("DELETE", f"/v26.0/{POST}")):
        replay.on(method, path, REPLIES["object_unknown"])
    comment = replace(HELLO, part=Part.FIRST_COMMENT, reply_to=POST)
    outcomes = [
        await facebook.send(comment, page, key="k"),
        await facebook.edit(HELLO, page, remote_id=POST),
        await facebook.withdraw(POST, page),
    ]
    for outcome in outcomes:
        assert isinstance(outcome, Rejected)
        assert outcome.problem.code == "post-missing"


async def test_edit_and_withdraw_are_confirmed(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any]
) -> None:
    for method in ("POST", "DELETE"):
        replay.on(method, f"/v26.0/{POST}", REPLIES["deleted"])
    assert isinstance(await facebook.edit(HELLO, page, remote_id=POST), Delivered)
    assert isinstance(await facebook.withdraw(POST, page), Delivered)


async def test_the_call_is_signed_and_the_token_is_not_in_the_address(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any]
) -> None:
    replay.on("POST", f"{PAGE}/feed", REPLIES["created"])
    await facebook.send(HELLO, page, key="k")
    (asked,) = replay.asked
    assert asked.headers["Authorization"] == "Bearer page-token"
    assert asked.path == f"{PAGE}/feed?fields=id,permalink_url"
    # HMAC-SHA256 of "page-token" with the practice app's secret, computed with OpenSSL.
    assert (
        b"appsecret_proof=ea8dc761c0f9156071a5bbbd6c282c65a4e36b988de06352e4268283cfdf8c45"
        in asked.body
    )


@pytest.mark.parametrize("status", [400, 500, 200])
async def test_a_refusal_that_quotes_the_token_is_redacted(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any], status: int
) -> None:
    documented = REPLIES["token_invalid"]
    words = {"message": f"Cannot parse page-token, secret {APP_SECRET}"}
    body = {"error": {**documented.body["error"], **words}}
    replay.on("POST", f"{PAGE}/feed", replace(documented, status=status, body=body))
    outcome = await facebook.send(HELLO, page, key="k")
    assert isinstance(outcome, AccessLost)
    assert "page-token" not in repr(outcome)
    assert APP_SECRET not in repr(outcome)


@pytest.mark.parametrize(
    ("page_reply", "token_reply", "expected"),
    [
        ("page_published", "token_state_valid", Health(status=HealthStatus.HEALTHY)),
        (
            "page_published",
            "token_state_expiring",
            Health(status=HealthStatus.HEALTHY, expires_at=datetime.fromtimestamp(1795000000, UTC)),
        ),
        (
            "page_published",
            "token_state_unscoped",
            Health(status=HealthStatus.ACCESS_LOST, reason=AccessReason.PERMISSION),
        ),
        ("page_published", "service_unavailable", Health(status=HealthStatus.HEALTHY)),
        ("page_closed", "token_state_valid", Health(status=HealthStatus.DEGRADED)),
        ("page_unpublished", "token_state_valid", Health(status=HealthStatus.VANISHED)),
        ("object_unknown", "token_state_valid", Health(status=HealthStatus.VANISHED)),
        ("alias_unknown", "token_state_valid", Health(status=HealthStatus.VANISHED)),
        (
            "object_unknown",
            "token_state_dead",
            Health(status=HealthStatus.ACCESS_LOST, reason=AccessReason.TOKEN),
        ),
        (
            "object_unknown",
            "token_state_unscoped",
            Health(status=HealthStatus.ACCESS_LOST, reason=AccessReason.PERMISSION),
        ),
        (
            "object_unknown",
            "token_state_other_pages",
            Health(status=HealthStatus.ACCESS_LOST, reason=AccessReason.ROLE),
        ),
        ("object_unknown", "service_unavailable", Health(status=HealthStatus.PLATFORM_DOWN)),
        ("object_unknown", "gateway_html", Health(status=HealthStatus.PLATFORM_DOWN)),
        (
            "object_unknown",
            "parameter_invalid",
            Health(status=HealthStatus.ACCESS_LOST, reason=AccessReason.PERMISSION),
        ),
        (
            "token_expired",
            "token_state_dead",
            Health(status=HealthStatus.ACCESS_LOST, reason=AccessReason.TOKEN),
        ),
        (
            "role_lost",
            "token_state_dead",
            Health(status=HealthStatus.ACCESS_LOST, reason=AccessReason.ROLE),
        ),
        (
            "permission_missing",
            "token_state_valid",
            Health(status=HealthStatus.ACCESS_LOST, reason=AccessReason.PERMISSION),
        ),
        (
            "parameter_invalid",
            "token_state_valid",
            Health(status=HealthStatus.ACCESS_LOST, reason=AccessReason.MISCONFIGURED),
        ),
        ("business_limit", "token_state_valid", Health(status=HealthStatus.THROTTLED)),
        ("service_unavailable", "token_state_valid", Health(status=HealthStatus.PLATFORM_DOWN)),
        ("gateway_html", "token_state_valid", Health(status=HealthStatus.PLATFORM_DOWN)),
    ],
)
async def test_probe_tells_the_failures_apart(
    replay: Replay,
    facebook: FacebookAdapter,
    page: Account[Any],
    page_reply: str,
    token_reply: str,
    expected: Health,
) -> None:
    replay.on("GET", PAGE, REPLIES[page_reply])
    replay.on("GET", "/v26.0/debug_token", REPLIES[token_reply])
    health = await facebook.probe(page)
    assert (health.status, health.reason) == (expected.status, expected.reason)
    assert health.expires_at == expected.expires_at
    if health.status is not HealthStatus.HEALTHY:
        assert health.detail


async def test_the_listing_is_read_back_to_before_the_attempt(
    replay: Replay, facebook: FacebookAdapter, page: Account[Any]
) -> None:
    replay.on("GET", f"{PAGE}/published_posts", REPLIES["listing"])
    since = NOW - timedelta(minutes=1)
    found = await facebook.find(HELLO, page, key="k", since=since)
    assert isinstance(found, Delivered)
    assert found.url == f"https://www.facebook.com/{LE_PETIT_CAFE.id}/posts/2"
    other = replace(HELLO, text="Quite another text")
    assert await facebook.find(other, page, key="k", since=since) is Finding.ABSENT
    same_link = replace(other, link="https://cafe.example/")
    assert await facebook.find(same_link, page, key="k", since=since) is Finding.UNKNOWN
    for name in ("service_unavailable", "object_unknown", "token_expired", "deleted"):
        replay.on("GET", f"{PAGE}/published_posts", REPLIES[name])
        assert await facebook.find(HELLO, page, key="k", since=since) is Finding.UNKNOWN


@pytest.fixture
def app(replay: Replay) -> GraphApp:
    return GraphApp(app_id="482915370264118", app_secret=APP_SECRET, base_url=replay.url, live=True)


async def test_a_login_ends_in_pages(
    replay: Replay, facebook: FacebookAdapter, app: GraphApp
) -> None:
    assert REPLIES["login_token_short"].body.keys() == REPLIES["login_token_long"].body.keys()
    replay.on("GET", "/v26.0/oauth/access_token", REPLIES["login_token_long"])
    replay.on("GET", "/v26.0/debug_token", REPLIES["token_state_user"])
    replay.on("GET", "/v26.0/me/accounts", REPLIES["login_pages"])
    candidates = await facebook.exchange(app, code="c0de", redirect_uri="https://us.example/")
    assert isinstance(candidates, list)
    ours, theirs = candidates
    assert (ours.remote_id, ours.problem) == (LE_PETIT_CAFE.id, None)
    assert FacebookSettings(**ours.settings).access_token.get_secret_value() == "EAAPageToken"
    assert theirs.problem is not None
    asked = [
        (item.path.split("?")[0], parse_qs(urlsplit(item.path).query)) for item in replay.asked
    ]
    assert [path for path, _ in asked] == [
        "/v26.0/oauth/access_token",
        "/v26.0/oauth/access_token",
        "/v26.0/debug_token",
        "/v26.0/me/accounts",
    ]
    assert asked[0][1]["code"] == ["c0de"]
    assert asked[1][1]["grant_type"] == ["fb_exchange_token"]
    assert asked[3][1]["access_token"] == ["EAALongLivedUserToken"]


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("login_code_expired", AccessLost, AccessReason.TOKEN),
        ("login_code_elsewhere", AccessLost, AccessReason.TOKEN),
        ("login_secret_wrong", AccessLost, AccessReason.MISCONFIGURED),
        ("app_limit", Unavailable, None),
        ("service_unavailable", Unavailable, None),
        ("gateway_html", Unavailable, None),
        ("deleted", AccessLost, AccessReason.TOKEN),
    ],
)
async def test_a_login_that_is_answered_so(
    replay: Replay,
    facebook: FacebookAdapter,
    app: GraphApp,
    name: str,
    kind: type[Outcome],
    reason: AccessReason | None,
) -> None:
    replay.on("GET", "/v26.0/oauth/access_token", REPLIES[name])
    ended = await facebook.exchange(app, code="c0de", redirect_uri="https://us.example/")
    assert type(ended) is kind
    if isinstance(ended, AccessLost):
        assert ended.reason is reason
    assert len(replay.asked) == 1


async def test_the_practice_login_answers_as_documented(
    platform: FacebookSandbox, account: Account[Any], http: HttpClient
) -> None:
    root = f"{account.settings.base_url}/v26.0"
    client = {"client_id": account.settings.app_id, "client_secret": APP_SECRET}
    cases = {
        "login_code_expired": {**client, "code": "used", "redirect_uri": "https://us.example/"},
        "login_secret_wrong": {**client, "client_secret": "guessed", "code": "c"},
    }
    for name, query in cases.items():
        reply = await http.request("GET", f"{root}/oauth/access_token", params=query)
        documented = REPLIES[name]
        assert reply.status == documented.status
        assert essence(reply.json()["error"])["code"] == documented.body["error"]["code"]


# --- the practice platform, by the same replies --------------------------------------------------

FAULTS = {
    FaultName.PAGE_GONE: "object_unknown",
    FaultName.TOKEN_DEAD: "token_expired",
    FaultName.ROLE_LOST: "role_lost",
    FaultName.PERMISSION_LOST: "permission_publish",
    FaultName.THROTTLED: "business_limit",
    FaultName.REJECTED: "parameter_invalid",
    FaultName.SERVER_ERROR: "service_unavailable",
}


async def publish(http: HttpClient, account: Account[Any], **form: str) -> tuple[int, Any]:
    settings = account.settings
    bearer = {"Authorization": f"Bearer {settings.access_token.get_secret_value()}"}
    url = f"{settings.base_url}/v26.0/{settings.page_id}/feed"
    reply = await http.request("POST", url, headers=bearer, form=form)
    return reply.status, reply.json()


def essence(error: Mapping[str, Any]) -> dict[str, Any]:
    return {name: error.get(name) for name in ("type", "code", "error_subcode")}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_looks_like_the_documented_refusal(
    platform: FacebookSandbox, account: Account[Any], http: HttpClient, fault: FaultName
) -> None:
    platform.faults.add(Fault(fault, seconds=420))
    status, body = await publish(http, account, message="Hello")
    documented = REPLIES[FAULTS[fault]]
    assert status == documented.status
    assert essence(body["error"]) == essence(documented.body["error"])
    assert set(documented.body["error"]) <= set(body["error"])


async def test_a_throttle_carries_the_documented_header(
    platform: FacebookSandbox, account: Account[Any], http: HttpClient
) -> None:
    platform.faults.add(Fault(FaultName.THROTTLED, seconds=420))
    settings = account.settings
    bearer = {"Authorization": f"Bearer {settings.access_token.get_secret_value()}"}
    url = f"{settings.base_url}/v26.0/{settings.page_id}"
    reply = await http.request("GET", url, headers=bearer)
    header = "X-Business-Use-Case-Usage"
    ours = json.loads(reply.headers[header])[settings.page_id][0]
    documented = json.loads(REPLIES["business_limit"].headers[header])[settings.page_id][0]
    assert ours.keys() == documented.keys()
    assert ours["estimated_time_to_regain_access"] == 7


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({"message": "Twice"}, "duplicate"),
        ({"message": "Hello", "link": "not a link"}, "link_invalid"),
        ({"message": "Hello", "colour": "red"}, "parameter_invalid"),
        ({"message": "x" * 63_207}, "parameter_invalid"),
        ({"message": "Hello", "attached_media": "[1"}, "parameter_invalid"),
        ({"message": "Hello", "attached_media": '[{"media_fbid": "7"}]'}, "parameter_invalid"),
        ({"message": "Hello", "appsecret_proof": "0" * 64}, "parameter_invalid"),
    ],
)
async def test_a_wrong_request_is_refused_as_documented(
    platform: FacebookSandbox,
    account: Account[Any],
    http: HttpClient,
    form: Mapping[str, str],
    name: str,
) -> None:
    assert (await publish(http, account, message="Twice"))[0] == 200
    status, body = await publish(http, account, **form)
    documented = REPLIES[name]
    assert (status, body["error"]["code"]) == (
        documented.status,
        documented.body["error"]["code"],
    )
    assert len(platform.ledger.entries("facebook")) == 1


@pytest.mark.parametrize(
    ("path", "token", "code"),
    [
        ("v99.0/104862915374021/feed", LE_PETIT_CAFE.token, 2500),
        ("104862915374021/feed", LE_PETIT_CAFE.token, 2500),
        ("v26.0/104862915374021/wall", LE_PETIT_CAFE.token, 2500),
        ("v26.0/999999999999999/feed", LE_PETIT_CAFE.token, 100),
        ("v26.0/104862915374021/feed", "guessed", 190),
        ("v26.0/104862915374021/feed", "", 104),
    ],
)
async def test_a_wrong_address_or_token_is_refused(
    account: Account[Any], http: HttpClient, path: str, token: str, code: int
) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{account.settings.base_url}/{path}"
    reply = await http.request("POST", url, headers=headers, form={"message": "Hello"})
    assert reply.status in {400, 401}
    assert reply.json()["error"]["code"] == code
    assert reply.json()["error"]["fbtrace_id"]


async def test_the_practice_answers_have_the_documented_fields(
    account: Account[Any], http: HttpClient
) -> None:
    settings = account.settings
    bearer = {"Authorization": f"Bearer {settings.access_token.get_secret_value()}"}
    root = f"{settings.base_url}/v26.0"
    fields = ",".join(REPLIES["page_published"].body)
    shown = await http.request("GET", f"{root}/{settings.page_id}?fields={fields}", headers=bearer)
    assert shown.json().keys() == REPLIES["page_published"].body.keys()
    app_token = f"{settings.app_id}|{APP_SECRET}"
    query = {"input_token": LE_PETIT_CAFE.token, "access_token": app_token}
    state = await http.request("GET", f"{root}/debug_token", params=query)
    assert state.json()["data"].keys() == REPLIES["token_state_valid"].body["data"].keys()
