"""The promises of `channels.base`, checked on every adapter over real sockets."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from channels.abilities import Counts, Edits, HasArticles, Withdraws
from channels.base import Broadcasts, Publishes, Tools
from channels.outcome import (
    Accepted,
    AccessLost,
    Delivered,
    Finding,
    HealthStatus,
    Rejected,
    Severity,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Action, Media, Part, Poll, Reroute, Variant
from channels.registry import Registry
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import SANDBOXES, PracticeServer
from channels.sentences import reroute_note
from channels.words import byte_length, grapheme_length, to_plain, utf16_length
from tests.channels.conformance import (
    POST,
    Bench,
    CountingClient,
    Rig,
    benches,
    closed_port,
    connected,
    spoiler,
)

BENCHES = benches()
MEASURES = {
    "characters": len,
    "utf16": utf16_length,
    "graphemes": grapheme_length,
    "bytes": byte_length,
}
FAMILY = "👨‍👩‍👧‍👦"
TEXTS = {
    "long": "A sentence (with *marks*, a #tag and an e_mail@example.org). " * 1100,
    "one word": "x" * 70_000,
    "emoji": f"{FAMILY} 🎉 " * 9000,
    "french": "Où ça ? « Ici ! », dit-elle ; c’est là : 12 € l’œuf… " * 1500,
    "right to left": "سنفتح أبوابنا من جديد يوم الاثنين في التاسعة صباحًا. " * 1500,
    "combining": "é̀̂" * 9000,
    "short": "Hello.",
}
WROTE_NOTHING = [
    FaultName.THROTTLED,
    FaultName.TOKEN_DEAD,
    FaultName.PERMISSION_LOST,
    FaultName.PAGE_GONE,
    FaultName.REJECTED,
    FaultName.SERVER_ERROR,
]
WROTE = [FaultName.ANSWER_LOST, FaultName.MALFORMED]


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest) -> Bench:
    chosen = BENCHES[request.param]
    check = request.node.originalname.removeprefix("test_")
    if check in chosen.exempt:
        pytest.skip(f"{chosen.name}: {chosen.exempt[check]}")
    return chosen


@pytest.fixture
async def rig(bench: Bench, tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        ledger = Ledger(tmp_path / "ledger.db")
        stack.callback(ledger.close)
        http = await stack.enter_async_context(CountingClient())
        site = await stack.enter_async_context(bench.site(tmp_path))
        adapter = Registry(Tools(http=http, now=lambda: datetime.now(UTC), site=site))[bench.name]
        platform, practice, base = None, None, ""
        if bench.platform is not None:
            sandboxes = {bench.platform: SANDBOXES[bench.platform]}
            server = PracticeServer(ledger, sandboxes=sandboxes)
            await stack.enter_async_context(server)
            platform = server.platforms[bench.platform]
            practice = next(a for a in server.accounts() if a.adapter == bench.name)
            base = server.url
        settings = bench.settings(practice)
        account = connected(adapter, settings)
        reader = bench.reader(practice)
        yield Rig(bench, adapter, account, settings, reader, http, platform, base)


def test_every_exemption_names_a_check(request: pytest.FixtureRequest) -> None:
    checks = {name.removeprefix("test_") for name in vars(inspect.getmodule(_just_now))}
    for bench in BENCHES.values():
        assert set(bench.exempt) <= checks, bench.name
        assert all(bench.exempt.values()), "an exemption gives its reason"


# --- Words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
async def test_renders_within_its_limit(rig: Rig, text: str) -> None:
    post = replace(POST, body=TEXTS[text], language="fr", blog_url="https://shop.example/blog/p")
    message = rig.message(post)
    limit = rig.adapter.capabilities.text_limit
    if limit is not None:
        assert MEASURES[rig.adapter.capabilities.text_unit](message.text) <= limit
    problems = rig.adapter.check(message, rig.account)
    assert not [p for p in problems if p.severity is Severity.ERROR and "text" in p.code]


async def test_cut_text_leads_to_the_blog(rig: Rig) -> None:
    if rig.adapter.capabilities.text_limit is None:
        pytest.skip("carries any length")
    post = replace(POST, body=TEXTS["long"], blog_url="https://shop.example/blog/p")
    assert "https://shop.example/blog/p" in rig.message(post).text


async def test_render_is_pure_and_keeps_the_words(rig: Rig) -> None:
    first, second = rig.message(), rig.message()
    assert first == second
    assert first.post_id == POST.id
    assert to_plain(POST.body) in to_plain(first.text or first.html)


async def test_variant_replaces_the_words(rig: Rig) -> None:
    variant = Variant(body="Said in other words.")
    message = rig.message(replace(POST, variants={rig.adapter.channel: variant}))
    words = message.text + message.html
    assert "Said in other words." in words
    assert POST.body not in words


@pytest.mark.parametrize("language", ["en", "fr"])
async def test_reroute_says_why_it_stands_here(rig: Rig, language: str) -> None:
    reroute = Reroute(from_channel="facebook", from_name="Chez Rosa")
    message = rig.message(replace(POST, rerouted=reroute, language=language))
    note = reroute_note(reroute, language)
    assert note in message.text or note in message.html
    own = Reroute(from_channel="facebook", from_name="Rosa", note="Find us here from now on.")
    message = rig.message(replace(POST, rerouted=own))
    assert own.note in message.text + message.html


async def test_campaign_tags_only_on_our_own_links(rig: Rig) -> None:
    body = "See [ours](https://shop.example/menu) and [theirs](https://other.example/x)."
    post = replace(POST, body=body, own_hosts=("shop.example",))
    message = rig.message(post)
    words = message.html or message.text
    assert "utm_source=" in words
    assert "other.example/x?" not in words
    untagged = rig.message(replace(post, campaign_tags=False))
    assert "utm_" not in untagged.text + untagged.html


async def test_empty_post_is_a_problem_not_an_error(rig: Rig) -> None:
    message = rig.message(replace(POST, title="", body=""))
    problems = rig.adapter.check(message, rig.account)
    assert [p for p in problems if p.severity is Severity.ERROR]
    assert all(p.code and p.detail and p.remedy for p in problems)


async def test_plain_post_has_no_problem(rig: Rig) -> None:
    problems = rig.adapter.check(rig.message(), rig.account)
    assert [p for p in problems if p.severity is Severity.ERROR] == []


# --- Capabilities --------------------------------------------------------------------------------


async def test_declares_how_it_reaches_people(rig: Rig) -> None:
    capabilities = rig.adapter.capabilities
    assert isinstance(rig.adapter, Broadcasts) == capabilities.addressed
    assert isinstance(rig.adapter, Publishes) != capabilities.addressed
    assert isinstance(rig.adapter, HasArticles) == capabilities.articles
    assert rig.adapter.name == rig.bench.name


async def test_declares_its_media_truly(rig: Rig) -> None:
    capabilities = rig.adapter.capabilities
    assert (capabilities.max_images == 0) == (not capabilities.image_types)
    for content_type in capabilities.image_types:
        assert not _objections(rig, _medium(content_type), severity=Severity.ERROR)
    if capabilities.video:
        assert not _objections(rig, _medium("video/mp4"), severity=Severity.ERROR)


async def test_what_it_cannot_show_is_said_or_linked_to(rig: Rig) -> None:
    capabilities = rig.adapter.capabilities
    kind = min(capabilities.image_types, default="image/png")
    assert _objections(rig, *[_medium(kind)] * (capabilities.max_images + 1))
    assert _objections(rig, _medium("image/x-unheard-of"))
    video = _medium("video/mp4")
    message = rig.message(replace(POST, media=(video,)))
    linked = str(video.url) in message.text + message.html
    assert capabilities.video or linked or _objections(rig, video)


def _medium(content_type: str) -> Media:
    return Media(
        id="m",
        content_type=content_type,
        alt="Bread",
        url="https://shop.example/m",
        path=Path("m"),
        width=800,
        height=600,
        size=1000,
        sha256="ab" * 32,
    )


def _objections(rig: Rig, *media: Media, severity: Severity | None = None) -> list[str]:
    problems = rig.adapter.check(rig.message(replace(POST, media=media)), rig.account)
    return [p.code for p in problems if severity in {None, p.severity}]


async def test_declares_polls_and_buttons_truly(rig: Rig) -> None:
    capabilities = rig.adapter.capabilities
    poll = replace(POST, poll=Poll(question="When do you come?", options=("Monday", "Tuesday")))
    problems = rig.adapter.check(rig.message(poll), rig.account)
    carried = "When do you come?" in repr(rig.message(poll))
    assert carried or problems or not capabilities.polls
    if capabilities.actions:
        action = Action(label="Book a table", url="https://shop.example/book")
        assert "Book a table" in repr(rig.message(replace(POST, actions=(action,))))
    if capabilities.first_comment:
        post = replace(POST, first_comment="The first comment.")
        comment = rig.adapter.render(post, rig.account, Part.FIRST_COMMENT)
        assert comment.text == "The first comment."
        assert comment.part is Part.FIRST_COMMENT


async def test_settings_refuse_unknown_fields_and_hide_secrets(rig: Rig) -> None:
    with pytest.raises(ValidationError):
        rig.adapter.settings_type.model_validate({**rig.settings, "unheard_of": 1})
    shown = repr(rig.account) + str(rig.account.settings) + rig.account.settings.model_dump_json()
    assert not [secret for secret in rig.secrets() if secret in shown]


# --- Writing -------------------------------------------------------------------------------------


async def test_write_is_sent_once(rig: Rig) -> None:
    outcome = await rig.deliver(rig.message())
    assert isinstance(outcome, Delivered | Accepted), outcome
    (entry,) = rig.published()
    assert entry.remote_id == outcome.remote_id or rig.adapter.capabilities.addressed
    assert to_plain(POST.body) in rig.bench.shown(entry)
    assert rig.http.requests == rig.bench.requests


async def test_delivered_leads_readers_to_it(rig: Rig) -> None:
    outcome = await rig.deliver(rig.message())
    assert isinstance(outcome, Delivered)
    assert outcome.url is not None
    page = await rig.http.request("GET", outcome.url, follow=True)
    assert page.status == 200
    assert POST.body.split(",")[0] in page.text


@pytest.mark.parametrize("fault", WROTE_NOTHING)
async def test_refusal_is_read_for_what_it_is(rig: Rig, fault: FaultName) -> None:
    assert rig.platform is not None
    rig.platform.faults.add(Fault(fault))
    outcome = await rig.deliver(rig.message())
    assert isinstance(outcome, rig.bench.expects(fault)), outcome
    assert rig.published() == []
    if isinstance(outcome, AccessLost):
        assert outcome.remedy
    if isinstance(outcome, Rejected):
        assert outcome.problem.detail
        assert outcome.problem.remedy


@pytest.mark.parametrize("fault", WROTE)
async def test_lost_answer_is_a_doubt_and_then_found(rig: Rig, fault: FaultName) -> None:
    assert rig.platform is not None
    since = _just_now()
    rig.platform.faults.add(Fault(fault, times=1))
    message = rig.message()
    outcome = await rig.deliver(message)
    assert isinstance(outcome, rig.bench.expects(fault)), outcome
    (entry,) = rig.published()
    if not isinstance(rig.adapter, Publishes):
        return
    found = await rig.adapter.find(message, rig.account, key="key-1", since=since)
    if rig.adapter.capabilities.findable:
        assert isinstance(found, Delivered)
        assert found.remote_id == entry.remote_id
    else:
        assert found is Finding.UNKNOWN
    assert len(rig.published()) == 1


async def test_absent_is_said_only_when_proven(rig: Rig) -> None:
    if not isinstance(rig.adapter, Publishes):
        pytest.skip("writes to contacts one by one")
    message, findable = rig.message(), rig.adapter.capabilities.findable
    assert isinstance(await rig.deliver(message), Delivered)
    other = rig.message(replace(POST, id="post-2", title="Other", body="Something else."))
    found = await rig.adapter.find(other, rig.account, key="key-2", since=_just_now())
    assert found is (Finding.ABSENT if findable else Finding.UNKNOWN)
    with closed_port() as port:
        away = rig.elsewhere(port)
        found = await rig.adapter.find(other, away, key="key-2", since=_just_now())
    assert found is Finding.UNKNOWN


async def test_older_post_with_the_same_words_is_not_taken_for_ours(rig: Rig) -> None:
    if not isinstance(rig.adapter, Publishes):
        pytest.skip("writes to contacts one by one")
    assert isinstance(await rig.deliver(rig.message(), key="key-0"), Delivered)
    later = datetime.now(UTC) + timedelta(hours=1)
    found = await rig.adapter.find(rig.message(), rig.account, key="key-1", since=later)
    assert not isinstance(found, Delivered)


async def test_same_key_twice_leaves_one(rig: Rig) -> None:
    if not rig.adapter.capabilities.idempotent:
        pytest.skip("the platform knows no keys")
    first = await rig.deliver(rig.message())
    second = await rig.deliver(rig.message())
    assert isinstance(first, Delivered)
    assert isinstance(second, Delivered)
    assert first.remote_id == second.remote_id
    assert len(rig.published()) == 1
    other = await rig.deliver(rig.message(), key="key-2")
    assert isinstance(other, Delivered)
    assert other.remote_id != first.remote_id


async def test_refused_connection_is_certainly_not_written(rig: Rig) -> None:
    with closed_port() as port:
        outcome = await rig.deliver(rig.message(), account=rig.elsewhere(port))
    assert isinstance(outcome, Unavailable), outcome


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n" + b"a" * 3_145_728,
        b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"id":',
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnull",
        b"\x00\xff\xfe no protocol at all\r\n\r\n",
        b"",
    ],
    ids=["big", "cut", "a list", "null", "no http", "nothing"],
)
async def test_spoiled_answer_is_a_doubt(rig: Rig, answer: bytes) -> None:
    async with spoiler(answer) as server:
        outcome = await rig.deliver(rig.message(), account=rig.elsewhere(server.port))
    assert isinstance(outcome, Unconfirmed), outcome


async def test_no_answer_in_time_is_a_doubt(rig: Rig) -> None:
    rig.http.patience = 0.2
    async with spoiler(None) as server:
        outcome = await rig.deliver(rig.message(), account=rig.elsewhere(server.port))
    assert isinstance(outcome, Unconfirmed), outcome


async def test_cancelled_send_leaves_nothing_hanging(rig: Rig) -> None:
    before = asyncio.all_tasks()
    async with spoiler(None, listens=rig.bench.speaks_first) as server:
        account = rig.elsewhere(server.port)
        sending = asyncio.create_task(rig.deliver(rig.message(), account=account))
        await server.received.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=30)
    assert not [task for task in left if not task.done()]
    assert isinstance(await rig.deliver(rig.message()), Delivered | Accepted)


async def test_picture_that_cannot_be_read_is_never_left_out(rig: Rig, tmp_path: Path) -> None:
    capabilities = rig.adapter.capabilities
    if not capabilities.max_images:
        pytest.skip("carries no pictures")
    kind = min(capabilities.image_types)
    lost = Media(id="m", content_type=kind, alt="Bread", path=tmp_path / "lost", size=10)
    outcome = await rig.deliver(rig.message(replace(POST, media=(lost,))))
    assert isinstance(outcome, Rejected | Unavailable), outcome
    assert rig.published() == []


async def test_edit_changes_what_readers_see(rig: Rig) -> None:
    if not isinstance(rig.adapter, Edits):
        pytest.skip("cannot change what is published")
    sent = await rig.deliver(rig.message())
    assert isinstance(sent, Delivered)
    new = rig.message(replace(POST, body="Closed on Monday after all."))
    edited = await rig.adapter.edit(new, rig.account, remote_id=sent.remote_id)
    assert isinstance(edited, Delivered), edited
    (entry,) = rig.published()
    assert "Closed on Monday after all." in rig.bench.shown(entry)


async def test_withdraw_takes_it_from_readers_once_and_for_all(rig: Rig) -> None:
    if not isinstance(rig.adapter, Withdraws):
        pytest.skip("cannot take back what is published")
    sent = await rig.deliver(rig.message())
    assert isinstance(sent, Delivered)
    first = await rig.adapter.withdraw(sent.remote_id, rig.account)
    assert isinstance(first, Delivered), first
    assert rig.published() == []
    await rig.adapter.withdraw(sent.remote_id, rig.account)  # harmless: the answer was lost
    assert rig.published() == []


# --- Secrets and health --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*WROTE_NOTHING, *WROTE])
async def test_no_secret_in_what_is_kept(rig: Rig, fault: FaultName) -> None:
    assert rig.platform is not None
    rig.platform.faults.add(Fault(fault))
    said = [await rig.deliver(rig.message()), await rig.adapter.probe(rig.account)]
    with closed_port() as port:
        away = rig.elsewhere(port)
        said += [await rig.deliver(rig.message(), account=away), await rig.adapter.probe(away)]
    assert not [secret for secret in rig.secrets() if secret in repr(said)]


async def test_probe_tells_the_four_apart(rig: Rig) -> None:
    assert rig.platform is not None
    assert (await rig.adapter.probe(rig.account)).status is HealthStatus.HEALTHY
    for fault, status in {
        FaultName.PAGE_GONE: HealthStatus.VANISHED,
        FaultName.TOKEN_DEAD: HealthStatus.ACCESS_LOST,
        FaultName.SERVER_ERROR: HealthStatus.PLATFORM_DOWN,
    }.items():
        rig.platform.faults.add(Fault(fault))
        health = await rig.adapter.probe(rig.account)
        assert health.status is rig.bench.health.get(fault, status), fault
        assert health.detail or health.status is HealthStatus.HEALTHY, fault
        rig.platform.faults.clear()
    with closed_port() as port:
        health = await rig.adapter.probe(rig.elsewhere(port))
    assert health.status is HealthStatus.PLATFORM_DOWN
    assert (await rig.adapter.probe(rig.account)).status is HealthStatus.HEALTHY


async def test_probe_survives_spoiled_answers(rig: Rig) -> None:
    for answer in (b"", b"\x00 no protocol", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"):
        async with spoiler(answer, listens=rig.bench.speaks_first) as server:
            health = await rig.adapter.probe(rig.elsewhere(server.port))
        assert health.status not in {HealthStatus.HEALTHY, HealthStatus.VANISHED}


async def test_followers_are_counted_and_otherwise_unknown(rig: Rig) -> None:
    if not isinstance(rig.adapter, Counts):
        pytest.skip("nobody follows it, or nobody counts them")
    assert rig.platform is not None
    count = await rig.adapter.followers(rig.account)
    assert isinstance(count, int)
    assert count > 0
    rig.platform.faults.add(Fault(FaultName.TOKEN_DEAD))
    assert await rig.adapter.followers(rig.account) is None
    rig.platform.faults.clear()
    async with spoiler(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]") as server:
        assert await rig.adapter.followers(rig.elsewhere(server.port)) is None
    with closed_port() as port:
        assert await rig.adapter.followers(rig.elsewhere(port)) is None


async def test_article_stands_where_it_was_said_to(rig: Rig) -> None:
    if not isinstance(rig.adapter, HasArticles):
        pytest.skip("has no articles to point to")
    message = rig.message()
    foretold = await rig.adapter.address(message, rig.account, key="key-1", keep=True)
    assert foretold is not None
    assert await rig.adapter.address(message, rig.account, key="key-2", keep=False) != foretold
    await rig.deliver(message)
    page = await rig.http.request("GET", foretold, follow=True)
    assert page.status == 200
    assert POST.title in page.text


async def test_throttle_lasts_as_long_as_the_platform_says(rig: Rig) -> None:
    assert rig.platform is not None
    rig.platform.faults.add(Fault(FaultName.THROTTLED, seconds=90))
    before = datetime.now(UTC)
    outcome = await rig.deliver(rig.message())
    assert isinstance(outcome, Throttled)
    assert outcome.until is not None, "the platform said until when"
    assert outcome.until.tzinfo is not None
    shortest, longest = rig.bench.throttled_for
    assert before + shortest <= outcome.until <= datetime.now(UTC) + longest
    assert rig.published() == []


def _just_now() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=2)
