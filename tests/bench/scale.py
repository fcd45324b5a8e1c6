"""What grows with the rows and what does not: claims, the due look, lists, memory.

    python -m tests.bench.scale [--database sqlite] [--scheduled 1000000] [--finished 10000000]

Every query that runs all the time is timed with ten thousand posts scheduled, then with
`--scheduled`, then with `--finished` deliveries of history besides; what reads a whole table is
named. Rows are written by the database itself. `--explain` shows the plans.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from scheduler.store.db import Database
from tests.bench import hot, support
from tests.bench.rows import DAY, Loader

FEW = 10_000
DUE = 20_000
BATCH = 100
LONGEST = 8.0  # seconds for one query's runs


async def _stage(database: Database, runs: int, *, explain: bool) -> dict[str, dict[str, Any]]:
    """Milliseconds of every hot query as the tables are now."""
    await settled(database)
    account = await hot.some_account(database)
    now = time.time_ns() // 1000
    found: dict[str, dict[str, Any]] = {}
    took = await hot.claim(database, min(runs, DUE // BATCH), BATCH)
    found[f"claim of {BATCH}"] = {**hot.summary(took), "scans": []}
    for name, query in hot.hot(database, account, now).items():
        await query()
        plan = await hot.plan(database, query)
        if explain:
            print(f"--- {name}\n{plan}")
        took = await hot.timed(query, runs, LONGEST)
        found[name] = {**hot.summary(took), "scans": hot.scanned(plan)}
    return found


async def settled(database: Database) -> None:
    """What autovacuum and the checkpointer have done by the time that so many rows are there:
    loading leaves gigabytes to be written, and whoever commits meanwhile waits for the disk."""
    if database.is_postgresql:
        async with database.read() as connection:
            await connection.exec_driver_sql("VACUUM (ANALYZE)")
            await connection.exec_driver_sql("CHECKPOINT")


async def again(url: str, directory: Path, runs: int, *, explain: bool) -> None:
    """Measure what an earlier run left."""
    async with support.services(url, directory) as services:
        kind = "postgresql" if services.database.is_postgresql else "sqlite"
        _print(kind, {"as it is": await _stage(services.database, runs, explain=explain)})


async def tables(
    url: str,
    directory: Path,
    scheduled: int,
    finished: int,
    runs: int,
    *,
    details: bool,
    explain: bool,
) -> None:
    """Fill and measure, three times."""
    async with (
        support.platform(directory) as platform,
        support.services(url, directory) as services,
    ):
        database = services.database
        kind = "postgresql" if database.is_postgresql else "sqlite"
        ids = await support.connect(services, platform.settings, 50)
        now = services.clock.micros()
        loader = Loader(database, ids, now)
        await loader.scheduled(DUE, first=0, begin=now - 60_000_000, span=50_000_000)
        await loader.scheduled(FEW, first=DUE, begin=now + DAY, span=30 * DAY)
        stages = {f"{FEW:,} scheduled": await _stage(database, runs, explain=False)}
        begun = time.perf_counter()
        await loader.scheduled(scheduled, first=DUE + FEW, begin=now + DAY, span=365 * DAY)
        loaded = time.perf_counter() - begun
        stages[f"{scheduled:,} scheduled"] = await _stage(database, runs, explain=False)
        begun = time.perf_counter()
        await loader.finished(finished, since=now - 730 * DAY, until=now - DAY, details=details)
        loaded += time.perf_counter() - begun
        stages[f"+ {finished:,} finished"] = await _stage(database, runs, explain=explain)
        _print(kind, stages)
        size = await _size(database, directory)
        print(json.dumps({"bench": "scale-load", "database": kind, "seconds": round(loaded),
                          "gigabytes": round(size / 1e9, 2)}))  # fmt: skip


def _print(kind: str, stages: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    names = list(stages)
    print(f"\n{kind}, milliseconds p50 / p99")
    print(f"{'':26}" + "".join(f"{name:>24}" for name in names) + "  reads whole")
    last = stages[names[-1]]
    for query in last:
        cells = [f"{stages[name][query]['p50']} / {stages[name][query]['p99']}" for name in names]
        scans = ", ".join(last[query]["scans"])
        print(f"{query:26}" + "".join(f"{cell:>24}" for cell in cells) + f"  {scans}")
    for query in last:
        print(json.dumps({"bench": "scale", "database": kind, "query": query,
                          **{name: stages[name][query] for name in names}}))  # fmt: skip


async def _size(database: Database, directory: Path) -> int:
    if not database.is_postgresql:
        return sum(file.stat().st_size for file in directory.glob("bench.db*"))
    async with database.read() as connection:
        found = await connection.exec_driver_sql("SELECT pg_database_size(current_database())")
        return int(found.scalar_one())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--scheduled", type=int, default=50_000)
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument(
        "--no-details", action="store_true",
        help="no attempts and no events: a third of the bytes, the same deliveries",
    )  # fmt: skip
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--directory", type=Path, help="of SQLite: kept, and measured again")
    args = parser.parse_args(arguments)
    if args.directory is not None:
        args.directory.mkdir(exist_ok=True)
        kept = (args.directory / "bench.db").exists()
        url = f"sqlite+aiosqlite:///{args.directory / 'bench.db'}"
        if kept:
            uvloop.run(again(url, args.directory, args.runs, explain=args.explain))
        else:
            uvloop.run(_fill(args, url, args.directory))
        return
    for kind in args.database or ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory(prefix="e-", dir="/tmp") as name:
            directory = Path(name)
            with support.database_url(kind, directory) as url:
                uvloop.run(_fill(args, url, directory))


async def _fill(args: argparse.Namespace, url: str, directory: Path) -> None:
    await tables(
        url, directory, args.scheduled, args.finished, args.runs,
        details=not args.no_details, explain=args.explain,
    )  # fmt: skip


if __name__ == "__main__":
    main()
