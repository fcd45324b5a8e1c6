"""One WordPress: where its REST API is, and calls to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from pydantic import SecretStr
from yarl import URL

from channels.base import Account, ChannelSettings, Tools
from channels.blog.server import SiteAddress
from channels.blog.wordpress.errors import code_of, read_refusal
from channels.exchange import Answer, ask
from channels.outcome import AccessLost, AccessReason, Gone
from channels.steps import Stopped

_UPLOAD_TIMEOUT = 60.0


class WordPressSettings(ChannelSettings):
    """`url`: the site's address, with its folder if it has one. `application_password`: made in
    WordPress under Users, Profile; not the login password. `categories`: names, made if missing.
    """

    url: SiteAddress
    username: str
    application_password: SecretStr
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Root:
    """Where the REST API answers: below `/wp-json`, or as `?rest_route=` on sites with plain
    permalinks."""

    url: str
    pretty: bool

    def address(self, path: str, params: Mapping[str, str]) -> URL:
        """`path` such as `/wp/v2/posts`."""
        if self.pretty:
            return URL(f"{self.url}/wp-json{path}").with_query(params)
        return URL(f"{self.url}/").with_query({"rest_route": path, **params})


class Sites:
    """The sites that this process has found, and how to call them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._roots: dict[str, Root] = {}

    async def root(self, account: Account[WordPressSettings]) -> Root:
        """Where this account's REST API is; looked for once. Error: `Stopped`."""
        url = account.settings.url
        if url not in self._roots:
            self._roots[url] = await self._look(url)
        return self._roots[url]

    def now(self) -> datetime:
        """UTC."""
        return self._tools.now()

    def forget(self, account: Account[WordPressSettings]) -> None:
        """Look again next time: somebody may have changed the permalinks."""
        self._roots.pop(account.settings.url, None)

    async def _look(self, url: str) -> Root:
        absent: Answer | None = None
        for pretty in (True, False):
            # The whole index of a site with many plugins has megabytes.
            target = Root(url, pretty).address("/", {"_fields": "namespaces"})
            answer = await ask(self._tools.http, "GET", target, writes=False, follow=True)
            if not isinstance(answer, Answer):
                raise Stopped(answer)
            if _is_rest(answer):
                return Root(moved(url, target, URL(answer.reply.url)), pretty)
            if answer.status not in {200, 404, 410} and code_of(answer) != "rest_no_route":
                raise Stopped(read_refusal(answer, self._tools.now(), writes=False))
            if absent is None or answer.status != 200:
                absent = answer
        assert absent is not None
        if absent.status == 200:  # pages for people both times: something stands before the site
            raise Stopped(read_refusal(absent, self._tools.now(), writes=False))
        raise Stopped(Gone(detail="the site has no REST API", evidence=absent.evidence()))

    async def call(
        self,
        account: Account[WordPressSettings],
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        writes: bool = False,
        headers: Mapping[str, str] | None = None,
        json_body: Any = None,
        data: bytes | None = None,
    ) -> Answer:
        """One call, sent once. `writes`: it publishes. Error: `Stopped` when no answer was read."""
        root = await self.root(account)
        settings = account.settings
        password = settings.application_password.get_secret_value()
        login = aiohttp.encode_basic_auth(settings.username, password)
        answer = await ask(
            self._tools.http,
            method,
            root.address(path, params or {}),
            writes=writes,
            secrets=(password, login.removeprefix("Basic ")),
            headers={"Authorization": login, "Accept": "application/json", **(headers or {})},
            json_body=json_body,
            data=data,
            **({"timeout": _UPLOAD_TIMEOUT} if data is not None else {}),
        )
        if not isinstance(answer, Answer):
            raise Stopped(answer)
        if answer.data is None or code_of(answer) == "rest_no_route":
            self.forget(account)
        return answer

    async def expect(
        self, account: Account[WordPressSettings], method: str, path: str, **call: Any
    ) -> Any:
        """The JSON of an answer that must be a success. Error: `Stopped` with what it is."""
        answer = await self.call(account, method, path, **call)
        if answer.status not in {200, 201} or answer.data is None:
            writes = bool(call.get("writes"))
            raise Stopped(read_refusal(answer, self._tools.now(), writes=writes))
        return answer.data


def _is_rest(answer: Answer) -> bool:
    """The index, or a refusal that only a REST API words like that (logged-in users only)."""
    if "wp/v2" in (answer.fields.get("namespaces") or ()):
        return True
    return code_of(answer) != "rest_no_route" and code_of(answer).startswith("rest_")


def moved(base: str, asked: URL, answered: URL) -> str:
    """The site's address after its redirects: writes go where they need none. Error: `Stopped` when
    that is another host, which must not get the password."""
    if (answered.host, answered.scheme, answered.port) == (asked.host, asked.scheme, asked.port):
        return base
    here, there = ((address.host or "").removeprefix("www.") for address in (asked, answered))
    if here != there or answered.scheme != "https":
        raise Stopped(
            AccessLost(
                reason=AccessReason.MISCONFIGURED,
                detail=f"the site has moved to {answered.origin()}",
                remedy="connect the account with its new address",
            )
        )
    return str(
        URL(base).with_scheme("https").with_host(str(answered.host)).with_port(answered.port)
    )
