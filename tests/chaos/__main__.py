"""`make chaos`: many kills on both databases. `python -m tests.chaos --kills 200 --seed 7`.

How late posts are while workers are restarted in turn: `--only rolling --kills 10`, and beside it
while nothing happens: `--only calm --kills 10`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.chaos.run import Plan, Report, run
from tests.chaos.script import CALM, OTHERS

NOTABLE = ("lost", "doubled", "silent", "rude")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="per run")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--lost-every", type=int, default=0, help="lose each n-th write's answer")
    parser.add_argument(
        "--only",
        choices=[*sorted(OTHERS), CALM],
        default="",
        help="this, --kills times; calm: nothing, to compare lateness with",
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--logs", action="store_true", help="count what the processes logged")
    args = parser.parse_args()
    kept = True
    for kind in args.database or ["sqlite", "postgresql"]:
        plan = Plan(
            args.seed, kind, args.kills, workers=args.workers, lost_every=args.lost_every,
            only=args.only,
        )  # fmt: skip
        print(f"{kind}: seed {plan.seed}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="e-", dir="/tmp", ignore_cleanup_errors=True) as to:
            report = uvloop.run(run(Path(to), plan))
        print(report.line(plan), flush=True)
        if not args.only and not report.done["disk"]:
            print("  no disk was filled: none planned, or none may be mounted", file=sys.stderr)
        _explain(report, logs=args.logs)
        kept = kept and report.kept
    return 0 if kept else 1


def _explain(report: Report, *, logs: bool) -> None:
    for name in NOTABLE:
        for what in getattr(report, name)[:10]:
            print(f"  {name}: {what}", file=sys.stderr)
    if logs:
        for what, count in report.complaints.most_common(30):
            print(f"  {count} x {what}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
