"""The story, told to its end: five channels, a page that vanishes, another road, nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import estafette


@pytest.mark.timeout(300)  # it starts a whole installation of its own
def test_the_demo_starts_its_own_service_and_ends_well(tmp_path: Path) -> None:
    done = estafette("demo", data_dir=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accepted: 5 deliveries" in done.stdout
    assert "6 delivered, 1 rerouted; 0 lost, 0 doubled on the ledgers." in done.stdout
