"""One platform hangs: how late are the posts of the others, beside the same where it answers?

    python -m tests.bench.hanging [--database sqlite|postgresql] [--runs 3] [--posts 600]

As much is due on Facebook as on LinkedIn, at the same instants; LinkedIn's lateness is what counts.
Two installations of their own run at the same time, so that the noise of the machine hits both: in
one Facebook hangs, in the other it answers. They change places from run to run. Medians of the
runs' p50 and p99, and of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from scheduler.logs import configure
from scheduler.worker import Worker
from tests.bench import support

ACCOUNTS = 25
POSTS = 600
SECONDS = 20
AHEAD = 5 * support.SECOND
HANGS, ANSWERS = "hangs", "answers"


async def half(kind: str, state: str, posts: int) -> list[int]:
    """LinkedIn's lateness (microseconds, sorted) in one of the two: says when it is ready, and
    is told when the first is due."""
    with tempfile.TemporaryDirectory(prefix="e-", dir="/tmp") as name:
        directory = Path(name)
        with support.database_url(kind, directory) as url:
            async with (
                support.platform(directory) as platform,
                support.services(url, directory, grace=0) as services,
            ):
                if state == HANGS:
                    await support.told(platform, "facebook", {"name": "hang"})
                pages = await support.connect(services, platform.settings, ACCOUNTS)
                others = await support.connect(
                    services, platform.accounts["linkedin"], ACCOUNTS, adapter="linkedin"
                )
                print("ready", flush=True)
                start = int(await asyncio.to_thread(sys.stdin.readline))
                step = SECONDS * support.SECOND // posts
                due = [start + number * step for number in range(posts)]
                await support.schedule(services.database, pages, due, per_post=1)
                await support.schedule(services.database, others, due, per_post=1)
                async with Worker(services, redis_url=None, broadcast=_no_broadcast()).running():
                    await support.delivered(
                        services.database, posts if state == HANGS else 2 * posts
                    )
                return await support.lateness(services.database, "linkedin")


def _no_broadcast() -> Any:
    """Nothing here is addressed."""
    return object()


async def pair(kind: str, order: Sequence[str], posts: int) -> dict[str, dict[str, float]]:
    """Both at once: p50 and p99 in milliseconds, by what Facebook does."""
    halves = {state: await _started(kind, state, posts) for state in order}
    for process in halves.values():
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    start = f"{time.time_ns() // 1000 + AHEAD}\n".encode()
    said = await asyncio.gather(*(process.communicate(start) for process in halves.values()))
    return {state: json.loads(out) for state, (out, _) in zip(halves, said, strict=True)}


async def _started(kind: str, state: str, posts: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.hanging", "--database", kind, "--half", state,
        "--posts", str(posts), stdin=PIPE, stdout=PIPE,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One JSON line a database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--posts", type=int, default=POSTS)
    parser.add_argument("--half", choices=[HANGS, ANSWERS], help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    configure("error", "json")
    if args.half:
        late = uvloop.run(half(args.database[0], args.half, args.posts))
        figures = {name: support.percentile(late, share) for name, share in _FIGURES.items()}
        print(json.dumps(figures))
        return []
    lines = []
    for kind in args.database or ["sqlite", "postgresql"]:
        order = (HANGS, ANSWERS)
        found = [uvloop.run(pair(kind, order[:: 1 - 2 * (n % 2)], args.posts))
                 for n in range(args.runs)]  # fmt: skip
        lines.append({"bench": "hanging", "database": kind, **_summary(found), "runs": args.runs})
        print(json.dumps(lines[-1]), flush=True)
    return lines


_FIGURES = {"p50": 0.5, "p99": 0.99}


def _summary(found: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for name in _FIGURES:
        beside, alone = ([run[state][name] for run in found] for state in (HANGS, ANSWERS))
        ratios = [one / other for one, other in zip(beside, alone, strict=True)]
        summary |= {
            f"{name}_ms": round(statistics.median(beside), 3),
            f"{name}_ms_without": round(statistics.median(alone), 3),
            f"{name}_ratio": round(statistics.median(ratios), 3),
            f"{name}_ratios": [round(ratio, 3) for ratio in ratios],
        }
    return summary


if __name__ == "__main__":
    main()
