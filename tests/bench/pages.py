"""How long every page and list that somebody waits for takes, over HTTP, on a filled database.

    python -m tests.bench.pages [--database sqlite] [--scheduled 100000] [--finished 1000000]

One request after the other to an API process's own app; `statements` counts what was asked of the
database for one of them, and `slowest` is the slowest of those.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web
from sqlalchemy import event

from scheduler.care import scales_of
from scheduler.services import Services
from scheduler.store import tokens
from scheduler.store.db import Database
from scheduler.store.tokens import Scope
from scheduler.web.app import create_app
from tests.bench import hot, support
from tests.bench.people import Filler
from tests.bench.rows import DAY, Loader
from tests.bench.scale import DUE, settled

API = "/api/v1"
POST = "11111111-0000-7000-8000-000000000064"
DELIVERY = "22222222-0000-7000-8000-000000000032"  # of a mailing
LONGEST = 4.0  # seconds for one address


def addresses(account: str) -> dict[str, str]:
    """What to ask for, by name."""
    lists = {
        "posts": "posts",
        "posts of account": f"posts?account={account}",
        "posts of channel": "posts?channel=facebook",
        "posts held": "posts?state=held",
        "posts failed": "posts?state=failed",
        "post": f"posts/{POST}",
        "post's events": f"posts/{POST}/events",
        "deliveries": "deliveries",
        "deliveries failed": "deliveries?state=failed",
        "deliveries of account": f"deliveries?account={account}",
        "delivery": f"deliveries/{DELIVERY}",
        "mailing": f"deliveries/{DELIVERY}/mailing",
        "recipients": f"deliveries/{DELIVERY}/recipients",
        "recipients refused": f"deliveries/{DELIVERY}/recipients?state=refused",
        "recipients expired": f"deliveries/{DELIVERY}/recipients?state=unreached",
        "journal": "journal",
        "alerts": "alerts",
        "alerts, all": "alerts?all=true",
        "hooks": "hooks",
        "contacts": "contacts",
        "contacts of list": f"contacts?list={account}",
        "contacts of few": "contacts?list=few",
        "contacts of none": "contacts?list=none",
        "contacts pending": "contacts?state=pending",
        "contacts of few, pending": "contacts?list=few&state=pending",
        "contact": "contacts/cccccccc-0000-7000-8000-000000000001",
        "lists": "lists",
        "list": f"lists/{account}",
        "accounts": "accounts",
        "account": f"accounts/{account}",
        "catch-up": f"accounts/{account}/catch-up",
        "campaigns": "campaigns",
        "campaign": "campaigns/eeeeeeee-0000-7000-8000-000000000001",
        "recurrences": "recurrences",
        "drills": "drills",
        "routes": "routes",
        "basket": "basket",
        "segments": "segments",
        "calendar": "calendar.ics",
        "tokens": "tokens",
    }
    pages = {
        "overview": "/", "page of a post": f"/posts/{POST}", "page of the basket": "/basket",
        "page of routes": "/routes", "blog": "/blog", "sitemap": "/blog/sitemap.xml",
        "feed": "/blog/feed.xml", "letters": f"/letters/{account}", "readiness": "/readyz",
        "metrics": "/metrics",
    }  # fmt: skip
    return {name: f"{API}/{path}" for name, path in lists.items()} | pages


async def fill(services: Services, settings: dict[str, Any], args: argparse.Namespace) -> None:
    database = services.database
    ids = await support.connect(services, settings, 50)
    now = services.clock.micros()
    loader = Loader(database, ids, now)
    await loader.scheduled(args.scheduled, first=DUE, begin=now + DAY, span=365 * DAY)
    await loader.finished(args.finished, since=now - 730 * DAY, until=now - DAY)
    await Filler(database, ids[0], now).fill(
        readers=args.readers, alerts=200_000, campaigns=20_000, articles=20_000
    )
    await scales_of(services).keep()  # as a worker does every ten minutes
    await settled(database)


async def measure(services: Services, runs: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """By name: milliseconds, the status, and what was asked of the database."""
    database = services.database
    async with database.write() as connection:
        made = await tokens.create(
            connection, name="bench", scopes=[Scope.ADMIN], now=services.clock.micros()
        )
    account = await hot.some_account(database)
    runner = web.AppRunner(create_app(services), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    found = {}
    headers = {"Authorization": f"Bearer {made.secret}"}
    async with aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        async with client.post("/login", data={"token": made.secret}) as answer:
            answer.raise_for_status()
        for name, path in addresses(account).items():
            if only and name not in only:
                continue
            async with _timed(database) as asked, client.get(path, headers=headers) as answer:
                await answer.read()
            slowest = max(asked, key=lambda one: one[0], default=(0.0, ""))
            took = await _many(client, path, headers, runs)
            found[name] = {
                **hot.summary(took), "status": answer.status, "statements": len(asked),
                "slowest": round(slowest[0], 1), "sql": " ".join(slowest[1].split()),
            }  # fmt: skip
    await runner.cleanup()
    return found


async def _many(
    client: aiohttp.ClientSession, path: str, headers: Mapping[str, str], runs: int
) -> list[float]:
    took = []
    end = time.perf_counter() + LONGEST
    for _ in range(runs):
        begun = time.perf_counter()
        async with client.get(path, headers=headers) as answer:
            await answer.read()
        took.append((time.perf_counter() - begun) * 1000)
        if time.perf_counter() > end:
            break
    return sorted(took)


@asynccontextmanager
async def _timed(database: Database) -> AsyncIterator[list[tuple[float, str]]]:
    """Milliseconds of each statement meanwhile, and what it was."""
    asked: list[tuple[float, str]] = []

    def before(*told: Any) -> None:
        told[4]._begun = time.perf_counter()

    def after(*told: Any) -> None:
        asked.append(((time.perf_counter() - told[4]._begun) * 1000, told[2]))

    engines = [database._reading.sync_engine, database._writing.sync_engine]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", before)
        event.listen(engine, "after_cursor_execute", after)
    try:
        yield asked
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", before)
            event.remove(engine, "after_cursor_execute", after)


def show(kind: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"\n{kind:26}{'p50':>9}{'p99':>9}{'status':>8}{'asked':>7}{'slowest':>9}")
    for name, one in found.items():
        print(f"{name:26}{one['p50']:9}{one['p99']:9}{one['status']:8}{one['statements']:7}"
              f"{one['slowest']:9}")  # fmt: skip
    for name, one in found.items():
        print(json.dumps({"bench": "pages", "database": kind, "address": name, **one}))


async def _run(args: argparse.Namespace, kind: str, url: str, directory: Path) -> None:
    async with (
        support.platform(directory) as platform,
        support.services(url, directory) as services,
    ):
        await fill(services, platform.settings, args)
        show(kind, await measure(services, args.runs))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--scheduled", type=int, default=50_000)
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args(arguments)
    for kind in args.database or ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory(prefix="e-", dir="/tmp") as name:
            directory = Path(name)
            with support.database_url(kind, directory) as url:
                uvloop.run(_run(args, kind, url, directory))


if __name__ == "__main__":
    main()
