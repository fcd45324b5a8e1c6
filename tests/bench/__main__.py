"""`make bench`: every figure of the engine beside its limit, in one run; asserts nothing."""

from __future__ import annotations

import sys

from tests.bench import api, hanging, idle, kills, scale, spike
from tests.bench.table import table


def main() -> None:
    """Light load and spike on both databases, kills, an emptied Redis, a hanging platform, idle
    memory; a table of these; then the API, and what grows with the rows. One JSON line a figure."""
    lines = [
        *spike.main(["--what", "light"]),
        *spike.main(["--what", "spike"]),
        *kills.main([]),
        *hanging.main([]),
        *idle.main([]),
    ]
    sys.stdout.write(f"\n{table(lines)}\n\n")
    api.main([])
    scale.main([])


if __name__ == "__main__":
    main()
