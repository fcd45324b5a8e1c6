"""Connecting pages in the browser: from a login to the pages that the person has a role on.

Source: Microsoft Learn, LinkedIn's 3-legged authorization code flow, and the organization access
control finder.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, SecretStr
from yarl import URL

from channels.abilities import Candidate
from channels.base import ChannelSettings
from channels.exchange import Answer, ask
from channels.http import HttpClient
from channels.linkedin.api import Address, LinkedInSettings, fetch
from channels.linkedin.errors import evidence
from channels.linkedin.roles import ROLES, role_pages, roles_in
from channels.linkedin.version import NEWEST_KNOWN
from channels.outcome import AccessLost, AccessReason, Outcome, Problem, Unavailable, Unconfirmed
from channels.steps import Stopped, unwell

SCOPES = ("r_organization_social", "rw_organization_admin", "w_organization_social")
BEGIN_AGAIN = "Begin again: open the login once more."
_ORGANIZATION = re.compile(r"urn:li:organization:(\d{1,20})")
_NONE_YET = "0"
_AT_ONCE = 10  # pages that are looked at beside each other


class LinkedInApp(ChannelSettings):
    """Our app at LinkedIn, with the product “Community Management API”."""

    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr
    version: Annotated[str, Field(pattern=r"^20\d{2}(0[1-9]|1[0-2])$")] = NEWEST_KNOWN
    api_url: Address = "https://api.linkedin.com"
    oauth_url: Address = "https://www.linkedin.com/oauth/v2"
    public_url: Address = "https://www.linkedin.com"


def authorize_url(app: LinkedInApp, *, redirect_uri: str, state: str) -> str:
    """Where the person logs in and agrees."""
    return str(
        URL(f"{app.oauth_url}/authorization").with_query(
            response_type="code",
            client_id=app.client_id,
            redirect_uri=redirect_uri,
            state=state,
            scope=" ".join(SCOPES),
        )
    )


async def exchanged(
    http: HttpClient, app: LinkedInApp, *, code: str, redirect_uri: str, now: datetime
) -> Sequence[Candidate] | AccessLost | Unavailable:
    """See `channels.abilities.Connects`."""
    token = await _token(http, app, code, redirect_uri)
    if not isinstance(token, Answer):
        return token
    settings = _settings(app, token.fields, now)
    try:
        roles: dict[str, list[str]] = {}
        async for acls in role_pages(http, settings, now):
            _add_roles(roles, acls)
        if not roles:
            return AccessLost(
                reason=AccessReason.ROLE,
                detail="this person has no role on any page",
                remedy="Log in as somebody who administers the page.",
            )
        return await _candidates(http, settings, roles, now)
    except Stopped as stopped:
        if isinstance(stopped.outcome, AccessLost | Unavailable):
            return stopped.outcome
        return Unavailable(
            reason="LinkedIn does not say which pages there are",
            evidence=stopped.outcome.evidence,
        )


async def _token(
    http: HttpClient, app: LinkedInApp, code: str, redirect_uri: str
) -> Answer | AccessLost | Unavailable:
    """The answer that holds a token, with every scope granted."""
    secret = app.client_secret.get_secret_value()
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": app.client_id,
        "client_secret": secret,
    }
    url = f"{app.oauth_url}/accessToken"
    answer = await ask(http, "POST", url, writes=False, secrets=(secret, code), form=form)
    if isinstance(answer, AccessLost):
        return answer
    if not isinstance(answer, Answer):
        return Unavailable(reason="LinkedIn does not answer", evidence=answer.evidence)
    if answer.status in {400, 401, 403}:
        ours = answer.fields.get("error") in {"invalid_client", "unauthorized_client"}
        return AccessLost(
            reason=AccessReason.MISCONFIGURED if ours else AccessReason.TOKEN,
            detail=str(answer.fields.get("error_description", "LinkedIn refuses this login")),
            remedy="Copy the app's id and secret again from LinkedIn." if ours else BEGIN_AGAIN,
            evidence=evidence(answer),
        )
    if answer.status != 200 or not answer.fields.get("access_token"):
        return Unavailable(reason=f"LinkedIn answered {answer.status} to a login")
    # Written with commas by some answers, with spaces by the documentation.
    granted = set(re.split(r"[ ,]+", str(answer.fields.get("scope", ""))))
    declined = [scope for scope in SCOPES if scope not in granted]
    if "scope" in answer.fields and declined:
        return AccessLost(
            reason=AccessReason.PERMISSION,
            detail=f"not granted: {', '.join(declined)}",
            remedy="Ask LinkedIn for the product “Community Management API”, then log in again.",
        )
    return answer


def _settings(app: LinkedInApp, token: Mapping[str, Any], now: datetime) -> LinkedInSettings:
    """What the login opens, before a page is chosen."""
    return LinkedInSettings(
        organization_id=_NONE_YET,
        access_token=SecretStr(str(token["access_token"])),
        access_expires_at=_end(token, "expires_in", now),
        refresh_token=SecretStr(str(token["refresh_token"]))
        if token.get("refresh_token")
        else None,
        refresh_expires_at=_end(token, "refresh_token_expires_in", now),
        client_id=app.client_id,
        client_secret=app.client_secret,
        version=app.version,
        api_url=app.api_url,
        oauth_url=app.oauth_url,
        public_url=app.public_url,
    )


def _end(token: Mapping[str, Any], name: str, now: datetime) -> datetime | None:
    seconds = token.get(name)
    return now + timedelta(seconds=seconds) if isinstance(seconds, int) else None


def _add_roles(roles: dict[str, list[str]], acls: Answer) -> None:
    """The person's approved roles by the page's number."""
    for acl in roles_in(acls):
        urn = str(acl.get("organization") or acl.get("organizationTarget") or "")
        named = _ORGANIZATION.fullmatch(urn)
        if named is not None:
            roles.setdefault(named[1], []).append(str(acl.get("role", "")))


def _unseen(number: str, outcome: Outcome) -> Problem:
    """One page that LinkedIn closed must not hide the person's others."""
    return Problem(
        code="page-unseen",
        detail=f"LinkedIn does not show the page {number}: {unwell(outcome).detail}",
        remedy="Look for the page on linkedin.com, as one of its administrators.",
    )


async def _candidates(
    http: HttpClient, settings: LinkedInSettings, roles: Mapping[str, list[str]], now: datetime
) -> list[Candidate]:
    found: list[Candidate] = []
    pages = list(roles.items())
    for at in range(0, len(pages), _AT_ONCE):
        some = pages[at : at + _AT_ONCE]
        asked = (_candidate(http, settings, number, held, now) for number, held in some)
        found += await asyncio.gather(*asked)
    return found


async def _candidate(
    http: HttpClient, settings: LinkedInSettings, number: str, roles: list[str], now: datetime
) -> Candidate:
    name, problem = number, None
    try:
        page = await fetch(http, settings, f"organizations/{number}", now)
        name = str(page.fields.get("localizedName") or number)
    except Stopped as stopped:
        if isinstance(stopped.outcome, Unavailable | Unconfirmed):
            raise
        problem = _unseen(number, stopped.outcome)
    held = settings.model_copy(update={"organization_id": number})
    if problem is None and not ROLES & set(roles):
        problem = Problem(
            code="role-missing",
            detail=f"This person may not publish on “{name}”.",
            remedy="Let an administrator of the page give them the content administrator's role.",
        )
    values = {
        key: value.get_secret_value() if isinstance(value, SecretStr) else value
        for key, value in dict(held).items()
        if value is not None
    }
    return Candidate(
        remote_id=number,
        name=name,
        settings=values,
        tasks=tuple(roles),
        problem=problem,
        expires_at=held.ends_at,
    )
