"""Is the page still there, still ours, and still seen? Tells four failures apart.

Facebook gives one answer (100/33) for "does not exist" and "not permitted"; only the token's own
state, asked separately, separates a vanished page from a lost permission.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, assert_never

from channels.facebook.errors import Verdict
from channels.facebook.graph import Graph, Refusal, Road, Success
from channels.facebook.table import RECONNECT
from channels.outcome import (
    Accepted,
    AccessLost,
    AccessReason,
    Delivered,
    Evidence,
    Gone,
    Health,
    HealthStatus,
    Outcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)

_FIELDS = (
    "id,name,link,is_published,is_permanently_closed,"
    "has_transitioned_to_new_page_experience,verification_status"
)
_REPUBLISH = "Open the page's settings on Facebook and publish it again."
_APPEAL = "Look at the page and at Facebook's support inbox; plan B carries what is queued."


@dataclass(frozen=True, slots=True)
class Token:
    """What `debug_token` says. `pages`: those it was granted for, None if for all."""

    valid: bool
    said: str
    expires_at: datetime | None
    scopes: frozenset[str] | None
    pages: frozenset[str] | None


async def probe_page(graph: Graph, way: Road, *, scopes: frozenset[str]) -> Health:
    """One look at the page with the account's credentials; `scopes` are those it needs."""
    page = await graph.read(way.page.with_query(fields=_FIELDS), way)
    if isinstance(page, Success):
        return await _there(graph, way, page, scopes)
    if page.verdict is Verdict.GONE:
        return await _missing(graph, way, page, scopes)
    return _health(page.outcome)


async def followers_of(graph: Graph, way: Road) -> int | None:
    """How many follow the page; None when Facebook does not say."""
    answer = await graph.read(way.page.with_query(fields="followers_count"), way)
    said = answer.data.get("followers_count") if isinstance(answer, Success) else None
    return said if isinstance(said, int) else None


async def _there(graph: Graph, way: Road, page: Success, scopes: frozenset[str]) -> Health:
    if page.data.get("is_published") is False:
        return Health(
            status=HealthStatus.VANISHED,
            detail="the page is unpublished: nobody but its team sees it",
            remedy=_REPUBLISH,
            evidence=page.evidence,
        )
    healthy = Health(status=HealthStatus.HEALTHY, evidence=page.evidence)
    if page.data.get("is_permanently_closed") is True:
        healthy = replace(
            healthy,
            status=HealthStatus.DEGRADED,
            detail="the page says that the business is permanently closed",
            remedy="Correct it in the page's settings on Facebook.",
        )
    token = await _token(graph, way) if way.app_token else None
    if not isinstance(token, Token):
        return healthy
    return _lacking(token, way, scopes, page.evidence) or replace(
        healthy, expires_at=token.expires_at
    )


async def _missing(graph: Graph, way: Road, page: Refusal, scopes: frozenset[str]) -> Health:
    evidence = page.outcome.evidence
    token = await _token(graph, way)
    if isinstance(token, Unavailable | Throttled):
        return _health(token)
    if token is None:
        # Not DEGRADED: an account that cannot be told from a vanished one must not go on sending.
        return Health(
            status=HealthStatus.ACCESS_LOST,
            reason=AccessReason.PERMISSION,
            detail="the page does not answer: it is gone, or this token no longer opens it",
            remedy="Look at the page. With the app's id and secret in the account a probe can tell"
            " which it is.",
            evidence=evidence,
        )
    return _lacking(token, way, scopes, evidence) or Health(
        status=HealthStatus.VANISHED,
        detail="the token is valid and Facebook does not know the page: deleted, or taken down",
        remedy=_APPEAL,
        expires_at=token.expires_at,
        evidence=evidence,
    )


def _lacking(token: Token, way: Road, scopes: frozenset[str], evidence: Evidence) -> Health | None:
    """What the token lacks to use the page, None when nothing."""
    if not token.valid:
        return _lost(AccessReason.TOKEN, f"the token is not valid: {token.said}", evidence)
    missing = scopes - token.scopes if token.scopes is not None else frozenset()
    if missing:
        said = f"not granted: {', '.join(sorted(missing))}"
        return _lost(AccessReason.PERMISSION, said, evidence)
    if token.pages is not None and way.page_id not in token.pages:
        return _lost(AccessReason.ROLE, "the token was granted for other pages only", evidence)
    return None


def _lost(reason: AccessReason, said: str, evidence: Evidence) -> Health:
    return Health(
        status=HealthStatus.ACCESS_LOST,
        reason=reason,
        detail=said,
        remedy=RECONNECT,
        evidence=evidence,
    )


async def _token(graph: Graph, way: Road) -> Token | Unavailable | Throttled | None:
    """The token's state; an outcome when Facebook could not say now, None when it would not."""
    answer = await graph.inspect_token(way)
    if isinstance(answer, Success):
        data = answer.data.get("data")
        return read_token(data) if isinstance(data, dict) else None
    if isinstance(answer.outcome, Unavailable | Throttled):
        return answer.outcome
    # Asked about itself, a dead token is refused as any call with it is.
    dead = answer.verdict is Verdict.ACCESS and not way.app_token
    return Token(False, answer.error.words, None, None, None) if dead and answer.error else None


def read_token(data: Mapping[str, Any]) -> Token:
    expires, error, scopes = data.get("expires_at"), data.get("error"), data.get("scopes")
    return Token(
        valid=data.get("is_valid") is True,
        said=str(error.get("message", "")) if isinstance(error, dict) else "",
        expires_at=datetime.fromtimestamp(expires, UTC)
        if isinstance(expires, int) and expires > 0
        else None,
        scopes=frozenset(map(str, scopes)) if isinstance(scopes, list) else None,
        pages=_granted_pages(data.get("granular_scopes")),
    )


def _granted_pages(grants: Any) -> frozenset[str] | None:
    """The pages that page permissions were limited to; None when no grant names any."""
    named = [
        frozenset(map(str, grant["target_ids"]))
        for grant in (grants if isinstance(grants, list) else [])
        if isinstance(grant, dict)
        and str(grant.get("scope", "")).startswith("pages_")
        and isinstance(grant.get("target_ids"), list)
    ]
    return frozenset.intersection(*named) if named else None


def _health(outcome: Outcome) -> Health:
    """The health that a failed read of the page shows. Its request is fixed, so a refusal of the
    request itself is our configuration, not content."""
    evidence = outcome.evidence
    match outcome:
        case AccessLost():
            return Health(
                status=HealthStatus.ACCESS_LOST,
                reason=outcome.reason,
                detail=outcome.detail,
                remedy=outcome.remedy,
                evidence=evidence,
            )
        case Throttled():
            return Health(status=HealthStatus.THROTTLED, detail=outcome.reason, evidence=evidence)
        case Rejected():
            return Health(
                status=HealthStatus.ACCESS_LOST,
                reason=AccessReason.MISCONFIGURED,
                detail=outcome.problem.detail,
                remedy="Check the app secret and the Graph version of the account.",
                evidence=evidence,
            )
        case Unavailable():
            return Health(
                status=HealthStatus.PLATFORM_DOWN, detail=outcome.reason, evidence=evidence
            )
        case Unconfirmed() | Gone():
            return Health(
                status=HealthStatus.PLATFORM_DOWN, detail=outcome.detail, evidence=evidence
            )
        case Delivered() | Accepted():
            return Health(status=HealthStatus.HEALTHY, evidence=evidence)
        case _:
            assert_never(outcome)
