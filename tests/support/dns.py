"""A name server on loopback that knows what a test tells it, and counts the questions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import dns.rrset

Zone = Mapping[tuple[str, str], Sequence[str]]


class NameServer(asyncio.DatagramProtocol):
    """`zone`: by name and type, the records as a zone file has them. A name in `silent` gets no
    answer."""

    def __init__(self, zone: Zone) -> None:
        self.zone = dict(zone)
        self.silent: set[str] = set()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.address = ""
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.address = f"127.0.0.1:{self._transport.get_extra_info('sockname')[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        if name in self.silent:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        records = self.zone.get((name, kind))
        if records:
            rrset = dns.rrset.from_text_list(question.name, 60, "IN", kind, list(records))
            answer.answer.append(rrset)
        elif not any(known == name for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(max_size=65535), addr)


def text(value: str) -> str:
    """A TXT record as a zone file has it: strings of 255 bytes at most."""
    return " ".join(f'"{value[start : start + 200]}"' for start in range(0, len(value), 200))


def reverse(address: str) -> str:
    return dns.reversename.from_address(address).to_text(omit_final_dot=True)
