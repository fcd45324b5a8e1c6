"""The short chaos run of every check; `make chaos` is the long one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.chaos.run import Plan, run
from tests.chaos.script import script


@pytest.mark.timeout(420)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_kills_at_random_lose_double_and_silence_nothing(kind: str) -> None:
    plan = Plan(seed=20261122, kind=kind, kills=8, lost_every=20)
    with tempfile.TemporaryDirectory(prefix="e-", dir="/tmp", ignore_cleanup_errors=True) as name:
        report = await run(Path(name), plan)
    print(report.line(plan))
    assert report.lost == []
    assert report.doubled == []
    assert report.silent == []
    assert report.rude == []
    assert report.accepted > 0


def test_a_script_is_its_seeds_alone() -> None:
    first = list(script(7, "postgresql", kills=50))
    assert first == list(script(7, "postgresql", kills=50))
    assert first != list(script(8, "postgresql", kills=50))
    assert sum(step.kill for step in first) == 50
