"""A process ends whatever hangs in it, and says what did."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from scheduler.ending import end, within
from tests.support.command import ROOT

_HANGS = """
import asyncio, time
from scheduler.ending import LastMoment

async def deaf():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            {then}

async def main():
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    LastMoment(asyncio.get_running_loop(), 0.2).begin()

asyncio.run(main())
"""


async def hangs_in_its_clean_up(ended: asyncio.Event) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()


async def test_a_task_that_hangs_in_its_clean_up_is_cancelled_again() -> None:
    ended = asyncio.Event()
    task = asyncio.create_task(hangs_in_its_clean_up(ended))
    await asyncio.sleep(0)
    with capture_logs() as logs:
        assert await end([task], within=0.01)
    assert ended.is_set()
    (line,) = logs
    assert line["event"] == "task.did-not-end"
    (named,) = line["tasks"]
    assert named.startswith("hangs_in_its_clean_up in Event.wait (")


async def test_the_end_of_a_generator_is_named_too() -> None:
    async def generates() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            ended.set()
            await asyncio.Event().wait()

    ended, generator = asyncio.Event(), generates()
    await anext(generator)
    task: asyncio.Task[None] = asyncio.create_task(generator.aclose())
    await asyncio.sleep(0)
    with capture_logs() as logs:
        assert await end([task], within=0.01)
    assert ended.is_set()
    assert [line["tasks"] for line in logs] == [["async_generator_athrow"]]


async def test_a_task_that_never_ends_is_left_behind_and_named() -> None:
    release = asyncio.Event()

    async def deaf() -> None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    with capture_logs() as logs:
        assert not await end([task], within=0.01)
    assert [line["tasks"][0].split(" in ")[0].split(".")[-1] for line in logs] == ["deaf", "deaf"]
    release.set()
    await task


async def test_work_is_given_up_without_waiting_for_its_clean_up() -> None:
    ended = asyncio.Event()
    with pytest.raises(TimeoutError):
        await within(0.01, hangs_in_its_clean_up(ended))
    assert not ended.is_set()
    await end(asyncio.all_tasks() - {asyncio.current_task()})


async def test_who_is_cancelled_ends_the_work_first() -> None:
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.set()

    task = asyncio.create_task(within(60, work()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


@pytest.mark.parametrize("then", ["pass", "time.sleep(3600)"])
def test_the_last_moment_ends_what_nothing_else_ends(then: str) -> None:
    """A task that is deaf to its cancellation; a loop that is blocked."""
    done = subprocess.run(
        [sys.executable, "-c", _HANGS.format(then=then)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "process.did-not-end" in done.stdout
    assert "deaf" in done.stdout
