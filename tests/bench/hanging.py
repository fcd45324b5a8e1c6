"""One platform hangs: how late are the posts of the others, beside the same run without it?

`python -m tests.bench.hanging [--runs 3]`
"""

from __future__ import annotations

import argparse
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
from tests.bench import support

ACCOUNTS = 25
POSTS = 200
SECONDS = 20


async def once(url: str, directory: Path, *, hangs: bool) -> float:
    """p99 (ms) of the lateness on LinkedIn while as much is due on Facebook."""
    async with (
        support.platform(directory) as platform,
        support.services(url, directory, grace=0) as services,
    ):
        if hangs:
            await support.told(platform, "facebook", {"name": "hang"})
        pages = await support.connect(services, platform.settings, ACCOUNTS)
        others = await support.connect(
            services, platform.accounts["linkedin"], ACCOUNTS, adapter="linkedin"
        )
        start = time.time_ns() // 1000 + 4 * support.SECOND
        step = SECONDS * support.SECOND // POSTS
        due = [start + number * step for number in range(POSTS)]
        await support.schedule(services.database, pages, due, per_post=1)
        await support.schedule(services.database, others, due, per_post=1)
        async with Worker(services, redis_url=None, broadcast=_no_broadcast()).running():
            await support.delivered(services.database, POSTS if hangs else 2 * POSTS)
        late = await support.lateness(services.database, "linkedin")
    return support.percentile(late, 0.99)


def _no_broadcast() -> Any:
    """Nothing here is addressed."""
    return object()


async def _once(kind: str, *, hangs: bool) -> float:
    with tempfile.TemporaryDirectory(prefix="e-", dir="/tmp") as name:
        directory = Path(name)
        with support.database_url(kind, directory) as url:
            return await once(url, directory, hangs=hangs)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One JSON line a database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args(arguments)
    configure("error", "json")
    lines = []
    for kind in args.database or ["sqlite", "postgresql"]:
        found: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(args.runs):
            for hangs, values in found.items():
                values.append(uvloop.run(_once(kind, hangs=hangs)))
        alone, beside = (statistics.median(found[hangs]) for hangs in (False, True))
        lines.append(
            {
                "bench": "hanging", "database": kind, "p99_ms": round(beside, 3),
                "p99_ms_without": round(alone, 3), "ratio": round(beside / alone, 3),
                "runs": args.runs,
            }
        )  # fmt: skip
        print(json.dumps(lines[-1]), flush=True)
    return lines


if __name__ == "__main__":
    main()
