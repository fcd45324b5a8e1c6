"""Mails one behind the other on one connection, against servers with bad manners."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from channels.base import Recipient
from channels.newsletter.courier import MailCourier
from channels.outcome import (
    AccessLost,
    Delivered,
    Outcome,
    RecipientOutcome,
    Unavailable,
    Unconfirmed,
    Unreachable,
)
from channels.streams import Streams

from .support import account, adapter, post, reader
from .test_smtp import Script, Silent, talking

GO = {"DATA": "354 go", ".": "250 2.0.0 kept"}


class Readers:
    """A crowd that notes what it is told; who is in `withdrawn` must get nothing any more."""

    def __init__(self, *names: str) -> None:
        self.waiting = [reader(f"{name}@example.org") for name in names]
        self.withdrawn: set[str] = set()
        self.told: dict[str, list[str | RecipientOutcome]] = {}

    def next(self) -> tuple[Recipient, str] | None:
        return (self.waiting[0], self.waiting.pop(0).id) if self.waiting else None

    def leaving(self, recipient: Recipient) -> bool:
        return _name(recipient) not in self.withdrawn

    def taken(self, recipient: Recipient, code: str) -> None:
        self._tell(recipient, code)

    def answered(self, recipient: Recipient, outcome: RecipientOutcome) -> bool:
        self._tell(recipient, outcome)
        return isinstance(outcome, Unavailable) and outcome.evidence.status is None

    def _tell(self, recipient: Recipient, what: str | RecipientOutcome) -> None:
        self.told.setdefault(_name(recipient), []).append(what)

    @property
    def heard(self) -> dict[str, str]:
        """What was said of each, once: the code of an accepted mail, or the kind of outcome."""
        assert all(len(said) == 1 for said in self.told.values()), self.told
        return {name: _short(said) for name, (said,) in self.told.items()}


def _short(said: str | RecipientOutcome) -> str:
    if isinstance(said, Delivered):
        return said.evidence.code
    return said if isinstance(said, str) else type(said).__name__


def _name(recipient: Recipient) -> str:
    return recipient.address.partition("@")[0]


class Sessions:
    """A server whose sessions follow one script after the other; the last one goes on."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.opened = 0

    async def talk(self, read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.opened, len(self.scripts) - 1)]
        self.opened += 1
        await script.talk(read, write)

    @property
    def bodies(self) -> list[str]:
        """Whom mails went to, in order."""
        found, to = [], ""
        for script in self.scripts:
            for line in script.lines:
                if line.startswith("RCPT"):
                    to = line.partition("<")[2].partition("@")[0]
                elif line == ".":
                    found.append(to)
        return found


@asynccontextmanager
async def _streaming(server: Sessions) -> AsyncIterator[MailCourier]:
    async with talking(server.talk) as port:
        relay = {"host": "127.0.0.1", "port": port, "tls": "none"}
        ours = account(relays=[relay])
        courier = await adapter().open(adapter().render(post(), ours), ours)
        assert isinstance(courier, MailCourier)
        assert isinstance(courier, Streams)
        yield courier
        await courier.close()


async def _stream(server: Sessions, crowd: Readers) -> Outcome | None:
    async with _streaming(server) as courier:
        return await courier.stream(crowd)


async def test_each_envelope_travels_behind_the_dot_before_it() -> None:
    script = Script(GO)
    crowd = Readers("a", "b", "c")
    assert await _stream(Sessions(script), crowd) is None
    assert crowd.heard == {"a": "2.0.0", "b": "2.0.0", "c": "2.0.0"}
    verbs = [line.split(" ")[0] for line in script.lines]
    mail = ["MAIL", "RCPT", "DATA", "."]
    assert verbs == ["EHLO", *mail * 3, "QUIT"]
    assert script.writes == 1 + 1 + 3 + 1  # EHLO, an envelope, three mails, QUIT


async def test_without_pipelining_one_command_follows_the_other() -> None:
    script = Script(GO, offer="SIZE 1000000")
    crowd = Readers("a", "b")
    assert await _stream(Sessions(script), crowd) is None
    assert set(crowd.heard) == {"a", "b"}
    assert script.writes == 1 + 2 * 4 + 1


@pytest.mark.parametrize("willing", ["354 go", "503 5.5.1 no recipient"])
async def test_a_refused_reader_does_not_stop_the_others(willing: str) -> None:
    script = Script({**GO, "RCPT": "550 5.1.1 unknown", "DATA": willing, ".": "554 nobody"})
    crowd = Readers("a", "b")
    async with _streaming(Sessions(script)) as courier:
        assert await courier.stream(crowd) is None
        script.answers.update({"RCPT": "250 OK", **GO})
        crowd.waiting += Readers("c", "d").waiting
        assert await courier.stream(crowd) is None
    assert crowd.heard == {
        "a": "Unreachable", "b": "Unreachable", "c": "2.0.0", "d": "2.0.0",
    }  # fmt: skip
    (outcome,) = crowd.told["a"]
    assert isinstance(outcome, Unreachable)
    assert outcome.permanent


async def test_a_mail_refused_at_its_end_does_not_hurt_the_next() -> None:
    script = Script({**GO, ".": "451 4.3.0 not now"}, then={".": "250 2.0.0 kept"})
    crowd = Readers("a", "b")
    assert await _stream(Sessions(script), crowd) is None
    assert crowd.heard == {"a": "Unavailable", "b": "2.0.0"}


async def test_a_cut_behind_the_dot_leaves_one_doubt_and_the_next_goes_elsewhere() -> None:
    server = Sessions(Script({**GO, ".": "cut"}), Script(GO))
    crowd = Readers("a", "b", "c")
    assert await _stream(server, crowd) is None
    assert crowd.heard == {"a": "Unconfirmed", "b": "2.0.0", "c": "2.0.0"}
    assert server.bodies == ["a", "b", "c"]


@pytest.mark.parametrize("word", ["MAIL", "RCPT", "DATA"])
async def test_a_cut_inside_an_envelope_costs_nobody_a_mail(word: str) -> None:
    server = Sessions(Script(GO, then={word: "cut"}), Script(GO))
    crowd = Readers("a", "b", "c")
    assert await _stream(server, crowd) is None
    assert set(crowd.heard) == {"a", "b", "c"}
    assert "Unavailable" not in crowd.heard.values()
    assert sorted(server.bodies) == ["a", "b", "c"]


async def test_a_relay_that_cuts_every_time_is_a_fault_and_nobody_counts() -> None:
    server = Sessions(Script({**GO, "MAIL": "cut"}))
    crowd = Readers("a", "b")
    assert isinstance(await _stream(server, crowd), Unavailable)
    assert crowd.heard == {"a": "Unavailable"}
    assert [_name(one) for one in crowd.waiting] == ["b"]


async def test_who_must_get_nothing_any_more_gets_no_body_and_the_others_do() -> None:
    server = Sessions(Script(GO), Script(GO))
    crowd = Readers("a", "b", "c")
    crowd.withdrawn = {"b"}
    assert await _stream(server, crowd) is None
    assert crowd.heard == {"a": "2.0.0", "c": "2.0.0"}
    assert server.bodies == ["a", "c"]


async def test_a_relay_that_wants_a_fresh_session_after_some_mails_gets_one() -> None:
    enough = {"MAIL": "421 4.3.2 enough for one session", "RCPT": "cut"}
    server = Sessions(Script(GO, then=enough), Script(GO, then=enough), Script(GO, then=enough))
    crowd = Readers("a", "b", "c")
    assert await _stream(server, crowd) is None
    assert crowd.heard == {"a": "2.0.0", "b": "2.0.0", "c": "2.0.0"}
    assert server.opened == 3


async def test_a_fault_of_ours_is_told_once() -> None:
    crowd = Readers("a")
    server = Sessions(Script({**GO, ".": "550 5.7.26 no SPF, no DKIM"}))
    assert await _stream(server, crowd) is None
    (outcome,) = crowd.told["a"]
    assert isinstance(outcome, AccessLost)


async def test_silence_behind_the_dot_is_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Readers("a")
    never = Silent({**GO, ".": "250-never\r\n250-ends"}, monkeypatch, after=".")
    assert await _stream(Sessions(never), crowd) is None
    (outcome,) = crowd.told["a"]
    assert isinstance(outcome, Unconfirmed)
    assert "no answer" in outcome.detail


async def test_a_large_mail_arrives_whole_and_the_next_behind_it() -> None:
    script = Script(GO)
    crowd = Readers("a", "b")
    async with talking(script.talk) as port:
        ours = account(relays=[{"host": "127.0.0.1", "port": port, "tls": "none"}])
        large = post(body="Nous rouvrons mardi. " * 150_000)
        courier = await adapter().open(adapter().render(large, ours), ours)
        assert isinstance(courier, MailCourier)
        assert await courier.stream(crowd) is None
        await courier.close()
    assert crowd.heard == {"a": "2.0.0", "b": "2.0.0"}


async def test_words_out_of_turn_end_the_session_and_nobody_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    much = {**GO, "MAIL": "250 OK\r\n250 OK\r\n250 OK\r\n250 OK"}
    # What we say next is part of a mail to it.
    server = Sessions(Silent(much, monkeypatch, after="RSET"), Script(GO))
    crowd = Readers("a", "b")
    assert await _stream(server, crowd) is None
    assert set(crowd.told) == {"a", "b"}
    assert server.opened >= 2
