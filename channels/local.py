"""Where this machine reaches what listens on it."""

from __future__ import annotations

_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- compared, not bound


def everywhere(host: str) -> bool:
    """Whether to listen there is to listen at every address: it is nobody's own."""
    return host in _EVERYWHERE


def local_host(host: str) -> str:
    """By which this machine reaches a server that listens there."""
    return "127.0.0.1" if everywhere(host) else host


def local_url(host: str, port: int) -> str:
    """Of a server that listens on this host and port, without a slash at its end."""
    reached = local_host(host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"
