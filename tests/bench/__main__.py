"""`make bench`: every figure of the engine beside its limit, in one run; asserts nothing.

    python -m tests.bench [--runs 2] [--quick]

A quarter of an hour on a quiet machine; `--quick`, a tenth of the load, shows that all of it works.
Each part is a module of its own, with more options: `python -m
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
    parser.add_argument("--quick", action="store_true", help="figures that say little, soon")
    args = parser.parse_args(arguments)
    runs = ["--runs", str(1 if args.quick else args.runs)]
    few = ["--count", "500"] if args.quick else []
    posts = ["--posts", "100"] if args.quick else []
    seconds = ["--seconds", "2"] if args.quick else []
    rows = ["--scheduled", "5000", "--finished", "10000", "--runs", "5"] if args.quick else []
    parts: dict[str, Callable[[], list[dict[str, Any]] | None]] = {
        "light load": lambda: spike.main(["--what", "light", *runs]),
        "spike": lambda: spike.main(["--what", "spike", *runs, *few]),
        "workers": lambda: workers.main(["--runs", "1", *few]),
        "kills": lambda: kills.main([*runs, *few]),
        "a hanging platform": lambda: hanging.main([*runs, *posts]),
        "idle memory": lambda: idle.main(runs),
        "the API": lambda: api.main(seconds),
        "scale": lambda: scale.main(rows),
    }
    lines: list[dict[str, Any]] = []
    for name, measure in parts.items():
        begun = time.monotonic()
        lines += measure() or []
        sys.stderr.write(f"{name}: {time.monotonic() - begun:.0f} s\n")
    sys.stdout.write(f"\n{table(lines)}\n")


if __name__ == "__main__":
    main()
