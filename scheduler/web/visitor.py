"""Who asks, where proxies of our own stand between: kept as evidence with a sign-up."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import pairwise

from aiohttp import web


def visitor(request: web.Request, trusted: Sequence[str]) -> str:
    """The address that asked. What `X-Forwarded-For` says counts as far as our own proxies wrote
    it; `trusted`: their addresses and networks. Anybody can write the rest."""
    hops = [request.remote or "unknown"]
    for value in reversed(request.headers.getall("X-Forwarded-For", ())):
        hops.extend(part.strip() for part in reversed(value.split(",")))
    networks = [ip_network(one, strict=False) for one in trusted]
    for hop, before in pairwise(hops):
        ours = _is_address(hop) and any(ip_address(hop) in network for network in networks)
        if not ours or not _is_address(before):
            return hop
    return hops[-1]


def network_of(request: web.Request, trusted: Sequence[str]) -> str:
    """Where the visitor is at home: their address, the first 64 bits of an IPv6 one. Empty where
    that is nobody's own: behind a proxy of ours that we were not told of, all come from it."""
    address = visitor(request, trusted)
    if not _is_address(address):
        return ""
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if address == request.remote and not found.is_global:
        return ""
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return str(found)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
