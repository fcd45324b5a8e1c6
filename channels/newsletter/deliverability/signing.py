"""A DKIM key, from nothing to signed mails: made, published by its owner, put to use."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from channels.inspection import SigningKey
from channels.newsletter.deliverability.dns import DnsError, Resolver
from channels.newsletter.deliverability.inspect import published
from channels.newsletter.dkim import dns_record, new_key
from channels.newsletter.settings import Dkim, NewsletterSettings
from channels.outcome import Unavailable


async def next_step(
    settings: NewsletterSettings, dns_server: str, selector: str
) -> SigningKey | Unavailable:
    """Signing before the key is published would make each signature a broken one: first it is
    made, and put to use when DNS has it."""
    dkim = settings.dkim
    if dkim is None:
        dkim = Dkim(
            selector=selector,
            domain=settings.from_address.rpartition("@")[2],
            private_key=SecretStr(await asyncio.to_thread(new_key)),
            sign=False,
        )
        return SigningKey(record=dns_record(dkim), active=False, changed={"dkim": dkim})
    record = dns_record(dkim)
    if dkim.sign:
        return SigningKey(record=record, active=True, changed={})
    try:
        there = published(dkim, await Resolver(dns_server).texts(record.name))
    except DnsError as error:
        return Unavailable(reason=f"DNS does not answer: {error}")
    changed = {"dkim": dkim.model_copy(update={"sign": True})} if there else {}
    return SigningKey(record=record, active=there, changed=changed)
