"""Whether a webhook call is Meta's: the handshake, and the signature of every body. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from pydantic import SecretStr

HEADER = "x-hub-signature-256"


def challenge(query: Mapping[str, str], verify_token: SecretStr | None) -> str | None:
    """The answer to the handshake, None when the agreed token is not in it."""
    if verify_token is None or query.get("hub.mode") != "subscribe":
        return None
    given = query.get("hub.verify_token", "").encode()
    if not hmac.compare_digest(given, verify_token.get_secret_value().encode()):
        return None
    return query.get("hub.challenge")


def verified(headers: Mapping[str, str], raw_body: bytes, app_secret: SecretStr | None) -> bool:
    """Meta signs the bytes it sends, escapes included: never check re-serialised JSON."""
    if app_secret is None:
        return False
    given = next((value for name, value in headers.items() if name.lower() == HEADER), "")
    digest = hmac.new(app_secret.get_secret_value().encode(), raw_body, hashlib.sha256)
    return hmac.compare_digest(given.encode(), f"sha256={digest.hexdigest()}".encode())
