"""Carries a script out on the arena."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import aiohttp

from channels.sandbox.faults import FaultName
from tests.chaos.arena import Arena
from tests.chaos.script import CHANNELS, FAULTS, TOO_LONG, Step

# Longer than the lease: who took over must have looked before the frozen worker goes on.
FREEZE = 7.0


@dataclass
class Breaker:
    """`done` counts by name; `keep`: a fault of the whole run, which no step may replace."""

    stage: Arena
    session: aiohttp.ClientSession
    keep: FaultName | None = None
    done: Counter[str] = field(default_factory=Counter)

    async def carry_out(self, steps: Iterable[Step]) -> None:
        await self._remember_redis()
        for step in steps:
            await asyncio.sleep(step.gap)
            if await self._do(step):
                self.done[step.what] += 1
        for name in {fault["name"] for fault in FAULTS} - {self.keep}:
            for channel in CHANNELS:
                async with self.session.delete(self._faults(channel), params={"name": name}):
                    pass

    async def _do(self, step: Step) -> bool:
        """Whether it could be done here."""
        match step.what:
            case "everything":
                await asyncio.gather(*(one.strike() for one in self.stage.actors.values()))
            case "backend":
                return self.stage.store.kill_backend(Random(step.draw))
            case "flush":
                await asyncio.to_thread(self.stage.flush_redis)
            case "restore":
                await self._restore_redis()
            case "disk":
                return await self._fill_disk(step.seconds)
            case "fault":
                return await self._fault(step)
            case "calm":
                await asyncio.sleep(step.seconds)
            case "term" | "rolling" | "freeze":
                await self._trouble_workers(step)
            case victim:
                await self.stage.actors[victim].strike()
        return True

    async def _trouble_workers(self, step: Step) -> None:
        worker = self.stage.worker(step.draw)
        match step.what:
            case "term":
                await worker.strike(signal.SIGTERM)
            case "rolling":
                for one in self.stage.workers:
                    await one.restarted()
            case _:
                await worker.strike(signal.SIGSTOP)
                await asyncio.sleep(FREEZE)
                worker.send(signal.SIGCONT)

    async def _remember_redis(self) -> None:
        """A copy of what it keeps on disk, taken while it writes, as a backup is."""
        if self._kept.is_dir():
            await asyncio.to_thread(shutil.copytree, self._kept, self._older, dirs_exist_ok=True)

    async def _restore_redis(self) -> None:
        """Back to the older file; the next older one is of now."""
        fresh = self.stage.directory / "redis-now"
        async with self.stage.actors["redis"].down():
            if self._kept.is_dir():
                shutil.move(self._kept, fresh)
            if self._older.is_dir():
                shutil.move(self._older, self._kept)
            if fresh.is_dir():
                shutil.move(fresh, self._older)

    async def _fill_disk(self, seconds: float) -> bool:
        if not self.stage.disk.small:
            return False
        await asyncio.to_thread(self.stage.disk.fill)
        await asyncio.sleep(seconds)
        self.stage.disk.free()
        return True

    async def _fault(self, step: Step) -> bool:
        if step.fault["name"] == self.keep or (step.channel, step.fault["name"]) in TOO_LONG:
            return False
        async with self.session.post(self._faults(step.channel), json=step.fault) as answer:
            assert answer.status == 201, await answer.text()
        return True

    def _faults(self, channel: str) -> str:
        return f"{self.stage.platform.url}/_control/{channel}/faults"

    @property
    def _kept(self) -> Path:
        return self.stage.disk.path / "appendonlydir"

    @property
    def _older(self) -> Path:
        return self.stage.directory / "redis-older"
