"""The SQL databases of a run: SQLite in the data directory, or a PostgreSQL that can be killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.actor import Actor
from tests.support.servers import Postgres, postgres_server, postgres_user

READY = b"ready to accept connections"


@dataclass(frozen=True)
class Store:
    """`actor`: the database's own process, None where there is none."""

    kind: str
    url: str
    actor: Actor | None = None

    def kill_backend(self, rng: Random) -> bool:
        """Kill one server process; PostgreSQL then restarts all of them and recovers."""
        assert self.actor is not None
        assert self.actor.process is not None
        pid = self.actor.process.pid
        backends = sorted(child for child in _children(pid) if b"[local]" in _command(child))
        if not backends:
            return False
        try:
            os.kill(rng.choice(backends), signal.SIGKILL)
        except ProcessLookupError:  # it has ended meanwhile
            return False
        return True


def store(kind: str, directory: Path, data: Path, environment: Mapping[str, str]) -> Store:
    """An empty database. `data`: the service's data directory."""
    if kind == "sqlite":
        return Store(kind, f"sqlite+aiosqlite:///{data / 'chaos.db'}")
    with postgres_server(directory, durable=True) as server:
        server.run("CREATE DATABASE chaos")
    return Store(kind, server.url("chaos"), _supervised(server, directory, environment))


def _supervised(server: Postgres, directory: Path, environment: Mapping[str, str]) -> Actor:
    home = server.directory
    return Actor(
        "postgres",
        [str(server.binaries / "postgres"), "-D", str(home / "data"), "-k", str(home),
         "-c", "listen_addresses=", "-c", "max_connections=200",
         "-c", "unix_socket_permissions=0777"],
        environment, directory / "postgres.log", READY, signal.SIGINT,
        postgres_user(), home,
    )  # fmt: skip


def _children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
