"""Who asks, where proxies of our own stand between: kept as evidence with a sign-up."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
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


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
