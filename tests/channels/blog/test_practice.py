"""The WordPress and Ghost adapters against their practice platforms, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.abilities import Edits, Withdraws
from channels.base import Account, Publishes, Tools
from channels.blog.ghost.adapter import GhostAdapter
from channels.blog.wordpress.adapter import WordPressAdapter
from channels.http import HttpClient
from channels.outcome import (
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
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.ledger import Entry, Ledger
from channels.sandbox.server import PracticeServer

PLATFORMS: Mapping[str, type[WordPressAdapter | GhostAdapter]] = {
    "wordpress": WordPressAdapter,
    "ghost": GhostAdapter,
}
POST = Post(id="p", title="We reopen on Tuesday", body="Doors open at **nine**.", tags=("News",))


@dataclass(frozen=True, slots=True)
class Blog:
    """One adapter, connected to its practice platform."""

    adapter: WordPressAdapter | GhostAdapter
    account: Account[Any]
    server: PracticeServer
    platform: str
    http: HttpClient

    def message(self, post: Post = POST) -> Message:
        return self.adapter.render(post, self.account)

    async def send(self, post: Post = POST, *, key: str = "key-1") -> Outcome:
        return await self.adapter.send(self.message(post), self.account, key=key)

    async def find(self, post: Post = POST, *, key: str = "key-1") -> Delivered | Finding:
        since = datetime.now(UTC) - timedelta(minutes=1)
        return await self.adapter.find(self.message(post), self.account, key=key, since=since)

    def fault(self, name: FaultName, **settings: Any) -> None:
        self.server.platforms[self.platform].faults.add(Fault(name, **settings))

    def heal(self) -> None:
        self.server.platforms[self.platform].faults.clear()

    def entries(self, kind: str = "post") -> list[Entry]:
        return self.server.ledger.entries(self.platform, kind=kind)


@pytest.fixture(params=list(PLATFORMS))
async def blog(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blog]:
    name = request.param
    ledger = Ledger(tmp_path / "ledger.db")
    modules = {name: f"channels.blog.{name}.sandbox"}
    async with (
        PracticeServer(ledger, sandboxes=modules) as server,
        HttpClient(private_ok=True) as http,
    ):
        adapter = PLATFORMS[name](Tools(http=http, now=lambda: datetime.now(UTC)))
        (practice,) = server.accounts()
        # Without categories, so that a post without tags is one request to WordPress.
        given = {name: value for name, value in practice.settings.items() if name != "categories"}
        settings = adapter.settings_type.model_validate(given)
        account: Account[Any] = Account(id="a", name=practice.name, settings=settings)
        yield Blog(adapter, account, server, name, http)
    ledger.close()


def test_declares_what_it_can_do(blog: Blog) -> None:
    assert isinstance(blog.adapter, Publishes)
    assert isinstance(blog.adapter, Edits)
    assert isinstance(blog.adapter, Withdraws)
    assert blog.adapter.name == f"blog.{blog.platform}"


async def test_publishes_once_with_all_that_belongs_to_it(
    blog: Blog, picture: Callable[..., Media]
) -> None:
    post = replace(POST, media=(picture("orange"), picture("green", alt="The garden")))

    outcome = await blog.send(post)

    assert isinstance(outcome, Delivered)
    (entry,) = blog.entries()
    assert (entry.text, entry.remote_id) == (POST.title, outcome.remote_id)
    assert len(entry.payload["tags"]) == 1
    assert entry.payload["feature_image" if blog.platform == "ghost" else "featured_media"]
    assert len(blog.entries("image" if blog.platform == "ghost" else "media")) == 2
    assert outcome.url is not None
    page = await blog.http.request("GET", outcome.url)
    assert page.status == 200
    assert "<strong>nine</strong>" in page.text
    assert 'alt="The garden"' in page.text
    assert "The door" not in page.text  # the featured picture has a place of its own


async def test_pictures_are_uploaded_once(blog: Blog, picture: Callable[..., Media]) -> None:
    post = replace(POST, media=(picture(),))

    assert isinstance(await blog.send(post), Delivered)
    assert isinstance(await blog.send(post, key="key-2"), Delivered)

    assert len(blog.entries("image" if blog.platform == "ghost" else "media")) == 1


async def test_a_picture_that_is_gone_stops_the_post(
    blog: Blog, picture: Callable[..., Media]
) -> None:
    media = picture()
    assert media.path is not None
    media.path.unlink()

    outcome = await blog.send(replace(POST, media=(media,)))

    assert isinstance(outcome, Rejected)
    assert outcome.problem.code == "media-missing"
    assert blog.entries() == []


@pytest.mark.parametrize("fault", [FaultName.ANSWER_LOST, FaultName.MALFORMED])
async def test_what_was_written_without_an_answer_is_found(blog: Blog, fault: FaultName) -> None:
    blog.fault(fault, times=1)

    assert isinstance(await blog.send(), Unconfirmed)

    (entry,) = blog.entries()
    found = await blog.find()
    assert isinstance(found, Delivered)
    assert found.remote_id == entry.remote_id
    assert await blog.find(key="key-2") is Finding.ABSENT


async def test_our_own_double_is_seen(blog: Blog) -> None:
    first = await blog.send()
    await blog.send()

    found = await blog.find()

    assert isinstance(first, Delivered)
    assert isinstance(found, Delivered)
    assert found.remote_id == first.remote_id
    assert "2 times" in found.note


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (FaultName.PAGE_GONE, Gone, None),
        (FaultName.TOKEN_DEAD, AccessLost, AccessReason.TOKEN),
        (FaultName.PERMISSION_LOST, AccessLost, None),
        (FaultName.ROLE_LOST, AccessLost, None),
        (FaultName.THROTTLED, Throttled, None),
        (FaultName.REJECTED, Rejected, None),
        (FaultName.SERVER_ERROR, Unconfirmed, None),
    ],
)
async def test_a_fault_is_named_for_what_it_is(
    blog: Blog, fault: FaultName, kind: type[Outcome], reason: AccessReason | None
) -> None:
    assert (await blog.adapter.probe(blog.account)).status is HealthStatus.HEALTHY
    blog.fault(fault)
    post = replace(POST, tags=())  # so that the publication is the call that fails

    outcome = await blog.send(post)

    assert isinstance(outcome, kind)
    if reason is not None:
        assert isinstance(outcome, AccessLost)
        assert outcome.reason is reason
    assert blog.entries() == []
    blog.heal()
    assert isinstance(await blog.send(post), Delivered)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (FaultName.PAGE_GONE, HealthStatus.VANISHED),
        (FaultName.TOKEN_DEAD, HealthStatus.ACCESS_LOST),
        (FaultName.PERMISSION_LOST, HealthStatus.ACCESS_LOST),
        (FaultName.ROLE_LOST, HealthStatus.ACCESS_LOST),
        (FaultName.THROTTLED, HealthStatus.THROTTLED),
        (FaultName.SERVER_ERROR, HealthStatus.PLATFORM_DOWN),
    ],
)
async def test_a_probe_tells_them_apart(blog: Blog, fault: FaultName, status: HealthStatus) -> None:
    blog.fault(fault)
    health = await blog.adapter.probe(blog.account)
    assert health.status is status

    blog.heal()
    assert (await blog.adapter.probe(blog.account)).status is HealthStatus.HEALTHY


async def test_a_site_that_cannot_be_read_proves_nothing(blog: Blog) -> None:
    for fault in (FaultName.PAGE_GONE, FaultName.TOKEN_DEAD, FaultName.SERVER_ERROR):
        blog.fault(fault)
        assert await blog.find() is Finding.UNKNOWN
        blog.heal()


async def test_nobody_listening_is_unavailable(blog: Blog) -> None:
    settings = blog.account.settings.model_copy(update={"url": "http://127.0.0.1:1"})
    account = replace(blog.account, settings=settings)

    outcome = await blog.adapter.send(blog.message(), account, key="k")

    assert isinstance(outcome, Unavailable)
    assert (await blog.adapter.probe(account)).status is HealthStatus.PLATFORM_DOWN


async def test_a_correction_replaces_the_words_and_may_be_repeated(blog: Blog) -> None:
    sent = await blog.send()
    assert isinstance(sent, Delivered)
    better = blog.message(replace(POST, title="We reopen on Friday", body="At **ten**."))

    for _ in range(2):
        edited = await blog.adapter.edit(better, blog.account, remote_id=sent.remote_id)
        assert isinstance(edited, Delivered)

    (entry,) = blog.entries()
    assert entry.text == "We reopen on Friday"
    assert sent.url is not None
    assert "<strong>ten</strong>" in (await blog.http.request("GET", sent.url)).text


async def test_what_was_taken_back_is_no_longer_seen(blog: Blog) -> None:
    sent = await blog.send()
    assert isinstance(sent, Delivered)
    assert sent.url is not None

    for _ in range(2):
        taken = await blog.adapter.withdraw(sent.remote_id, blog.account)
        assert isinstance(taken, Delivered)

    assert (await blog.http.request("GET", sent.url)).status == 404
    assert await blog.find() is not Finding.ABSENT


async def test_what_is_not_there_cannot_be_corrected(blog: Blog) -> None:
    edited = await blog.adapter.edit(blog.message(), blog.account, remote_id="404")
    assert isinstance(edited, Rejected)
    assert edited.problem.code == "post-gone"
    assert isinstance(await blog.adapter.withdraw("404", blog.account), Delivered)
