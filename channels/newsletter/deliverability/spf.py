"""SPF (RFC 7208): which servers a domain lets send, and how many questions that takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface

from channels.newsletter.deliverability.dns import Resolver

MOST_LOOKUPS = 10
_ENOUGH = 30  # a record that goes on for ever is followed no further
_TERM = re.compile(
    r"(?P<qualifier>[+?~-]?)(?P<name>all|include|a|mx|ptr|ip4|ip6|exists)"
    r"(?::(?P<value>[^/\s]+|[^\s]+?))?(?P<cidr>(?:/\d+)?(?://\d+)?)",
    re.IGNORECASE,
)
_MODIFIER = re.compile(r"(?P<name>[a-z][a-z0-9_.-]*)=(?P<value>\S*)", re.IGNORECASE)


@dataclass(slots=True)
class Spf:
    """What a domain's record says. `records`: all there are, as there may be one. `passes`:
    whether one of our addresses may send; `includes`: the domains that it names; `wrong`: the first
    term that nobody understands; `final`: the qualifier of its last word on all others."""

    records: list[str] = field(default_factory=list)
    passes: bool = False
    lookups: int = 0
    includes: set[str] = field(default_factory=set)
    wrong: str = ""
    final: str = ""

    @property
    def record(self) -> str:
        return self.records[0] if self.records else ""


async def examine(resolver: Resolver, domain: str, addresses: Sequence[str]) -> Spf:
    """The record of `domain`, followed to its end, whatever matched before: receivers count the
    same. Error: DnsError."""
    found = Spf(records=await _records(resolver, domain))
    if len(found.records) == 1:
        result = await _walk(resolver, found, domain, found.record, addresses)
        found.passes = result == "+"
    return found


async def _records(resolver: Resolver, domain: str) -> list[str]:
    texts = await resolver.texts(domain)
    return [text for text in texts if text.lower().split(" ", 1)[0] == "v=spf1"]


async def _walk(
    resolver: Resolver, found: Spf, domain: str, record: str, addresses: Sequence[str]
) -> str:
    """The qualifier of what matched one of our addresses first; empty when nothing did."""
    result, redirect, final = "", "", ""
    for term in record.split()[1:]:
        modifier = _MODIFIER.fullmatch(term)
        if modifier is not None:
            if modifier["name"].lower() == "redirect":
                redirect = modifier["value"]
            continue
        mechanism = _TERM.fullmatch(term)
        if mechanism is None:
            found.wrong = found.wrong or term
            continue
        name, qualifier = mechanism["name"].lower(), mechanism["qualifier"] or "+"
        if name == "all":
            final = qualifier
            break
        if await _matches(resolver, found, domain, mechanism, addresses) and not result:
            result = qualifier
    if redirect and not final:
        return result or await _redirected(resolver, found, redirect, addresses)
    found.final = final
    return result or final


async def _redirected(resolver: Resolver, found: Spf, domain: str, addresses: Sequence[str]) -> str:
    found.lookups += 1
    found.includes.add(domain.lower())
    records = await _records(resolver, domain)
    if len(records) != 1 or found.lookups > _ENOUGH:
        found.wrong = found.wrong or f"redirect={domain}"
        return ""
    return await _walk(resolver, found, domain, records[0], addresses)


async def _matches(
    resolver: Resolver, found: Spf, domain: str, term: re.Match[str], addresses: Sequence[str]
) -> bool:
    name, value, cidr = term["name"].lower(), term["value"] or "", term["cidr"]
    if name in {"ip4", "ip6"}:
        return _within(found, term, f"{value}{cidr}", addresses)
    found.lookups += 1
    target = (value or domain).lower()
    if "%" in target or found.lookups > _ENOUGH or name in {"ptr", "exists"}:
        return False
    match name:
        case "include":
            found.includes.add(target)
            records = await _records(resolver, target)
            if len(records) != 1:
                found.wrong = found.wrong or term[0]
                return False
            before = found.final
            result = await _walk(resolver, found, target, records[0], addresses)
            found.final = before
            return result == "+"
        case "a":
            hosts = [target]
        case _:
            hosts = await resolver.exchangers(target)
    named = [one for host in hosts for one in await resolver.addresses(host)]
    return any(_within(found, term, _network(one, cidr), addresses) for one in named)


def _network(address: str, cidr: str) -> str:
    four, _, six = cidr.partition("//")
    prefix = six if ":" in address else four.removeprefix("/")
    return f"{address}/{prefix}" if prefix else address


def _within(found: Spf, term: re.Match[str], network: str, addresses: Sequence[str]) -> bool:
    try:
        here = ip_interface(network).network
    except ValueError:
        found.wrong = found.wrong or term[0]
        return False
    return any(ip_address(one) in here for one in addresses)


def with_term(record: str, term: str) -> str:
    """A record that also has `term`; a new one where there is none."""
    if not record:
        return f"v=spf1 {term} ~all"
    words = record.split()
    return " ".join([words[0], term, *words[1:]])
