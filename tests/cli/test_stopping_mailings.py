"""`estafette worker` told to stop in the middle of a mailing: it takes no more readers, waits for
the mails under way and for no others, and another worker goes on at once."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from scheduler.drafts import Draft
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts
from scheduler.store.audience_tables import contacts, lists, memberships
from scheduler.store.tables import deliveries
from tests.cli.test_stopping import working
from tests.engine.conftest import CALLER, PATIENCE
from tests.support.audience import states
from tests.support.relay import CountingRelay

pytestmark = pytest.mark.timeout(240)

READERS = [f"r{number}@example.org" for number in range(1500)]
# So slowly that all of them take minutes, and each mail a second.
SLOW = 0.2
# More than the test waits: whoever uses it up fails it.
GRACE = 300


async def _newsletter(services: Services, port: int) -> str:
    """An account whose relay listens there, with all readers."""
    channel, now = services.registry["newsletter"], services.clock.micros()
    values = {
        "from_address": "letter@bakery.example.org",
        "publisher": "The bakery",
        "relays": [{"host": "127.0.0.1", "port": port, "tls": "none"}],
    }
    async with services.database.write() as connection:
        account = await accounts.connect(
            connection, services.vault, channel=channel, name="Letter", now=now,
            settings=channel.settings_type.model_validate(values),
        )  # fmt: skip
        await connection.execute(
            insert(lists).values(id=account, name="Letter", language="en", created_at=now)
        )
        row = {"attributes": {}, "tags": [], "created_at": now, "updated_at": now}
        people = [{"id": email, "email": email, **row} for email in READERS]
        await connection.execute(insert(contacts), people)
        member = {"list_id": account, "state": "subscribed", "since": now}
        await connection.execute(
            insert(memberships), [{"contact_id": one, **member} for one in READERS]
        )
    return account


@asynccontextmanager
async def _mailing(data_dir: Path, url: str, port: int) -> AsyncIterator[Services]:
    """Services with a mailing that is due."""
    settings = Settings(
        data_dir=data_dir, database_url=url, redis_url="none", private_addresses_ok=True
    )
    async with open_services(settings) as services:
        account = await _newsletter(services, port)
        words = {"title": "We reopen", "body": "Come and see us.", "accounts": [account]}
        await services.intake.accept(Draft.model_validate(words), CALLER)
        yield services


async def _delivery(services: Services) -> Any:
    async with services.database.read() as connection:
        return (await connection.execute(select(deliveries))).one()


async def test_it_ends_with_the_mails_under_way_and_gives_the_rest_back(
    tmp_path: Path, redis_url: str, database_url: str
) -> None:
    relay = CountingRelay(slow_by=SLOW)
    await relay.start()
    async with _mailing(tmp_path, database_url, relay.port) as services:
        async with working(
            tmp_path, redis_url, database_url, grace=GRACE, ESTAFETTE_PRIVATE_ADDRESSES_OK="true"
        ) as process:
            await relay.until(30)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        row, left = await _delivery(services), Counter((await states(services.database)).values())
        assert (row.state, row.token, row.tries) == ("scheduled", None, 0)
        assert left == {
            "accepted": relay.received.total(),
            "pending": len(READERS) - left["accepted"],
        }
        assert not list((tmp_path / "logbooks").iterdir())
        assert not list((tmp_path / "journal").iterdir())

        relay.slow_by = 0
        async with working(
            tmp_path, redis_url, database_url, ESTAFETTE_PRIVATE_ADDRESSES_OK="true"
        ):
            await relay.until(len(READERS))
            async with asyncio.timeout(PATIENCE):
                while (await _delivery(services)).state != "delivered":  # noqa: ASYNC110 -- SQL
                    await asyncio.sleep(0.05)
    assert relay.received == Counter(READERS)
    await relay.stop()
