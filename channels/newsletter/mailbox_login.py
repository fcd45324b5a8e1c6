"""The access tokens of mailboxes that take no passwords (Gmail, Microsoft 365): got with the
refresh token that its owner gave, and used until they end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import SecretStr

from channels.abilities import Haul
from channels.exchange import Answer, ask
from channels.http import HttpClient
from channels.newsletter.settings import Mailbox, MailboxOAuth
from channels.outcome import AccessLost, AccessReason, Unavailable

# Renewed this long before they end: a visit takes a while.
AHEAD = timedelta(minutes=5)
_USUAL = 3600
_OURS = frozenset({"invalid_client", "unauthorized_client", "invalid_request", "invalid_scope"})

Fault = AccessLost | Unavailable


@dataclass(frozen=True, slots=True)
class _Held:
    """`refresh`: the newest refresh token; some providers give another one each time."""

    access: str
    until: datetime
    refresh: str


class MailboxKeys:
    """Opens mailboxes, whichever way they want. One per adapter; keeps tokens in memory."""

    def __init__(self, http: HttpClient, now: Callable[[], datetime]) -> None:
        self._http, self._now = http, now
        self._held: dict[tuple[str, str, str], _Held] = {}

    async def check(
        self, mailbox: Mailbox, work: Callable[[str], AccessLost | Unavailable | None]
    ) -> AccessLost | Unavailable | None:
        """As `visit`, for what brings nothing back."""
        found = await self._with_token(mailbox, work)
        assert not isinstance(found, Haul)  # `work` makes none
        return found

    async def visit(
        self, mailbox: Mailbox, work: Callable[[str], Haul | AccessLost | Unavailable]
    ) -> Haul | AccessLost | Unavailable:
        """What `work` finds, in a thread, with an access token (empty: the password is for it)."""
        found = await self._with_token(mailbox, work)
        assert found is not None  # `work` always finds something
        oauth = mailbox.oauth
        held = None if oauth is None else self._held.get(_key(oauth))
        if oauth is None or held is None or not isinstance(found, Haul):
            return found
        if held.refresh == oauth.refresh_token.get_secret_value():
            return found
        newer = oauth.model_copy(update={"refresh_token": SecretStr(held.refresh)})
        self._held[_key(newer)] = held
        return replace(found, changed={"returns": mailbox.model_copy(update={"oauth": newer})})

    async def _with_token(
        self, mailbox: Mailbox, work: Callable[[str], Haul | Fault | None]
    ) -> Haul | Fault | None:
        if mailbox.oauth is None:
            return await asyncio.to_thread(work, "")
        known = self._held.get(_key(mailbox.oauth))
        if known is not None and known.until > self._now():
            found = await asyncio.to_thread(work, known.access)
            if not isinstance(found, AccessLost) or found.reason is not AccessReason.TOKEN:
                return found
        token = await self._refreshed(mailbox, mailbox.oauth, known)
        return await asyncio.to_thread(work, token) if isinstance(token, str) else token

    async def _refreshed(
        self, mailbox: Mailbox, oauth: MailboxOAuth, known: _Held | None
    ) -> str | Fault:
        refresh = oauth.refresh_token.get_secret_value() if known is None else known.refresh
        secret = oauth.client_secret.get_secret_value()
        form = {
            "grant_type": "refresh_token",
            "client_id": oauth.client_id,
            "refresh_token": refresh,
            **({"client_secret": secret} if secret else {}),
            **({"scope": oauth.scope} if oauth.scope else {}),
        }
        answer = await ask(
            self._http, "POST", oauth.token_url, writes=False, secrets=(refresh, secret), form=form
        )
        if not isinstance(answer, Answer):
            assert isinstance(answer, AccessLost | Unavailable)  # nothing is published here
            return _placed(mailbox, answer)
        access = answer.fields.get("access_token")
        if answer.status != 200 or not isinstance(access, str) or not access:
            return _refused(mailbox, answer)
        lasts = answer.fields.get("expires_in")
        seconds = lasts if isinstance(lasts, int) and 0 < lasts < 10_000_000 else _USUAL
        newest = answer.fields.get("refresh_token")
        self._held[_key(oauth)] = _Held(
            access,
            self._now() + timedelta(seconds=seconds) - AHEAD,
            newest if isinstance(newest, str) and newest else refresh,
        )
        return access


def _key(oauth: MailboxOAuth) -> tuple[str, str, str]:
    return oauth.token_url, oauth.client_id, oauth.refresh_token.get_secret_value()


def _placed(mailbox: Mailbox, fault: Fault) -> Fault:
    if isinstance(fault, AccessLost):
        return replace(fault, detail=f"{mailbox.label}: {fault.detail}")
    return replace(fault, reason=f"{mailbox.label}: {fault.reason}")


def _refused(mailbox: Mailbox, answer: Answer) -> Fault:
    """RFC 6749, section 5.2."""
    code = str(answer.fields.get("error", ""))[:60]
    evidence = answer.evidence(code=code)
    if answer.status >= 500 or answer.status == 429:
        return Unavailable(
            reason=f"{mailbox.label}: no access token now (HTTP {answer.status})",
            evidence=evidence,
        )
    if code in _OURS:
        return AccessLost(
            reason=AccessReason.MISCONFIGURED,
            detail=f"{mailbox.label}: the provider does not take this application ({code})",
            remedy="correct client_id, client_secret and scope in the account's settings, under"
            " returns.oauth",
            evidence=evidence,
        )
    return AccessLost(
        reason=AccessReason.TOKEN,
        detail=f"{mailbox.label}: the refresh token is not taken (HTTP {answer.status} {code})",
        remedy="let the application read the mailbox again, and put the new refresh token into"
        " the account's settings, under returns.oauth",
        evidence=evidence,
    )
