"""Many deliveries due at one instant, one worker, real adapters; and 200 spread over 20 s.

The spike runs beside both limits: a bare aiohttp client, and tuned arq with a job for each.

`python -m tests.bench.spike [--database sqlite|postgresql] [--count 5000] [--runs 3]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from scheduler.logs import configure
from scheduler.worker import Worker
from tests.bench import jobs, support

AHEAD = 6.0


async def spike(url: str, directory: Path, count: int, concurrency: int) -> dict[str, Any]:
    """One run: seconds from the due instant to the last commit, beside the bare client's and
    those of arq with a job for each."""
    async with (
        support.platform(directory) as platform,
        support.services(url, directory, worker_concurrency=concurrency) as services,
    ):
        given = support.payloads(services, platform.settings, count)
        limit = [await support.bare(given, concurrency)]
        ids = await support.connect(services, platform.settings, 50)
        due = time.time_ns() // 1000 + int(AHEAD * support.SECOND)
        await support.schedule(services.database, ids, [due] * count, per_post=1)
        async with Worker(services, redis_url=None, broadcast=_no_broadcast()).running():
            await asyncio.sleep((due - time.time_ns() // 1000) / support.SECOND - 0.05)
            used = time.process_time()
            await support.delivered(services.database, count)
            used = time.process_time() - used
        late = await support.lateness(services.database)
        took = (await support.last_commit(services.database) - due) / support.SECOND
        limit.append(await support.bare(given, concurrency))
        arq, arq_cpu = await jobs.spike(directory, given, concurrency)
    bare, bare_cpu = (statistics.mean(values) for values in zip(*limit, strict=True))
    return {
        "seconds": took,
        "bare": bare,
        "arq": arq,
        "ratio": took / bare,
        "arq_ratio": arq / bare,
        "cpu": used,
        "bare_cpu": bare_cpu,
        "arq_cpu": arq_cpu,
        "cpu_ratio": used / bare_cpu,
        "last_start_ms": late[-1] / 1000,
    }


async def light(url: str, directory: Path) -> dict[str, Any]:
    """200 deliveries over 20 s: how late each request began."""
    async with (
        support.platform(directory) as platform,
        support.services(url, directory) as services,
    ):
        ids = await support.connect(services, platform.settings, 50)
        start = time.time_ns() // 1000 + int(3 * support.SECOND)
        due = [start + number * support.SECOND // 10 for number in range(200)]
        await support.schedule(services.database, ids, due, per_post=1)
        async with Worker(services, redis_url=None, broadcast=_no_broadcast()).running():
            await support.delivered(services.database, len(due))
        late = await support.lateness(services.database)
    return {
        "p50_ms": support.percentile(late, 0.5),
        "p99_ms": support.percentile(late, 0.99),
        "max_ms": late[-1] / 1000,
    }


def _no_broadcast() -> Any:
    """Nothing here is addressed."""
    return object()


async def _once(kind: str, what: str, count: int, concurrency: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="e-", dir="/tmp") as name:
        directory = Path(name)
        with support.database_url(kind, directory) as url:
            if what == "light":
                return await light(url, directory)
            return await spike(url, directory, count, concurrency)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One JSON line a database; the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--what", choices=["spike", "light"], default="spike")
    args = parser.parse_args(arguments)
    configure("error", "json")
    lines = []
    for kind in args.database or ["sqlite", "postgresql"]:
        rows = [
            uvloop.run(_once(kind, args.what, args.count, args.concurrency))
            for _ in range(args.runs)
        ]
        medians = {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}
        lines.append({"bench": args.what, "database": kind, **medians, "runs": args.runs})
        print(json.dumps(lines[-1]), flush=True)
    return lines


if __name__ == "__main__":
    main()
