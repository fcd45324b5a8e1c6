"""The roles that a person has on pages, a page of the answer after the other.

Source: Microsoft Learn, organization access control by role, and pagination: `start` counts from 0,
and `paging.links` name a `next` page while there is one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from channels.exchange import Answer
from channels.http import HttpClient
from channels.linkedin.api import LinkedInSettings, fetch

# Those that may publish.
ROLES = frozenset(
    {
        "ADMINISTRATOR",
        "CONTENT_ADMINISTRATOR",
        "CONTENT_ADMIN",
        "DIRECT_SPONSORED_CONTENT_POSTER",
    }
)
AT_ONCE = 100
_MOST = 100  # answers: nobody administers 10,000 pages, and no answer may keep us for ever
_ACLS = f"organizationAcls?q=roleAssignee&state=APPROVED&count={AT_ONCE}"


async def role_pages(
    http: HttpClient, settings: LinkedInSettings, now: datetime
) -> AsyncIterator[Answer]:
    """Every answer until all roles are told. Error: `Stopped` with what went wrong."""
    start = 0
    for _ in range(_MOST):
        path = f"{_ACLS}&start={start}" if start else _ACLS
        acls = await fetch(http, settings, path, now, restli_method="FINDER")
        yield acls
        told = acls.fields.get("elements")
        if not isinstance(told, list) or not told or not _goes_on(acls, len(told)):
            return
        start += len(told)


def _goes_on(acls: Answer, told: int) -> bool:
    """By the link to a next page; where no links are told, a full page may have one."""
    paging: Any = acls.fields.get("paging")
    links = paging.get("links") if isinstance(paging, dict) else None
    if isinstance(links, list):
        return any(isinstance(link, dict) and link.get("rel") == "next" for link in links)
    return told >= AT_ONCE


def roles_in(acls: Answer) -> list[dict[str, Any]]:
    """The roles of one answer."""
    elements: Any = acls.fields.get("elements")
    return [acl for acl in elements if isinstance(acl, dict)] if isinstance(elements, list) else []
