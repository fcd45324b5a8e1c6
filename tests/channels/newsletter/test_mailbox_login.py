"""Mailboxes that take access tokens, over real sockets: an IMAP server and a provider's tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from channels.abilities import Haul
from channels.base import Account, Tools
from channels.http import HttpClient
from channels.newsletter.adapter import Newsletter
from channels.newsletter.settings import NewsletterSettings
from channels.outcome import AccessLost, AccessReason, Unavailable
from scheduler.admission import admit
from tests.channels.newsletter.support import practice
from tests.support.clocks import SetClock
from tests.support.mailbox import PracticeMailbox
from tests.test_collecting import settings_for

PASSWORDLESS = {"password": None, "username": "bounces@shop.example.org"}


@dataclass
class Provider:
    """Gives `token-1`, `token-2`, …; `answers`: what it says instead, one after the other."""

    box: PracticeMailbox
    asked: list[dict[str, str]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    port: int = 0

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        if self.answers:
            status, said = self.answers.pop(0)
            return web.json_response(said, status=status)
        self.box.access_token = f"token-{len(self.asked)}"
        said = {"access_token": self.box.access_token, "expires_in": 3600, **self.extra}
        return web.json_response(said)


@dataclass
class Bench:
    provider: Provider
    box: PracticeMailbox
    adapter: Newsletter
    clock: SetClock
    account: Account[Any]
    seen: list[Any] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    full: bool = False

    async def keep(self, changed: Mapping[str, Any]) -> None:
        """As the store does: and so this account is asked with from now on."""
        assert self.box.authenticated == self.seen  # before the mailbox is visited
        if self.full:
            raise OSError
        self.kept.append(changed["returns"].oauth.refresh_token.get_secret_value())
        settings = self.account.settings.model_copy(update=dict(changed))
        self.account = replace(self.account, settings=settings)

    async def collect(self) -> Haul | AccessLost | Unavailable:
        self.seen = list(self.box.authenticated)
        return await self.adapter.collect(self.account, since=None, handled=(), keep=self.keep)


def _account(box: PracticeMailbox, port: int, **oauth: str) -> Account[Any]:
    values = {
        "token_url": f"http://127.0.0.1:{port}/token", "client_id": "estafette",
        "client_secret": "s3cret-client", "refresh_token": "s3cret-refresh", **oauth,
    }  # fmt: skip
    given = settings_for(box, **PASSWORDLESS, oauth=values)
    return Account(id="a", name="Letter", settings=NewsletterSettings.model_validate(given))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with PracticeMailbox(mechanisms=("XOAUTH2",)) as box:
        provider = Provider(box)
        app = web.Application()
        app.router.add_post("/token", provider.token)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        clock = SetClock()
        async with HttpClient(private_ok=True) as http:
            adapter = Newsletter(Tools(http=http, now=clock.now))
            yield Bench(provider, box, adapter, clock, _account(box, port))
        await runner.cleanup()


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
async def test_a_mailbox_is_read_with_an_access_token_by_what_its_server_speaks(
    bench: Bench, mechanism: str
) -> None:
    bench.box.mechanisms = (mechanism,)
    bench.box.arrive(b"Subject: hello\r\n\r\nhello")
    found = await bench.collect()
    assert isinstance(found, Haul), found
    assert (len(found.mails), bench.kept) == (1, [])
    (said,) = bench.box.authenticated
    user = "bounces@shop.example.org"
    assert (
        said
        == {
            "XOAUTH2": ("XOAUTH2", f"user={user}\x01auth=Bearer token-1\x01\x01"),
            "OAUTHBEARER": ("OAUTHBEARER", f"n,a={user},\x01auth=Bearer token-1\x01\x01"),
        }[mechanism]
    )
    assert bench.provider.asked == [
        {"grant_type": "refresh_token", "client_id": "estafette",
         "client_secret": "s3cret-client", "refresh_token": "s3cret-refresh"}
    ]  # fmt: skip


async def test_a_token_is_used_until_it_ends_or_is_refused(bench: Bench) -> None:
    for _ in range(3):
        assert isinstance(await bench.collect(), Haul)
    assert len(bench.provider.asked) == 1
    bench.clock.set(bench.clock.now() + timedelta(minutes=56))
    assert isinstance(await bench.collect(), Haul)
    assert len(bench.provider.asked) == 2
    bench.box.access_token = "withdrawn"
    assert isinstance(await bench.collect(), Haul)
    assert len(bench.provider.asked) == 3


async def test_another_refresh_token_is_stored_before_the_visit_and_none_keeps_the_old(
    bench: Bench,
) -> None:
    bench.provider.extra = {"refresh_token": "s3cret-newer"}
    assert isinstance(await bench.collect(), Haul)
    assert bench.kept == ["s3cret-newer"]
    bench.provider.extra = {}
    bench.clock.set(bench.clock.now() + timedelta(hours=2))
    assert isinstance(await bench.collect(), Haul)
    assert bench.provider.asked[-1]["refresh_token"] == "s3cret-newer"
    assert bench.kept == ["s3cret-newer"]


async def test_another_refresh_token_is_stored_although_the_mailbox_does_not_open(
    bench: Bench,
) -> None:
    bench.provider.extra = {"refresh_token": "s3cret-newer"}
    await bench.box.__aexit__(None, None, None)
    assert isinstance(await bench.collect(), Unavailable)
    assert bench.kept == ["s3cret-newer"]


async def test_a_refresh_token_that_could_not_be_stored_is_stored_at_the_next_visit(
    bench: Bench,
) -> None:
    bench.provider.extra, bench.full = {"refresh_token": "s3cret-newer"}, True
    with pytest.raises(OSError):  # noqa: PT011 -- the store's own
        await bench.collect()
    assert bench.box.authenticated == []
    bench.full = False
    assert isinstance(await bench.collect(), Haul)
    assert bench.kept == ["s3cret-newer"]
    assert len(bench.provider.asked) == 1


async def test_a_refresh_token_that_the_first_look_replaced_is_what_is_stored(
    bench: Bench,
) -> None:
    bench.provider.extra = {"refresh_token": "s3cret-newer"}
    async with practice() as (_, connected):
        relays = connected.settings.relays
        given = bench.account.settings.model_copy(update={"relays": relays})
        admitted = await admit(bench.adapter, given, "Letter")
    stored: Any = admitted.settings
    assert stored.returns.oauth.refresh_token.get_secret_value() == "s3cret-newer"
    assert stored.relays == relays


@pytest.mark.parametrize(
    ("status", "error", "reason", "words"),
    [
        (400, "invalid_grant", AccessReason.TOKEN, "new refresh token"),
        (401, "invalid_client", AccessReason.MISCONFIGURED, "client_id"),
    ],
)
async def test_a_refused_renewal_says_what_to_do_and_no_secret(
    bench: Bench, status: int, error: str, reason: AccessReason, words: str
) -> None:
    said = {"error": error, "error_description": "s3cret-refresh is not known"}
    bench.provider.answers = [(status, said), (status, said)]
    checked = await bench.adapter.precheck(bench.account, keep=bench.keep)
    for found in (await bench.collect(), checked):
        assert isinstance(found, AccessLost)
        assert found.reason is reason
        assert words in found.remedy
        assert "s3cret" not in repr(found)
    assert bench.box.logins == 0


async def test_a_provider_that_is_away_is_tried_later(bench: Bench) -> None:
    bench.provider.answers = [(503, {})]
    assert isinstance(await bench.collect(), Unavailable)
    assert isinstance(await bench.collect(), Haul)


@pytest.mark.parametrize(
    ("mailbox", "words"),
    [
        ({"password": None}, "either password or oauth"),
        ({"oauth": {"token_url": "https://x.example/t", "client_id": "c", "refresh_token": "r"}},
         "either password or oauth"),
        ({"password": None, "oauth": {"token_url": "http://x.example/t", "client_id": "c",
                                      "refresh_token": "s3cret"}}, "https://"),
    ],
)  # fmt: skip
def test_there_is_one_way_in_and_secrets_travel_encrypted(
    mailbox: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words) as error:
        NewsletterSettings.model_validate(settings_for(PracticeMailbox(port=143), **mailbox))
    assert "s3cret" not in str(error.value)
