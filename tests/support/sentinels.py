"""A Redis with a replica and three Sentinels that watch over it, as real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from scheduler.children import die_with
from scheduler.embedded import find_server
from tests.support.ports import free_ports

PASSWORD = "of the servers"
WATCH = "of the sentinels"
MASTER = "posts"
PATIENCE = 60.0


@dataclass
class Guarded:
    """`servers` by port, the master first; `sentinels`: as the setting wants them; `tls`: how to
    connect to any of them."""

    sentinels: str
    tls: dict[str, Any]
    servers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def kill(self, port: int) -> None:
        """Like a power cut."""
        self.servers[port].kill()
        self.servers[port].wait()

    def master(self) -> int:
        """The port of whom the first Sentinel takes for the master."""
        host, _, port = self.sentinels.split(",")[0].partition(":")
        with redis.Redis(host, int(port), password=WATCH, **self.tls) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(MASTER)[1])


def tls_server() -> str | None:
    """A Redis or Valkey on this machine that speaks TLS; the bundled one does not."""
    found = (shutil.which(name) for name in ("redis-server", "valkey-server"))
    return next((one for one in found if one is not None and _knows_tls(one)), None)


def _knows_tls(server: str) -> bool:
    """It misses a certificate, and not the whole of TLS; in either case it ends."""
    asked = [server, "--port", "0", "--tls-port", "1", "--save", ""]
    tried = subprocess.run(asked, capture_output=True, check=False, timeout=PATIENCE)
    return b"Failed to configure TLS" in tried.stdout


@contextmanager
def guarded(directory: Path, certificate: Path | None = None) -> Iterator[Guarded]:
    """Started and agreed upon who is the master. `certificate`: all of them speak TLS alone, with
    one file for it and its key (`tls_server` is needed)."""
    server = find_server() if certificate is None else tls_server()
    assert server is not None
    first, second, *watching = free_ports(5)
    by_tls = {} if certificate is None else {"ssl": True, "ssl_ca_certs": str(certificate)}
    found = Guarded(",".join(f"127.0.0.1:{port}" for port in watching), by_tls)
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
            of = [] if port == first else [f"replicaof 127.0.0.1 {first}"]
            (home / "redis.conf").write_text(
                "\n".join(
                    [
                        *_listens(port, certificate), "save ''", "repl-diskless-sync-delay 0",
                        f"requirepass {PASSWORD!r}", f"masterauth {PASSWORD!r}", *of,
                    ]
                )
            )  # fmt: skip
            found.servers[port] = start(home, str(home / "redis.conf"))
        _until(lambda: _linked(second, by_tls))
        for port in watching:
            home = directory / str(port)
            home.mkdir()
            (home / "sentinel.conf").write_text(
                "\n".join(
                    [
                        *_listens(port, certificate), f"requirepass {WATCH!r}",
                        f"sentinel sentinel-pass {WATCH!r}",
                        f"sentinel monitor {MASTER} 127.0.0.1 {first} 2",
                        f"sentinel auth-pass {MASTER} {PASSWORD!r}",
                        f"sentinel down-after-milliseconds {MASTER} 1000",
                        f"sentinel failover-timeout {MASTER} 5000",
                        "",
                    ]
                )
            )  # fmt: skip
            start(home, str(home / "sentinel.conf"), "--sentinel")
        for port in watching:
            _until(lambda at=port: _agreed(at, by_tls))
            _forgive_a_standstill(port, by_tls)
        yield found


def _listens(port: int, certificate: Path | None) -> list[str]:
    """Of a configuration: where, and among themselves, too."""
    if certificate is None:
        return [f"port {port}"]
    return [
        "port 0", f"tls-port {port}", f"tls-cert-file {certificate}",
        f"tls-key-file {certificate}", f"tls-ca-cert-file {certificate}",
        "tls-auth-clients no", "tls-replication yes",
    ]  # fmt: skip


def _linked(port: int, by_tls: dict[str, Any]) -> bool:
    with redis.Redis("127.0.0.1", port, password=PASSWORD, **by_tls) as replica:
        return bool(replica.info("replication").get("master_link_status") == "up")


def _agreed(port: int, by_tls: dict[str, Any]) -> bool:
    with redis.Redis("127.0.0.1", port, password=WATCH, **by_tls) as sentinel:
        state = sentinel.sentinel_master(MASTER)
        return (state["num-slaves"], state["num-other-sentinels"]) == (1, 2)


def _forgive_a_standstill(port: int, by_tls: dict[str, Any]) -> None:
    """One that stood still for two seconds does nothing for half a minute: on a busy machine it
    often does, and a second is enough here. Before version 7 nobody can tell it."""
    with (
        redis.Redis("127.0.0.1", port, password=WATCH, **by_tls) as sentinel,
        suppress(redis.ResponseError),
    ):
        sentinel.execute_command("SENTINEL", "DEBUG", "TILT-PERIOD", "1000")


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
