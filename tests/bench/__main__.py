"""`make bench`: every figure of the engine beside its limit, in one run; asserts nothing.

    python -m tests.bench [--runs 2]

A quarter of an hour. Each part is a module of its own, with more options: `python -m
tests.bench.spike --help`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.bench import api, hanging, idle, kills, scale, spike, workers
from tests.bench.table import table


def main(arguments: Sequence[str] | None = None) -> None:
    """One JSON line a figure as it is found; then what grows with the rows; the table last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2, help="of each figure; medians are told")
    args = parser.parse_args(arguments)
    runs = ["--runs", str(args.runs)]
    parts: dict[str, Callable[[], list[dict[str, Any]] | None]] = {
        "light load": lambda: spike.main(["--what", "light", *runs]),
        "spike": lambda: spike.main(["--what", "spike", *runs]),
        "workers": lambda: workers.main(["--runs", "1"]),
        "kills": lambda: kills.main(runs),
        "a hanging platform": lambda: hanging.main(runs),
        "idle memory": lambda: idle.main(runs),
        "the API": lambda: api.main([]),
        "scale": lambda: scale.main([]),
    }
    lines: list[dict[str, Any]] = []
    for name, measure in parts.items():
        begun = time.monotonic()
        lines += measure() or []
        sys.stderr.write(f"{name}: {time.monotonic() - begun:.0f} s\n")
    sys.stdout.write(f"\n{table(lines)}\n")


if __name__ == "__main__":
    main()
