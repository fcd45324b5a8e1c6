"""Mastodon: its documented replies, its pictures, its keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image
from pydantic import SecretStr

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.mastodon import content
from channels.mastodon.adapter import Mastodon, MastodonSettings
from channels.mastodon.sandbox import MastodonSandbox
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    Gone,
    Outcome,
    Rejected,
    Throttled,
    Unconfirmed,
)
from channels.posts import Media, Message, Part, Poll, Post
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer
from tests.channels.conformance import Bench
from tests.channels.replay import Replay, recorded


class MastodonBench(Bench):
    name: ClassVar[str] = "mastodon"
    platform: ClassVar[str | None] = "mastodon"


BENCH = MastodonBench()
NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
REPLIES = recorded("mastodon")
HELLO = Message(post_id="p1", text="We open again on Monday.")
READINGS: Mapping[str, tuple[type[Outcome], Mapping[str, Any]]] = {
    "created": (Delivered, {"remote_id": "103254962155278888"}),
    "token_invalid": (AccessLost, {"reason": AccessReason.TOKEN}),
    "scope_missing": (AccessLost, {"reason": AccessReason.PERMISSION}),
    "login_disabled": (AccessLost, {"reason": AccessReason.POLICY}),
    "not_found": (Gone, {}),
    "blank": (Rejected, {}),
    "too_long": (Rejected, {}),
    "rate_limited": (Throttled, {"until": datetime(2026, 11, 22, 18, 5, tzinfo=UTC)}),
    "server_error": (Unconfirmed, {}),
    "unavailable_html": (Unconfirmed, {}),
}


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient(private_ok=True) as client:
        yield client


@pytest.fixture
def adapter(http: HttpClient) -> Mastodon:
    return Mastodon(Tools(http=http, now=lambda: NOW))


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[tuple[MastodonSandbox, Account[Any]]]:
    sandboxes = {"mastodon": "channels.mastodon.sandbox"}
    ledger = Ledger(tmp_path / "ledger.db")
    async with PracticeServer(ledger, sandboxes=sandboxes) as server:
        sandbox = server.platforms["mastodon"]
        assert isinstance(sandbox, MastodonSandbox)
        (practice,) = server.accounts()
        settings = MastodonSettings(**practice.settings)
        yield sandbox, Account(id="a", name="Rosa", settings=settings)
    ledger.close()


def test_every_documented_reply_has_a_reading() -> None:
    assert READINGS.keys() == REPLIES.keys()


@pytest.mark.parametrize("name", READINGS)
async def test_reply_is_read_as_documented(name: str, adapter: Mastodon) -> None:
    async with Replay() as replay:
        replay.on("POST", "/api/v1/statuses", REPLIES[name])
        settings = MastodonSettings(base_url=replay.url, access_token=SecretStr("s3cret"))
        account = Account(id="a", name="Rosa", settings=settings)
        outcome = await adapter.send(HELLO, account, key="the-key")
    kind, said = READINGS[name]
    assert isinstance(outcome, kind), outcome
    for field, value in said.items():
        assert getattr(outcome, field) == value
    (asked,) = replay.asked
    assert asked.headers["Idempotency-Key"] == "the-key"


async def test_pictures_are_described_and_waited_for(
    adapter: Mastodon, platform: tuple[MastodonSandbox, Account[Any]], tmp_path: Path
) -> None:
    sandbox, account = platform
    path = tmp_path / "bread.png"
    Image.new("RGB", (20, 20), "orange").save(path)
    picture = Media(id="bread", content_type="image/png", alt="Fresh bread", path=path)
    outcome = await adapter.send(replace(HELLO, media=(picture,)), account, key="k")
    assert isinstance(outcome, Delivered), outcome
    (media,) = sandbox.ledger.entries("mastodon", kind="media")
    (post,) = sandbox.ledger.entries("mastodon", kind="post")
    assert media.text == "Fresh bread"
    assert post.payload["media_ids"] == [media.remote_id]
    path.write_bytes(b"no picture")
    broken = await adapter.send(replace(HELLO, media=(picture,)), account, key="k2")
    assert isinstance(broken, Rejected)
    assert len(sandbox.ledger.entries("mastodon", kind="post")) == 1


async def test_poll_and_comment_are_published(
    adapter: Mastodon, platform: tuple[MastodonSandbox, Account[Any]]
) -> None:
    sandbox, account = platform
    poll = Poll(question="When?", options=("Monday", "Tuesday"), days=2)
    post = Post(id="p", body="Tell us.", poll=poll, first_comment="Thank you!", tags=("bread 2",))
    first = await adapter.send(adapter.render(post, account), account, key="k")
    assert isinstance(first, Delivered)
    comment = adapter.render(post, account, Part.FIRST_COMMENT)
    reply = replace(comment, reply_to=first.remote_id)
    assert isinstance(await adapter.send(reply, account, key="k2"), Delivered)
    status, answer = sandbox.ledger.entries("mastodon", kind="post")
    assert status.text == "Tell us.\n\n#Bread2\n\nWhen?"
    assert status.payload["poll"] == {"options": ["Monday", "Tuesday"], "expires_in": 172_800}
    assert answer.payload["in_reply_to_id"] == first.remote_id


def test_links_count_as_twenty_three_at_least() -> None:
    assert content.length("https://a.fr") == 23
    assert content.length("https://a.fr/" + "x" * 30) == 43


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a &amp; b<br />c</p><p>d</p>", "a & b\nc\n\nd"),
        ('<p><a href="x"><span class="invisible">https://</span><span>a.fr</span></a></p>',
         "https://a.fr"),
    ],
)  # fmt: skip
def test_status_is_recognised_in_its_html(html: str, text: str) -> None:
    assert content.same(html, replace(HELLO, text=text))
    assert not content.same(html, HELLO)


@pytest.mark.parametrize(
    ("post", "codes"),
    [
        (Post(id="p", body="x", poll=Poll(question="?", options=("a",))), ["poll"]),
        (
            Post(id="p", body="x", poll=Poll(question="?" * 500, options=("a", "b"))),
            ["text-too-long"],
        ),
        (
            Post(
                id="p",
                body="x",
                media=(Media(id="m", content_type="image/png", alt="y" * 1501, size=2**25),),
            ),
            ["image-too-large", "alt-too-long"],
        ),
        (Post(id="p", body="x", media=(Media(id="m", content_type="image/png"),)), ["alt-missing"]),
    ],
)
def test_check_names_what_mastodon_cannot_carry(post: Post, codes: list[str]) -> None:
    assert [p.code for p in content.problems(content.rendered(post, Part.POST))] == codes
