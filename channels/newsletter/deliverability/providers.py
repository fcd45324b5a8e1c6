"""What usual providers want in SPF, by the name of their relay: their servers send from other
addresses than the one that takes our mail. From their public set-up pages, November 2026; each is a
proposal to look up, not a proof."""

from __future__ import annotations

_INCLUDES = {
    "amazonaws.com": "amazonses.com",
    "brevo.com": "spf.brevo.com",
    "gandi.net": "_mailcust.gandi.net",
    "gmail.com": "_spf.google.com",
    "google.com": "_spf.google.com",
    "infomaniak.com": "spf.infomaniak.ch",
    "mailgun.org": "mailgun.org",
    "mailjet.com": "spf.mailjet.com",
    "office365.com": "spf.protection.outlook.com",
    "ovh.net": "mx.ovh.com",
    "postmarkapp.com": "spf.mtasv.net",
    "sendgrid.net": "sendgrid.net",
    "sendinblue.com": "spf.brevo.com",
}


def spf_domain(relay: str) -> str | None:
    """The domain to include for a relay's host, None when it is nobody's that we know."""
    host = relay.lower()
    for name, domain in _INCLUDES.items():
        if host == name or host.endswith(f".{name}"):
            return domain
    return None
