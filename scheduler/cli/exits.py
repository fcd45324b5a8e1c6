"""Exit codes, and the one error that ends a command with a sentence."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a script can tell from `$?`.

    `FAILED`: the command worked and what it reports is bad (a delivery failed, a check too).
    `USAGE`: wrong flags or settings, a busy port, a directory that cannot be written, a second
    copy. `UNREACHABLE`: no service answers. `REFUSED`: the service answered with a problem.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4


class CommandError(Exception):
    """Ends the command: one clear sentence on stderr, and an exit code."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code
