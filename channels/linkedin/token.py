"""Renewing the access token, where LinkedIn gives the app a refresh token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from channels.exchange import Answer, ask
from channels.http import HttpClient
from channels.linkedin.api import LinkedInSettings
from channels.linkedin.errors import RECONNECT, evidence
from channels.outcome import AccessLost, AccessReason, Evidence, Unavailable

# Of sixty days: time enough to tell a person when it fails.
AHEAD = timedelta(days=20)


def refresh_at(settings: LinkedInSettings) -> datetime | None:
    """See `channels.abilities.Refreshes`."""
    if not (settings.refresh_token and settings.client_secret):
        return None
    if settings.access_expires_at is None:
        return datetime.fromtimestamp(0, UTC)
    return settings.access_expires_at - AHEAD


async def refreshed(
    http: HttpClient, settings: LinkedInSettings, now: datetime
) -> Mapping[str, Any] | AccessLost | Unavailable:
    """See `channels.abilities.Refreshes`."""
    if not (settings.refresh_token and settings.client_secret):
        return _lost("LinkedIn gives this app no refresh token", Evidence())
    form = {
        "grant_type": "refresh_token",
        "refresh_token": settings.refresh_token.get_secret_value(),
        "client_id": settings.client_id,
        "client_secret": settings.client_secret.get_secret_value(),
    }
    url = f"{settings.oauth_url}/accessToken"
    answer = await ask(http, "POST", url, writes=False, secrets=settings.secrets, form=form)
    if isinstance(answer, AccessLost):
        return answer
    if not isinstance(answer, Answer):
        return Unavailable(reason="LinkedIn does not answer", evidence=answer.evidence)
    if answer.status in {400, 401, 403}:
        reason = str(answer.fields.get("error_description", f"LinkedIn answered {answer.status}"))
        return _lost(reason, evidence(answer))
    if answer.status != 200 or not answer.fields.get("access_token"):
        reason = f"LinkedIn answered {answer.status} to a refresh"
        return Unavailable(reason=reason, evidence=evidence(answer))
    return _changed(answer.fields, now)


def _changed(fields: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The settings that change. An answer without a refresh token keeps the old one."""
    changed: dict[str, Any] = {"access_token": str(fields["access_token"])}
    if seconds := fields.get("expires_in"):
        changed["access_expires_at"] = now + timedelta(seconds=int(seconds))
    if fields.get("refresh_token"):
        changed["refresh_token"] = str(fields["refresh_token"])
        if seconds := fields.get("refresh_token_expires_in"):
            changed["refresh_expires_at"] = now + timedelta(seconds=int(seconds))
    return changed


def _lost(detail: str, proof: Evidence) -> AccessLost:
    return AccessLost(reason=AccessReason.TOKEN, detail=detail, remedy=RECONNECT, evidence=proof)
