"""Amazon SES by way of SNS: signed with a certificate that is fetched from SNS, and from nowhere
else; the subscription is confirmed by a visit to SNS, and to nowhere else."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from channels.http import AnswerLostError, HttpClient, NotSentError
from channels.newsletter.feedback import common
from channels.newsletter.feedback.settings import AmazonSes
from channels.receipts import Receipt

SNS = r"https://sns\.[a-z0-9-]{3,32}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = r"/SimpleNotificationService-[0-9a-f]{8,64}\.pem"
_CONFIRM = r"/\?Action=ConfirmSubscription&[A-Za-z0-9_.&=:%~-]+"
KEPT = 16

_NOTICE = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_HANDSHAKE = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTICE,
    "SubscriptionConfirmation": _HANDSHAKE,
    "UnsubscribeConfirmation": _HANDSHAKE,
}
# Transient bounces without a word of their own are often automatic replies: they count for
# nothing.
_TRANSIENT = {
    "MailboxFull": common.FULL,
    "MessageTooLarge": common.TOO_LARGE,
    "ContentRejected": common.UNWANTED_CONTENT,
    "AttachmentRejected": common.UNWANTED_CONTENT,
    "CustomTimeoutExceeded": common.GAVE_UP,
}


class Certificates:
    """SNS's certificates, by their address; `origin`: what SNS's addresses begin with."""

    def __init__(self, http: HttpClient, *, origin: str = SNS) -> None:
        self._http = http
        self._certificate = re.compile(origin + _CERTIFICATE)
        self._confirm = re.compile(origin + _CONFIRM)
        self._known: dict[str, x509.Certificate] = {}

    def get(self, url: str) -> x509.Certificate | None:
        return self._known.get(url)

    async def fetch(self, url: str) -> None:
        """Have the certificate at hand, when it is SNS's and SNS answers."""
        if url in self._known or self._certificate.fullmatch(url) is None:
            return
        try:
            reply = await self._http.request("GET", url)
            certificate = x509.load_pem_x509_certificate(reply.body)
        except (NotSentError, AnswerLostError, ValueError):
            return
        if len(self._known) >= KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[url] = certificate

    async def visit(self, url: str) -> bool:
        """Confirm a subscription; whether SNS took it."""
        if self._confirm.fullmatch(url) is None:
            return False
        try:
            return (await self._http.request("GET", url)).status == 200
        except (NotSentError, AnswerLostError):
            return False


def is_ours(settings: AmazonSes, raw: bytes) -> bool:
    """Whether the message is of our topic: others are not worth a fetch."""
    return common.an_object(raw).get("TopicArn") == settings.topic_arn


def certificate_url(raw: bytes) -> str:
    return common.text(common.an_object(raw).get("SigningCertURL"))


def handshake_url(raw: bytes) -> str:
    """Where a subscription is confirmed; empty for any other message."""
    message = common.an_object(raw)
    asked = message.get("Type") == "SubscriptionConfirmation"
    return common.text(message.get("SubscribeURL")) if asked else ""


def verified(
    settings: AmazonSes, raw: bytes, certificate: x509.Certificate | None, now: datetime
) -> bool:
    if certificate is None or not is_ours(settings, raw):
        return False
    message = common.an_object(raw)
    names = _SIGNED.get(common.text(message.get("Type")))
    key = certificate.public_key()
    if names is None or not isinstance(key, rsa.RSAPublicKey):
        return False
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return False
    said = "".join(
        f"{name}\n{message[name]}\n" for name in names if isinstance(message.get(name), str)
    )
    # Version 1 is what topics have unless told otherwise.
    algorithm = (
        hashes.SHA256() if message.get("SignatureVersion") == "2" else hashes.SHA1()  # noqa: S303
    )
    try:
        signature = b64decode(common.text(message.get("Signature")))
        key.verify(signature, said.encode(), padding.PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError):
        return False
    return True


def receipts(raw: bytes) -> Sequence[Receipt]:
    outer = common.an_object(raw)
    if outer.get("Type") != "Notification":
        return []
    event_id = common.text(outer.get("MessageId"))
    inner = common.an_object(common.text(outer.get("Message")).encode())
    headers = common.mapping(common.mapping(inner.get("mail")).get("commonHeaders"))
    about = common.text(headers.get("messageId"))
    match inner.get("notificationType") or inner.get("eventType"):
        case "Bounce":
            return list(_bounced(common.mapping(inner.get("bounce")), event_id, about))
        case "Complaint":
            return list(_complained(common.mapping(inner.get("complaint")), event_id, about))
        case "Delivery":
            return list(_arrived(common.mapping(inner.get("delivery")), event_id, about))
        case "Reject":
            mail = common.mapping(inner.get("mail"))
            why = common.text(common.mapping(inner.get("reject")).get("reason"))
            return list(_rejected(mail, event_id, about, why))
        case _:
            return []


def _bounced(bounce: Mapping[str, Any], event_id: str, about: str) -> Iterator[Receipt]:
    at, subtype = _moment(bounce), common.text(bounce.get("bounceSubType"))
    for person in _people(bounce.get("bouncedRecipients")):
        address = common.text(person.get("emailAddress"))
        words = common.text(person.get("diagnosticCode")) or subtype
        own = common.status_in(common.text(person.get("status")))
        match bounce.get("bounceType"):
            case "Permanent":
                status = common.hard(own or words)
            case "Transient":
                status = _TRANSIENT.get(subtype, own)
            case _:
                status = own
        if status:
            yield common.failed(f"{event_id} {address}", at, address, status, words, about=about)


def _complained(complaint: Mapping[str, Any], event_id: str, about: str) -> Iterator[Receipt]:
    said = common.text(complaint.get("complaintFeedbackType"))
    if said == "not-spam":
        return
    for person in _people(complaint.get("complainedRecipients")):
        address = common.text(person.get("emailAddress"))
        yield common.complained(
            f"{event_id} {address}", _moment(complaint), address, said, about=about
        )


def _arrived(delivery: Mapping[str, Any], event_id: str, about: str) -> Iterator[Receipt]:
    for address in _addresses(delivery.get("recipients")):
        yield common.arrived(f"{event_id} {address}", _moment(delivery), address, about=about)


def _rejected(mail: Mapping[str, Any], event_id: str, about: str, why: str) -> Iterator[Receipt]:
    """SES took a mail and found a virus in it: nobody gets it."""
    for address in _addresses(mail.get("destination")):
        yield common.failed(
            f"{event_id} {address}", _moment(mail), address, common.UNWANTED_CONTENT, why,
            about=about,
        )  # fmt: skip


def _addresses(listed: object) -> list[str]:
    found = [common.text(one) for one in listed] if isinstance(listed, list) else []
    return [one for one in found if one]


def _people(listed: object) -> list[Mapping[str, Any]]:
    found = [common.mapping(one) for one in listed] if isinstance(listed, list) else []
    return [one for one in found if common.text(one.get("emailAddress"))]


def _moment(event: Mapping[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(common.text(event.get("timestamp")))
    except ValueError:
        return common.at(None)
    return moment if moment.tzinfo is not None else common.at(None)
