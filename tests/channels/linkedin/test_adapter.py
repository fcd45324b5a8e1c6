"""The adapter against the practice LinkedIn, over real HTTP."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr

from channels.abilities import Edits, Refreshes, Withdraws
from channels.base import Account, Publishes, Tools
from channels.http import HttpClient
from channels.linkedin.adapter import LISTED, MAX_PAGES, LinkedIn
from channels.linkedin.api import LinkedInSettings
from channels.linkedin.sandbox import ORGANIZATION, TOKEN, LinkedInSandbox
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    Finding,
    HealthStatus,
    Rejected,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Media, Message, Poll, Post
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.ledger import Entry

HELLO = Message(post_id="p1", text="We open again on Monday.")


def posts(platform: LinkedInSandbox) -> list[Entry]:
    return platform.ledger.entries("linkedin", kind="post")


def picture(folder: Path, name: str = "terrace.jpg") -> Media:
    content = io.BytesIO()
    Image.new("RGB", (40, 30), "orange").save(content, "JPEG")
    path = folder / name
    path.write_bytes(content.getvalue())
    return Media(id=name, content_type="image/jpeg", alt="The terrace", path=path)


def with_settings(account: Account[Any], **changes: Any) -> Account[Any]:
    return replace(account, settings=account.settings.model_copy(update=changes))


def a_minute_ago() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


def test_declares_what_it_can_do(adapter: LinkedIn) -> None:
    assert isinstance(adapter, Publishes)
    assert isinstance(adapter, Edits)
    assert isinstance(adapter, Withdraws)
    assert isinstance(adapter, Refreshes)


async def test_reserved_characters_reach_readers_whole(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox, http: HttpClient
) -> None:
    post = Post(id="p", body="Menu (midi) : 12 € _net_ #Rosa, voir rosa.fr/menu_du_jour")
    message = adapter.render(post, account)
    outcome = await adapter.send(message, account, key="k")
    assert isinstance(outcome, Delivered)
    assert outcome.note == ""
    assert outcome.url is not None
    page = await http.request("GET", outcome.url)
    assert page.status == 200
    (entry,) = posts(platform)
    assert entry.text == r"Menu \(midi\) : 12 € net {hashtag|\#|Rosa}, voir rosa.fr/menu\_du\_jour"


async def test_cut_text_is_reported_and_never_sent_again(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox
) -> None:
    platform.cuts_at = 20
    message = replace(HELLO, text="Menu (midi) : 12 € tout compris")
    outcome = await adapter.send(message, account, key="k")
    assert isinstance(outcome, Delivered)
    assert "only the beginning" in outcome.note
    assert outcome.evidence.code == "TEXT_CUT"
    assert len(posts(platform)) == 1


@pytest.mark.parametrize(
    ("choice", "text", "noticed"),
    [
        ("reserved", "Menu: 12 € tout compris", False),
        ("always", "Menu: 12 € tout compris", True),
        ("never", "Menu (midi): 12 € tout compris", False),
    ],
)
async def test_reading_back_is_a_choice(
    choice: str,
    text: str,
    *,
    noticed: bool,
    adapter: LinkedIn,
    account: Account[Any],
    platform: LinkedInSandbox,
) -> None:
    platform.cuts_at = 10
    chosen = with_settings(account, read_back=choice)
    outcome = await adapter.send(replace(HELLO, text=text), chosen, key="k")
    assert isinstance(outcome, Delivered)
    assert bool(outcome.note) is noticed


async def test_pictures_are_uploaded_and_waited_for(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox, tmp_path: Path
) -> None:
    media = (picture(tmp_path, "a.jpg"), picture(tmp_path, "b.jpg"))
    one = replace(HELLO, text="One", media=media[:1])
    assert isinstance(await adapter.send(one, account, key="1"), Delivered)
    two = replace(HELLO, text="Two", media=media)
    assert isinstance(await adapter.send(two, account, key="2"), Delivered)
    first, second = (entry.payload["content"] for entry in posts(platform))
    assert first["media"]["altText"] == "The terrace"
    assert len(second["multiImage"]["images"]) == 2


async def test_article_carries_its_thumbnail(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox, tmp_path: Path
) -> None:
    post = Post(
        id="p", title="Titre", body="Corps", link="https://rosa.fr/p", media=(picture(tmp_path),)
    )
    outcome = await adapter.send(adapter.render(post, account), account, key="k")
    assert isinstance(outcome, Delivered)
    article = posts(platform)[0].payload["content"]["article"]
    assert article["source"] == "https://rosa.fr/p"
    assert article["thumbnail"].startswith("urn:li:image:")


async def test_poll_is_published(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox
) -> None:
    post = Post(id="p", body="Dites !", poll=Poll(question="Quand ?", options=("A", "B")))
    assert isinstance(
        await adapter.send(adapter.render(post, account), account, key="k"), Delivered
    )
    assert posts(platform)[0].payload["content"]["poll"]["question"] == "Quand ?"


async def test_failed_picture_never_becomes_a_post_without_it(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox, tmp_path: Path
) -> None:
    broken = replace(picture(tmp_path), path=tmp_path / "broken.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    missing = replace(broken, path=tmp_path / "missing.jpg")
    for media in (broken, missing, replace(broken, path=None)):
        outcome = await adapter.send(replace(HELLO, media=(media,)), account, key="k")
        assert isinstance(outcome, Rejected)
        assert outcome.problem.field == "media[0]"
    platform.faults.add(Fault(FaultName.SERVER_ERROR))
    fine = replace(HELLO, media=(picture(tmp_path),))
    assert isinstance(await adapter.send(fine, account, key="k"), Unavailable)
    assert posts(platform) == []


async def test_token_goes_to_linkedin_alone(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox, tmp_path: Path
) -> None:
    platform.pictures.host = "localhost"
    outcome = await adapter.send(replace(HELLO, media=(picture(tmp_path),)), account, key="k")
    assert isinstance(outcome, AccessLost)
    assert platform.pictures.authorizations == [None]


async def test_second_send_of_a_lost_answer_is_the_first_post(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox
) -> None:
    platform.faults.add(Fault(FaultName.ANSWER_LOST, times=1))
    assert isinstance(await adapter.send(HELLO, account, key="k"), Unconfirmed)
    found = await adapter.find(HELLO, account, key="k", since=a_minute_ago())
    again = await adapter.send(HELLO, account, key="k")
    assert isinstance(found, Delivered)
    assert isinstance(again, Delivered)
    assert found.remote_id == again.remote_id == posts(platform)[0].remote_id
    assert len(posts(platform)) == 1


async def test_find_reads_on_behind_full_pages_of_newer_posts(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox
) -> None:
    await adapter.send(HELLO, account, key="k")
    _publish_more(platform, 2 * LISTED + 5)
    assert isinstance(await adapter.find(HELLO, account, key="k", since=a_minute_ago()), Delivered)
    sought = replace(HELLO, text="Not there")
    assert await adapter.find(sought, account, key="k", since=a_minute_ago()) is Finding.ABSENT


async def test_find_cannot_tell_behind_more_pages_than_it_reads(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox
) -> None:
    _publish_more(platform, LISTED * MAX_PAGES)
    sought = replace(HELLO, text="Not there")
    assert await adapter.find(sought, account, key="k", since=a_minute_ago()) is Finding.UNKNOWN
    later = datetime.now(UTC) + timedelta(hours=1)
    assert await adapter.find(sought, account, key="k", since=later) is Finding.ABSENT


def _publish_more(platform: LinkedInSandbox, count: int) -> None:
    for number in range(count):
        platform.ledger.write(
            "linkedin", ORGANIZATION, kind="post", remote_id=f"urn:li:share:9{number:06}",
            text=f"Post {number}", payload={"commentary": f"Post {number}"},
        )  # fmt: skip


async def test_words_are_edited_and_the_post_withdrawn(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox
) -> None:
    sent = await adapter.send(HELLO, account, key="k")
    assert isinstance(sent, Delivered)
    new = replace(HELLO, text="On Tuesday (sorry)")
    edited = await adapter.edit(new, account, remote_id=sent.remote_id)
    assert isinstance(edited, Delivered)
    assert posts(platform)[0].text == r"On Tuesday \(sorry\)"
    for _ in range(2):
        assert isinstance(await adapter.withdraw(sent.remote_id, account), Delivered)
    assert posts(platform) == []
    gone = await adapter.edit(new, account, remote_id=sent.remote_id)
    assert isinstance(gone, Rejected)


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (FaultName.PAGE_GONE, HealthStatus.VANISHED, None),
        (FaultName.UNPUBLISHED, HealthStatus.VANISHED, None),
        (FaultName.TOKEN_DEAD, HealthStatus.ACCESS_LOST, AccessReason.TOKEN),
        (FaultName.PERMISSION_LOST, HealthStatus.ACCESS_LOST, AccessReason.PERMISSION),
        (FaultName.ROLE_LOST, HealthStatus.ACCESS_LOST, AccessReason.ROLE),
        (FaultName.THROTTLED, HealthStatus.THROTTLED, None),
        (FaultName.SERVER_ERROR, HealthStatus.PLATFORM_DOWN, None),
    ],
)
async def test_probe_tells_them_apart(
    fault: FaultName,
    status: HealthStatus,
    reason: AccessReason | None,
    adapter: LinkedIn,
    account: Account[Any],
    platform: LinkedInSandbox,
) -> None:
    assert (await adapter.probe(account)).status is HealthStatus.HEALTHY
    platform.faults.add(Fault(fault, ORGANIZATION))
    health = await adapter.probe(account)
    assert (health.status, health.reason) == (status, reason)


async def test_dying_version_degrades_and_a_dead_one_closes(
    http: HttpClient, account: Account[Any]
) -> None:
    later = LinkedIn(Tools(http=http, now=lambda: datetime(2027, 8, 1, tzinfo=UTC)))
    health = await later.probe(account)
    assert health.status is HealthStatus.DEGRADED
    assert "15 September 2027" in health.detail
    dead = await later.probe(with_settings(account, version="202401"))
    assert (dead.status, dead.reason) == (HealthStatus.ACCESS_LOST, AccessReason.VERSION)


async def test_probe_says_when_the_credential_ends(
    adapter: LinkedIn, account: Account[Any]
) -> None:
    access, refresh = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 10, 1, tzinfo=UTC)
    account = with_settings(account, access_expires_at=access, refresh_expires_at=refresh)
    assert (await adapter.probe(account)).expires_at == refresh
    alone = with_settings(account, refresh_token=None)
    assert (await adapter.probe(alone)).expires_at == access


async def test_refresh_keeps_the_refresh_token_that_the_answer_lacks(
    adapter: LinkedIn, account: Account[Any], platform: LinkedInSandbox
) -> None:
    changed = await adapter.refresh(account)
    assert isinstance(changed, dict)
    assert changed.keys() == {"access_token", "access_expires_at"}
    assert changed["access_token"] == TOKEN
    settings = LinkedInSettings.model_validate({**dict(account.settings), **changed})
    assert settings.refresh_token == account.settings.refresh_token
    platform.faults.add(Fault(FaultName.TOKEN_DEAD))
    assert isinstance(await adapter.refresh(account), AccessLost)
    without = with_settings(account, refresh_token=None)
    assert isinstance(await adapter.refresh(without), AccessLost)


async def test_refresh_waits_while_linkedin_is_away(
    adapter: LinkedIn, account: Account[Any]
) -> None:
    away = with_settings(account, oauth_url="http://127.0.0.1:9/oauth/v2")
    outcome = await adapter.refresh(away)
    assert isinstance(outcome, Unavailable)
    assert account.settings.refresh_token.get_secret_value() not in repr(outcome)


async def test_wrong_token_is_refused(adapter: LinkedIn, account: Account[Any]) -> None:
    stranger = with_settings(account, access_token=SecretStr("other"))
    outcome = await adapter.send(HELLO, stranger, key="k")
    assert isinstance(outcome, AccessLost)
    assert outcome.reason is AccessReason.TOKEN
