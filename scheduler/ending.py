"""How a process ends, whatever hangs: tasks are cancelled and waited for, but not for ever; and
when even that does not help, the process leaves at its last moment and says what kept it.

To leave at once is safe: everything here survives a kill (SQL is the truth, a worker's journal says
what left).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog

log = structlog.get_logger()

# A task may hang in its own clean-up, where only a second cancellation reaches it.
_CANCELLATIONS = 2
_ENDS_WITHIN = 0.75
_BEGINS_AGAIN = 0.5
# After the grace: ending the loops, telling the database, closing what is open.
LAST_MOMENT = 5.0


async def end(tasks: Iterable[asyncio.Task[Any]], *, within: float = _ENDS_WITHIN) -> bool:
    """Cancel these and wait until they ended, `within` seconds a cancellation; False when some
    did not, which are named in the log. Their own errors are nobody's any more."""
    every = set(tasks)
    left = {task for task in every if not task.done()}
    for _ in range(_CANCELLATIONS):
        for task in left:
            task.cancel()
        if left:
            _, left = await asyncio.wait(left, timeout=within)
        if left:
            log.warning("task.did-not-end", tasks=_named(left))
    for task in every:
        task.add_done_callback(_forget)
    return not left


async def within(seconds: float, work: Coroutine[Any, Any, object]) -> None:
    """Do this, but give it up after so long: cancelled, and not waited for, since a driver whose
    server hangs takes seconds to see a cancellation. Whoever is cancelled meanwhile ends the work
    first, lest it go on in what is being closed. Errors: TimeoutError; the work's own."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task], timeout=seconds)
    except asyncio.CancelledError:
        await end([task])
        raise
    finally:
        task.add_done_callback(_forget)
        task.cancel()
    if task.cancelled() or not task.done():
        raise TimeoutError
    task.result()


async def lasting(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do this until it returns, and begin it again if anything else ends it: a loop that ended
    unseen, beside others that go on, would be a worker that lives and does nothing."""
    while True:
        try:
            return await work()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.exception("loop.cut-off", loop=_called(work))
        except Exception:
            log.exception("loop.failed", loop=_called(work))
        await asyncio.sleep(_BEGINS_AGAIN)


class LastMoment:
    """From `begin` on, the process has so many seconds to end by itself. A thread watches, for a
    loop that is blocked watches nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, within: float) -> None:
        self._loop = loop
        self._timer = threading.Timer(within, self._leave)
        self._timer.daemon = True
        self._begun = False

    def begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._timer.start()

    def _leave(self) -> None:
        try:
            left = [] if self._loop.is_closed() else _named(asyncio.all_tasks(self._loop))
            threads = [thread.name for thread in threading.enumerate() if not thread.daemon]
            log.error("process.did-not-end", tasks=left, threads=threads)
        finally:
            os._exit(1)


def _called(work: Callable[[], object]) -> str:
    function = getattr(work, "func", work)
    return str(getattr(function, "__qualname__", function))


def _forget(task: asyncio.Task[Any]) -> None:
    """Its error, if it had one, was seen."""
    if not task.cancelled():
        task.exception()


def _named(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    return sorted(_where(task.get_coro()) for task in tasks)


def _where(coroutine: Any) -> str:
    """Our coroutine, and the innermost that it waits in."""
    name, inner = _name(coroutine), coroutine
    while hasattr(waited := getattr(inner, "cr_await", None), "cr_frame"):
        inner = waited
    frame = getattr(inner, "cr_frame", None)
    if frame is None:
        return name
    return f"{name} in {_name(inner)} ({frame.f_code.co_filename}:{frame.f_lineno})"


def _name(coroutine: Any) -> str:
    """What ends a generator has none."""
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))
