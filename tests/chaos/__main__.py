"""`make chaos`: many kills on both databases. `python -m tests.chaos --kills 200 --seed 7`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.bench.support import database_url
from tests.chaos.run import Plan, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="per database")
    parser.add_argument("--posts", type=int, default=100_000, help="at most")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--lost-every", type=int, default=0)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    args = parser.parse_args()
    kept = True
    for kind in args.database or ["sqlite", "postgresql"]:
        plan = Plan(args.seed, args.kills, args.posts, lost_every=args.lost_every)
        with (
            tempfile.TemporaryDirectory(prefix="e-", dir="/tmp") as name,
            database_url(kind, Path(name)) as url,
        ):
            report = uvloop.run(run(Path(name), url, plan))
        print(report.line(plan, kind), flush=True)
        for name in ("lost", "doubled", "silent"):
            for what in getattr(report, name)[:10]:
                print(f"  {name}: {what}", file=sys.stderr)
        kept = kept and report.kept
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
