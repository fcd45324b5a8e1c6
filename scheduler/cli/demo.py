"""`demo`: the story this program was written for, through the API, on the practice platforms.

Thirty posts are queued for a week on five channels; the page that most readers follow becomes
unreachable; what was queued for it takes another road; the page comes back. At the end the
platforms' ledgers are compared with what was announced. A day lasts seconds: posts are placed
accordingly, and the page's plan B gathers its digests by such days (practice platforms alone
allow that).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from scheduler.cli.client import Api
from scheduler.cli.demo_ledger import Cast
from scheduler.cli.demo_practice import Practice
from scheduler.cli.demo_story import Story
from scheduler.cli.exits import CommandError, Exit
from scheduler.cli.output import console
from scheduler.cli.place import Place, load_settings, noted

_START_WITHIN = 60.0
_LOOK_EVERY = 0.2


def demo(
    day: Annotated[
        float, typer.Option(help="Seconds that a day of the story lasts.", min=2, max=600)
    ] = 10.0,
) -> None:
    """Live through a week of 30 posts on five channels in which a page vanishes and comes back.

    Talks to the running `estafette run`, or starts one of its own. Exit code 1 if an announcement
    is missing, doubled or replayed on the platforms.
    """
    if not asyncio.run(_demo(day)):
        raise typer.Exit(Exit.FAILED)


async def _demo(day: float) -> bool:
    async with _service() as place, Api(place) as api, Practice(place.practice_url) as practice:
        return await Story(api, practice, await _cast(api), day).told()


async def _cast(api: Api) -> Cast:
    """A page that everyone sees and whose plan B leads to a list and a site; and two others."""
    able = {one["adapter"]: one for one in (await api.get("/channels"))["channels"]}
    accounts = {one["id"]: one for one in (await api.get("/accounts"))["accounts"]}
    routes = {one["account_id"]: one for one in (await api.get("/routes"))["routes"]}

    def practised(account: Mapping[str, Any]) -> bool:
        return api.place.practice_url in str(account["settings"])

    def addressed(account: Mapping[str, Any]) -> bool:
        return bool(able[account["adapter"]]["addressed"])

    for page in accounts.values():
        roads = [accounts[one] for one in routes[page["id"]]["fallbacks"] if one in accounts]
        if addressed(page) or not practised(page) or len(roads) != 2:
            continue
        if [addressed(one) for one in roads] != [True, False]:
            continue
        others = [a for a in accounts.values() if practised(a) and a not in (page, *roads)]
        other = next((one for one in others if not addressed(one)), None)
        chat = next((one for one in others if addressed(one)), None)
        if other is not None and chat is not None:
            roles = {"page": page, "other": other, "list": roads[0], "chat": chat, "site": roads[1]}
            return Cast(roles)
    raise CommandError(
        "the demo needs the practice accounts of a fresh `estafette run`, and a page whose plan B"
        " is a mailing list, then a site"
    )


@contextlib.asynccontextmanager
async def _service() -> AsyncIterator[Place]:
    place = noted(load_settings().data_dir)
    if place is not None and place.practice_url and await _answers(place):
        yield place
        return
    console().print("No `estafette run` answers here: starting one for the demo.")
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
