"""A send that only waits lends its place to others: a mailing may wait for a domain for hours."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar

# Of the send whose task this is; whoever dispatches it sets it.
RESTING: ContextVar[Callable[[], AbstractContextManager[None]]] = ContextVar(
    "resting", default=nullcontext
)


def resting() -> AbstractContextManager[None]:
    """While in it, the send that this task belongs to has nothing under way."""
    return RESTING.get()()
