"""The command line in this process: what it prints, and how it ends."""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import structlog

from scheduler.cli.app import main

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """A command that came to its end."""

    returncode: int
    stdout: str
    stderr: str


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """This process's environment without settings of its own, on `data_dir`."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ESTAFETTE_") and name != "REDIS_URL"
    }
    return clean | {"ESTAFETTE_DATA_DIR": str(data_dir), **settings}


def estafette(*arguments: str | Path, data_dir: Path, stdin: str = "", **settings: str) -> Done:
    """Run one command as the console script does."""
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ), sys.argv, sys.stdin
    logs = structlog.get_config(), logging.root.handlers[:], logging.root.level
    code: object = 0
    try:
        os.environ.clear()
        os.environ.update(environment(data_dir, **settings))
        sys.argv = ["estafette", *map(str, arguments)]
        sys.stdin = io.StringIO(stdin)
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        os.environ.clear()
        os.environ.update(before[0])
        _, sys.argv, sys.stdin = before
        structlog.configure(**logs[0])
        logging.root.handlers[:] = logs[1]
        logging.root.setLevel(logs[2])
    return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())
