"""Bluesky: its documented replies, its sessions, its keys and its byte offsets."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import SecretStr

from channels.abilities import Refreshes
from channels.base import Account, Tools
from channels.bluesky import content
from channels.bluesky.adapter import Bluesky
from channels.bluesky.sandbox import DID, PASSWORD, BlueskySandbox, refresh_token, token
from channels.bluesky.session import BlueskySettings
from channels.bluesky.tid import tid_of
from channels.http import HttpClient
from channels.outcome import (
    AccessLost,
    AccessReason,
    Delivered,
    Gone,
    Outcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Media, Message, Part, Poll, Post
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.ledger import Entry, Ledger
from channels.sandbox.server import PracticeAccount, PracticeServer
from tests.channels.conformance import Bench
from tests.channels.replay import Replay, recorded


class BlueskyBench(Bench):
    name: ClassVar[str] = "bluesky"
    platform: ClassVar[str | None] = "bluesky"

    def settings(self, practice: PracticeAccount | None) -> Mapping[str, Any]:
        """With a session, as an account has it after its first refresh."""
        assert practice is not None
        session = {"did": DID, "access_jwt": token(), "refresh_jwt": refresh_token()}
        return {**practice.settings, **session}


BENCH = BlueskyBench()
NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
REPLIES = recorded("bluesky")
HELLO = Message(post_id="p1", text="We open again on Monday.")
READINGS: Mapping[str, tuple[type[Outcome], Mapping[str, Any]]] = {
    "created": (Delivered, {}),
    "session_expired": (Unavailable, {"until": NOW}),
    "token_invalid": (AccessLost, {"reason": AccessReason.TOKEN}),
    "auth_missing": (AccessLost, {"reason": AccessReason.TOKEN}),
    "taken_down": (AccessLost, {"reason": AccessReason.POLICY}),
    "factor_wanted": (AccessLost, {"reason": AccessReason.TOKEN}),
    "repo_not_found": (Gone, {}),
    "invalid_record": (Rejected, {}),
    "rate_limited": (Throttled, {"until": datetime.fromtimestamp(1795370700, UTC)}),
    "server_error": (Unconfirmed, {}),
    "bad_gateway": (Unconfirmed, {}),
}


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient(private_ok=True) as client:
        yield client


@pytest.fixture
def adapter(http: HttpClient) -> Bluesky:
    return Bluesky(Tools(http=http, now=lambda: datetime.now(UTC)))


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[tuple[BlueskySandbox, Account[Any]]]:
    sandboxes = {"bluesky": "channels.bluesky.sandbox"}
    ledger = Ledger(tmp_path / "ledger.db")
    async with PracticeServer(ledger, sandboxes=sandboxes) as server:
        sandbox = server.platforms["bluesky"]
        assert isinstance(sandbox, BlueskySandbox)
        (practice,) = server.accounts()
        settings = BlueskySettings(**practice.settings)
        yield sandbox, Account(id="a", name="Rosa", settings=settings)
    ledger.close()


def posts(sandbox: BlueskySandbox) -> list[Entry]:
    return sandbox.ledger.entries("bluesky", kind="post")


def test_every_documented_reply_has_a_reading() -> None:
    assert READINGS.keys() == REPLIES.keys()


@pytest.mark.parametrize("name", READINGS)
async def test_reply_is_read_as_documented(name: str, http: HttpClient) -> None:
    adapter = Bluesky(Tools(http=http, now=lambda: NOW))
    async with Replay() as replay:
        replay.on("POST", "/xrpc/com.atproto.repo.putRecord", REPLIES[name])
        settings = BlueskySettings(
            identifier="rosa.example",
            app_password=SecretStr(PASSWORD),
            service=replay.url,
            did=DID,
            access_jwt=SecretStr(token(lasts=10**9)),
            refresh_jwt=SecretStr(refresh_token()),
        )
        account = Account(id="a", name="Rosa", settings=settings)
        outcome = await adapter.send(HELLO, account, key="the-key")
    kind, said = READINGS[name]
    assert isinstance(outcome, kind), outcome
    for field, value in said.items():
        assert getattr(outcome, field) == value
    assert len(replay.asked) == 1


@pytest.mark.parametrize("name", READINGS)
async def test_taking_a_post_back_reads_refusals_alike(name: str, http: HttpClient) -> None:
    adapter = Bluesky(Tools(http=http, now=lambda: NOW))
    async with Replay() as replay:
        replay.on("POST", "/xrpc/com.atproto.repo.deleteRecord", REPLIES[name])
        settings = BlueskySettings(
            identifier="rosa.example",
            app_password=SecretStr(PASSWORD),
            service=replay.url,
            did=DID,
            access_jwt=SecretStr(token(lasts=10**9)),
            refresh_jwt=SecretStr(refresh_token()),
        )
        account = Account(id="a", name="Rosa", settings=settings)
        uri = f"at://{DID}/{content.COLLECTION}/{tid_of('k')}"
        outcome = await adapter.withdraw(uri, account)
    assert isinstance(outcome, READINGS[name][0]), outcome
    (asked,) = replay.asked
    record = {"repo": DID, "collection": content.COLLECTION, "rkey": tid_of("k")}
    assert json.loads(asked.body) == record


async def test_one_session_serves_many_posts(
    adapter: Bluesky, platform: tuple[BlueskySandbox, Account[Any]]
) -> None:
    sandbox, account = platform
    for number in range(3):
        message = replace(HELLO, text=f"Post {number}")
        assert isinstance(await adapter.send(message, account, key=str(number)), Delivered)
    assert sandbox.sessions_opened == 1
    assert len(posts(sandbox)) == 3


async def test_ending_session_is_renewed_without_the_password(
    adapter: Bluesky, platform: tuple[BlueskySandbox, Account[Any]], http: HttpClient
) -> None:
    sandbox, account = platform
    session = {
        "did": DID,
        "access_jwt": SecretStr(token(lasts=30)),
        "refresh_jwt": SecretStr(refresh_token()),
    }
    account = replace(account, settings=account.settings.model_copy(update=session))
    assert isinstance(await adapter.send(HELLO, account, key="k"), Delivered)
    assert sandbox.sessions_opened == 0
    used_up = {"refresh_jwt": SecretStr(token())}  # of the wrong kind
    account = replace(account, settings=account.settings.model_copy(update=used_up))
    restarted = Bluesky(Tools(http=http, now=lambda: datetime.now(UTC)))
    changed = await restarted.refresh(account)
    assert isinstance(changed, dict)
    assert sandbox.sessions_opened == 1


async def test_session_that_the_server_ended_is_replaced_on_the_next_try(
    http: HttpClient, platform: tuple[BlueskySandbox, Account[Any]]
) -> None:
    sandbox, account = platform
    long_ago = datetime.now(UTC) - timedelta(days=1)
    clock = [long_ago]
    adapter = Bluesky(Tools(http=http, now=lambda: clock[0]))
    session = {
        "did": DID,
        "access_jwt": SecretStr(token(lasts=-60)),
        "refresh_jwt": SecretStr(refresh_token()),
    }
    account = replace(account, settings=account.settings.model_copy(update=session))
    first = await adapter.send(HELLO, account, key="k")
    assert isinstance(first, Unavailable)
    assert posts(sandbox) == []
    assert isinstance(await adapter.send(HELLO, account, key="k"), Delivered)


async def test_refresh_says_what_to_keep(
    adapter: Bluesky, platform: tuple[BlueskySandbox, Account[Any]]
) -> None:
    assert isinstance(adapter, Refreshes)
    sandbox, account = platform
    changed = await adapter.refresh(account)
    assert isinstance(changed, dict)
    settings = BlueskySettings.model_validate({**dict(account.settings), **changed})
    assert settings.did == DID
    at_first = adapter.refresh_at(account)
    assert at_first is not None
    assert at_first < datetime.now(UTC), "no session is stored yet"
    then = adapter.refresh_at(replace(account, settings=settings))
    assert then is not None
    assert then > datetime.now(UTC)
    sandbox.faults.add(Fault(FaultName.TOKEN_DEAD))
    lost = await adapter.refresh(account)
    assert isinstance(lost, AccessLost)
    assert PASSWORD not in repr(lost)
    sandbox.faults.clear()
    sandbox.faults.add(Fault(FaultName.THROTTLED))
    assert isinstance(await adapter.refresh(account), Unavailable)


async def test_pictures_cards_and_comments_are_published(
    adapter: Bluesky, platform: tuple[BlueskySandbox, Account[Any]], tmp_path: Path
) -> None:
    sandbox, account = platform
    path = tmp_path / "bread.png"
    Image.new("RGB", (20, 20), "orange").save(path)
    picture = Media(id="bread", content_type="image/png", alt="Fresh bread", path=path)
    link = "https://rosa.example/menu"
    both = Post(id="p", title="Menu", body="Bread.", link=link, media=(picture,))
    card = Post(id="q", title="Menu", body="Soup.", link=link, first_comment="Thank you!")
    first = await adapter.send(adapter.render(both, account), account, key="1")
    second = await adapter.send(adapter.render(card, account), account, key="2")
    assert isinstance(first, Delivered), first
    assert isinstance(second, Delivered), second
    comment = adapter.render(card, account, Part.FIRST_COMMENT)
    reply = replace(comment, reply_to=second.remote_id)
    assert isinstance(await adapter.send(reply, account, key="3"), Delivered)
    shown, linked, answer = (entry.payload for entry in posts(sandbox))
    assert shown["embed"]["images"][0]["alt"] == "Fresh bread"
    assert shown["text"] == f"Menu\n\nBread.\n\n{link}"
    assert linked["embed"]["external"] == {"uri": link, "title": "Menu", "description": "Soup."}
    assert linked["text"] == "Soup."
    assert answer["reply"]["root"]["uri"] == second.remote_id
    lost = replace(comment, reply_to=f"at://{DID}/{content.COLLECTION}/{tid_of('none')}")
    assert isinstance(await adapter.send(lost, account, key="4"), Rejected)


def test_facets_count_bytes() -> None:
    text = "👨‍👩‍👧 Où ? (https://rosa.example/menu), #Fête2026 n° #1 a#b https://a.example/#x."
    data = text.encode()
    found = [
        (
            data[facet["index"]["byteStart"] : facet["index"]["byteEnd"]].decode(),
            facet["features"][0].get("uri") or facet["features"][0].get("tag"),
        )
        for facet in content.facets(text)
    ]
    assert found == [
        ("https://rosa.example/menu", "https://rosa.example/menu"),
        ("https://a.example/#x", "https://a.example/#x"),
        ("#Fête2026", "Fête2026"),
    ]


@given(text=st.text(max_size=80), tail=st.sampled_from(["", " https://a.example/é", " #é"]))
def test_facets_never_split_a_character(text: str, tail: str) -> None:
    whole = text + tail
    data = whole.encode()
    for facet in content.facets(whole):
        span = facet["index"]
        assert data[span["byteStart"] : span["byteEnd"]].decode() in whole


@given(key=st.text(min_size=1, max_size=50))
def test_record_key_is_a_tid_and_depends_on_the_key_alone(key: str) -> None:
    tid = tid_of(key)
    assert tid == tid_of(key)
    assert len(tid) == 13
    assert tid[0] in "234567abcdefghij"
    assert tid != tid_of(key + "x")


def test_record_keys_of_time_ordered_ids_sort_by_time() -> None:
    early = "0190163d-8694-739b-aea5-966c26f8ad91"
    late = "01926c1f-8694-739b-aea5-966c26f8ad91"
    assert uuid.UUID(early).version == 7
    assert tid_of(early) < tid_of(late)


def test_check_names_what_bluesky_cannot_carry() -> None:
    pictures = (Media(id="m", content_type="image/png", size=3_000_000),)
    post = Post(id="p", body="x", poll=Poll(question="?", options=("a", "b")), media=pictures)
    codes = [p.code for p in content.problems(content.rendered(post, Part.POST))]
    assert codes == ["poll", "image-too-large", "alt-missing"]
