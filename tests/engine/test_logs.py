"""Log lines follow one delivery by its id: accepted, sent, answered, looked for."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from channels.sandbox.faults import FaultName
from tests.engine.conftest import Engine


async def test_a_delivery_is_followed_by_its_id(engine: Engine) -> None:
    engine.fault("facebook", FaultName.ANSWER_LOST, times=1)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        async with engine.worker():
            post = await engine.post("facebook")
            other = await engine.post("linkedin")
            (row,) = await engine.settled(post, "delivered")
            await engine.settled(other, "delivered")
    accepted = [line for line in lines if line["event"] == "post.accepted"]
    assert (accepted[0]["post"], accepted[0]["deliveries"]) == (post, [row.id])
    mine = [line for line in lines if line.get("delivery") == row.id]
    (sent,) = [line for line in mine if line["event"] == "delivery.attempted"]
    assert (sent["post"], sent["channel"], sent["outcome"]) == (post, "facebook", "unconfirmed")
    answered = [line for line in mine if line["event"] == "http.answered"]
    assert {line["method"] for line in answered} == {"GET"}, "its POST got no answer"
    assert {line["attempt"] for line in answered} == {2}
