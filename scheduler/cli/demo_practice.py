"""The practice platforms as the demo uses them: it breaks a page, mends it, reads the ledgers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self, TypeVar

import aiohttp

from scheduler.cli.exits import CommandError, Exit

_PATIENCE = 90.0  # seconds for a service that was killed to be started again
_AGAIN = 0.3
T = TypeVar("T")


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
        """Let `platform` have this fault alone."""
        await self.mend(platform)
        url = f"{self._url}/_control/{platform}/faults"
        async with self._session.post(url, json={"name": fault}):
            pass

    async def mend(self, platform: str) -> None:
        async with self._session.delete(f"{self._url}/_control/{platform}/faults"):
            pass

    async def faults(self, platform: str) -> list[str]:
        async with self._session.get(f"{self._url}/_control/{platform}/faults") as answer:
            return [fault["name"] for fault in await answer.json()]

    async def ledger(self, platform: str) -> Sequence[dict[str, Any]]:
        """What exists on a platform."""
        async with self._session.get(f"{self._url}/_control/{platform}/ledger") as answer:
            found: list[dict[str, Any]] = await answer.json()
        return found

    async def text(self, url: str) -> str:
        """What a reader is served there."""
        async with self._session.get(url) as answer:
            return await answer.text()


async def patiently(ask: Callable[[], Awaitable[T]], gone: Callable[[], None] = lambda: None) -> T:
    """The answer, even of a service that has to be started again first; `gone` is called when it
    does not answer. Error: CommandError when it stays away."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    return await ask()
                except aiohttp.ClientResponseError:
                    raise
                except aiohttp.ClientError:
                    gone()
                except CommandError as error:
                    if error.code is not Exit.UNREACHABLE:
                        raise
                    gone()
                await asyncio.sleep(_AGAIN)
    raise CommandError(
        f"the service did not come back within {_PATIENCE:g} s: start it with `make run`",
        Exit.UNREACHABLE,
    )
