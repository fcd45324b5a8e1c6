"""A name server that does not answer keeps nobody waiting but those who ask for its hosts."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvloop
from aiohttp import web

from channels import names
from channels.http import HttpClient, NotSentError, PrivateAddressError
from channels.names import STRANGERS, THREADS, look_up
from channels.newsletter.smtp import LostError, Server, connect

MANY = 40  # more than the pool of any loop
PATIENCE = 30.0


class Silent:
    """The system's resolver, but for hosts whose name server says nothing until `answer`."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answer = threading.Event()
        self._system = socket.getaddrinfo

    def __call__(self, host: Any, *rest: Any, **named: Any) -> Any:
        if host == "quick.example":
            host = "127.0.0.1"
        if isinstance(host, str) and host.endswith(".silent.example"):
            self.asked[host] += 1
            self.answer.wait(2 * PATIENCE)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return self._system(host, *rest, **named)

    async def heard(self, hosts: int) -> None:
        """Wait until so many hosts were asked for."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if len(self.asked) >= hosts:
                    return
                await asyncio.sleep(0.01)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    silent = Silent()
    monkeypatch.setattr(socket, "getaddrinfo", silent)
    yield silent
    silent.answer.set()


@pytest.fixture
async def page() -> AsyncIterator[str]:
    """The address of a server that is asked for by name."""

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://localhost:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_hosts_whose_name_server_is_silent_keep_no_other_waiting(
    silent: Silent, page: str
) -> None:
    async with HttpClient(private_ok=True) as http:
        stuck = [
            asyncio.create_task(http.request("POST", f"http://{n}.silent.example/", timeout=600))
            for n in range(MANY)
        ]
        await silent.heard(MANY)
        async with asyncio.timeout(PATIENCE):
            assert (await http.request("GET", page)).text == "here"
            assert await asyncio.to_thread(lambda: "read") == "read"
        assert not any(task.done() for task in stuck)
        silent.answer.set()
        for task in stuck:
            with pytest.raises(NotSentError):
                await task


async def test_relays_whose_name_server_is_silent_keep_no_other_waiting(
    silent: Silent, page: str
) -> None:
    def relay(host: str) -> Server:
        return Server(host, 25, "none", None, "tests", timeout=600)

    stuck = [asyncio.create_task(connect(relay(f"{n}.silent.example"))) for n in range(MANY)]
    await silent.heard(MANY)
    async with HttpClient(private_ok=True) as http, asyncio.timeout(PATIENCE):
        assert (await http.request("GET", page)).text == "here"
    silent.answer.set()
    for task in stuck:
        with pytest.raises(LostError):
            await task


async def test_who_asks_for_the_same_host_shares_one_look_up_and_may_give_up(
    silent: Silent,
) -> None:
    first, second = (asyncio.create_task(look_up("one.silent.example", 80)) for _ in range(2))
    await silent.heard(1)
    first.cancel()
    silent.answer.set()
    with pytest.raises(OSError, match="no answer"):
        await second
    assert first.cancelled()
    assert silent.asked == {"one.silent.example": 1}


async def test_a_machine_without_room_for_threads_is_told_and_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", full)
        with pytest.raises(socket.gaierror, match="new thread"):
            await look_up("localhost", 80)
    async with asyncio.timeout(PATIENCE):
        assert await look_up("localhost", 80)


async def test_silent_hosts_take_so_many_threads_and_leave_some_to_those_that_answer(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "QUICK", PATIENCE)  # seconds, on a busy machine
    await look_up("quick.example", 80)
    asking = [asyncio.create_task(look_up(f"{n}.silent.example", 80)) for n in range(2 * THREADS)]
    await silent.heard(STRANGERS)
    given_up = asking.pop()
    given_up.cancel()
    async with asyncio.timeout(PATIENCE):
        assert await look_up("quick.example", 80)
        assert await look_up("127.0.0.1", 80)
    assert len(silent.asked) == STRANGERS
    assert sum(one.name.endswith(".silent.example") for one in threading.enumerate()) == STRANGERS
    silent.answer.set()
    for one in asking:
        with pytest.raises(OSError, match="no answer"):
            await one
    assert len(silent.asked) == len(asking)


def test_a_loop_may_end_before_the_answer(silent: Silent) -> None:
    async def ask() -> None:
        asking = asyncio.create_task(look_up("late.silent.example", 80))
        await silent.heard(1)
        asking.cancel()

    uvloop.run(ask())
    silent.answer.set()
    for thread in threading.enumerate():
        if thread.name == "name late.silent.example":
            thread.join(PATIENCE)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "..", "no-such-host.invalid"])
async def test_what_is_no_host_is_certainly_not_sent_to(host: str) -> None:
    async with HttpClient(private_ok=True) as http:
        with pytest.raises(NotSentError):
            await http.request("POST", f"http://{host}/")


async def test_a_name_that_leads_home_is_refused_before_connecting() -> None:
    async with HttpClient(private_ok=False) as http:
        with pytest.raises(PrivateAddressError, match="127"):
            await http.request("POST", "http://localhost:9/")
