"""How the demo asks the service: with the patience that a killed one needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from scheduler.cli.demo_practice import Practice, patiently

T = TypeVar("T")


class Patience:
    """Asks again until there is an answer. What is the matter with the `adapter`'s page is made so
    again after a silence: the practice platforms were killed with the service.

    `say` takes a line and its style.
    """

    def __init__(self, practice: Practice, adapter: str, say: Callable[[str, str], None]) -> None:
        self._practice = practice
        self._adapter = adapter
        self._say = say
        self.fault: str | None = None
        self.interrupted = False

    async def ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, however long it takes."""
        missed = False

        def gone() -> None:
            nonlocal missed
            if not missed:
                self._say("the service does not answer: waiting for `make run`", "yellow")
            missed = self.interrupted = True

        answer = await patiently(ask, gone)
        if missed:
            self._say("the service is back; the story goes on", "yellow")
            if self.fault is not None:
                await patiently(lambda: self._practice.break_(self._adapter, self.fault or ""))
        return answer

    async def break_(self, fault: str) -> None:
        """From now on this is the matter with the page."""
        self.fault = fault
        await self.ask(lambda: self._practice.break_(self._adapter, fault))

    async def mend(self) -> None:
        """From now on the page is well."""
        self.fault = None
        await self.ask(lambda: self._practice.mend(self._adapter))
