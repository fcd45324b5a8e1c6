"""The goals, and a table of what was measured beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `limit` of a benchmark's figure, or at least; None: a figure to compare with."""

    bench: str
    figure: str
    words: str
    limit: float | None = None
    at_least: bool = False

    def reached(self, found: float) -> str:
        """In a word; nothing where there is no goal."""
        if self.limit is None:
            return ""
        return "yes" if (found >= self.limit if self.at_least else found <= self.limit) else "NO"

    @property
    def said(self) -> str:
        return "" if self.limit is None else f"{'>=' if self.at_least else '<='} {self.limit:g}"


GOALS = (
    Goal("light", "p50_ms", "lateness p50, 200 posts over 20 s, ms", 2),
    Goal("light", "p99_ms", "lateness p99, ms", 10),
    Goal("spike", "ratio", "5,000 at one instant, times bare aiohttp", 1.5),
    Goal("spike", "cpu_ratio", "the same, CPU of the process"),
    Goal("spike", "arq_ratio", "tuned arq, a job each, times bare aiohttp"),
    Goal("workers-1", "per_second", "5,000 at one instant, PostgreSQL, 1 worker: deliveries/s"),
    Goal("workers-2", "per_second", "the same, 2 workers"),
    Goal("workers-4", "per_second", "the same, 4 workers"),
    Goal("restart", "in_doubt", "in doubt after kill -9 (50 requests in flight)", 50),
    Goal("elsewhere", "seconds", "a dead worker's claims taken up elsewhere, s", 31),
    Goal("redis", "later_s", "Redis emptied: last delivery later by, s", 5),
    Goal("api-most", "per_second", "posts/s accepted, five deliveries each, one core", 600, True),
    Goal("api-at-half", "p99_ms", "p99 at half that load, ms", 25),
    Goal("idle", "mb", "resident idle: API, worker, no Redis, MB", 120),
    Goal("hanging", "p50_ratio", "one platform hangs: lateness p50 of the others, times"),
    Goal("hanging", "p99_ratio", "the same, p99", 1.1),
)


def table(lines: Sequence[dict[str, Any]]) -> str:
    """One row a goal and database."""
    rows = [("figure", "database", "measured", "goal", "")]
    for goal in GOALS:
        for line in lines:
            if line["bench"] != goal.bench:
                continue
            found = line[goal.figure]
            rows.append(
                (goal.words, line["database"], f"{found:.2f}", goal.said, goal.reached(found))
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
