"""The last look before a send: what became another's, or is not to be sent any more, stays here."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.store.tables import deliveries
from tests.engine.conftest import AHEAD, Engine


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param({"token": "another's"}, id="another worker armed it"),
        pytest.param({"state": "cancelled"}, id="cancelled, its token left in place"),
        pytest.param({"state": "held"}, id="held, its token left in place"),
        pytest.param({"state": "unconfirmed"}, id="in doubt, its token left in place"),
    ],
)
async def test_what_changed_while_it_was_armed_does_not_leave(
    early: Engine, meanwhile: dict[str, Any]
) -> None:
    async with early.worker():
        post = await early.post("facebook", seconds=AHEAD)
        await early.settled(post, "armed")
        async with early.services.database.write() as connection:
            await connection.execute(
                deliveries.update().where(deliveries.c.post_id == post).values(meanwhile)
            )
        other = await early.post("facebook", seconds=AHEAD, title="Another")
        await early.comes_due(other)
        await early.settled(other, "delivered")
    assert [text.splitlines()[0] for text in early.ledger("facebook")] == ["Another"]
