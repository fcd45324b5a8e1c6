"""A worker that slept past its lease between its last look and its request sends nothing."""

from __future__ import annotations

from dataclasses import replace

from channels.outcome import Delivered, Unavailable
from scheduler.clock import micros
from scheduler.decide import SECOND
from tests.engine.conftest import AHEAD, Engine


async def test_no_request_leaves_once_the_lease_has_ended(early: Engine) -> None:
    async with early.worker() as worker:
        await worker.dispatcher.stop(1)  # it would arm them itself
        await early.post("facebook", "linkedin", seconds=AHEAD)
        now = micros(early.services.clock.now())
        sender = worker.dispatcher.firing._sender
        batch = await worker.dispatcher._armer.arm(now + 60 * SECOND, 10)
        assert batch is not None
        for armed in batch.armed:
            late = replace(armed, lease_until=now - 1)
            assert isinstance((await sender.attempt(late)).outcome, Unavailable)
        assert early.ledger("facebook") == []
        assert early.ledger("linkedin") == []
        for armed in batch.armed:
            assert isinstance((await sender.attempt(armed)).outcome, Delivered)
