"""What `doctor` looks at. Each check says what it found and what to do about it."""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from channels.inspection import Grade, Inspects
from channels.outcome import HealthStatus
from scheduler.audience.sealing import SealError
from scheduler.cli.place import noted
from scheduler.clock import Clock, moment
from scheduler.copies import DUTY, lock_of, made_in
from scheduler.embedded import NO_SERVER, find_server
from scheduler.roster import Member
from scheduler.settings import Settings
from scheduler.store import drills
from scheduler.store.db import Database
from scheduler.store.duties import last_ran
from scheduler.store.faults import explain
from scheduler.store.migrate import pending
from scheduler.store.workers import heard_from

_ANSWER_WITHIN = 5.0
_LITTLE_DISK = 500_000_000
_DRILL_DAYS = 90
_COPY_LATE = 26 * 3600 * 1_000_000
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `remedy` is empty when all is well."""

    name: str
    grade: Grade
    detail: str
    remedy: str = ""


def disk(settings: Settings) -> Check:
    """Room in the data directory."""
    free = shutil.disk_usage(settings.data_dir).free
    detail = f"{settings.data_dir.absolute()}: {free / 1e9:.1f} GB free"
    if free < _LITTLE_DISK:
        return Check("data directory", Grade.WARNING, detail, "make room: a full disk stops posts")
    return Check("data directory", Grade.OK, detail)


async def copies(settings: Settings, opened: Database) -> Check:
    """When the last encrypted copy of the contacts was made."""
    name = "copy of contacts"
    if settings.copies_dir is None:
        return Check(
            name, Grade.WARNING, "none is made", "set ESTAFETTE_COPIES_DIR and who can open it"
        )
    try:
        lock_of(settings).ready()
    except SealError as error:
        return Check(name, Grade.ERROR, str(error), "correct ESTAFETTE_COPIES_RECIPIENTS")
    ran = await last_ran(opened, DUTY)
    if ran is None:
        return Check(name, Grade.WARNING, "none yet", "start a worker: it makes one at once")
    detail = f"last at {moment(ran):%Y-%m-%d %H:%M} UTC in {settings.copies_dir}"
    there = made_in(settings.copies_dir)
    if not there:
        return Check(name, Grade.ERROR, f"{detail}, and nothing is there", "look at the directory")
    if Clock().micros() - ran > _COPY_LATE:
        return Check(name, Grade.ERROR, detail, "see estafette doctor's other lines, and alerts")
    return Check(name, Grade.OK, f"{detail}, {len(there)} kept")


async def database(opened: Database, *, away: Grade = Grade.ERROR) -> Check:
    """It answers, at this release's schema. `away`: what it is when it does not answer."""
    name = "PostgreSQL" if opened.is_postgresql else "SQLite"
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            waiting = await pending(opened)
    except Exception as error:
        words = "no answer" if isinstance(error, TimeoutError) else explain(error)
        if words is None:
            raise
        remedy = "start it, or correct ESTAFETTE_DATABASE_URL"
        return Check("database", away, f"{name}: {words}", remedy)
    if waiting:
        return Check(
            "database", Grade.ERROR, f"{name}: migrations wait: {', '.join(waiting)}",
            "run estafette migrate",
        )  # fmt: skip
    return Check("database", Grade.OK, f"{name} answers, schema up to date")


async def redis(settings: Settings) -> Check:
    """It answers, keeps what it is given and evicts nothing."""
    if settings.redis_url == "none":
        return Check("redis", Grade.OK, "not wanted: the dispatcher works from SQL alone")
    if settings.redis_url:
        return await _redis_at(settings)
    server = find_server()
    if server is None:
        return Check("redis", Grade.WARNING, "none found", NO_SERVER)
    return Check("redis", Grade.OK, f"embedded: {server.name}, started with the service")


async def _redis_at(settings: Settings) -> Check:
    from redis.exceptions import RedisError

    from scheduler.redis_pool import open_pool

    try:
        async with (
            asyncio.timeout(_ANSWER_WITHIN),
            await open_pool(settings.redis_url, settings) as client,
        ):
            policy = (await client.info("memory"))["maxmemory_policy"]
            kept = (await client.info("persistence"))["aof_enabled"]
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        return Check(
            "redis", Grade.WARNING, f"does not answer ({type(error).__name__})",
            "start it, or correct ESTAFETTE_REDIS_URL; posts go out from SQL alone meanwhile",
        )  # fmt: skip
    if policy != "noeviction":
        return Check(
            "redis", Grade.WARNING, f"maxmemory-policy is {policy}",
            "set maxmemory-policy noeviction: an evicted key is a forgotten appointment",
        )  # fmt: skip
    if not kept:
        return Check("redis", Grade.WARNING, "keeps no append-only file", "set appendonly yes")
    return Check("redis", Grade.OK, "answers, append-only file, noeviction")


def clock() -> Check:
    """Whether the kernel's clock is kept in step; what it decides is when posts go out."""
    if sys.platform != "linux":
        return Check("clock", Grade.OK, "not checked on this system")
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state == _TIME_ERROR:
        return Check(
            "clock", Grade.WARNING, "nothing keeps the clock in step",
            "start a time service (chrony, systemd-timesyncd); without one posts drift",
        )  # fmt: skip
    return Check("clock", Grade.OK, "kept in step" if state >= 0 else "the system does not tell")


async def workers(settings: Settings, opened: Database, *, host: str | None = None) -> Check:
    """Somebody is there to send; with `host`, a worker of that host."""
    now, silence = Clock().micros(), int(settings.worker_dead_after * 1e6)
    heard = await heard_from(opened, now - silence, now + silence)
    found = [row for row in heard if host in {None, row["host"]}]
    if not found:
        return Check(
            "workers", Grade.ERROR, "no worker is alive: nothing goes out",
            "start one: estafette worker (or estafette run)",
        )  # fmt: skip
    return Check("workers", Grade.OK, ", ".join(f"{row['host']}:{row['pid']}" for row in found))


async def drill(opened: Database) -> Check:
    """When plan B was last rehearsed."""
    async with opened.read() as connection:
        rows = await drills.listed(connection, 1)
    if not rows:
        return Check(
            "drill", Grade.WARNING, "plan B was never rehearsed", "try it: estafette drill ACCOUNT"
        )
    days = int((Clock().micros() - rows[0]["at"]) / 86_400e6)
    if days > _DRILL_DAYS:
        return Check(
            "drill", Grade.WARNING, f"plan B was last rehearsed {days} days ago",
            "do it again: estafette drill ACCOUNT",
        )  # fmt: skip
    return Check("drill", Grade.OK, f"plan B was last rehearsed {days} days ago")


async def service(url: str) -> Check:
    """The API answers."""
    try:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/healthz") as answer,
        ):
            if answer.ok:
                return Check("api", Grade.OK, f"{url} answers")
            words = f"{url} answers {answer.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        words = f"{url} does not answer ({type(error).__name__})"
    return Check("api", Grade.ERROR, words, "start it: estafette api (or estafette run)")


def own_url(settings: Settings) -> str:
    """Where the API of this machine is reached from here."""
    known = noted(settings.data_dir)
    return settings.local_url if known is None else known.url


def links(settings: Settings) -> Check:
    """Where the links of mails, letters and alerts lead."""
    if settings.public_url:
        return Check("links", Grade.OK, f"lead to {settings.public_url}")
    return Check(
        "links", Grade.WARNING, f"lead to {settings.local_url}, which nobody else may reach",
        "set ESTAFETTE_PUBLIC_URL to the address by which readers reach this service",
    )  # fmt: skip


async def names(members: Iterable[Member]) -> AsyncIterator[Check]:
    """The platforms' host names resolve; one check for each that does not, or one for all."""
    wanted = sorted({host for member in members for host in _hosts(member)})
    loop = asyncio.get_running_loop()
    failed = 0
    for host in wanted:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError):
            failed += 1
            yield Check(
                "dns", Grade.ERROR, f"{host} does not resolve",
                "check this machine's name servers (/etc/resolv.conf) and the name",
            )  # fmt: skip
    if not failed:
        yield Check("dns", Grade.OK, f"{len(wanted)} host names resolve")


def _hosts(member: Member) -> Iterable[str]:
    for value in _texts(member.account.settings.model_dump(mode="json")):
        host = urlsplit(value).hostname if "://" in value else None
        if host and not _is_address(host):
            yield host


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from ([f"tcp://{item}"] if name == "host" else _texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return host == "localhost"


async def deliverability(member: Member, url: str) -> AsyncIterator[Check]:
    """What the owner has to set up outside, for accounts whose reach depends on it: warnings, as
    posts go out all the same; what is well is one line. `url`: how readers reach this service."""
    if not isinstance(member.channel, Inspects):
        return
    name = f"deliverability {member.account.name}"
    found = await member.channel.inspect(
        member.account, unsubscribe_url=f"{url}/u/sample", language="en"
    )
    for one in found:
        if one.grade is not Grade.OK:
            published = "" if one.record is None else f": {one.record.name} {one.record.value}"
            yield Check(name, Grade.WARNING, one.detail, f"{one.remedy}{published}")
    if well := sorted({one.area for one in found if one.grade is Grade.OK}):
        yield Check(name, Grade.OK, f"well: {', '.join(well)}")


async def account(member: Member) -> Check:
    """A probe with the account's own credentials."""
    name = f"account {member.account.name}"
    try:
        async with asyncio.timeout(30):
            health = await member.channel.probe(member.account)
    except TimeoutError:
        return Check(name, Grade.ERROR, "the platform does not answer", "try again later")
    detail = health.detail or health.status.value
    match health.status:
        case HealthStatus.HEALTHY:
            return Check(name, Grade.OK, detail)
        case HealthStatus.DEGRADED | HealthStatus.THROTTLED | HealthStatus.PLATFORM_DOWN:
            remedy = health.remedy or "nothing to do yet: what is due waits and is retried"
            return Check(name, Grade.WARNING, detail, remedy)
        case HealthStatus.ACCESS_LOST:
            return Check(name, Grade.ERROR, detail, health.remedy or "connect the account again")
        case HealthStatus.VANISHED:
            remedy = health.remedy or "look at the page in a browser; plan B carries its posts"
            return Check(name, Grade.ERROR, detail, remedy)
