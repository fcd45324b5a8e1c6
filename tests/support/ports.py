"""Ports for servers that have to know theirs before they start."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

_LOWEST = 10_000
_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """So many of 127.0.0.1. Whoever asks the kernel for any port gets another: it hands out others,
    so that none is taken again before its server has it."""
    lowest, highest = map(int, _HANDED_OUT.read_text().split())
    kept = [*range(_LOWEST, lowest), *range(highest + 1, 65_536)]
    found: list[int] = []
    with ExitStack() as stack:
        for port in SystemRandom().sample(kept, len(kept)):
            taken = stack.enter_context(socket.socket())
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no port is free")
