"""The newsletter against a real Postfix and a real Dovecot, over a network that misbehaves."""

from __future__ import annotations

import asyncio
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from imapclient import SEEN, IMAPClient
from sqlalchemy import insert, select

from channels.abilities import Haul
from channels.base import Account
from channels.newsletter.deliverability.dns import Resolver
from channels.newsletter.deliverability.inspect import Inspection
from channels.newsletter.mailbox import check, visit
from channels.newsletter.settings import Mailbox
from channels.outcome import AccessLost, AccessReason, Delivered, HealthStatus, Outcome, Unavailable
from scheduler.audience.returns import read
from scheduler.broadcast import Broadcaster
from scheduler.clock import Clock
from scheduler.drafts import Draft
from scheduler.mailing import mailing
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store.audience_tables import contacts, memberships, recipients, suppressions
from scheduler.store.db import Database
from scheduler.store.lists import find
from scheduler.store.return_tables import returns
from scheduler.verdicts import Pace
from scheduler.worker import Worker
from tests.channels.newsletter.support import adapter, post
from tests.engine.conftest import CALLER
from tests.peers import mail
from tests.peers.mail import BOUNCES, PASSWORD, READERS, SENDER, MailHost
from tests.peers.proxy import Proxy, Spoil
from tests.support.audience import ACCOUNT, seed, states, take_over
from tests.support.dns import NameServer
from tests.support.letters import problems
from tests.web.support import connect

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(
        bool(mail.missing()),
        reason=f"not installed: {mail.missing()} (`make test-peers` installs it)",
    ),
]
PATIENCE = 30.0


@pytest.fixture(scope="module")
def host() -> Iterator[MailHost]:
    with (
        tempfile.TemporaryDirectory(prefix="pf-", dir="/tmp") as folder,
        mail.running(Path(folder)) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def submission(host: MailHost, **changes: Any) -> dict[str, Any]:
    """STARTTLS and a login."""
    return {
        "host": "127.0.0.1", "port": host.submission, "tls": "starttls", "username": SENDER,
        "password": PASSWORD, "ca_file": str(host.ca), **changes,
    }  # fmt: skip


def settings_of(*relays: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "from_address": SENDER,
        "from_name": "La librairie",
        "publisher": "La librairie\n12 quai des Brumes, 44000 Nantes",
        "list_id": "letter.shop.example.org",
        "relays": list(relays),
        "timeout": 5,
        **changes,
    }


def account(*relays: dict[str, Any], **changes: Any) -> Account[Any]:
    settings = adapter().settings_type.model_validate(settings_of(*relays, **changes))
    return Account(id=ACCOUNT, name="Letter", settings=settings)


# --- The whole way: a post, a worker, a relay, mailboxes, and what comes back ----------------


def signing(key: rsa.RSAPrivateKey) -> tuple[dict[str, str], dict[str, bytes]]:
    """The account's `dkim`, and what DNS would hold."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ours = {"selector": "s1", "domain": "shop.example.org", "private_key": private}
    return ours, {"s1._domainkey.shop.example.org.": b"v=DKIM1; k=rsa; p=" + b64encode(public)}


@asynccontextmanager
async def publishing(
    url: str, folder: Path, settings: dict[str, Any], *names: str
) -> AsyncIterator[tuple[Services, str]]:
    """Services with a newsletter for these readers, and its account's id."""
    ours = Settings(
        data_dir=folder, database_url=url, redis_url="none", public_url="https://shop.example.org",
        mailbox_interval=0.2,
    )  # fmt: skip
    async with open_services(ours) as services:
        account_id = await connect(services, "Letter", "newsletter", **settings)
        now = services.clock.micros()
        row = {"created_at": now, "updated_at": now, "attributes": {}, "tags": []}
        async with services.database.write() as connection:
            await find(connection, services.database, account_id, now=now)
            for name in names:
                reader = str(uuid4())
                await connection.execute(
                    insert(contacts).values(id=reader, email=f"{name}@{READERS}", **row)
                )
                await connection.execute(
                    insert(memberships).values(
                        list_id=account_id, contact_id=reader, state="subscribed", since=now
                    )
                )
        yield services, account_id


async def rows(services: Services, statement: Any) -> list[Any]:
    async with services.database.read() as connection:
        return list((await connection.execute(statement)).all())


async def until(services: Services, statement: Any, count: int) -> list[Any]:
    async with asyncio.timeout(PATIENCE):
        while True:
            if len(found := await rows(services, statement)) >= count:
                return found
            await asyncio.sleep(0.05)


async def eventually(check: Callable[[], bool]) -> None:
    """Until a server has done what it does in its own time."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await asyncio.to_thread(check):
                return
            await asyncio.sleep(0.05)


async def test_a_mailing_arrives_and_its_bounces_come_back(
    host: MailHost, key: rsa.RSAPrivateKey, sqlite_url: str, tmp_path: Path
) -> None:
    dkim, records = signing(key)
    settings = settings_of(
        submission(host),
        dkim=dkim,
        envelope_from=BOUNCES,
        returns={
            "host": "127.0.0.1", "port": host.imap, "tls": "starttls", "username": BOUNCES,
            "password": PASSWORD, "ca_file": str(host.ca),
        },
    )  # fmt: skip
    words = {"title": "Réouverture lundi", "body": "Bonjour !\n\n**À lundi.**\n\n.\n\nL’équipe"}
    async with publishing(sqlite_url, tmp_path, settings, "ann", "gone", "unknown", "policy") as (
        services,
        account_id,
    ):
        draft = Draft.model_validate({**words, "accounts": [account_id], "at": "now"})
        async with Worker(services, redis_url=None, broadcast=mailing(services)).running():
            await services.intake.accept(draft, CALLER)
            reports = await until(services, select(returns), 1)
            banned = await until(services, select(suppressions.c.reason), 2)
            (letter,) = await asyncio.to_thread(host.wait_for, f"ann@{READERS}", 1)

            def put_away() -> bool:
                with host.inbox(BOUNCES) as client:
                    return bool(client.search() == client.search(["SEEN"]) != [])

            await eventually(put_away)
        outcomes = await rows(
            services,
            select(contacts.c.email, recipients.c.state, recipients.c.code).join(
                contacts, contacts.c.id == recipients.c.contact_id
            ),
        )
    assert {(mail.partition("@")[0], state, code) for mail, state, code in outcomes} == {
        ("ann", "accepted", "2.0.0"),
        ("gone", "accepted", "2.0.0"),
        ("unknown", "refused", "5.1.1"),
        ("policy", "refused", "5.7.1"),
    }
    assert [(one.kind, one.status, one.source) for one in reports] == [
        ("no-such-address", "5.1.1", "mailbox")
    ]
    # Dovecot told Postfix of the one, Postfix told us of the other; policy is nobody's death.
    assert len(banned) == 2
    assert problems(letter, records) == []
    assert problems(letter + b"P.S.\r\n", records) == ["DKIM does not verify"]
    assert b"with ESMTPSA" in letter, "by TLS, and logged in"


# --- What servers say, and how connections end ------------------------------------------------


class Desk:
    """A mailing straight through the broadcaster, so that each run is the test's to begin."""

    def __init__(self, database: Database, folder: Path, pace: Pace) -> None:
        self.database = database
        self._channel = adapter()
        self._broadcaster = Broadcaster(
            database=database, clock=Clock(), logbooks=folder / "logbooks", key=b"key",
            link=lambda contact, account: f"https://shop.example.org/u/{account}/{contact}",
            pace=pace,
        )  # fmt: skip

    async def seed(self, *names: str) -> Any:
        readers = [{"id": name, "email": f"{name}@{READERS}"} for name in names]
        return await seed(self.database, readers, now=Clock().micros())

    async def run(self, delivery: Any, there: Account[Any], title: str) -> Outcome:
        message = self._channel.render(post(title=title), there)
        return await self._broadcaster.run(delivery, message, there, self._channel)


@pytest.fixture
async def desk(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    database = Database(sqlite_url)
    pace = Pace(connections=1, defer_us=1000, defer_cap_us=200_000, patience_us=1_500_000)
    yield Desk(database, tmp_path, pace)
    await database.close()


def titled(host: MailHost, name: str, title: str) -> int:
    """How many mails of this title somebody has."""
    return sum(f"Subject: {title}".encode() in one for one in host.mails(f"{name}@{READERS}"))


async def test_refused_for_now_is_tried_again_and_ends_with_its_time(
    host: MailHost, desk: Desk
) -> None:
    delivery = await desk.seed("ann", "later", "full")

    await desk.run(delivery, account(submission(host)), "For now")

    assert await states(desk.database) == {"ann": "accepted", "later": "refused", "full": "refused"}
    refused = host.log().count(f"<later@{READERS}>: Recipient address rejected")
    assert refused >= 2, "it was tried more than once"
    async with desk.database.read() as connection:
        assert (await connection.execute(select(suppressions))).all() == []


async def test_a_domain_that_is_told_too_much_waits_and_its_others_get_their_mail(
    host: MailHost, desk: Desk
) -> None:
    delivery = await desk.seed("slow", "ann")
    assert isinstance(await desk.run(delivery, account(submission(host)), "Slow"), Delivered)
    assert await states(desk.database) == {"slow": "refused", "ann": "accepted"}
    assert titled(host, "ann", "Slow") == 1
    async with desk.database.read() as connection:
        assert (await connection.execute(select(suppressions))).all() == []


async def test_a_wrong_password_stops_the_run_before_anyone_is_written_to(
    host: MailHost, desk: Desk
) -> None:
    delivery = await desk.seed("ann")
    there = account(submission(host, password="wrong-horse"))

    outcome = await desk.run(delivery, there, "Locked")

    assert isinstance(outcome, AccessLost)
    assert outcome.reason is AccessReason.TOKEN
    assert "wrong-horse" not in repr(outcome)
    health = await adapter().probe(there)
    assert health.status is HealthStatus.ACCESS_LOST
    assert await states(desk.database) == {"ann": "pending"}


async def test_a_certificate_that_nobody_vouches_for_gets_no_password(
    host: MailHost, desk: Desk
) -> None:
    delivery = await desk.seed("ann")
    there = account(submission(host, ca_file=None))
    assert isinstance(await desk.run(delivery, there, "Forged"), Unavailable)
    assert (await adapter().probe(there)).status is HealthStatus.PLATFORM_DOWN


async def test_the_next_relay_carries_what_the_first_refuses(host: MailHost, desk: Desk) -> None:
    delivery = await desk.seed("ann")
    there = account(submission(host, password="wrong-horse"), submission(host))
    await desk.run(delivery, there, "Second road")
    assert await states(desk.database) == {"ann": "accepted"}


@pytest.mark.parametrize(("spoil", "arrives"), [(Spoil.CUT, 1), (Spoil.HOLD, 1), (Spoil.TEAR, 0)])
async def test_a_lost_answer_to_the_dot_is_one_uncertain_reader_and_no_double(
    host: MailHost, desk: Desk, spoil: Spoil, arrives: int
) -> None:
    """Torn on its way, the dot had left us too: nobody here can tell it from the others."""
    title = f"Lost {spoil.name}"
    delivery = await desk.seed("ann", "bob", "eve")
    async with Proxy("127.0.0.1", host.plain, "smtp", match="TO:<bob@", spoil=spoil) as proxy:
        relay = {"host": "127.0.0.1", "port": proxy.listens_on, "tls": "none"}
        there = account(relay, timeout=1 if spoil is Spoil.HOLD else 5)
        await desk.run(delivery, there, title)
        assert proxy.hits == 1
        proxy.spoil = None
        await take_over(desk.database, "token-2")
        again = await desk.run(_claimed_again(delivery), there, title)
    assert await states(desk.database) == {
        "ann": "accepted", "bob": "uncertain", "eve": "accepted",
    }  # fmt: skip
    assert "1 uncertain" in getattr(again, "note", "")
    await eventually(host.queue_is_empty)
    assert [titled(host, name, title) for name in ("ann", "bob", "eve")] == [1, arrives, 1]


async def test_a_connection_lost_before_the_dot_is_sent_again_once(
    host: MailHost, desk: Desk
) -> None:
    """The first mail: a later one's envelope travels with the dot before it, and leaves that one
    uncertain."""
    title = "Refused once"
    delivery = await desk.seed("ann", "bob")
    async with Proxy(
        "127.0.0.1", host.plain, "smtp", match="TO:<ann@", spoil=Spoil.REFUSE, times=1
    ) as proxy:
        relay = {"host": "127.0.0.1", "port": proxy.listens_on, "tls": "none"}
        await desk.run(delivery, account(relay), title)
        assert proxy.hits == 1
    assert await states(desk.database) == {"ann": "accepted", "bob": "accepted"}
    await eventually(host.queue_is_empty)
    assert [titled(host, name, title) for name in ("ann", "bob")] == [1, 1]


def _claimed_again(delivery: Any) -> Any:
    return replace(delivery, token="token-2")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "tls-ok"),
        ({"ca_file": None}, "tls-untrusted"),
        ({"tls": "none", "username": "", "ca_file": None}, "tls-untrusted"),
    ],
)
async def test_the_relays_encryption_is_looked_at(
    host: MailHost, changes: dict[str, Any], code: str
) -> None:
    async with NameServer({}) as names:
        found = await Inspection(
            account=account(submission(host, **changes)),
            resolver=Resolver(names.address),
            now=datetime.now(UTC),
            unsubscribe_url="https://shop.example.org/u/x",
            language="en",
        ).everything()
    assert [one.code for one in found if one.area == "tls"] == [code]


# --- The mailbox itself -----------------------------------------------------------------------


def returns_at(host: MailHost, **changes: Any) -> Mailbox:
    return Mailbox.model_validate(
        {
            "host": "127.0.0.1", "port": host.imap, "tls": "starttls", "username": SENDER,
            "password": PASSWORD, "ca_file": str(host.ca), **changes,
        }
    )  # fmt: skip


async def test_handled_mails_are_moved_and_others_stay_as_they_are(host: MailHost) -> None:
    box = returns_at(host, move_to="Retours traités")
    with host.inbox(SENDER) as client:
        for number in range(3):
            client.append("INBOX", f"Subject: {number}\r\n\r\nHello\r\n".encode())
    found = await asyncio.to_thread(visit, box, None, ())
    assert isinstance(found, Haul)
    first, *others = found.mails

    again = await asyncio.to_thread(visit, box, found.bookmark, (first,))

    assert isinstance(again, Haul)
    assert (again.mails, again.more, again.bookmark) == ({}, False, found.bookmark)
    with host.inbox(SENDER) as client:
        assert client.search() == others
        assert not any(SEEN in flags for flags in client.get_flags(others).values())
        client.select_folder("Retours traités")
        assert len(client.search()) == 1


async def test_a_refused_login_and_a_folder_that_is_not_there_say_what_to_do(
    host: MailHost,
) -> None:
    wrong = await asyncio.to_thread(visit, returns_at(host, password="wrong-horse"), None, ())
    assert isinstance(wrong, AccessLost)
    assert (wrong.reason, "wrong-horse" in repr(wrong)) == (AccessReason.TOKEN, False)
    lost = await asyncio.to_thread(visit, returns_at(host, folder="Nowhere"), None, ())
    assert isinstance(lost, AccessLost)
    assert "Nowhere" in lost.detail
    forged = await asyncio.to_thread(visit, returns_at(host, ca_file=None), None, ())
    assert isinstance(forged, Unavailable)


def test_a_bounce_of_postfix_is_read_only_with_our_key(host: MailHost) -> None:
    reports = [one for one in host.mails(BOUNCES) if b"multipart/report" in one]
    assert reports, "the mailing before this test left one"
    assert [read(b"another key", one) for one in reports] == [None] * len(reports)


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
async def test_dovecot_lets_in_whom_the_provider_s_access_token_names(
    host: MailHost, mechanism: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    owner = BOUNCES

    async def introspect(request: web.Request) -> web.Response:
        given = str((await request.post())["token"])
        asked.append(given)
        return web.json_response({"active": given == "good-token", "email": owner})

    app = web.Application()
    app.router.add_post("/introspect", introspect)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", host.tokens).start()
    if mechanism == "XOAUTH2":  # as with a server that speaks this alone
        monkeypatch.setattr(IMAPClient, "has_capability", lambda _, name: "OAUTH" not in name)
    oauth = {"token_url": "https://provider.example/token", "client_id": "c", "refresh_token": "r"}
    box = returns_at(host, username=BOUNCES, password=None, oauth=oauth)
    try:
        assert await asyncio.to_thread(check, box, "good-token") is None
        assert isinstance(await asyncio.to_thread(visit, box, None, (), "good-token"), Haul)
        wrong = await asyncio.to_thread(check, box, "bad-token")
        assert isinstance(wrong, AccessLost)
        assert wrong.reason is AccessReason.TOKEN
        owner = SENDER
        assert isinstance(await asyncio.to_thread(check, box, "good-token"), AccessLost)
    finally:
        await runner.cleanup()
    assert set(asked) == {"good-token", "bad-token"}
