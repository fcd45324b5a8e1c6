"""Says that something is due around a moment. Only a hint: the sweep finds it in SQL anyway."""

from __future__ import annotations

from typing import Protocol


class Doorbell(Protocol):
    """Rung after a commit, best effort."""

    async def ring(self, due_at: int) -> None:
        """`due_at`: microseconds since 1970. Never raises: what is stored is already safe."""
        ...


class SilentDoorbell:
    """For an installation without Redis: the dispatcher's own sweep finds what is due."""

    async def ring(self, due_at: int) -> None:
        """Leaves it to the sweep."""
