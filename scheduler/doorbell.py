"""Says that something is due around a moment. Only a hint: the sweep finds it in SQL anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Doorbell(Protocol):
    """Rung after a commit, best effort."""

    async def ring(self, due_at: int) -> None:
        """`due_at`: microseconds since 1970. Never raises: what is stored is already safe."""
        ...

    def listen(self, local: Callable[[], None]) -> None:
        """Call `local` at once for what is due now: a dispatcher of this process hears it so."""
        ...


class SilentDoorbell:
    """For an installation without Redis: the dispatcher's own sweep finds what is due."""

    async def ring(self, due_at: int) -> None:
        """Leaves it to the sweep."""

    def listen(self, local: Callable[[], None]) -> None:
        """Never rings."""
