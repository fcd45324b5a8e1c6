"""One Ghost: signed calls to its Admin API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import jwt
from pydantic import SecretStr, field_validator
from yarl import URL

from channels.base import Account, ChannelSettings, Tools
from channels.blog.ghost.errors import code_of, read_refusal
from channels.blog.server import SiteAddress
from channels.exchange import Answer, ask
from channels.steps import Stopped

_KEY = re.compile(r"[0-9a-f]{24}:[0-9a-f]{64}")
# Ghost accepts five minutes; one less leaves room for a slow upload and a drifting clock.
_LIFETIME = timedelta(minutes=4)
_DRIFT = timedelta(seconds=30)
_UPLOAD_TIMEOUT = 60.0


class GhostSettings(ChannelSettings):
    """`url`: the site's own address (https, with www if it has it: a redirect loses the text).
    `admin_api_key`: `id:secret` of a custom integration."""

    url: SiteAddress
    admin_api_key: SecretStr
    api_version: str = "v6.0"

    @field_validator("admin_api_key")
    @classmethod
    def _whole(cls, value: SecretStr) -> SecretStr:
        if _KEY.fullmatch(value.get_secret_value().strip()) is None:
            raise ValueError(
                "must be the Admin API key of a custom integration: 24 hexadecimal digits, a"
                " colon, 64 more (the Content API key is another one)"
            )
        return SecretStr(value.get_secret_value().strip())


def token(key: str, now: datetime) -> str:
    """A token for one request: HS256 with the key's secret, which is hexadecimal."""
    name, _, secret = key.partition(":")
    return jwt.encode(
        {"iat": int(now.timestamp()), "exp": int((now + _LIFETIME).timestamp()), "aud": "/admin/"},
        bytes.fromhex(secret),
        algorithm="HS256",
        headers={"kid": name},
    )


class Sites:
    """Calls to the Ghosts of one process, and how far each one's clock is from ours."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._drift: dict[str, timedelta] = {}

    def now(self) -> datetime:
        """UTC."""
        return self._tools.now()

    async def call(
        self,
        account: Account[GhostSettings],
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        writes: bool = False,
        json_body: Any = None,
        file: tuple[bytes, str, str] | None = None,
    ) -> Answer:
        """One call. `file`: content, name and type of an upload. Signed once more, and sent once
        more, only when Ghost refused the token because our clocks differ. Error: `Stopped`."""
        answer = await self._signed(account, method, path, params, writes, json_body, file)
        if code_of(answer) == "INVALID_JWT" and self._learns_drift(account, answer):
            answer = await self._signed(account, method, path, params, writes, json_body, file)
        return answer

    async def expect(
        self,
        account: Account[GhostSettings],
        method: str,
        path: str,
        *,
        item: bool = False,
        **call: Any,
    ) -> Mapping[str, Any]:
        """The JSON object of an answer that must be a success. Error: `Stopped`."""
        answer = await self.call(account, method, path, **call)
        if answer.status not in {200, 201} or not answer.fields:
            writes = bool(call.get("writes"))
            raise Stopped(read_refusal(answer, self.now(), writes=writes, item=item))
        return answer.fields

    async def _signed(
        self,
        account: Account[GhostSettings],
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        writes: bool,  # noqa: FBT001 -- the arguments of `call`, passed on
        json_body: Any,
        file: tuple[bytes, str, str] | None,
    ) -> Answer:
        settings = account.settings
        key = settings.admin_api_key.get_secret_value()
        drift = self._drift.get(settings.url, timedelta())
        signed = token(key, self.now() + drift)
        request: dict[str, Any] = {"json_body": json_body}
        if file is not None:
            request = {"form": _form(*file), "timeout": _UPLOAD_TIMEOUT}
        answer = await ask(
            self._tools.http,
            method,
            URL(f"{settings.url}/ghost/api/admin{path}").with_query(params or {}),
            writes=writes,
            secrets=(signed, key, key.partition(":")[2]),
            headers={"Authorization": f"Ghost {signed}", "Accept-Version": settings.api_version},
            **request,
        )
        if not isinstance(answer, Answer):
            raise Stopped(answer)
        return answer

    def _learns_drift(self, account: Account[GhostSettings], answer: Answer) -> bool:
        """Whether the site's `Date` explains the refusal, and says something new."""
        try:
            theirs = parsedate_to_datetime(answer.header("Date")).astimezone(UTC)
        except ValueError:
            return False
        drift, known = theirs - self.now(), self._drift.get(account.settings.url, timedelta())
        if abs(drift - known) < _DRIFT:
            return False
        self._drift[account.settings.url] = drift
        return True


def _form(content: bytes, name: str, content_type: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("file", content, filename=name, content_type=content_type)
    form.add_field("purpose", "image")
    form.add_field("ref", name)
    return form
