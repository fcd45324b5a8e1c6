"""What all in one takes while it has nothing to do: API, worker and SQLite, without Redis.

The first start makes the database, the second finds it; each in a directory of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SETTLED = 5.0  # seconds after it says that it is there: all duties have had a round


def resident(data_dir: Path) -> float:
    """MB, of a start on this directory."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ESTAFETTE_")
    }
    environment |= {"ESTAFETTE_DATA_DIR": str(data_dir), "ESTAFETTE_REDIS_URL": "none"}
    command = [sys.executable, "-m", "scheduler", "run", "--no-practice", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "Ctrl-C stops" not in (line := process.stdout.readline()):
            if not line:
                sys.exit("it did not start")
        time.sleep(SETTLED)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        process.terminate()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args(arguments)
    starts = []
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            starts.append([resident(Path(directory)) for _ in ("first", "second")])
    first, second = (statistics.median(column) for column in zip(*starts, strict=True))
    line = {
        "bench": "idle", "database": "sqlite", "first_mb": round(first, 1),
        "second_mb": round(second, 1), "mb": round(max(first, second), 1), "runs": args.runs,
    }  # fmt: skip
    print(json.dumps(line), flush=True)
    return [line]


if __name__ == "__main__":
    main()
