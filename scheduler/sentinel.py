"""Redis behind Sentinels: whoever is the master now, found again at every new connection.

arq's own factory for this takes no retries, no TLS and no password of the Sentinels, and its
worker ends at a failover: the pool is ours.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from scheduler.settings import Settings

TIMEOUT = 2.0  # seconds, of a Sentinel or a server that is gone without a word


def sentinel_pool(
    url: str,
    settings: Settings,
    *,
    retry: Retry,
    retry_on: list[type[Exception]],
) -> SentinelConnectionPool:
    """Connections to the master that the Sentinels of `settings` name, made when first used.
    `url` says how to log in there, and whether by TLS (rediss); its host is not used."""
    login: dict[str, Any] = dict(parse_url(url))
    by_tls = login.pop("connection_class", None) is SSLConnection
    for place in ("host", "port", "path"):
        login.pop(place, None)
    tls = {name: login[name] for name in login if name.startswith("ssl_")}
    waits = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    password = settings.redis_sentinel_password.get_secret_value()
    sentinel: Sentinel = Sentinel(  # type: ignore[no-untyped-call]
        [_address(part) for part in settings.redis_sentinel.split(",")],
        sentinel_kwargs={**waits, "password": password or None, "ssl": by_tls, **tls},
    )
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]
        settings.redis_sentinel_master,
        sentinel,
        ssl=by_tls,
        retry=retry,
        retry_on_error=retry_on,
        retry_on_timeout=True,
        **waits,
        **login,
    )


def _address(part: str) -> tuple[str, int]:
    host, _, port = part.strip().rpartition(":") if ":" in part else (part.strip(), "", "")
    return host.strip("[]"), int(port or 26379)
