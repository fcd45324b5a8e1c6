"""The Graph API, for Facebook Pages and Messenger alike: one call, and what came of it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar

import aiohttp
from pydantic import Field, SecretStr
from yarl import URL

from channels.base import ChannelSettings, Tools
from channels.exchange import Answer, NoAnswer, ask
from channels.facebook.errors import (
    Circumstances,
    GraphError,
    Ruling,
    Table,
    Verdict,
    error_in,
    outcome,
)
from channels.facebook.table import ruling
from channels.facebook.usage import regain_at, slow_until
from channels.outcome import Evidence, Outcome, Unavailable, Unconfirmed

WRITE_TIMEOUT = 30.0

Form = Mapping[str, str] | aiohttp.FormData


class GraphSettings(ChannelSettings):
    """How to reach one page. Versions live two years; v26.0 is of July 2026.

    With `app_id` and `app_secret`, calls are signed (`appsecret_proof`) and a probe can tell a
    vanished page from a dead token, and knows when the token ends.
    """

    page_fields: ClassVar[tuple[str, ...]] = ("page_id", "base_url")

    page_id: Annotated[str, Field(pattern=r"^\d{5,20}$")]
    access_token: SecretStr
    app_id: Annotated[str, Field(pattern=r"^\d*$")] = ""
    app_secret: SecretStr | None = None
    version: Annotated[str, Field(pattern=r"^v\d{1,2}\.\d$")] = "v26.0"
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] = "https://graph.facebook.com"

    @cached_property
    def road(self) -> Road:
        """What every call of this page needs. `model_copy` would take it along unchanged: settings
        are read anew instead."""
        return _road(self)


@dataclass(frozen=True, slots=True)
class Road:
    """What every call of an account needs, computed once. `proof` is empty without app secret."""

    root: URL
    page: URL
    feed: URL
    page_id: str
    token: str
    headers: Mapping[str, str]
    form_headers: Mapping[str, str]
    proof: Mapping[str, str]
    app_token: str
    secrets: tuple[str, ...]


def _road(settings: GraphSettings) -> Road:
    token = settings.access_token.get_secret_value()
    secret = settings.app_secret.get_secret_value() if settings.app_secret else ""
    proof = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest() if secret else ""
    root = URL(settings.base_url.rstrip("/")) / settings.version
    page = root / settings.page_id
    bearer = {"Authorization": f"Bearer {token}"}
    return Road(
        root=root,
        page=page,
        # Read-after-write: the reply names the post's address, which saves a call.
        feed=(page / "feed").with_query(fields="id,permalink_url"),
        page_id=settings.page_id,
        token=token,
        headers=bearer,
        form_headers={**bearer, "Content-Type": "application/x-www-form-urlencoded"},
        proof={"appsecret_proof": proof} if proof else {},
        app_token=f"{settings.app_id}|{secret}" if settings.app_id and secret else "",
        secrets=tuple(part for part in (token, secret, proof) if part),
    )


@dataclass(frozen=True, slots=True)
class Success:
    """What was asked for. `data` is the JSON object; `slow_until` (UTC) when a limit is near."""

    data: Mapping[str, Any]
    evidence: Evidence
    slow_until: datetime | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Anything but a success. `error` and `rule` are None when the platform did not say why in
    its envelope (no answer, a proxy's page)."""

    outcome: Outcome
    error: GraphError | None = None
    rule: Ruling | None = None

    @property
    def verdict(self) -> Verdict | None:
        return self.rule.verdict if self.rule else None


class Graph:
    """Calls on behalf of accounts. `table` is asked before Facebook's own error table."""

    def __init__(self, tools: Tools, table: Table | None = None) -> None:
        self._http = tools.http
        self._now = tools.now
        self._tables = () if table is None else (table,)

    async def read(self, url: URL, way: Road) -> Success | Refusal:
        """GET; a failure never says that something may have been written."""
        signed = url.update_query(way.proof)
        return await self._call("GET", signed, way, writes=False, headers=way.headers)

    async def inspect_token(self, way: Road) -> Success | Refusal:
        """What Facebook knows of the account's token; asked as the app when we can."""
        asker = {"access_token": way.app_token} if way.app_token else way.proof
        url = (way.root / "debug_token").update_query({"input_token": way.token, **asker})
        headers = {} if way.app_token else way.headers
        return await self._call("GET", url, way, writes=False, headers=headers)

    async def write(
        self,
        url: URL,
        way: Road,
        form: Form,
        *,
        timeout: float = WRITE_TIMEOUT,  # noqa: ASYNC109 -- passed to HttpClient
    ) -> Success | Refusal:
        """POST something that becomes visible: without an answer, Unconfirmed."""
        return await self._call("POST", url, way, writes=True, timeout=timeout, **_sent(form, way))

    async def prepare(
        self,
        url: URL,
        way: Road,
        form: Form,
        *,
        timeout: float = WRITE_TIMEOUT,  # noqa: ASYNC109 -- passed to HttpClient
    ) -> Success | Refusal:
        """POST something that nobody sees (an unpublished picture): safe to do again."""
        return await self._call("POST", url, way, writes=False, timeout=timeout, **_sent(form, way))

    async def delete(self, url: URL, way: Road) -> Success | Refusal:
        signed = url.update_query(way.proof)
        return await self._call("DELETE", signed, way, writes=True, headers=way.headers)

    async def _call(
        self, method: str, url: URL, way: Road, *, writes: bool, **request: Any
    ) -> Success | Refusal:
        answer = await ask(self._http, method, url, writes=writes, secrets=way.secrets, **request)
        if isinstance(answer, NoAnswer):
            return Refusal(answer)
        error = error_in(answer.data, way.secrets)
        if error is not None:
            return self._refused(answer, error, writes=writes)
        if not isinstance(answer.data, dict) or answer.status >= 300:
            return Refusal(_unreadable(answer, writes=writes))
        slow = slow_until(answer.reply.headers, self._now())
        return Success(answer.data, answer.evidence(), slow)

    def _refused(self, answer: Answer, error: GraphError, *, writes: bool) -> Refusal:
        rule = ruling(error, *self._tables)
        now = self._now()
        given = Circumstances(
            writing=writes,
            now=now,
            regain_at=regain_at(answer.reply.headers, now),
            evidence=answer.evidence(code=error.label, trace=error.trace),
        )
        return Refusal(outcome(error, rule, given), error, rule)


def _sent(form: Form, way: Road) -> dict[str, Any]:
    """A plain form is encoded here, by yarl: the standard library takes twice as long and more,
    aiohttp's own way seven times, and a burst of posts is made of these."""
    if isinstance(form, aiohttp.FormData):
        return {"form": form, "headers": way.headers}
    return {"data": URL.build(query=form).raw_query_string.encode(), "headers": way.form_headers}


def _unreadable(answer: Answer, *, writes: bool) -> Outcome:
    said = f"the answer is not Facebook's (HTTP {answer.status})"
    if writes:
        return Unconfirmed(detail=said, evidence=answer.evidence())
    return Unavailable(reason=said, evidence=answer.evidence())
