"""The access tokens of mailboxes that take no passwords (Gmail, Microsoft 365): got with the
refresh token that its owner gave, and used until they end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import SecretStr

from channels.abilities import Keep
from channels.exchange import Answer, ask
from channels.http import HttpClient
from channels.newsletter.settings import Mailbox, MailboxOAuth
from channels.outcome import AccessLost, AccessReason, Unavailable

# Renewed this long before they end: a visit takes a while.
AHEAD = timedelta(minutes=5)
_USUAL = 3600
_OURS = frozenset({"invalid_client", "unauthorized_client", "invalid_request", "invalid_scope"})

Fault = AccessLost | Unavailable
Found = TypeVar("Found")


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

    async def visit(
        self, mailbox: Mailbox, work: Callable[[str], Found], keep: Keep
    ) -> Found | Fault:
        """What `work` finds, in a thread, with an access token (empty: the password is for it).
        `keep` is given another refresh token before the mailbox is visited. Errors: its own."""
        oauth = mailbox.oauth
        if oauth is None:
            return await asyncio.to_thread(work, "")
        known = self._held.get(_key(oauth))
        if known is not None and known.until > self._now():
            await self._hand_over(mailbox, oauth, known, keep)  # it may not have been stored then
            found = await asyncio.to_thread(work, known.access)
            if not isinstance(found, AccessLost) or found.reason is not AccessReason.TOKEN:
                return found
        held = await self._refreshed(mailbox, oauth, known)
        if not isinstance(held, _Held):
            return held
        await self._hand_over(mailbox, oauth, held, keep)
        return await asyncio.to_thread(work, held.access)

    async def _hand_over(
        self, mailbox: Mailbox, oauth: MailboxOAuth, held: _Held, keep: Keep
    ) -> None:
        if held.refresh == oauth.refresh_token.get_secret_value():
            return
        newer = oauth.model_copy(update={"refresh_token": SecretStr(held.refresh)})
        self._held[_key(newer)] = held
        await keep({"returns": mailbox.model_copy(update={"oauth": newer})})

    async def _refreshed(
        self, mailbox: Mailbox, oauth: MailboxOAuth, known: _Held | None
    ) -> _Held | Fault:
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
        held = self._held[_key(oauth)] = _Held(
            access,
            self._now() + timedelta(seconds=seconds) - AHEAD,
            newest if isinstance(newest, str) and newest else refresh,
        )
        return held


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
