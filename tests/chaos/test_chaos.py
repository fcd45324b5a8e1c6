"""The short chaos run of every check; `make chaos` is the long one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.bench.support import database_url
from tests.chaos.run import Plan, run


@pytest.mark.timeout(420)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_kills_at_random_lose_double_and_silence_nothing(kind: str) -> None:
    plan = Plan(seed=20261122, kills=8, posts=150, lost_every=20, freezes=kind == "sqlite")
    with (
        tempfile.TemporaryDirectory(prefix="e-", dir="/tmp") as name,
        database_url(kind, Path(name)) as url,
    ):
        report = await run(Path(name), url, plan)
    print(report.line(plan, kind))
    assert report.lost == []
    assert report.doubled == []
    assert report.silent == []
    assert report.accepted > 0
