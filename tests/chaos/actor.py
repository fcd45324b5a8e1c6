"""One process of a run: started again whenever it dies, as under a supervisor."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.children import die_with

RESTART_AFTER = 0.2
LONGEST_STOP = 10.0


@dataclass
class Actor:
    """`command` writes a line to its output, or to its errors with `ready_on` in it, once it is
    ready. `user`: who it runs as (None: we)."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ready_on: bytes | None = None
    stop: signal.Signals = signal.SIGKILL
    user: str | None = None
    directory: Path | None = None
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    allowed: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self) -> None:
        """Run it for ever."""
        self.allowed.set()
        while True:
            await self.allowed.wait()
            await self._once()
            await asyncio.sleep(RESTART_AFTER)

    async def _once(self) -> None:
        told = subprocess.PIPE
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, env=dict(self.environment), cwd=self.directory,
                stdout=told if self.ready_on is None else log,
                stderr=log if self.ready_on is None else told,
                preexec_fn=_as(self.user),
            )  # fmt: skip
            self.dead.clear()
            try:
                output = self.process.stdout or self.process.stderr
                assert output is not None
                while line := await output.readline():
                    if self.ready_on is not None:
                        log.write(line)
                        log.flush()
                    if self.ready_on is None or self.ready_on in line:
                        self.ready.set()
                await self.process.wait()
            finally:
                await self._end(self.process)
                self.ready.clear()
                self.dead.set()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        process.send_signal(self.stop)
        try:
            async with asyncio.timeout(LONGEST_STOP):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to the living process; False when it is dead just now."""
        if self.process is None or self.process.returncode is not None:
            return False
        try:
            os.kill(self.process.pid, number)
        except ProcessLookupError:  # it has ended, and nobody told us yet
            return False
        return True

    async def strike(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process, once it lives."""
        while not self.send(number):  # noqa: ASYNC110 -- also while it is starting
            await asyncio.sleep(0.02)

    async def restarted(self) -> None:
        """Ended in good order and ready again."""
        await self.strike(signal.SIGTERM)
        await self.dead.wait()
        await self.ready.wait()

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Killed, and not started again while the context lasts."""
        self.allowed.clear()
        try:
            if self.send(signal.SIGKILL):
                await self.dead.wait()
            yield
        finally:
            self.allowed.set()


def _as(user: str | None) -> Callable[[], None]:
    """In the child: become `user`, and end with us. (uvloop does not take `user`.)"""
    who = None if user is None else pwd.getpwnam(user)
    follow = die_with(os.getpid())

    def in_child() -> None:
        if who is not None:
            os.setgroups([])
            os.setgid(who.pw_gid)
            os.setuid(who.pw_uid)
        if follow is not None:
            follow()

    return in_child
