"""The story, told to its end: thirty posts, a page that vanishes and returns, nothing twice."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.command import ROOT, environment, estafette
from tests.support.ports import free_ports

pytestmark = pytest.mark.timeout(300)  # it starts whole installations


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="e-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def test_the_demo_starts_its_own_service_and_ends_well(data_dir: Path) -> None:
    done = estafette("demo", "--day", "2", data_dir=data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "30 posts is queued on five channels" in done.stdout
    assert "looked at: degraded. One alert, no plan B" in done.stdout
    assert "Plan B moves its whole queue" in done.stdout
    assert "instead of the page: New opening hours" in done.stdout
    # Which day's mail a post is in depends on how fast this machine is.
    assert re.search(r"newsletter: one mail for \d+ posts?: .*The sign is up", done.stdout)
    assert "is back, healthy" in done.stdout
    assert "NOT each once" not in done.stdout
    assert "one alert for the lost page" in done.stdout
    assert "0 lost, 0 doubled, 0 replayed." in done.stdout


async def test_a_kill_in_the_middle_of_the_story_changes_nothing_of_its_end(
    data_dir: Path,
) -> None:
    api, practice = free_ports(2)
    ports = {"ESTAFETTE_PORT": str(api), "ESTAFETTE_PRACTICE_PORT": str(practice)}
    service = await start(data_dir, ports)
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scheduler", "demo", "--day", "2", cwd=ROOT,
        env=environment(data_dir, **ports), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert demo.stdout is not None
    said = []
    try:
        while line := (await demo.stdout.readline()).decode():
            said.append(line)
            if line.startswith("Thursday"):
                os.killpg(service.pid, signal.SIGKILL)
                await service.wait()
                service = await start(data_dir, ports)
        assert await demo.wait() == 0, "".join(said)
    finally:
        with suppress(ProcessLookupError):
            demo.kill()
        with suppress(ProcessLookupError):
            os.killpg(service.pid, signal.SIGTERM)
        await service.wait()
    assert "0 lost, 0 doubled, 0 replayed." in "".join(said), "".join(said)


async def start(data_dir: Path, ports: dict[str, str]) -> asyncio.subprocess.Process:
    """`run`, in a process group of its own, once it publishes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scheduler", "run", cwd=ROOT, env=environment(data_dir, **ports),
        stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    while line := await process.stdout.readline():
        if b"Ctrl-C stops" in line:
            drained = asyncio.create_task(process.stdout.read())
            _DRAINS.add(drained)
            drained.add_done_callback(_DRAINS.discard)
            return process
    raise AssertionError("it did not start")


_DRAINS: set[asyncio.Task[bytes]] = set()
