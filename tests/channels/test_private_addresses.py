"""What users write leads nowhere inside our network: by no name, by no number, by no detour."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels import http
from channels.http import HttpClient, PrivateAddressError
from channels.private import is_private

INSIDE = "127.0.0.2"  # what counts as private where the test's own 127.0.0.1 counts as public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.1.2.3", "224.0.0.1",
        "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1",
        "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_what_is_not_public(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_what_is_public(address: str) -> None:
    assert not is_private(address)


@pytest.fixture
async def outside(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestServer]:
    """A server that counts as public and sends its visitors on into our network."""
    monkeypatch.setattr(http, "is_private", lambda address: address == INSIDE)
    asked: list[str] = []

    async def send_on(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://{INSIDE}:{request.url.port}/metadata")

    async def metadata(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="the keys of the house")

    app = web.Application()
    app.router.add_get("/page", send_on)
    app.router.add_get("/metadata", metadata)
    server = TestServer(app, host="0.0.0.0")  # noqa: S104 -- both loopback addresses
    async with server:
        yield server
    assert asked == []


async def test_a_redirect_to_a_private_address_is_not_followed(outside: TestServer) -> None:
    async with HttpClient(private_ok=False) as client:
        with pytest.raises(PrivateAddressError, match=INSIDE):
            await client.request("GET", f"http://127.0.0.1:{outside.port}/page", follow=True)


async def test_a_private_address_is_not_asked_for(outside: TestServer) -> None:
    async with HttpClient(private_ok=False) as client:
        with pytest.raises(PrivateAddressError, match=INSIDE):
            await client.request("GET", f"http://{INSIDE}:{outside.port}/metadata")
