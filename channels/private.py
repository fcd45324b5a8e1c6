"""Which addresses are not the internet's: where requests to user-given URLs must not go."""

from __future__ import annotations

import ipaddress

# Whose last 32 bits are an IPv4 address that a gateway of the network may lead to: NAT64, and the
# forms that IPv6 began with.
_LEADING_TO_IPV4 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))


def is_private(address: str) -> bool:
    """Whether an IP address is anything but a public unicast one, or may lead to such a one."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = _inside(ip) or ip
    return not ip.is_global or ip.is_multicast


def _inside(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that it carries, if any."""
    if any(ip in network for network in _LEADING_TO_IPV4):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
