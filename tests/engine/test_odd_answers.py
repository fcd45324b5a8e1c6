"""What no database takes, in what a platform said: it is written all the same, in other letters."""

from __future__ import annotations

from typing import Any

import pytest

from channels.outcome import Delivered, Evidence, Outcome, Problem, Rejected
from tests.engine.conftest import Engine

ODD = "12\0\ud83d!"
LINK: Any = False  # as WordPress has it for a post without one


@pytest.mark.parametrize(
    ("said", "state"),
    [
        pytest.param(Delivered(remote_id="1", url=LINK), "delivered", id="a link that is none"),
        pytest.param(Delivered(remote_id=ODD), "delivered", id="an odd name"),
        pytest.param(
            Delivered(remote_id="1", note=ODD, evidence=Evidence(code=ODD, trace=ODD, excerpt=ODD)),
            "delivered",
            id="odd evidence",
        ),
        pytest.param(
            Rejected(problem=Problem(code="refused", detail=ODD), evidence=Evidence(excerpt=ODD)),
            "failed",
            id="an odd reason",
        ),
    ],
)
async def test_is_written_down_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, said: Outcome, state: str
) -> None:
    async def sends(*_args: Any, **_how: Any) -> Outcome:
        return said

    monkeypatch.setattr(type(engine.services.registry["blog"]), "send", sends)
    async with engine.worker():
        post = await engine.post("blog")
        (row,) = await engine.settled(post, state)
    assert row.attempt == 1
    assert ODD not in (row.remote_id, row.cause)
