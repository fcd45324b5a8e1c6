"""Mailboxes that take access tokens, over real sockets: an IMAP server and a provider's tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
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
from scheduler.clock import Clock
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

    async def collect(self) -> Haul | AccessLost | Unavailable:
        return await self.adapter.collect(self.account, since=None, handled=())


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
        clock = SetClock(Clock().now())
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
    assert (len(found.mails), found.changed) == (1, {})
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


async def test_another_refresh_token_is_handed_over_to_be_stored_and_none_keeps_the_old(
    bench: Bench,
) -> None:
    bench.provider.extra = {"refresh_token": "s3cret-newer"}
    found = await bench.collect()
    assert isinstance(found, Haul)
    newer = found.changed["returns"].oauth.refresh_token.get_secret_value()
    assert newer == "s3cret-newer"
    bench.provider.extra = {}
    bench.clock.set(bench.clock.now() + timedelta(hours=2))
    assert isinstance(await bench.collect(), Haul)
    assert bench.provider.asked[-1]["refresh_token"] == "s3cret-newer"


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
    for found in (await bench.collect(), await bench.adapter.precheck(bench.account)):
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
