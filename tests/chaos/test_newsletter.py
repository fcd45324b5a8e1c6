"""A worker killed while its mails are under way: what its successor makes of the doubt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scheduler.clock import Clock
from scheduler.store.db import Database
from tests.chaos.newsletter import born, judged
from tests.support.audience import seed, states
from tests.support.relay import CountingRelay

CONNECTIONS = 3
READERS = [f"r{number}@example.org" for number in range(60)]


@pytest.mark.parametrize("uncertain", ["hold", "resend"])
async def test_after_a_kill_doubt_is_held_or_sent_again_with_the_same_message_id(
    sqlite_url: str, tmp_path: Path, uncertain: str
) -> None:
    relay, database = CountingRelay(keep_ids=True), Database(sqlite_url)
    await relay.start()
    readers = [{"id": f"c{number}", "email": email} for number, email in enumerate(READERS)]
    await seed(database, readers, now=Clock().micros())
    arguments = [sqlite_url, str(tmp_path), str(relay.port), str(CONNECTIONS), uncertain]

    relay.silent_after = 20
    worker = await born(arguments)
    await relay.until(20 + CONNECTIONS)  # each connection has a mail there without an answer
    worker.kill()
    await worker.wait()
    relay.silent_after = None
    assert await (await born(arguments)).wait() == 0

    books = Counter((await states(database)).values())
    doubted = {who for who, count in relay.received.items() if count > 1}
    assert set(relay.received) == set(READERS)
    if uncertain == "hold":
        assert not doubted
        assert books == {"accepted": len(READERS) - CONNECTIONS, "uncertain": CONNECTIONS}
    else:
        assert len(doubted) == CONNECTIONS
        assert books == {"accepted": len(READERS)}
        assert judged(set(READERS), relay, books, kills=1, connections=CONNECTIONS) == []
        assert {len(set(relay.message_ids[who])) for who in doubted} == {1}
        assert len({one for ids in relay.message_ids.values() for one in ids}) == len(READERS)
    await database.close()
    await relay.stop()
