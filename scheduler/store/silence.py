"""Connections that go dead without a word: a machine that vanishes, a firewall that forgets. Else
it takes a quarter of an hour to find out, and on the server's side two hours, in which locks stay.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from sqlalchemy.engine import ExceptionContext

CONNECTS_WITHIN = 10.0
# What was sent has to be acknowledged within so long: by the other machine, however busy it is.
ACKNOWLEDGED_WITHIN = 10.0
# A connection without traffic is tried after so long, often enough for firewalls to remember it.
TRIED_AFTER, TRIED_EVERY, TRIES = 30, 5, 3
# Whoever stops in the middle of a transaction (frozen, or cut off) keeps others waiting so long.
IDLE_WITHIN = 60.0


# "read_only_sql_transaction"
_READ_ONLY = "25006"


def leave_replicas(context: ExceptionContext) -> None:
    """A server that takes no writes any more was the primary once: after a failover whoever stays
    with it waits for ever, and a new connection finds the one that is."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def notice(connection: Any, _record: object = None) -> None:
    """Have both sides of a new connection to PostgreSQL notice that the other one is gone."""
    connection.run_async(_notice)


async def _notice(driver: Any) -> None:
    _watch(driver._transport)  # noqa: SLF001 -- asyncpg takes no socket, and shows none
    settings = {
        "tcp_user_timeout": int(ACKNOWLEDGED_WITHIN * 1000),
        "tcp_keepalives_idle": TRIED_AFTER,
        "tcp_keepalives_interval": TRIED_EVERY,
        "tcp_keepalives_count": TRIES,
        "idle_in_transaction_session_timeout": int(IDLE_WITHIN * 1000),
    }
    await driver.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))


def _watch(transport: asyncio.BaseTransport) -> None:
    line: Any = transport.get_extra_info("socket")
    if line.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {
        "TCP_KEEPIDLE": TRIED_AFTER,
        "TCP_KEEPINTVL": TRIED_EVERY,
        "TCP_KEEPCNT": TRIES,
        "TCP_USER_TIMEOUT": int(ACKNOWLEDGED_WITHIN * 1000),
    }
    for name, value in wanted.items():
        if hasattr(socket, name):  # some systems have no word for it
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
