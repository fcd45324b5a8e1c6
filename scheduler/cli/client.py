"""The HTTP API as the commands use it: JSON in, JSON out, problems as sentences."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self, TypeVar

import aiohttp

from scheduler.cli.exits import CommandError, Exit
from scheduler.cli.place import Place

API = "/api/v1"
_PAGE = 100
T = TypeVar("T")


class Api:
    """One session with a running service.

    Errors: CommandError with `UNREACHABLE` when it does not answer, with `REFUSED` and the
    problem's own words when it answers with one.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {place.token}"},
            timeout=aiohttp.ClientTimeout(total=60, connect=5),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str, **query: object) -> Any:
        """The JSON at `path` below `/api/v1`; query values that are None are left out."""
        return await self._ask("GET", API + path, params=_present(query))

    async def post(
        self, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Any:
        return await self._ask("POST", API + path, json=body, headers=headers)

    async def put(self, path: str, body: object) -> Any:
        return await self._ask("PUT", API + path, json=body)

    async def patch(self, path: str, body: object) -> Any:
        return await self._ask("PATCH", API + path, json=body)

    async def delete(self, path: str) -> Any:
        return await self._ask("DELETE", API + path)

    async def upload(self, path: str, form: aiohttp.FormData) -> Any:
        return await self._ask("POST", API + path, data=form)

    async def pages(self, path: str, name: str, *, most: int, **query: object) -> list[Any]:
        """The things called `name` of a paged list, following its cursor, `most` at the most."""
        found: list[Any] = []
        cursor: str | None = None
        while len(found) < most:
            limit = min(most - len(found), _PAGE)
            page = await self.get(path, limit=limit, cursor=cursor, **query)
            found += page[name]
            cursor = page["next"]
            if cursor is None:
                break
        return found

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            async with self._session.request(method, self.place.url + path, **options) as answer:
                if answer.status >= 400:
                    raise CommandError(await _problem(answer), Exit.REFUSED)
                if answer.status == 204:
                    return None
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CommandError(
                f"{self.place.url} does not answer ({_words(error)}); is `estafette run` or"
                " `estafette api` running there?",
                Exit.UNREACHABLE,
            ) from error


def talk(place: Place, conversation: Callable[[Api], Awaitable[T]]) -> T:
    """Run one conversation with the service, from synchronous code."""

    async def whole() -> T:
        async with Api(place) as api:
            return await conversation(api)

    return asyncio.run(whole())


def _present(query: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value is not None}


async def _problem(answer: aiohttp.ClientResponse) -> str:
    try:
        problem = await answer.json(content_type=None)
        lines = [f"{problem['title']}: {problem['detail']}"]
        lines += [
            f"  {error['field']}: {error['detail'].rstrip('.')}. Remedy: {error['remedy']}"
            for error in problem.get("errors", ())
        ]
    except (ValueError, KeyError, TypeError):
        return f"the service answered {answer.status} {answer.reason}"
    return "\n".join(lines)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
