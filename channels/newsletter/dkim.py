"""DKIM signatures (RFC 6376): rsa-sha256, relaxed/relaxed, no length, From and Subject oversigned.

Canonical forms are dkimpy's; the RSA operation is OpenSSL's, through `cryptography`, because
dkimpy's own takes ten milliseconds where OpenSSL takes less than one.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from dkim.canonicalization import Relaxed

from channels.inspection import DnsRecord
from channels.newsletter.settings import Dkim

SIGNED = (
    b"From", b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"Reply-To", b"In-Reply-To",
    b"References", b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding", b"List-Id",
    b"List-Unsubscribe", b"List-Unsubscribe-Post",
)  # fmt: skip
# Named once more than present, so that nobody can add a second one.
OVERSIGNED = (b"From", b"Subject")

_FIELD = re.compile(rb"([!-9;-~]+):((?:[^\r]|\r\n[ \t])*)\r\n")


def new_key() -> str:
    """A private key in PEM form, of the size that every receiver takes; slow: for a thread."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def dns_record(settings: Dkim) -> DnsRecord:
    """What publishes the key."""
    key = load_pem_private_key(settings.private_key.get_secret_value().encode(), password=None)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return DnsRecord(
        f"{settings.selector}._domainkey.{settings.domain.lower()}",
        "TXT",
        f"v=DKIM1; k=rsa; p={b64encode(public).decode()}",
    )


class Signer:
    """Signs mails of one domain."""

    def __init__(self, settings: Dkim) -> None:
        key = load_pem_private_key(settings.private_key.get_secret_value().encode(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key
        self._tags = (
            f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={settings.domain.lower()};"
            f"\r\n s={settings.selector};"
        ).encode("ascii")

    def sign(self, head: bytes, body: bytes) -> bytes:
        """The DKIM-Signature field for a mail of these header lines and this body."""
        fields = [(name, value) for name, value in _FIELD.findall(head)]
        present = {name.lower(): (name, value) for name, value in fields}
        chosen = [present[name.lower()] for name in SIGNED if name.lower() in present]
        names = [name for name, _ in chosen] + list(OVERSIGNED)
        body_hash = b64encode(sha256(Relaxed.canonicalize_body(body)).digest())
        value = (
            b" " + self._tags
            + b"\r\n h=" + b":\r\n  ".join(names) + b";"
            + b"\r\n bh=" + body_hash + b";"
            + b"\r\n b="
        )  # fmt: skip
        canonical = Relaxed.canonicalize_headers([*chosen, (b"DKIM-Signature", value)])
        signed = b"".join([name + b":" + text for name, text in canonical])[:-2]
        signature = b64encode(self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))
        folded = b"\r\n  ".join(signature[i : i + 72] for i in range(0, len(signature), 72))
        return b"DKIM-Signature:" + value + folded + b"\r\n"
