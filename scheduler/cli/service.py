"""`run`, `api` and `worker`: the roles of one program.

`run` is all of it in one process, on one machine, with practice platforms; in production each
role has its own processes.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from aiohttp import web
from prometheus_client import start_http_server
from rich.text import Text

from channels.local import everywhere
from scheduler.cli.database import bring_up_apart, make_data_dir, open_database
from scheduler.cli.exits import CommandError
from scheduler.cli.live import follow
from scheduler.cli.lock import only_copy
from scheduler.cli.output import console
from scheduler.cli.place import Place, load_settings, note, noted
from scheduler.cli.practice import connect_accounts, practice_platforms, practised
from scheduler.clock import Clock
from scheduler.doorbell import Doorbell, SilentDoorbell
from scheduler.embedded import NO_SERVER, EmbeddedRedisError, doorbell
from scheduler.ending import LAST_MOMENT, LastMoment
from scheduler.logs import configure
from scheduler.mailing import mailing
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import events, tokens
from scheduler.store.migrate import pending
from scheduler.store.tokens import Scope
from scheduler.tracing import TracingError
from scheduler.vault import VaultError
from scheduler.web.app import create_app
from scheduler.worker import Worker

log = structlog.get_logger()

# Ctrl-C: what is in flight gets this long, so that all of `run` ends within five seconds.
_RUN_GRACE = 3.0
_WEB_GRACE = 1.0
# On practice platforms a page is confirmed gone while somebody watches.
_PRACTICE_PACE = {"confirm_gone_after": 2.0, "probe_interval": 60.0}


def run(
    port: Annotated[int | None, typer.Option(help="Of the API and pages.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where everything is kept.")] = None,
    *,
    practice: Annotated[
        bool, typer.Option(help="With practice platforms, one account per channel.")
    ] = True,
) -> None:
    """Everything on this machine, in one process: database, Redis, API, worker, practice
    platforms. Ctrl-C stops it; what was queued goes on at the next start."""
    settings = load_settings(port=port, data_dir=data_dir)
    settings = settings.model_copy(
        update={
            "grace": min(settings.grace, _RUN_GRACE),
            # The practice platforms are on this machine.
            "private_addresses_ok": settings.private_addresses_ok or practice,
            **(_PRACTICE_PACE if practice else {}),
        }
    )
    quiet = "log_level" not in settings.model_fields_set
    configure("warning" if quiet else settings.log_level, settings.log_format)
    make_data_dir(settings)
    with only_copy(settings):
        _until_told(settings, lambda stop: _run(settings, stop, practice=practice))


async def _run(settings: Settings, stop: asyncio.Event, *, practice: bool) -> None:
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listen(settings))
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        await bring_up_apart(settings)
        redis_url = await stack.enter_async_context(doorbell(settings))
        settings = settings.model_copy(update={"redis_url": redis_url or "none"})
        server = None
        if practice:
            server = await stack.enter_async_context(practice_platforms(settings))
            settings = practised(settings, server)
        services = await stack.enter_async_context(_services(settings, redis_url))
        if server is not None:
            await connect_accounts(services, server)
        practice_url = "" if server is None else server.url
        place = Place(settings.local_url, await _token(services), practice_url)
        since = await events.newest(services.database)
        await stack.enter_async_context(_worker(services, redis_url).running())
        await stack.enter_async_context(_serving(services, listener))
        note(settings.data_dir, place)
        _welcome(settings, place, redis_url)
        async with asyncio.TaskGroup() as group:
            lines = group.create_task(follow(services, since, _line))
            await stop.wait()
            lines.cancel()
        console().print("Stopping; what is queued goes on at the next start.")


def api() -> None:
    """The API and the pages alone; workers run elsewhere, on the same database and Redis."""
    settings = load_settings()
    configure(settings.log_level, settings.log_format)
    make_data_dir(settings)
    _until_told(settings, lambda stop: _api(settings, stop))


async def _api(settings: Settings, stop: asyncio.Event) -> None:
    await _require_schema(settings)
    with _listen(settings) as listener:
        async with (
            _services(settings, _given_redis(settings)) as services,
            _serving(services, listener),
        ):
            await stop.wait()


def worker(
    metrics_port: Annotated[
        int, typer.Option(help="Serve Prometheus metrics there; 0: nowhere.", min=0, max=65535)
    ] = 0,
) -> None:
    """One worker: sends what is due. Start as many as you like, on any machine."""
    settings = load_settings()
    configure(settings.log_level, settings.log_format)
    make_data_dir(settings)
    _until_told(settings, lambda stop: _work(settings, stop, metrics_port))


async def _work(settings: Settings, stop: asyncio.Event, metrics_port: int) -> None:
    await _require_schema(settings)
    if metrics_port:
        start_http_server(metrics_port, addr=settings.host)
    redis_url = _given_redis(settings)
    async with (
        _services(settings, redis_url) as services,
        _worker(services, redis_url).running(),
    ):
        _tell_systemd("READY=1")
        await stop.wait()
        _tell_systemd("STOPPING=1")


def _tell_systemd(word: str) -> None:
    """Where it started us and waits for this (`Type=notify`)."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with (
            suppress(OSError),  # to be told is its own concern
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notice,
        ):
            notice.sendto(word.encode(), re.sub("^@", "\0", address))


def _until_told(
    settings: Settings, work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]
) -> None:
    """Run until SIGINT or SIGTERM, and then not much longer than the grace. Errors of the start
    become sentences."""

    async def whole() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        last = LastMoment(loop, settings.grace + LAST_MOMENT)

        def told() -> None:
            stop.set()
            last.begin()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told)
        try:
            await work(stop)
        finally:
            last.begin()

    try:
        if sys.platform == "win32":
            asyncio.run(whole())
        else:
            import uvloop

            uvloop.run(whole())
    except (EmbeddedRedisError, TracingError, VaultError) as error:
        raise CommandError(str(error)) from error


def _listen(settings: Settings) -> socket.socket:
    """The API's socket, taken before anything else is started."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise CommandError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; set"
            " ESTAFETTE_PORT to a free port"
        ) from error


@asynccontextmanager
async def _serving(services: Services, listener: socket.socket) -> AsyncIterator[None]:
    runner = web.AppRunner(
        create_app(services), access_log=None, shutdown_timeout=_WEB_GRACE, handle_signals=False
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _services(settings: Settings, redis_url: str | None) -> AsyncIterator[Services]:
    if everywhere(settings.host) and not settings.public_url:
        log.warning("links.lead-here", url=settings.local_url, advice="set ESTAFETTE_PUBLIC_URL")
    clock = Clock()
    bell: Doorbell = SilentDoorbell()
    async with AsyncExitStack() as stack:
        if redis_url is not None:
            from scheduler.queue import ArqDoorbell

            ring = ArqDoorbell(redis_url, settings, clock, arm_ahead=settings.arm_ahead)
            stack.push_async_callback(ring.close)
            bell = ring
        yield await stack.enter_async_context(open_services(settings, clock=clock, doorbell=bell))


def _worker(services: Services, redis_url: str | None) -> Worker:
    return Worker(services, redis_url=redis_url, broadcast=mailing(services))


def _given_redis(settings: Settings) -> str | None:
    """The Redis that several processes share; the embedded one belongs to `run` alone."""
    return settings.redis_url if settings.has_redis else None


async def _require_schema(settings: Settings) -> None:
    async with open_database(settings) as database:
        if waiting := await pending(database):
            raise CommandError(f"migrations wait ({', '.join(waiting)}): run estafette migrate")


async def _token(services: Services) -> str:
    """The token of this machine's commands: the one noted before if it still opens."""
    now = services.clock.micros()
    before = noted(services.settings.data_dir)
    async with services.database.write() as connection:
        if before is not None and await tokens.find(connection, before.token, now) is not None:
            return before.token
        made = await tokens.create(connection, name="this machine", scopes=[Scope.ADMIN], now=now)
    return made.secret


def _welcome(settings: Settings, place: Place, redis_url: str | None) -> None:
    out = console()
    out.print(f"Estafette is at {place.url}  (pages, API below /api/v1, blog at /blog)")
    out.print(f"API token: {place.token}")
    if place.practice_url:
        out.print(f"Practice platforms: {place.practice_url}")
    out.print(f"Data: {settings.data_dir.absolute()}")
    if redis_url is None and settings.redis_url != "none":
        out.print(NO_SERVER)
    out.print("In another terminal: make demo, or estafette post --title … ; Ctrl-C stops.\n")


def _line(text: str, style: str) -> None:
    console().print(Text(text, style=style))
