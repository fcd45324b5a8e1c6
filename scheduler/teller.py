"""Tells people what happened: alerts by mail, through a relay of their own, and by signed
webhooks that are tried again for a day.

An alert is told once: mail is repeated only when nobody can know whether it left, and then under
the same Message-ID; a webhook's calls have ids that do not change.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import NAMESPACE_URL, uuid5

import structlog
from aiosmtplib import SMTPException, send
from standardwebhooks import Webhook

from channels.http import AnswerLostError, HttpClient, NotSentError
from scheduler.alerts import Alert, grouped, mail_words, notice, payload
from scheduler.answers import stamp
from scheduler.clock import Clock, moment
from scheduler.decide import SECOND
from scheduler.settings import Settings
from scheduler.store import notices as store
from scheduler.store.alerts import raise_alert
from scheduler.store.db import Database
from scheduler.vault import Vault

log = structlog.get_logger()

CALL_TIMEOUT = 15.0
MAIL_TIMEOUT = 20.0
# Waits between the tries of a webhook, in seconds: as the Standard Webhooks advise.
_WAITS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """One tells at a time: the leader among the workers, or an API process without any."""

    database: Database
    clock: Clock
    settings: Settings
    vault: Vault
    http: HttpClient
    # Alerts told in one language while the relay refused the mail in the other.
    told: set[tuple[str, str]] = field(default_factory=set)

    async def round(self) -> None:
        """Tell what is new, and call again what did not answer."""
        now = self.clock.micros()
        gathered = now - int(self.settings.alert_gather * SECOND)
        fresh = await store.untold(self.database, gathered)
        if fresh:
            await self._queue_hooks(fresh, now)
            if await self._mail(fresh):
                await store.mark_told(self.database, [alert.id for alert in fresh], now)
        calls = await store.due_calls(self.database, now)
        for ended in await asyncio.gather(
            *(self._call(call) for call in calls), return_exceptions=True
        ):
            if isinstance(ended, Exception):  # one hook's trouble is not the others'
                log.error("hook.failed", exc_info=ended)

    async def _queue_hooks(self, alerts: Sequence[Alert], now: int) -> None:
        async with self.database.read() as connection:
            hooks = await store.all_hooks(connection)
        rows = [
            {
                "id": str(uuid5(NAMESPACE_URL, f"{hook['id']}/{alert.id}")),
                "hook_id": hook["id"],
                "kind": alert.kind,
                "payload": payload(
                    alert,
                    language=self.settings.language,
                    base_url=self.settings.effective_public_url,
                    at=stamp(now),
                ),
                "next_at": now,
                "created_at": now,
            }
            for hook in hooks
            for alert in alerts
            if not hook["kinds"] or alert.kind in hook["kinds"]
        ]
        await store.queue_calls(self.database, rows)

    async def _mail(self, alerts: Sequence[Alert]) -> bool:
        """One mail a language for everything that came together; whether no more telling is
        needed."""
        done = True
        for language, recipients in self.settings.alert_readers.items():
            fresh = [alert for alert in alerts if (alert.id, language) not in self.told]
            if fresh and not await self._mail_in(language, recipients, fresh):
                done = False
            else:
                self.told.update((alert.id, language) for alert in fresh)
        if done:
            self.told.clear()
        return done

    async def _mail_in(
        self, language: str, recipients: Sequence[str], alerts: Sequence[Alert]
    ) -> bool:
        base_url = self.settings.effective_public_url
        told = [notice(group, language=language, base_url=base_url) for group in grouped(alerts)]
        message = EmailMessage()
        message["Subject"], text = mail_words(told, language)
        first = next(iter(self.settings.alert_readers.values()))[0]
        message["From"] = self.settings.alert_mail_from or first
        message["To"] = ", ".join(recipients)
        message["Date"] = format_datetime(moment(self.clock.micros()))
        message["Message-ID"] = _message_id(alerts, language, str(message["From"]))
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        message["Content-Language"] = language
        try:
            await send(message, **_relay(self.settings.alert_smtp_url.get_secret_value()))
        except (SMTPException, OSError) as error:
            log.warning("alerts.mail-failed", error=type(error).__name__, alerts=len(alerts))
            return False
        return True

    async def _call(self, call: Any) -> None:
        now = self.clock.micros()
        body = json.dumps(call["payload"], ensure_ascii=False, separators=(",", ":"))
        secret = self.vault.open(call["secret"])["secret"]
        signature = Webhook(secret).sign(call["id"], moment(now), body)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": call["id"],
            "webhook-timestamp": str(now // SECOND),
            "webhook-signature": signature,
        }
        status, detail = None, ""
        try:
            reply = await self.http.request(
                "POST", call["url"], headers=headers, data=body.encode(), timeout=CALL_TIMEOUT
            )
            status, detail = reply.status, reply.text[:500]
        except (NotSentError, AnswerLostError) as error:
            detail = str(error)
        done = status is not None and 200 <= status < 300
        gone = status == 410 or call["tries"] >= len(_WAITS)
        next_at = None if done or gone else now + _WAITS[call["tries"]] * SECOND
        await store.write_call(
            self.database, call["id"], status=status, detail=detail, next_at=next_at, now=now
        )
        if gone and not done:
            await self._give_up(call, detail or f"it answered {status}", now)

    async def _give_up(self, call: Any, detail: str, now: int) -> None:
        async with self.database.write() as connection:
            await store.disable_hook(connection, call["hook_id"], now)
            await raise_alert(
                connection,
                self.database,
                fact=f"hook:{call['hook_id']}",
                kind="hook.failed",
                severity="warning",
                data={"cause": f"{call['url']}: {detail}", "hook_id": call["hook_id"]},
                now=now,
            )


def _message_id(alerts: Sequence[Alert], language: str, sender: str) -> str:
    """The same for the same alerts, so that a repeated mail is seen to be one."""
    named = " ".join([language, *(alert.id for alert in alerts)])
    digest = sha256(named.encode()).hexdigest()[:32]
    return f"<alert-{digest}@{sender.rpartition('@')[2].strip('> ') or 'estafette'}>"


def _relay(url: str) -> dict[str, Any]:
    """`smtp://user:password@host:port` (STARTTLS when offered), `smtps://…` (TLS from the start)
    as aiosmtplib takes it."""
    parts = urlsplit(url)
    secure = parts.scheme == "smtps"
    return {
        "hostname": parts.hostname,
        "port": parts.port or (465 if secure else 25),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "use_tls": secure,
        "timeout": MAIL_TIMEOUT,
    }
