"""One call of a JSON API: what was answered, or which outcome the missing answer is.

The adapters of open and modern APIs share it; each reads status and codes by its own table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from yarl import URL

from channels.http import AnswerLostError, HttpClient, NotSentError, PrivateAddressError, Reply
from channels.outcome import AccessLost, AccessReason, Evidence, Unavailable, Unconfirmed

EXCERPT = 2000
REDACTED = "[redacted]"

NoAnswer = AccessLost | Unavailable | Unconfirmed


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. `data` is the body as JSON, None when it is something else."""

    request: str
    reply: Reply
    data: Any
    secrets: tuple[str, ...]

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body when it is a JSON object, else empty."""
        return self.data if isinstance(self.data, dict) else {}

    def header(self, name: str) -> str:
        return self.reply.headers.get(name, "")

    def evidence(self, *, code: str = "", trace: str = "", note: str = "") -> Evidence:
        """What is kept with the attempt; `note` stands before the answer's own words."""
        excerpt = f"{note}\n{self.reply.text}" if note else self.reply.text
        return Evidence(
            request=self.request,
            status=self.status,
            code=code,
            trace=trace,
            excerpt=redacted(excerpt, self.secrets)[:EXCERPT],
        )


async def ask(
    http: HttpClient,
    method: str,
    url: str | URL,
    *,
    writes: bool,
    secrets: tuple[str, ...] = (),
    **request: Any,
) -> Answer | NoAnswer:
    """Send once. `writes`: the call publishes, so that a lost answer leaves a doubt; else a lost
    answer is as good as a call never made. `secrets` are cut out of the evidence."""
    target = url if isinstance(url, URL) else URL(url)
    asked = _asked(method, target, secrets)
    try:
        reply = await http.request(method, target, **request)
    except PrivateAddressError as error:
        return AccessLost(
            reason=AccessReason.MISCONFIGURED,
            detail=str(error),
            remedy="Use a public address, or allow private ones in the service's settings.",
            evidence=Evidence(request=asked),
        )
    except NotSentError as error:
        reason = redacted(f"not reachable: {error}", secrets)
        return Unavailable(reason=reason, evidence=Evidence(request=asked))
    except AnswerLostError as error:
        reason = redacted(f"no answer: {error}", secrets)
        if writes:
            return Unconfirmed(detail=reason, evidence=Evidence(request=asked))
        return Unavailable(reason=reason, evidence=Evidence(request=asked))
    if reply.status >= 400:
        # A refusal may quote the credential that it refuses, and its words are shown.
        body = redacted(reply.text, secrets).encode()
        reply = Reply(reply.status, reply.headers, body, reply.url)
    return Answer(asked, reply, reply.json() if reply.body else None, secrets)


@lru_cache(maxsize=1024)  # a page's posts go to one address
def _asked(method: str, url: URL, secrets: tuple[str, ...]) -> str:
    return redacted(f"{method} {url.with_query(None)}", secrets)


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, REDACTED)
    return text


def retry_after(value: str, now: datetime) -> datetime | None:
    """When a `Retry-After` header (seconds or an HTTP date) says to come back, UTC."""
    if value.strip().isdecimal():
        digits = value.strip().lstrip("0")[:9]  # thirty years: more would not be a date
        return now + timedelta(seconds=int(digits or "0"))
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
