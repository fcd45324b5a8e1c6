"""How a relay is entered: every mix of encryption and login, and every way in which it refuses."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from channels.newsletter.courier import MailCourier
from channels.newsletter.replies import Stage
from channels.newsletter.smtp import LostError, RefusedError, connect
from channels.outcome import AccessLost, Delivered, Unavailable

from .support import account, adapter, post, reader
from .test_smtp import (
    MAIL,
    PATIENCE,
    Keeper,
    Script,
    _mail,
    _server,
    aiosmtpd_server,
    certificate,
    talking,
)

__all__ = ["certificate"]  # a fixture


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
async def test_every_encryption_goes_with_every_login(
    certificate: Path, tls: str, mechanism: str
) -> None:
    keeper = Keeper()
    other = {"PLAIN": "LOGIN", "LOGIN": "PLAIN"}[mechanism]
    options: dict[str, Any] = {"auth_exclude_mechanism": [other]}
    async with aiosmtpd_server(keeper, certificate, tls, **options) as port:
        server = _server(port, tls, certificate)
        connection = await connect(server, username="anna", password="geheim")
        assert await _mail(connection) == (Stage.BODY, 250)
        await connection.close()
    assert keeper.mails == [(MAIL, tls != "none", True)]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_certificate_for_another_host_is_refused(certificate: Path, tls: str) -> None:
    async with aiosmtpd_server(Keeper(), certificate, tls) as port:
        server = _server(port, tls, certificate)
        with pytest.raises(LostError, match="certificate verify failed"):
            await connect(type(server)("localhost", port, tls, server.context, "us", PATIENCE))


async def test_a_port_in_the_clear_is_no_encrypted_one(certificate: Path) -> None:
    async with aiosmtpd_server(Keeper(), certificate, "none") as port:
        with pytest.raises(LostError):
            await connect(_server(port, "tls", certificate))


async def test_encryption_that_the_relay_refuses_for_now_sends_no_password() -> None:
    script = Script({"STARTTLS": "454 4.7.0 TLS not available"}, offer="STARTTLS")
    async with talking(script.talk) as port:
        with pytest.raises(RefusedError) as refused:
            await connect(_server(port, "starttls"), username="anna", password="geheim")
    assert (refused.value.stage, refused.value.reply.code) == (Stage.TLS, 454)
    assert script.lines == ["EHLO us.example.org", "STARTTLS"]


async def test_what_was_said_before_the_encryption_does_not_count(certificate: Path) -> None:
    """CVE-2011-0411: somebody between us adds an answer in the clear."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    heard: list[bytes] = []

    async def talk(read: asyncio.StreamReader, write: asyncio.StreamWriter) -> None:
        write.write(b"220 here\r\n")
        await read.readline()
        write.write(b"250-here\r\n250 STARTTLS\r\n")
        await read.readline()
        write.write(b"220 go\r\n250-forged\r\n250 AUTH PLAIN\r\nhalf ")
        await write.start_tls(context)
        heard.append(await read.readline())
        write.write(b"250-here\r\n250 AUTH LOGIN\r\n")
        heard.append(await read.readline())
        write.close()

    async with talking(talk) as port:
        with pytest.raises(LostError):
            await connect(_server(port, "starttls", certificate), username="a", password="b")
    assert heard == [b"EHLO us.example.org\r\n", b"AUTH LOGIN\r\n"]


@pytest.mark.parametrize(
    ("offer", "answers", "code"),
    [
        ("PIPELINING", {}, 538),  # no login at all
        ("AUTH CRAM-MD5 XOAUTH2", {}, 538),
        ("AUTH PLAIN", {"AUTH": "534 5.7.9 Application-specific password required"}, 534),
        ("AUTH PLAIN", {"AUTH": "535 5.7.8 Bad credentials"}, 535),
        ("AUTH PLAIN", {"AUTH": "530 5.7.0 Must issue STARTTLS first"}, 530),
        ("AUTH LOGIN", {"AUTH": "504 5.5.4 Unrecognized authentication type"}, 504),
    ],
)
async def test_a_login_that_is_refused_says_so_and_is_lost_access(
    offer: str, answers: dict[str, str], code: int
) -> None:
    script = Script(answers, offer=offer)
    async with talking(script.talk) as port:
        with pytest.raises(RefusedError) as refused:
            await connect(_server(port), username="anna", password="geheim")
        assert (refused.value.stage, refused.value.reply.code) == (Stage.LOGIN, code)
        relay = {
            "host": "127.0.0.1", "port": port, "tls": "none", "username": "anna",
            "password": "geheim",
        }  # fmt: skip
        ours = account(relays=[relay])
        opened = await adapter().open(adapter().render(post(), ours), ours)
    assert isinstance(opened, AccessLost)
    assert "geheim" not in repr(opened)


async def test_a_relay_that_is_busy_is_tried_again_later() -> None:
    script = Script({"AUTH": "454 4.7.0 Temporary authentication failure"}, offer="AUTH PLAIN")
    async with talking(script.talk) as port:
        relay = {
            "host": "127.0.0.1", "port": port, "tls": "none", "username": "a", "password": "b",
        }  # fmt: skip
        ours = account(relays=[relay])
        opened = await adapter().open(adapter().render(post(), ours), ours)
    assert isinstance(opened, Unavailable)


async def test_relays_are_taken_in_order_until_one_lets_us_in(certificate: Path) -> None:
    keeper, refusing = Keeper(), Script({"AUTH": "535 5.7.8 no"}, offer="AUTH PLAIN")
    login = {"username": "anna", "password": "geheim"}
    async with (
        talking(refusing.talk) as closed,
        aiosmtpd_server(keeper, certificate, "tls") as port,
    ):
        first = {"host": "127.0.0.1", "port": closed, "tls": "none", **login}
        second = {"host": "127.0.0.1", "port": port, "tls": "tls", **login}
        ours = account(relays=[first, {**second, "ca_file": str(certificate)}])
        courier = await adapter().open(adapter().render(post(), ours), ours)
        assert isinstance(courier, MailCourier)
        assert isinstance(await courier.send(reader(), key="k"), Delivered)
        await courier.close()
    assert len(keeper.mails) == 1


async def test_an_old_relay_is_greeted_in_the_old_way() -> None:
    script = Script({"EHLO": "502 5.5.1 not here", "DATA": "354 go", ".": "250 taken"})
    async with talking(script.talk) as port:
        connection = await connect(_server(port))
        assert await _mail(connection) == (Stage.BODY, 250)
        await connection.close()
    assert script.lines[:2] == ["EHLO us.example.org", "HELO us.example.org"]
