"""A letter as one reader's mail program shows it: the very bytes that would leave, read back."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

from channels.abilities import Proof
from channels.base import Recipient
from channels.newsletter.compose import Letter, content_id
from channels.newsletter.settings import NewsletterSettings
from channels.posts import Message


def proof_of(
    message: Message,
    settings: NewsletterSettings,
    recipient: Recipient,
    *,
    date: datetime,
    pictures: Mapping[str, bytes],
) -> Proof:
    """Pictures that travel inside the mail stand in the HTML as `data:`. Error:
    UnsafeHeaderError."""
    mail = Letter(message, settings, date=date, pictures=pictures).to(recipient, key="proof")
    parsed = message_from_bytes(mail.content, policy=policy.default)
    shown = _part(parsed, "html")
    for media in message.media:
        if media.id in pictures:
            data = b64encode(pictures[media.id]).decode("ascii")
            inside = html.escape(f"cid:{content_id(media)}")
            shown = shown.replace(inside, f"data:{media.content_type};base64,{data}")
    return Proof(
        subject=str(parsed["Subject"]),
        sender=str(parsed["From"]),
        recipient=str(parsed["To"]),
        html=shown,
        text=_part(parsed, "plain"),
        size=len(mail.content),
    )


def _part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    return "" if found is None else str(found.get_content())
