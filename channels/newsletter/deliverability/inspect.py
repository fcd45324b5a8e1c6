"""Everything about one newsletter that decides whether its mails arrive, looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from channels.base import Account, Recipient
from channels.inspection import Advice, DnsRecord, Grade
from channels.newsletter.compose import Letter
from channels.newsletter.deliverability import letter, providers, spf
from channels.newsletter.deliverability.dns import DnsError, Resolver
from channels.newsletter.deliverability.relay import Greeting, greet
from channels.newsletter.deliverability.words import words
from channels.newsletter.dkim import dns_record
from channels.newsletter.render import render
from channels.newsletter.settings import Dkim, NewsletterSettings, Relay
from channels.posts import Part, Post

_ERROR, _WARNING, _OK = Grade.ERROR, Grade.WARNING, Grade.OK
# A sample that says nothing of the sender's own words: those are looked at before each post.
_SAMPLE = Post(
    id="deliverability",
    title="Deliverability",
    body="A sample of what your newsletter looks like to those who filter it.\n\n"
    "It has **words**, and it is sent to nobody.",
    language="en",
)


@dataclass(slots=True)
class Inspection:
    """One look at one account. `unsubscribe_url`: as a reader's would be."""

    account: Account[NewsletterSettings]
    resolver: Resolver
    now: datetime
    unsubscribe_url: str
    language: str
    found: list[Advice] = field(default_factory=list)
    # For DMARC: whether SPF, and DKIM, pass; None: nobody knows.
    _spf_passes: bool | None = None
    _dkim_passes: bool | None = None

    async def everything(self) -> list[Advice]:
        """All findings, in the order in which they are mended."""
        await self._asked("spf", self._spf())
        await self._asked("dkim", self._dkim())
        await self._asked("dmarc", self._dmarc())
        relays = self.account.settings.relays
        greetings = await asyncio.gather(
            *(greet(relay, self.account.settings.domain) for relay in relays)
        )
        for relay, greeting in zip(relays, greetings, strict=True):
            await self._asked("ptr", self._ptr(relay))
            await self._asked("helo", self._helo(relay, greeting))
            self._tls(relay, greeting)
        self._form()
        return self.found

    # --- DNS ---------------------------------------------------------------------------------

    async def _spf(self) -> None:
        domain = self._envelope_domain
        relays = [relay.host for relay in self.account.settings.relays]
        addresses = [one for host in relays for one in await self.resolver.addresses(host)]
        found = await spf.examine(self.resolver, domain, addresses)
        wanted = [providers.spf_domain(host) for host in relays]
        named = any(one in found.includes for one in wanted if one)
        self._spf_passes = found.passes or named
        facts = {
            "domain": domain, "lookups": found.lookups, "count": len(found.records),
            "what": found.wrong, "relay": ", ".join(relays),
        }  # fmt: skip
        record = self._spf_record(found)
        if not found.records:
            self._say(_ERROR, "spf-missing", record, facts)
        elif len(found.records) > 1:
            self._say(_ERROR, "spf-several", None, facts)
        elif found.wrong:
            self._say(_ERROR, "spf-wrong", None, facts)
        elif found.lookups > spf.MOST_LOOKUPS:
            self._say(_ERROR, "spf-lookups", None, facts)
        elif found.final == "+":
            self._say(_ERROR, "spf-everyone", None, facts)
        elif not self._spf_passes:
            self._say(_WARNING, "spf-relay", record, facts)
        else:
            self._say(_OK, "spf-ok", None, facts)
        if self.found[-1].grade is _ERROR:
            self._spf_passes = False

    def _spf_record(self, found: spf.Spf) -> DnsRecord:
        host = self.account.settings.relays[0].host
        provider = providers.spf_domain(host)
        term = f"include:{provider}" if provider else _term_for(host)
        return DnsRecord(self._envelope_domain, "TXT", spf.with_term(found.record, term))

    async def _dkim(self) -> None:
        dkim = self.account.settings.dkim
        if dkim is None:
            self._say(_WARNING, "dkim-none", None, {"account": self.account.id})
            return
        record = dns_record(dkim)
        facts = {"domain": dkim.domain, "what": record.name, "account": self.account.id}
        published = [tags_of(text) for text in await self.resolver.texts(record.name)]
        keys = [tags for tags in published if tags.get("p")]
        ours = [tags for tags in keys if tags["p"] == tags_of(record.value)["p"]]
        self._dkim_passes = bool(ours) and dkim.sign
        if not keys:
            self._say(_ERROR if dkim.sign else _WARNING, "dkim-unpublished", record, facts)
        elif not ours or len(keys) > 1:
            self._say(_ERROR, "dkim-differs", record, facts)
        elif not dkim.sign:
            self._say(_WARNING, "dkim-waiting", None, facts)
        elif "y" in ours[0].get("t", "").split(":"):
            self._say(_WARNING, "dkim-testing", record, facts)
        else:
            self._say(_OK, "dkim-ok", None, facts)

    async def _dmarc(self) -> None:
        """The sender's own policy, or that of a domain above it."""
        settings = self.account.settings
        domain = settings.from_address.rpartition("@")[2].lower()
        record = DnsRecord(
            f"_dmarc.{domain}", "TXT", f"v=DMARC1; p=none; rua=mailto:{settings.from_address}"
        )
        found: list[str] = []
        above = domain
        while "." in above and not found:
            texts = await self.resolver.texts(f"_dmarc.{above}")
            found = [text for text in texts if text.upper().startswith("V=DMARC1")]
            above = above.partition(".")[2]
        policy = tags_of(found[0]).get("p", "") if found else ""
        facts = {"domain": domain, "what": f"p={policy}"}
        if not found:
            self._say(_ERROR, "dmarc-missing", record, facts)
        elif len(found) > 1 or policy not in {"none", "quarantine", "reject"}:
            self._say(_ERROR, "dmarc-wrong", record, facts)
        elif self._aligned(domain) is False:
            self._say(_WARNING if policy == "none" else _ERROR, "dmarc-unaligned", None, facts)
        else:
            self._say(_OK, "dmarc-ok", None, facts)

    def _aligned(self, domain: str) -> bool | None:
        """Whether SPF or DKIM passes in the sender's name. None: nobody knows, as when DNS was
        silent, or when the relay may sign with a key of its own."""
        dkim = self.account.settings.dkim
        if self._spf_passes and _related(domain, self._envelope_domain):
            return True
        if self._dkim_passes and dkim is not None and _related(domain, dkim.domain.lower()):
            return True
        return None if dkim is None or self._spf_passes is None else False

    # --- Relays ------------------------------------------------------------------------------

    async def _ptr(self, relay: Relay) -> None:
        for address in await self.resolver.addresses(relay.host):
            names = await self.resolver.names(address)
            back = [name for name in names if address in await self.resolver.addresses(name)]
            facts = {"relay": relay.host, "address": address, "what": ", ".join(back)}
            if back:
                self._say(_OK, "ptr-ok", None, facts)
            elif not ip_address(address).is_global:
                self._say(_OK, "ptr-inner", None, facts)
            else:
                self._say(_WARNING, "ptr-missing", None, facts)

    async def _helo(self, relay: Relay, greeting: Greeting) -> None:
        if not greeting.name:
            return
        there = set(await self.resolver.addresses(relay.host))
        named = set(await self.resolver.addresses(greeting.name))
        well = bool(named & there) or (bool(named) and providers.spf_domain(relay.host) is not None)
        code = "helo-ok" if well else "helo-differs"
        self._say(_OK if well else _WARNING, code, None, {"what": greeting.name})

    def _tls(self, relay: Relay, greeting: Greeting) -> None:
        facts = {"relay": relay.label}
        if greeting.silent:
            self._say(_ERROR, "relay-silent", None, {**facts, "what": greeting.silent})
        elif greeting.untrusted:
            self._say(_ERROR, "tls-untrusted", None, {**facts, "what": greeting.untrusted})
        elif not greeting.offers_tls:
            self._say(_WARNING, "tls-none", None, facts)
        elif relay.tls == "none":
            self._say(_WARNING, "tls-unused", None, facts)
        else:
            self._say(_OK, "tls-ok", None, {**facts, "what": greeting.tls})

    # --- The mail itself ---------------------------------------------------------------------

    def _form(self) -> None:
        settings = self.account.settings
        message = render(_SAMPLE, self.account, Part.POST)
        reader = Recipient(
            id="sample", address=settings.from_address, unsubscribe_url=self.unsubscribe_url
        )
        mail = Letter(message, settings, date=self.now, pictures={}).to(reader, key="sample")
        faults = letter.faults(mail.content)
        for fault in faults:
            self._say(_ERROR, fault.code, None, {"what": fault.detail})
        if not faults:
            self._say(_OK, "form-ok", None, {"size": max(1, len(mail.content) // 1024)})

    # --- How it is said ----------------------------------------------------------------------

    async def _asked(self, about: str, question: Coroutine[Any, Any, None]) -> None:
        try:
            await question
        except DnsError as error:
            self._say(_WARNING, "dns-silent", None, {"what": str(error)}, about)

    def _say(
        self,
        grade: Grade,
        code: str,
        record: DnsRecord | None,
        facts: Mapping[str, object],
        about: str = "",
    ) -> None:
        detail, remedy = words(code, self.language, facts)
        area = about or _AREAS.get(code, code.partition("-")[0])
        self.found.append(
            Advice(area=area, code=code, grade=grade, detail=detail, remedy=remedy, record=record)
        )

    @property
    def _envelope_domain(self) -> str:
        settings = self.account.settings
        return (settings.envelope_from or settings.from_address).rpartition("@")[2].lower()


_AREAS = {
    "relay-silent": "tls", "one-click-missing": "form", "text-missing": "form", "clipped": "form",
    "only-image": "form", "link-differs": "form",
}  # fmt: skip


def tags_of(text: str) -> dict[str, str]:
    """The tags of a DKIM or DMARC record, spaces taken out."""
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}


def published(dkim: Dkim, texts: list[str]) -> bool:
    """Whether the key that these TXT records hold is ours, and the only one."""
    keys = [tags["p"] for tags in map(tags_of, texts) if tags.get("p")]
    return keys == [tags_of(dns_record(dkim).value)["p"]]


def _related(one: str, other: str) -> bool:
    """Relaxed alignment, as far as it can be told without the list of public suffixes."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _term_for(host: str) -> str:
    """What to let send: a relay in our own network hands on to the domain's mail server."""
    try:
        address = ip_address(host)
    except ValueError:
        return f"a:{host}"
    return f"ip{address.version}:{host}" if address.is_global else "mx"
