"""Processes that we start, and that do not outlive us."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable

_STOP_TIMEOUT = 4.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with(parent: int) -> Callable[[], None] | None:
    """Ask the kernel, in the child, to be ended when our process is; Linux only."""
    if _libc is None:
        return None
    prctl, terminate = _libc.prctl, int(signal.SIGTERM)

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, terminate)
        if os.getppid() != parent:
            os._exit(1)

    return in_child


async def end(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, and make it when it does not within seconds."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def until_gone(process_id: int) -> None:
    """Wait for a process that is not our child."""
    while True:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.01)
