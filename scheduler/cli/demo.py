"""`demo`: the story this program was written for, through the API, on the practice platforms.

An announcement goes out on every channel; the page vanishes; the next announcement takes another
road; the page comes back. At the end the platforms' ledgers are compared with what was accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import typer

from scheduler.cli.client import Api
from scheduler.cli.exits import CommandError, Exit
from scheduler.cli.output import cell, console
from scheduler.cli.place import Place, load_settings, noted
from scheduler.cli.posts import detail_of

_START_WITHIN = 60.0
_END_WITHIN = 120.0
_LOOK_EVERY = 0.2
_ENDED = {"delivered", "rerouted", "failed", "cancelled"}
_AHEAD = timedelta(seconds=3)


def demo() -> None:
    """Announce a reopening on five channels, lose the page, see plan B, get the page back.

    Talks to the running `estafette run`, or starts one of its own. Exit code 1 if a delivery is
    missing or doubled on the platforms.
    """
    if not asyncio.run(_demo()):
        raise typer.Exit(Exit.FAILED)


async def _demo() -> bool:
    async with _service() as place, Api(place) as api, Practice(place.practice_url) as practice:
        return await _Story(api, practice).told()


@contextlib.asynccontextmanager
async def _service() -> AsyncIterator[Place]:
    place = noted(load_settings().data_dir)
    if place is not None and place.practice_url and await _answers(place):
        yield place
        return
    _say("No `estafette run` answers here: starting one for the demo.")
    with tempfile.TemporaryDirectory(prefix="estafette-demo-") as directory:
        async with _own_service(Path(directory)) as own:
            yield own


async def _answers(place: Place) -> bool:
    try:
        async with Api(place) as api:
            await api.get("/accounts")
    except CommandError:
        return False
    return True


@contextlib.asynccontextmanager
async def _own_service(data_dir: Path) -> AsyncIterator[Place]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scheduler", "run", "--port", "0",
        stdout=asyncio.subprocess.DEVNULL,
        env=os.environ | {"ESTAFETTE_DATA_DIR": str(data_dir), "ESTAFETTE_PRACTICE_PORT": "0"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(_START_WITHIN):
            while (place := noted(data_dir)) is None or not await _answers(place):
                if process.returncode is not None:
                    raise CommandError(f"it ended with exit code {process.returncode}")
                await asyncio.sleep(_LOOK_EVERY)
        yield place
    except TimeoutError as error:
        raise CommandError("it did not start within a minute", Exit.UNREACHABLE) from error
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()


class Practice:
    """The control API of the practice platforms."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(raise_for_status=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def break_(self, platform: str, fault: str) -> None:
        """Let `platform` have a fault until it is mended."""
        url = f"{self._url}/_control/{platform}/faults"
        async with self._session.post(url, json={"name": fault}):
            pass

    async def mend(self, platform: str) -> None:
        async with self._session.delete(f"{self._url}/_control/{platform}/faults"):
            pass

    async def ledger(self, platform: str) -> list[dict[str, Any]] | None:
        """What exists on a platform; None for what is no practice platform."""
        try:
            async with self._session.get(f"{self._url}/_control/{platform}/ledger") as answer:
                found: list[dict[str, Any]] = await answer.json()
        except aiohttp.ClientResponseError as error:
            if error.status == 404:
                return None
            raise
        return found

    async def serves(self, url: str) -> bool:
        """Whether a reader finds a page there."""
        async with self._session.get(url, raise_for_status=False) as answer:
            return answer.ok


@dataclass(frozen=True, slots=True)
class _Told:
    """A post at its end, and the mark that its words carry on every platform."""

    mark: str
    post: dict[str, Any]


class _Story:
    def __init__(self, api: Api, practice: Practice) -> None:
        self._api = api
        self._practice = practice

    async def told(self) -> bool:
        page, adapter = await self._page()
        await self._healthy(page)
        _say("\n1. A reopening is announced everywhere, three seconds from now.")
        first = await self._announce("We reopen on Monday", None)
        _say(f"\n2. Overnight, {page['name']} vanishes from {page['channel']}.")
        await self._practice.break_(adapter, "page-gone")
        try:
            _say(f"\n3. The next announcement is meant for {page['channel']} alone.")
            second = await self._announce("Open on Sunday too", page["id"])
        finally:
            await self._practice.mend(adapter)
        _say(f"\n4. {page['name']} is back.")
        await self._healthy(page)
        _say("\n5. What happened to the second announcement:")
        await self._timeline(second.post["id"])
        return await self._judged([first, second])

    async def _page(self) -> tuple[dict[str, Any], str]:
        """A page that everyone sees, with a plan B, on a practice platform."""
        channels = {one["adapter"]: one for one in (await self._api.get("/channels"))["channels"]}
        routes = {
            route["account_id"]: route for route in (await self._api.get("/routes"))["routes"]
        }
        for account in (await self._api.get("/accounts"))["accounts"]:
            public = not channels[account["adapter"]]["addressed"]
            practised = self._api.place.practice_url in str(account["settings"])
            if public and practised and len(routes[account["id"]]["fallbacks"]) > 1:
                return account, account["adapter"]
        raise CommandError("no practice page with a plan B is connected: start `estafette run`")

    async def _announce(self, title: str, account_id: str | None) -> _Told:
        mark = secrets.token_hex(3)
        due = (datetime.now(UTC) + _AHEAD).isoformat()
        draft: dict[str, Any] = {
            "title": f"{title} ({mark})",
            "body": f"**{title}**, from nine in the morning. ({mark})",
            "kind": "essential",
            "at": due,
        }
        if account_id is not None:
            draft["accounts"] = [account_id]
        accepted = await self._api.post("/posts", draft)
        _say(f"   accepted: {len(accepted['deliveries'])} deliveries")
        return _Told(mark, await self._watched(accepted["id"]))

    async def _watched(self, post_id: str) -> dict[str, Any]:
        """The post once every delivery ended; each change is shown as it comes."""
        shown: dict[str, str] = {}
        try:
            async with asyncio.timeout(_END_WITHIN):
                while True:
                    post: dict[str, Any] = await self._api.get(f"/posts/{post_id}")
                    for delivery in post["deliveries"]:
                        if shown.get(delivery["id"]) != delivery["state"]:
                            shown[delivery["id"]] = delivery["state"]
                            _show(delivery)
                    if all(state in _ENDED for state in shown.values()):
                        return post
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError as error:
            states = ", ".join(sorted(set(shown.values())))
            raise CommandError(
                f"not every delivery ended within two minutes ({states}): see `estafette posts"
                f" show {post_id}`",
                Exit.FAILED,
            ) from error

    async def _healthy(self, page: dict[str, Any]) -> None:
        account = await self._api.get(f"/accounts/{page['id']}")
        if account["status"] != "healthy" or account["paused"]:
            await self._api.post(f"/accounts/{page['id']}/resume")
        found = await self._api.post(f"/accounts/{page['id']}/probe")
        _say(f"   {page['channel']}: {found['status']}")

    async def _timeline(self, post_id: str) -> None:
        names = {
            account["id"]: account["channel"]
            for account in (await self._api.get("/accounts"))["accounts"]
        }
        for event in (await self._api.get(f"/posts/{post_id}/events"))["events"]:
            channel = names.get(event["account_id"] or "", "")
            console().print(
                "  ", cell(event["at"]), f"{event['kind']:<22}", f"{channel:<11}",
                detail_of(event),
            )  # fmt: skip

    async def _judged(self, told: Sequence[_Told]) -> bool:
        """Whether what was accepted exists on the platforms, each once."""
        deliveries = [delivery for one in told for delivery in one.post["deliveries"]]
        states = Counter(delivery["state"] for delivery in deliveries)
        parents = {one["parent_id"] for one in deliveries}
        lost = sum(
            one["state"] not in {"delivered", "rerouted"}
            or (one["state"] == "rerouted" and one["id"] not in parents)
            for one in deliveries
        )
        doubled = 0
        for one in told:
            missing, twice = await self._compared(one)
            lost, doubled = lost + missing, doubled + twice
        words = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        _say(f"\nAltogether: {words}; {lost} lost, {doubled} doubled on the ledgers.")
        return not lost and not doubled

    async def _compared(self, told: _Told) -> tuple[int, int]:
        """How many deliveries are not on their platform, and how many texts are there twice."""
        missing = doubled = 0
        for delivery in told.post["deliveries"]:
            if delivery["state"] != "delivered":
                continue
            ledger = await self._practice.ledger(delivery["channel"])
            if ledger is None:
                missing += not await self._practice.serves(delivery["url"])
                continue
            found = Counter(_identity(entry) for entry in ledger if told.mark in entry["text"])
            missing += not found
            doubled += sum(count - 1 for count in found.values())
        return missing, doubled


def _identity(entry: Mapping[str, Any]) -> tuple[object, ...]:
    """What may exist once: one announcement for one reader of one account."""
    payload = entry["payload"]
    return entry["account"], entry["kind"], payload.get("recipient", payload.get("psid"))


def _show(delivery: Mapping[str, Any]) -> None:
    if delivery["state"] in {"scheduled", "armed", "sending"}:
        return
    why = delivery["cause"] if delivery["state"] != "delivered" else ""
    words = [cell(delivery["state"]), f"{delivery['channel']:<11}", delivery["url"] or why]
    console().print("  ", *words, soft_wrap=True)


def _say(text: str) -> None:
    console().print(text)
