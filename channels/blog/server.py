"""The web server that a blog runs on: its address, and what it refuses before the blog is asked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator
from yarl import URL

from channels.exchange import Answer, retry_after
from channels.outcome import (
    Evidence,
    Outcome,
    Problem,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)


def _absolute(value: str) -> str:
    url = URL(value.strip())
    if url.scheme not in {"http", "https"} or not url.host or url.user:
        raise ValueError("must be the site's address, such as https://blog.example.com")
    return str(url.with_query(None).with_fragment(None)).rstrip("/")


SiteAddress = Annotated[str, AfterValidator(_absolute)]


def throttled(answer: Answer, now: datetime, evidence: Evidence) -> Throttled:
    """403, 406 and 429 of a server, and not of its blog, are a firewall's."""
    return Throttled(
        until=retry_after(answer.header("Retry-After"), now),
        reason="the site, or a firewall before it, wants fewer requests",
        evidence=evidence,
    )


def too_large(evidence: Evidence) -> Rejected:
    """413."""
    return Rejected(
        problem=Problem(
            code="too-large",
            detail="the site's web server refuses a request of this size",
            field="media",
            remedy="use smaller pictures, or raise the server's upload limit",
        ),
        evidence=evidence,
    )


def doubt(words: str, evidence: Evidence, *, writes: bool) -> Outcome:
    """An answer that does not say whether it was done."""
    if writes:
        return Unconfirmed(detail=f"it may have been written: {words}", evidence=evidence)
    return Unavailable(reason=words, evidence=evidence)
