"""The provider that an account names, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from channels.newsletter.feedback import brevo, mailgun, ses
from channels.newsletter.feedback.settings import AmazonSes, Brevo, Feedback, Mailgun
from channels.receipts import Receipt, ReceiptKind


def verified(
    settings: Feedback | None,
    headers: Mapping[str, str],
    raw: bytes,
    certificates: ses.Certificates,
    now: datetime,
) -> bool:
    """Whether the account's provider sent these bytes."""
    match settings:
        case None:
            return False
        case Mailgun():
            return mailgun.verified(settings, raw, now)
        case Brevo():
            return brevo.verified(settings, headers)
        case AmazonSes():
            certificate = certificates.get(ses.certificate_url(raw))
            return ses.verified(settings, raw, certificate, now)
        case _:
            assert_never(settings)


def receipts(settings: Feedback | None, raw: bytes, domain: str) -> Sequence[Receipt]:
    """What a verified body says. `domain`: of our Message-IDs; some providers put their own in
    their place, which tell nothing of what arrived."""
    return [
        replace(one, remote_id=None)
        if one.kind is ReceiptKind.ARRIVED and not _is_at(one.remote_id, domain)
        else one
        for one in _told(settings, raw)
    ]


def _is_at(message_id: str | None, domain: str) -> bool:
    at = (message_id or "").strip("<>").rpartition("@")[2]
    return at.lower() == domain.lower()


def _told(settings: Feedback | None, raw: bytes) -> Sequence[Receipt]:
    match settings:
        case None:
            return []
        case Mailgun():
            return mailgun.receipts(raw)
        case Brevo():
            return brevo.receipts(raw)
        case AmazonSes():
            return ses.receipts(raw)
        case _:
            assert_never(settings)
