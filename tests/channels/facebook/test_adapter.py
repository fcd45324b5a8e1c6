"""The adapter against the practice Facebook, over real HTTP."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from channels.abilities import Edits, HasPage, Withdraws
from channels.base import Account, Publishes
from channels.facebook.adapter import FacebookAdapter, FacebookSettings
from channels.facebook.sandbox import FacebookSandbox
from channels.http import HttpClient
from channels.outcome import (
    Accepted,
    AccessLost,
    AccessReason,
    Delivered,
    Finding,
    Gone,
    HealthStatus,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Media, Message, Part, Post
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.ledger import Entry

HELLO = Message(post_id="p1", text="We open again on Monday.")


def posts(platform: FacebookSandbox) -> list[Entry]:
    return platform.ledger.entries("facebook", kind="post")


def picture(folder: Path, name: str = "terrace.jpg", alt: str = "The terrace") -> Media:
    content = io.BytesIO()
    Image.new("RGB", (40, 30), "orange").save(content, "JPEG")
    path = folder / name
    path.write_bytes(content.getvalue())
    return Media(id=name, content_type="image/jpeg", alt=alt, path=path)


def a_minute_ago() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


def test_declares_what_it_can_do(adapter: FacebookAdapter) -> None:
    assert isinstance(adapter, Publishes)
    assert isinstance(adapter, Edits)
    assert isinstance(adapter, Withdraws)


async def test_text_is_one_request_and_names_its_address(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox, http: HttpClient
) -> None:
    outcome = await adapter.send(HELLO, account, key="k1")
    assert isinstance(outcome, Delivered)
    (post,) = posts(platform)
    assert (post.remote_id, post.text) == (outcome.remote_id, HELLO.text)
    assert sum(platform.calls.values()) == 1
    assert outcome.url is not None
    page = await http.request("GET", outcome.url)
    assert page.status == 200
    assert HELLO.text in page.text


async def test_link_goes_into_the_preview_card(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    message = replace(HELLO, link="https://cafe.example/reopening")
    assert isinstance(await adapter.send(message, account, key="k"), Delivered)
    assert posts(platform)[0].payload["link"] == "https://cafe.example/reopening"


async def test_one_picture_from_disk_with_its_description(
    adapter: FacebookAdapter,
    account: Account[Any],
    platform: FacebookSandbox,
    http: HttpClient,
    tmp_path: Path,
) -> None:
    message = replace(HELLO, media=(picture(tmp_path),))
    outcome = await adapter.send(message, account, key="k")
    assert isinstance(outcome, Delivered)
    (post,) = posts(platform)
    assert post.remote_id == outcome.remote_id
    assert [photo["alt"] for photo in post.payload["photos"]] == ["The terrace"]
    assert outcome.url is not None
    page = await http.request("GET", outcome.url, follow=True)
    assert page.status == 200
    shown = f"{account.settings.www_url}/pictures/{post.payload['photos'][0]['id']}"
    assert shown in page.text
    assert (await http.request("GET", shown)).headers["Content-Type"] == "image/jpeg"


async def test_one_picture_by_address(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    remote = Media(id="m", content_type="image/png", url="https://cafe.example/menu.png")
    outcome = await adapter.send(replace(HELLO, media=(remote,)), account, key="k")
    assert isinstance(outcome, Delivered)
    assert posts(platform)[0].payload["photos"][0]["url"] == "https://cafe.example/menu.png"


async def test_several_pictures_are_one_post_in_order(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox, tmp_path: Path
) -> None:
    media = tuple(picture(tmp_path, f"{name}.jpg", name) for name in ("a", "b", "c"))
    outcome = await adapter.send(replace(HELLO, media=media), account, key="k")
    assert isinstance(outcome, Delivered)
    (post,) = posts(platform)
    assert [photo["alt"] for photo in post.payload["photos"]] == ["a", "b", "c"]
    assert platform.ledger.entries("facebook", kind="photo") == []


async def test_a_picture_that_fails_stops_the_post(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    media = (picture(tmp_path), Media(id="x", content_type="image/jpeg", path=broken))
    outcome = await adapter.send(replace(HELLO, media=media), account, key="k")
    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "image-refused"
    assert posts(platform) == []


async def test_an_upload_without_answer_stops_the_post_and_nothing_is_in_doubt(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox, tmp_path: Path
) -> None:
    platform.faults.add(Fault(FaultName.ANSWER_LOST, times=1))
    media = (picture(tmp_path, "a.jpg"), picture(tmp_path, "b.jpg"))
    outcome = await adapter.send(replace(HELLO, media=media), account, key="k")
    assert isinstance(outcome, Unavailable)
    assert posts(platform) == []


@pytest.mark.parametrize("count", [1, 2])
async def test_a_picture_whose_file_is_gone_stops_the_post(
    adapter: FacebookAdapter,
    account: Account[Any],
    platform: FacebookSandbox,
    tmp_path: Path,
    count: int,
) -> None:
    missing = Media(id="x", content_type="image/jpeg", path=tmp_path / "gone.jpg")
    media = (missing,) if count == 1 else (picture(tmp_path), missing)
    outcome = await adapter.send(replace(HELLO, media=media), account, key="k")
    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "media-missing"
    assert posts(platform) == []


async def test_a_video_is_accepted_and_never_proven_absent_while_it_is_processed(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    platform.processing_seconds = 3600
    video = Media(id="v", content_type="video/mp4", url="https://cafe.example/tour.mp4")
    message = replace(HELLO, title="A tour", media=(video,))
    outcome = await adapter.send(message, account, key="k")
    assert isinstance(outcome, Accepted)
    found = await adapter.find(message, account, key="k", since=a_minute_ago())
    assert found is Finding.UNKNOWN
    (post,) = posts(platform)
    platform.ledger.update(
        "facebook", post.remote_id, text=post.text, payload={**post.payload, "ready_at": 0}
    )
    found = await adapter.find(message, account, key="k", since=a_minute_ago())
    assert isinstance(found, Delivered)
    assert found.remote_id == post.remote_id


async def test_first_comment_belongs_to_its_post(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    post = await adapter.send(HELLO, account, key="k")
    assert isinstance(post, Delivered)
    comment = Message(
        post_id="p1", text="Book here", part=Part.FIRST_COMMENT, reply_to=post.remote_id
    )
    missing = await adapter.find(comment, account, key="c", since=a_minute_ago())
    assert missing is Finding.ABSENT
    outcome = await adapter.send(comment, account, key="c")
    assert isinstance(outcome, Delivered)
    (entry,) = platform.ledger.entries("facebook", kind="comment")
    assert (entry.remote_id, entry.text) == (outcome.remote_id, "Book here")
    found = await adapter.find(comment, account, key="c", since=a_minute_ago())
    assert isinstance(found, Delivered)
    assert found.remote_id == outcome.remote_id
    assert len(posts(platform)) == 1


async def test_a_comment_on_a_deleted_post_does_not_make_the_page_gone(
    adapter: FacebookAdapter, account: Account[Any]
) -> None:
    post = await adapter.send(HELLO, account, key="k")
    assert isinstance(post, Delivered)
    assert isinstance(await adapter.withdraw(post.remote_id, account), Delivered)
    comment = Message(
        post_id="p1", text="Book here", part=Part.FIRST_COMMENT, reply_to=post.remote_id
    )
    outcome = await adapter.send(comment, account, key="c")
    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "post-missing"


async def test_edit_and_withdraw(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox, http: HttpClient
) -> None:
    sent = await adapter.send(HELLO, account, key="k")
    assert isinstance(sent, Delivered)
    corrected = replace(HELLO, text="We open again on Tuesday.")
    edited = await adapter.edit(corrected, account, remote_id=sent.remote_id)
    assert isinstance(edited, Delivered)
    assert posts(platform)[0].text == "We open again on Tuesday."
    assert isinstance(await adapter.withdraw(sent.remote_id, account), Delivered)
    assert posts(platform) == []
    again = await adapter.withdraw(sent.remote_id, account)
    assert isinstance(again, Rejected)
    assert again.problem.code == "post-missing"
    assert sent.url is not None
    assert (await http.request("GET", sent.url)).status == 404


@pytest.mark.parametrize("fault", [FaultName.ANSWER_LOST, FaultName.MALFORMED])
async def test_a_lost_answer_is_in_doubt_and_then_found(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox, fault: FaultName
) -> None:
    platform.faults.add(Fault(fault, times=1))
    outcome = await adapter.send(HELLO, account, key="k")
    assert isinstance(outcome, Unconfirmed)
    (post,) = posts(platform)
    found = await adapter.find(HELLO, account, key="k", since=a_minute_ago())
    assert isinstance(found, Delivered)
    assert found.remote_id == post.remote_id


async def test_a_server_error_is_in_doubt_and_then_proven_absent(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    platform.faults.add(Fault(FaultName.SERVER_ERROR, times=1))
    assert isinstance(await adapter.send(HELLO, account, key="k"), Unconfirmed)
    assert posts(platform) == []
    found = await adapter.find(HELLO, account, key="k", since=a_minute_ago())
    assert found is Finding.ABSENT


async def test_a_refused_connection_is_certain(
    adapter: FacebookAdapter, account: Account[Any]
) -> None:
    settings = account.settings.model_copy(update={"base_url": "http://127.0.0.1:1"})
    elsewhere = replace(account, settings=settings)
    assert isinstance(await adapter.send(HELLO, elsewhere, key="k"), Unavailable)
    assert (await adapter.probe(elsewhere)).status is HealthStatus.PLATFORM_DOWN
    found = await adapter.find(HELLO, elsewhere, key="k", since=a_minute_ago())
    assert found is Finding.UNKNOWN


async def test_throttle_names_the_time(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    platform.faults.add(Fault(FaultName.THROTTLED, seconds=600))
    before = datetime.now(UTC)
    outcome = await adapter.send(HELLO, account, key="k")
    assert isinstance(outcome, Throttled)
    assert outcome.until is not None
    assert before + timedelta(minutes=10) <= outcome.until
    assert outcome.until <= datetime.now(UTC) + timedelta(minutes=10)
    assert not outcome.human
    assert posts(platform) == []


async def test_slows_down_before_the_limit_is_hit(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    first = await adapter.send(HELLO, account, key="k")
    assert isinstance(first, Delivered)
    assert first.slow_until is None
    platform.calls[account.settings.page_id] = 4800 * 50 * 80 // 100
    second = await adapter.send(replace(HELLO, text="Second"), account, key="k2")
    assert isinstance(second, Delivered)
    assert second.slow_until is not None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (FaultName.TOKEN_DEAD, AccessReason.TOKEN),
        (FaultName.ROLE_LOST, AccessReason.ROLE),
        (FaultName.PERMISSION_LOST, AccessReason.PERMISSION),
    ],
)
async def test_lost_access_names_its_reason_on_send_and_probe(
    adapter: FacebookAdapter,
    account: Account[Any],
    platform: FacebookSandbox,
    fault: FaultName,
    reason: AccessReason,
) -> None:
    platform.faults.add(Fault(fault))
    outcome = await adapter.send(HELLO, account, key="k")
    assert isinstance(outcome, AccessLost)
    assert outcome.reason is reason
    assert outcome.remedy
    health = await adapter.probe(account)
    assert (health.status, health.reason) == (HealthStatus.ACCESS_LOST, reason)
    assert posts(platform) == []


async def test_a_vanished_page(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox, http: HttpClient
) -> None:
    platform.faults.add(Fault(FaultName.PAGE_GONE))
    assert isinstance(await adapter.send(HELLO, account, key="k"), Gone)
    health = await adapter.probe(account)
    assert health.status is HealthStatus.VANISHED
    found = await adapter.find(HELLO, account, key="k", since=a_minute_ago())
    assert found is Finding.UNKNOWN
    public = f"{account.settings.www_url}/{account.settings.page_id}"
    assert (await http.request("GET", public)).status == 404
    platform.faults.clear()
    assert (await adapter.probe(account)).status is HealthStatus.HEALTHY
    assert (await http.request("GET", public)).status == 200


async def test_without_app_secret_a_vanished_page_is_told_by_the_token_itself(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    settings = account.settings.model_copy(update={"app_secret": None})
    unsigned = replace(account, settings=settings)
    assert isinstance(await adapter.send(HELLO, unsigned, key="k"), Delivered)
    platform.faults.add(Fault(FaultName.PAGE_GONE))
    assert (await adapter.probe(unsigned)).status is HealthStatus.VANISHED


async def test_an_unpublished_page_is_vanished_for_its_readers(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    platform.faults.add(Fault(FaultName.UNPUBLISHED))
    assert (await adapter.probe(account)).status is HealthStatus.VANISHED


async def test_a_page_that_only_phones_see(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox, http: HttpClient
) -> None:
    platform.faults.add(Fault(FaultName.PHONE_ONLY))
    assert isinstance(adapter, HasPage)
    public = adapter.public_url(account)
    assert public is not None
    phone = {"User-Agent": "Mozilla/5.0 (Linux; Android 15) Mobile Safari/537.36"}
    assert (await http.request("GET", public)).status == 404
    assert (await http.request("GET", public, headers=phone)).status == 200
    assert isinstance(await adapter.send(HELLO, account, key="k"), Delivered)
    assert (await adapter.probe(account)).status is HealthStatus.HEALTHY


async def test_the_same_text_twice_running_is_the_first_one(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    first = await adapter.send(HELLO, account, key="k")
    second = await adapter.send(HELLO, account, key="k")
    assert isinstance(first, Delivered)
    assert isinstance(second, Delivered)
    assert second.remote_id == first.remote_id
    assert len(posts(platform)) == 1


async def test_something_that_resembles_it_is_left_to_a_person(
    adapter: FacebookAdapter, account: Account[Any]
) -> None:
    link = "https://cafe.example/reopening"
    theirs = replace(HELLO, text="Somebody else's words", link=link)
    assert isinstance(await adapter.send(theirs, account, key="k"), Delivered)
    ours = replace(HELLO, link=link)
    found = await adapter.find(ours, account, key="k2", since=a_minute_ago())
    assert found is Finding.UNKNOWN


async def test_what_is_older_than_the_window_is_not_taken_for_ours(
    adapter: FacebookAdapter, account: Account[Any]
) -> None:
    assert isinstance(await adapter.send(HELLO, account, key="k"), Delivered)
    later = datetime.now(UTC) + timedelta(minutes=10)
    assert await adapter.find(HELLO, account, key="k", since=later) is Finding.ABSENT


@pytest.mark.parametrize(("minutes", "found"), [(1.5, True), (3, False)])
async def test_two_clocks_may_differ_by_two_minutes(
    adapter: FacebookAdapter, account: Account[Any], minutes: float, *, found: bool
) -> None:
    assert isinstance(await adapter.send(HELLO, account, key="k"), Delivered)
    since = datetime.now(UTC) + timedelta(minutes=minutes)
    seen = await adapter.find(HELLO, account, key="k", since=since)
    assert isinstance(seen, Delivered) is found


async def test_reading_stops_where_the_listing_is_older_than_the_attempt(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    page = account.settings.page_id
    for number in range(60):
        platform.ledger.write(
            "facebook",
            page,
            kind="post",
            remote_id=f"{page}_{number}",
            text=f"Number {number}",
            payload={"link": "", "photos": []},
        )
    later = datetime.now(UTC) + timedelta(minutes=10)
    assert await adapter.find(HELLO, account, key="k", since=later) is Finding.ABSENT
    assert platform.calls[page] == 1


async def test_looks_through_several_pages_of_the_listing(
    adapter: FacebookAdapter, account: Account[Any], platform: FacebookSandbox
) -> None:
    page = account.settings.page_id
    payload = {"link": "", "photos": []}
    for number in range(60):
        platform.ledger.write(
            "facebook",
            page,
            kind="post",
            remote_id=f"{page}_{number}",
            text=f"Number {number}",
            payload=payload,
        )
    found = await adapter.find(
        replace(HELLO, text="Number 3"), account, key="k", since=a_minute_ago()
    )
    assert isinstance(found, Delivered)
    assert found.remote_id == f"{page}_3"
    assert await adapter.find(HELLO, account, key="k", since=a_minute_ago()) is Finding.ABSENT


async def test_secrets_appear_nowhere(adapter: FacebookAdapter, account: Account[Any]) -> None:
    settings: FacebookSettings = account.settings
    token = settings.access_token.get_secret_value()
    assert token not in repr(account)
    outcomes = [
        await adapter.send(HELLO, account, key="k"),
        await adapter.probe(account),
        await adapter.find(HELLO, account, key="k", since=a_minute_ago()),
        await adapter.send(
            HELLO,
            replace(
                account, settings=settings.model_copy(update={"base_url": "http://127.0.0.1:1"})
            ),
            key="k",
        ),
    ]
    assert not any(token in repr(outcome) for outcome in outcomes)


def test_render_applies_the_variant(adapter: FacebookAdapter, account: Account[Any]) -> None:
    post = Post(id="p", title="Reopening", body="See **you** on Monday.", tags=("petit café",))
    message = adapter.render(post, account)
    assert message.text == "Reopening\n\nSee you on Monday.\n\n#PetitCafé"
    assert list(adapter.check(message, account)) == []
