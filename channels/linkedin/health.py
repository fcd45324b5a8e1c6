"""What a look at a LinkedIn page finds: healthy, gone, closed to us, or LinkedIn itself down."""

from __future__ import annotations

from datetime import datetime

from channels.exchange import Answer
from channels.http import HttpClient
from channels.linkedin import version
from channels.linkedin.api import LinkedInSettings, call, encoded
from channels.linkedin.errors import evidence, outcome_of
from channels.linkedin.roles import ROLES, role_pages, roles_in
from channels.outcome import AccessReason, Gone, Health, HealthStatus, Outcome, Unavailable
from channels.steps import Stopped, unwell


async def probed(http: HttpClient, settings: LinkedInSettings, now: datetime) -> Health:
    """The roles first: they need nothing but a live token, so a 404 on the page after them means
    that the page is gone, not that the token is dead."""
    try:
        async for acls in role_pages(http, settings, now):
            may = _may_publish(acls, settings.author)
            if may:
                break
        page = await call(http, settings, "GET", f"organizations/{settings.organization_id}")
    except Stopped as stopped:
        return unwell(_about_the_api(stopped.outcome), settings.ends_at)
    if not isinstance(page, Answer):
        return unwell(page, settings.ends_at)
    if page.status in {404, 410}:
        return Health(
            status=HealthStatus.VANISHED,
            detail="LinkedIn does not know this page any more",
            remedy="Look for the page on linkedin.com, as one of its administrators.",
            expires_at=settings.ends_at,
            evidence=evidence(page),
        )
    if page.status != 200:
        return unwell(outcome_of(page, writes=False, now=now), settings.ends_at)
    if not may:
        return Health(
            status=HealthStatus.ACCESS_LOST,
            reason=AccessReason.ROLE,
            detail="the person who connected the page has no role on it that may publish",
            remedy="Give that person the content administrator's role on the page.",
            expires_at=settings.ends_at,
            evidence=evidence(acls),
        )
    return _well(settings, now, page)


async def followers_of(http: HttpClient, settings: LinkedInSettings) -> int | None:
    """How many members follow the page; None when LinkedIn does not say."""
    query = f"edgeType={settings.follower_edge}"
    answer = await call(http, settings, "GET", f"networkSizes/{encoded(settings.author)}?{query}")
    said = answer.fields.get("firstDegreeSize") if isinstance(answer, Answer) else None
    return said if isinstance(said, int) else None


def _about_the_api(outcome: Outcome) -> Outcome:
    """A 404 for the roles is no word about the page: there is no LinkedIn API at this address."""
    if not isinstance(outcome, Gone):
        return outcome
    return Unavailable(
        reason="this address does not answer like LinkedIn", evidence=outcome.evidence
    )


def _well(settings: LinkedInSettings, now: datetime, page: Answer) -> Health:
    warning = version.warning(settings.version, now)
    return Health(
        status=HealthStatus.DEGRADED if warning else HealthStatus.HEALTHY,
        detail=warning or str(page.fields.get("localizedName", "")),
        remedy="Set the account's LinkedIn version to a newer one." if warning else "",
        reason=AccessReason.VERSION if warning else None,
        expires_at=settings.ends_at,
        evidence=evidence(page),
    )


def _may_publish(acls: Answer, author: str) -> bool:
    return any(
        author in {acl.get("organization"), acl.get("organizationTarget")}
        and acl.get("role") in ROLES
        and acl.get("state") == "APPROVED"
        for acl in roles_in(acls)
    )
