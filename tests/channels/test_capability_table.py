"""The README's table is what the adapters say of themselves."""

from __future__ import annotations

import pytest

from channels.capability_table import BEGIN, END, README, table, updated
from channels.registry import ADAPTERS


def test_readme_is_up_to_date() -> None:
    text = README.read_text()
    assert updated(text) == text, "run: python -m channels.capability_table"


def test_every_adapter_has_a_row() -> None:
    rows = table().splitlines()
    assert [row.split("|")[1].strip(" `") for row in rows[2:]] == list(ADAPTERS)
    assert len({row.count("|") for row in rows}) == 1


def test_stale_table_is_replaced_and_a_lost_one_named() -> None:
    assert "stale" not in updated(f"Above\n{BEGIN}\nstale\n{END}\nbelow")
    with pytest.raises(ValueError, match="markers"):
        updated("no table")
