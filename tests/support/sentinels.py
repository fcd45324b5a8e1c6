"""A Redis with a replica and three Sentinels that watch over it, as real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from scheduler.children import die_with
from scheduler.embedded import find_server

PASSWORD = "of the servers"
WATCH = "of the sentinels"
MASTER = "posts"
PATIENCE = 60.0


@dataclass
class Guarded:
    """`servers` by port, the master first; `sentinels`: as the setting wants them."""

    sentinels: str
    servers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def kill(self, port: int) -> None:
        """Like a power cut."""
        self.servers[port].kill()
        self.servers[port].wait()

    def master(self) -> int:
        """The port of whom the first Sentinel takes for the master."""
        host, _, port = self.sentinels.split(",")[0].partition(":")
        with redis.Redis(host, int(port), password=WATCH) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(MASTER)[1])


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def guarded(directory: Path) -> Iterator[Guarded]:
    """Started and agreed upon who is the master."""
    server = find_server()
    assert server is not None
    first, second, *watching = _free_ports(5)
    found = Guarded(",".join(f"127.0.0.1:{port}" for port in watching))
    with ExitStack() as stack:

        def start(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [server, *arguments],
                cwd=home, stdout=subprocess.DEVNULL,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 -- it makes one system call
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        for port in (first, second):
            home = directory / str(port)
            home.mkdir()
            of = [] if port == first else ["--replicaof", f"127.0.0.1 {first}"]
            found.servers[port] = start(
                home, "--port", str(port), "--save", "", "--repl-diskless-sync-delay", "0",
                "--requirepass", PASSWORD, "--masterauth", PASSWORD, *of,
            )  # fmt: skip
        _until(lambda: _linked(second))
        for port in watching:
            home = directory / str(port)
            home.mkdir()
            (home / "sentinel.conf").write_text(
                f"port {port}\nrequirepass {WATCH!r}\nsentinel sentinel-pass {WATCH!r}\n"
                f"sentinel monitor {MASTER} 127.0.0.1 {first} 2\n"
                f"sentinel auth-pass {MASTER} {PASSWORD!r}\n"
                f"sentinel down-after-milliseconds {MASTER} 1000\n"
                f"sentinel failover-timeout {MASTER} 5000\n"
            )
            start(home, str(home / "sentinel.conf"), "--sentinel")
        for port in watching:
            _until(lambda at=port: _agreed(at))
        yield found


def _linked(port: int) -> bool:
    with redis.Redis("127.0.0.1", port, password=PASSWORD) as replica:
        return bool(replica.info("replication").get("master_link_status") == "up")


def _agreed(port: int) -> bool:
    with redis.Redis("127.0.0.1", port, password=WATCH) as sentinel:
        state = sentinel.sentinel_master(MASTER)
        return (state["num-slaves"], state["num-other-sentinels"]) == (1, 2)


def _until(met: object) -> None:
    assert callable(met)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if met():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)
