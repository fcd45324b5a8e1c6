"""The goals, and a table of what was measured beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `limit` of a benchmark's figure; None: a figure to compare with."""

    bench: str
    figure: str
    words: str
    limit: float | None = None


GOALS = (
    Goal("light", "p50_ms", "lateness p50, 200 posts over 20 s, ms", 2),
    Goal("light", "p99_ms", "lateness p99, ms", 10),
    Goal("spike", "ratio", "5,000 at one instant, times bare aiohttp", 1.5),
    Goal("spike", "cpu_ratio", "the same, CPU of the process"),
    Goal("spike", "arq_ratio", "tuned arq, a job each, times bare aiohttp"),
    Goal("restart", "in_doubt", "in doubt after kill -9 (50 requests in flight)", 50),
    Goal("elsewhere", "seconds", "a dead worker's claims taken up elsewhere, s", 31),
    Goal("redis", "later_s", "Redis emptied: last delivery later by, s", 5),
    Goal("idle", "mb", "resident idle: API, worker, no Redis, MB", 120),
    Goal("hanging", "ratio", "one platform hangs: p99 of the others, times", 1.1),
)


def table(lines: Sequence[dict[str, Any]]) -> str:
    """One row a goal and database."""
    rows = [("figure", "database", "measured", "goal", "")]
    for goal in GOALS:
        for line in lines:
            if line["bench"] != goal.bench:
                continue
            found = line[goal.figure]
            reached = "" if goal.limit is None else "yes" if found <= goal.limit else "NO"
            limit = "" if goal.limit is None else f"<= {goal.limit:g}"
            rows.append((goal.words, line["database"], f"{found:.2f}", limit, reached))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
