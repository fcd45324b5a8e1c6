"""Whether the service can do its work: database, schema, a living worker, Redis."""

from __future__ import annotations

import asyncio

from typing_extensions import TypedDict

from scheduler.ending import within
from scheduler.services import Services
from scheduler.store.faults import StoreError
from scheduler.store.migrate import pending
from scheduler.store.workers import last_heartbeat

ANSWER_WITHIN = 5.0


class Check(TypedDict):
    """One thing looked at. `needed`: without it the service does not do its work."""

    name: str
    ok: bool
    needed: bool
    detail: str


class Readiness(TypedDict):
    """`ready`: everything needed is there."""

    ready: bool
    checks: list[Check]


async def look(services: Services) -> Readiness:
    """Look at everything once."""
    looks = [_from_database(services)]
    if services.settings.has_redis:
        looks.append(_from_redis(services))
    checks = [check for some in await asyncio.gather(*looks) for check in some]
    ready = all(check["ok"] for check in checks if check["needed"])
    return {"ready": ready, "checks": checks}


async def _from_database(services: Services) -> list[Check]:
    """What only it can tell; one that hangs must not keep others from the answer."""
    found: list[Check] = []

    async def ask() -> None:
        database = await _database(services)
        found.extend([database, await _worker(services)] if database["ok"] else [database])

    try:
        await within(ANSWER_WITHIN, ask())
    except (StoreError, OSError) as error:  # a timeout is one, too
        return [_check("database", ok=False, detail=f"does not answer ({type(error).__name__})")]
    return found


async def _database(services: Services) -> Check:
    missing = await pending(services.database)
    if missing:
        return _check("database", ok=False, detail="its schema is old: run `estafette migrate`")
    return _check("database", ok=True)


async def _worker(services: Services) -> Check:
    now, dead_after = services.clock.micros(), services.settings.worker_dead_after
    seen = await last_heartbeat(services.database, now + int(dead_after * 1_000_000))
    if seen is None:
        return _check("worker", ok=False, detail="none is running: start `estafette worker`")
    silence = (now - seen) / 1_000_000
    if silence > dead_after:
        detail = f"the last one was heard {silence:.0f} s ago: start `estafette worker`"
        return _check("worker", ok=False, detail=detail)
    return _check("worker", ok=True)


async def _from_redis(services: Services) -> list[Check]:
    from scheduler.lookout import unwell

    why = await unwell(services.settings.redis_url, services.settings)
    if why:
        detail = f"does not answer ({why}); publishing goes on from SQL alone"
        return [_check("redis", ok=False, needed=False, detail=detail)]
    return [_check("redis", ok=True, needed=False)]


def _check(name: str, *, ok: bool, needed: bool = True, detail: str = "") -> Check:
    return {"name": name, "ok": ok, "needed": needed, "detail": detail}
