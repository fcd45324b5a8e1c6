"""A spike with one, two and four worker processes on PostgreSQL and Redis.

    python -m tests.bench.workers [--count 5000] [--runs 3]

- per_second: deliveries sent and committed, from the due instant to the last;
- arming_s: from the moment that workers may claim them until none is left to claim;
- claims, of: how many claims it took, and of how many deliveries each; fewer and fuller is better:
  workers that stand in each other's way come away with less;
- most, least: deliveries of the busiest worker and of the idlest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import func, select

from scheduler.deliveries import State
from scheduler.logs import configure
from scheduler.store.db import Database
from scheduler.store.tables import attempts, deliveries
from tests.bench import support
from tests.bench.kills import AHEAD, none, place, worker
from tests.support.servers import redis_server

COUNT = 5000
WORKERS = (1, 2, 4)
_SCHEDULED = deliveries.c.state == State.SCHEDULED


async def spike(workers: int, count: int) -> dict[str, float]:
    """One run."""
    async with AsyncExitStack() as stack:
        services, url, directory, ids = await stack.enter_async_context(place("postgresql"))
        redis_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="r-", dir="/tmp"))
        redis_url = stack.enter_context(redis_server(Path(redis_dir)))
        for number in range(workers):
            await stack.enter_async_context(worker(directory / str(number), url, redis_url))
        due = time.time_ns() // 1000 + int(AHEAD * support.SECOND)
        await support.schedule(services.database, ids, [due] * count, per_post=1)
        await none(services.database, _SCHEDULED)
        armed = time.time_ns() // 1000
        await support.delivered(services.database, count)
        seconds = (await support.last_commit(services.database) - due) / support.SECOND
        claims, shares = await _shared(services.database)
        claimable = due - int(services.settings.arm_ahead * support.SECOND)
    return {
        "seconds": seconds,
        "per_second": count / seconds,
        "arming_s": (armed - claimable) / support.SECOND,
        "claims": claims,
        "of": count / claims,
        "most": max(shares),
        "least": min(shares) if len(shares) == workers else 0,
    }


async def _shared(database: Database) -> tuple[int, list[int]]:
    """How many claims there were, and how many deliveries each worker sent."""
    tokens = select(func.count(attempts.c.token.distinct()))
    shares = select(func.count()).select_from(attempts).group_by(attempts.c.worker)
    async with database.read() as connection:
        return (
            int((await connection.execute(tokens)).scalar_one()),
            [int(row[0]) for row in await connection.execute(shares)],
        )


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One JSON line for each number of workers; medians. The numbers take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--workers", type=int, action="append")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args(arguments)
    configure("error", "json")
    found: dict[int, list[dict[str, float]]] = {n: [] for n in args.workers or WORKERS}
    for _ in range(args.runs):
        for workers, rows in found.items():
            rows.append(uvloop.run(spike(workers, args.count)))
    lines = []
    for workers, rows in found.items():
        medians = {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}
        lines.append(
            {
                "bench": f"workers-{workers}", "database": "postgresql", **medians,
                "count": args.count, "runs": args.runs,
            }
        )  # fmt: skip
        print(json.dumps(lines[-1]), flush=True)
    return lines


if __name__ == "__main__":
    main()
