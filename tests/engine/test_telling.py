"""Alerts reach people: a real SMTP server, a real HTTP receiver that verifies signatures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.message import Message
from email.policy import default
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, Envelope
from pydantic import SecretStr
from standardwebhooks import Webhook

from channels.sandbox.faults import FaultName
from channels.sandbox.server import PracticeServer
from scheduler.alerts import Alert, notice
from scheduler.care import doctor_of, teller_of, watchman_of
from scheduler.foresight import DAY, Foresight
from scheduler.settings import Settings
from scheduler.store import claims, notices
from scheduler.store.accounts import pause
from scheduler.store.alert_tables import hook_calls
from scheduler.store.alerts import raise_alert
from scheduler.store.tables import accounts, deliveries
from tests.engine.conftest import PATIENCE, Engine, opened

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"


@dataclass
class Mailbox:
    """Everything that the relay took."""

    mails: list[Message] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    refuses: bool = False
    refused: str = ""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        if self.refuses:
            return "451 try later"
        if envelope.rcpt_tos == [self.refused]:
            return "451 try later"
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        self.came.set()
        return "250 taken"


@dataclass
class Receiver:
    """Verifies each call before it takes it."""

    status: int = 204
    calls: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        self.calls.append(json.loads(body))
        self.ids.append(request.headers["webhook-id"])
        return web.Response(status=self.status)


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def engine(
    settings: Settings, practice: PracticeServer, mailbox: Mailbox
) -> AsyncIterator[Engine]:
    """An engine whose alerts are told to the mailbox, without waiting."""
    loop = asyncio.get_running_loop()
    relay = await loop.create_server(lambda: SMTP(mailbox, loop=loop), "127.0.0.1", 0)
    port = relay.sockets[0].getsockname()[1]
    telling = settings.model_copy(
        update={
            "alert_mail_to": "owner@example.org",
            "alert_mail_from": "alerts@example.org",
            "alert_smtp_url": SecretStr(f"smtp://127.0.0.1:{port}"),
            "alert_gather": 0,
        }
    )
    async with opened(telling, practice) as engine:
        yield engine
    relay.close()


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/alerts", receiver.take)
    async with TestServer(app) as server:
        yield receiver, str(server.make_url("/alerts"))


async def hook(engine: Engine, url: str, *kinds: str) -> str:
    services = engine.services
    async with services.database.write() as connection:
        return await notices.add_hook(
            connection, url=url, secret=services.vault.seal({"secret": SECRET}), kinds=kinds,
            now=services.clock.micros(),
        )  # fmt: skip


async def happen(engine: Engine, fact: str, kind: str = "account.degraded") -> None:
    services = engine.services
    async with services.database.write() as connection:
        await raise_alert(
            connection, services.database, fact=fact, kind=kind, severity="warning",
            data={"account_id": engine.accounts["facebook"], "cause": f"because of {fact}"},
            now=services.clock.micros(),
        )  # fmt: skip


async def test_one_fact_is_one_mail_however_often_it_is_seen(
    engine: Engine, mailbox: Mailbox
) -> None:
    teller = teller_of(engine.services)
    await happen(engine, "one")
    await teller.round()
    await happen(engine, "one")
    await teller.round()
    (mail,) = mailbox.mails
    assert mail["To"] == "owner@example.org"
    assert "is only partly visible" in mail["Subject"]
    assert "because of one" in mail.get_payload()


async def test_a_relay_that_refuses_is_asked_again(engine: Engine, mailbox: Mailbox) -> None:
    teller = teller_of(engine.services)
    mailbox.refuses = True
    await happen(engine, "one")
    await teller.round()
    mailbox.refuses = False
    await teller.round()
    await teller.round()
    assert len(mailbox.mails) == 1


async def test_each_person_is_told_in_her_language_and_once(
    engine: Engine, mailbox: Mailbox
) -> None:
    readers = "fr:anne@example.org, bob@example.org, fr:zoe@example.org"
    settings = engine.services.settings.model_copy(update={"alert_mail_to": readers})
    teller = replace(teller_of(engine.services), settings=settings)
    mailbox.refused = "bob@example.org"
    await happen(engine, "one")
    await teller.round()
    mailbox.refused = ""
    await happen(engine, "two")
    await teller.round()
    await teller.round()
    told = [(mail["To"], mail["Content-Language"]) for mail in mailbox.mails]
    french = ("anne@example.org, zoe@example.org", "fr")
    assert told == [french, french, ("bob@example.org", "en")]
    first, second, english = (mail.get_payload(decode=True) for mail in mailbox.mails)
    assert isinstance(first, bytes)
    assert "n’est visible qu’en partie" in first.decode()
    assert isinstance(second, bytes)
    assert b"because of one" not in second
    assert isinstance(english, bytes)
    assert b"because of one" in english
    assert b"because of two" in english


async def test_every_road_closed_holds_and_tells_by_mail_and_webhook(
    engine: Engine, mailbox: Mailbox, receiver: tuple[Receiver, str]
) -> None:
    taken, url = receiver
    await hook(engine, url)
    async with engine.services.database.write() as connection:
        for channel in ("blog", "linkedin"):
            await pause(connection, engine.accounts[channel], None, 1)
    engine.fault("facebook", FaultName.PAGE_GONE)
    async with engine.worker():
        post = await engine.post("facebook", title="We reopen")
        await engine.until(post, lambda rows: rows[0].hold_reason == "no-road")
        async with asyncio.timeout(PATIENCE):
            while True:
                mails = [str(mail.get_payload()) for mail in mailbox.mails]
                kinds = {one["type"] for one in taken.calls}
                if "alert.account.vanished" in kinds and any("We reopen" in mail for mail in mails):
                    break
                await asyncio.sleep(0.02)


async def test_what_happens_together_is_one_mail(engine: Engine, mailbox: Mailbox) -> None:
    for fact in ("one", "two", "three"):
        await happen(engine, fact)
    await teller_of(engine.services).round()
    (mail,) = mailbox.mails
    assert mail["Subject"].startswith("3 alerts")


async def test_a_webhook_is_signed_and_called_once(
    engine: Engine, receiver: tuple[Receiver, str]
) -> None:
    taken, url = receiver
    await hook(engine, url)
    await hook(engine, url, "account.vanished")
    await happen(engine, "one")
    teller = teller_of(engine.services)
    await teller.round()
    await teller.round()
    (call,) = taken.calls
    assert call["type"] == "alert.account.degraded"
    assert call["data"]["account"] == (await engine.account("facebook")).name


async def test_a_webhook_that_fails_is_called_again_under_the_same_id(
    engine: Engine, receiver: tuple[Receiver, str]
) -> None:
    taken, url = receiver
    await hook(engine, url)
    await happen(engine, "one")
    teller = teller_of(engine.services)
    taken.status = 500
    await teller.round()
    await teller.round()
    assert len(taken.calls) == 1
    async with engine.services.database.write() as connection:
        await connection.execute(hook_calls.update().values(next_at=1))
    taken.status = 200
    await teller.round()
    assert len(set(taken.ids)) == 1
    assert len(taken.calls) == 2


async def test_a_receiver_that_is_gone_is_given_up_and_its_owner_told(
    engine: Engine, receiver: tuple[Receiver, str], mailbox: Mailbox
) -> None:
    taken, url = receiver
    await hook(engine, url)
    taken.status = 410
    await happen(engine, "one")
    teller = teller_of(engine.services)
    await teller.round()
    await teller.round()
    assert len(taken.calls) == 1
    assert "given up" in mailbox.mails[-1]["Subject"]


async def test_a_worker_tells_of_a_dead_token(engine: Engine, mailbox: Mailbox) -> None:
    engine.fault("facebook", FaultName.TOKEN_DEAD)
    async with engine.worker():
        post = await engine.post("facebook")
        await engine.settled(post, "held")
        async with asyncio.timeout(20):
            await mailbox.came.wait()
    assert "refuses us" in mailbox.mails[0]["Subject"]


async def test_without_a_worker_the_api_tells_once_and_ends_it(
    engine: Engine, mailbox: Mailbox
) -> None:
    watchman = watchman_of(engine.services)
    now = engine.services.clock.micros()
    await claims.heartbeat(  # and then the clock was put back
        engine.services.database, worker="dead", host="h", pid=1, started_at=now, now=now + DAY
    )
    await watchman.look()
    await watchman.look()
    assert ["no worker is alive" in mail["Subject"] for mail in mailbox.mails] == [True]
    await claims.heartbeat(
        engine.services.database, worker="w", host="h", pid=1, started_at=now, now=now
    )
    await watchman.look()
    assert [alert.resolved_at is not None for alert in await engine.alerts()] == [True]


async def test_a_token_near_its_end_names_the_posts_at_risk(engine: Engine) -> None:
    services = engine.services
    await engine.post("facebook", title="Too late for it", seconds=9 * 24 * 3600)
    await engine.post("facebook", title="", body="Bread, *fresh*", seconds=10 * 24 * 3600)
    for day in range(11, 25):
        await engine.post("facebook", title=f"Day {day}", seconds=day * 24 * 3600)
    held = await engine.post("facebook", title="Held", seconds=10 * 24 * 3600 + 60)
    async with services.database.write() as connection:
        await connection.execute(
            deliveries.update().where(deliveries.c.post_id == held).values(state="held")
        )
    now = services.clock.micros()
    foresight = Foresight(database=services.database, clock=services.clock)

    async def ends_in(days: float) -> list[Any]:
        async with services.database.write() as connection:
            await connection.execute(
                accounts.update()
                .where(accounts.c.id == engine.accounts["facebook"])
                .values(expires_at=now + int(days * DAY))
            )
        await foresight.look()
        await foresight.look()
        return [
            alert.data["days"]
            for alert in await engine.alerts()
            if alert.kind == "account.expires" and alert.resolved_at is None
        ]

    assert await ends_in(30) == []
    assert await ends_in(13) == [14]
    assert await ends_in(6.5) == [7]
    (alert,) = [one for one in await engine.alerts() if one.fact and "expires" in one.fact]
    assert alert.data["posts"][:4] == ["Too late for it", "Bread, *fresh*", "Held", "Day 11"]
    assert (len(alert.data["posts"]), alert.data["more_posts"], alert.count) == (10, 7, 1)
    shown = Alert(id="a", kind=alert.kind, severity=alert.severity, data=alert.data)
    told = "\n".join(notice([shown], language="fr", base_url="").lines)
    assert "son accès prend fin le " in told
    assert "Too late for it, Bread, *fresh*" in told
    assert "et 7 de plus" in told
    assert await ends_in(60) == []


async def test_a_plan_b_that_leads_nowhere_is_told_and_ends(engine: Engine) -> None:
    services = engine.services
    foresight = Foresight(database=services.database, clock=services.clock)

    async def told() -> set[str]:
        await foresight.look()
        return {
            alert.data["account_id"]
            for alert in await engine.alerts()
            if alert.kind == "route.incomplete" and alert.resolved_at is None
        }

    assert await told() == {engine.accounts["blog"]}
    async with services.database.write() as connection:
        await connection.execute(
            accounts.update()
            .where(accounts.c.id == engine.accounts["blog"])
            .values(status="vanished")
        )
    assert engine.accounts["facebook"] in await told()
    await doctor_of(services, "tests").probe(engine.accounts["blog"])
    assert await told() == {engine.accounts["blog"]}


async def test_a_title_of_two_lines_is_told_and_keeps_no_other_alert_waiting(
    engine: Engine, mailbox: Mailbox
) -> None:
    post = await engine.post("facebook", title="We reopen\non Monday")
    services = engine.services
    async with services.database.write() as connection:
        await raise_alert(
            connection, services.database, fact="one", kind="delivery.held", severity="warning",
            data={"post_id": post, "account_id": engine.accounts["facebook"], "cause": "why"},
            now=services.clock.micros(),
        )  # fmt: skip
    await teller_of(services).round()
    (mail,) = mailbox.mails
    assert "“We reopen on Monday” waits for you" in mail["Subject"]
