"""Providers' webhooks as they sign them, with keys of the tests' own."""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

TOPIC = "arn:aws:sns:eu-west-3:123456789012:newsletter"
SIGNING_KEY = "key-of-the-tests"
TOKEN = "a-token-of-thirty-two-characters"
PEM = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
SETTINGS: dict[str, dict[str, str]] = {
    "mailgun": {"provider": "mailgun", "signing_key": SIGNING_KEY},
    "brevo": {"provider": "brevo", "token": TOKEN},
    "amazon-ses": {"provider": "amazon-ses", "topic_arn": TOPIC},
}


def mailgun(
    body: Any, *, key: str = SIGNING_KEY, at: datetime | None = None, token: str = ""
) -> bytes:
    """`token`: a new one, unless it is given."""
    timestamp = str(int((at or datetime.now(UTC)).timestamp()))
    token = token or secrets.token_hex(25)
    signature = hmac.new(key.encode(), f"{timestamp}{token}".encode(), sha256).hexdigest()
    signed = {"timestamp": timestamp, "token": token, "signature": signature}
    return json.dumps({"signature": signed, **body}).encode()


class Sns:
    """Signs as SNS does. `pem`: its certificate, to be served at `origin` + PEM."""

    def __init__(self, *, ended: bool = False) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.now(UTC) - timedelta(days=10 if ended else 1)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=5))
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(Encoding.PEM)

    def notification(self, body: Any, origin: str, **changes: str) -> bytes:
        return self._signed(
            {"Type": "Notification", "Message": json.dumps(body), "Subject": "Amazon SES",
             "MessageId": str(abs(hash(json.dumps(body)))), **changes},
            ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
            origin,
        )  # fmt: skip

    def handshake(self, origin: str, url: str = "") -> bytes:
        confirm = f"{origin}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
        return self._signed(
            {"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe",
             "MessageId": "165545c9", "Token": "2336412f37", "SubscribeURL": url or confirm},
            ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
            origin,
        )  # fmt: skip

    def _signed(self, message: dict[str, str], names: tuple[str, ...], origin: str) -> bytes:
        whole = {
            "Timestamp": "2026-02-03T19:26:38.237Z", "TopicArn": TOPIC, "SignatureVersion": "2",
            "SigningCertURL": f"{origin}{PEM}", **message,
        }  # fmt: skip
        said = "".join(f"{name}\n{whole[name]}\n" for name in names)
        algorithm = hashes.SHA256() if whole["SignatureVersion"] == "2" else hashes.SHA1()  # noqa: S303 -- SNS's version 1
        signature = self._key.sign(said.encode(), padding.PKCS1v15(), algorithm)
        return json.dumps({**whole, "Signature": b64encode(signature).decode()}).encode()
