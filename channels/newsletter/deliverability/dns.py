"""The questions put to DNS. No answer is not the answer "there is none"."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver as AsyncResolver

PATIENCE = 3.0


class DnsError(Exception):
    """Nobody answered: nothing is known. The message names the question."""


class Resolver:
    """Asks the system's resolvers, or `server` (`address` or `address:port`), for so many seconds
    at most."""

    def __init__(self, server: str = "", *, patience: float = PATIENCE) -> None:
        self._server = server
        self._patience = patience
        self._resolver: AsyncResolver | None = None

    async def texts(self, name: str) -> list[str]:
        """TXT records, each with its strings joined; empty when there is none."""
        return [b"".join(record.strings).decode("utf-8", "replace") for record in
                await self._ask(name, "TXT")]  # fmt: skip

    async def addresses(self, name: str) -> list[str]:
        """IPv4 and IPv6; those of an address are itself."""
        try:
            return [str(ip_address(name))]
        except ValueError:
            found = [*await self._ask(name, "A"), *await self._ask(name, "AAAA")]
            return [str(record.address) for record in found]

    async def exchangers(self, name: str) -> list[str]:
        """Names of the mail servers."""
        return [str(record.exchange).rstrip(".") for record in await self._ask(name, "MX")]

    async def names(self, address: str) -> list[str]:
        """What an address is called (PTR)."""
        reverse = ip_address(address).reverse_pointer
        return [str(record.target).rstrip(".") for record in await self._ask(reverse, "PTR")]

    async def _ask(self, name: str, kind: str) -> list[Any]:
        from dns.exception import DNSException
        from dns.resolver import NXDOMAIN, NoAnswer

        try:
            return list(await self._opened().resolve(name, kind, search=False))
        except (NXDOMAIN, NoAnswer):
            return []
        except (DNSException, OSError) as error:
            raise DnsError(f"{kind} {name}: {type(error).__name__}") from error

    def _opened(self) -> AsyncResolver:
        from dns.asyncresolver import Resolver as AsyncResolver

        if self._resolver is None:
            resolver = AsyncResolver(configure=not self._server)
            if self._server:
                host, port = split(self._server)
                resolver.nameservers, resolver.port = [host], port
            resolver.lifetime = self._patience
            self._resolver = resolver
        return self._resolver


def split(server: str) -> tuple[str, int]:
    """Address and port of `address`, `address:port` or `[v6]:port`. Error: ValueError."""
    parts = urlsplit(f"//{server}")
    return str(ip_address(parts.hostname or "")), parts.port or 53
