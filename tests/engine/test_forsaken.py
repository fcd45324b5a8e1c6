"""A mailing that was cancelled: its figures are exact, whatever its worker died of."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from sqlalchemy import insert, select, update

from channels.sandbox.server import PracticeServer
from channels.translations import in_language
from scheduler.forsaken import forsaken_of
from scheduler.logbook import Logbook
from scheduler.settings import Settings
from scheduler.store.alert_tables import alerts
from scheduler.store.audience_tables import recipients
from scheduler.store.tables import deliveries
from tests.engine.conftest import Engine, client_of, opened
from tests.web.support import ask

# What the books say, by reader; the logbook of the run that died says more of the last four.
BOOKS = {
    "a": "accepted", "b": "accepted", "c": "refused", "d": "suppressed", "e": "uncertain",
    "f": "pending", "g": "pending",
    "answered": "sending", "refused": "sending", "leaving": "sending", "claimed": "sending",
}  # fmt: skip


async def _cancelled(engine: Engine) -> str:
    """A delivery that was cancelled when its run had died."""
    post = await engine.post("newsletter", seconds=3600)
    (row,) = await engine.rows(post)
    async with engine.services.database.write() as connection:
        await connection.execute(
            insert(recipients),
            [
                {"delivery_id": row.id, "contact_id": who, "address": f"{who}@x.org",
                 "state": state, "worker": "dead", "next_at": 0, "updated_at": 1}
                for who, state in BOOKS.items()
            ],
        )  # fmt: skip
        now = engine.services.clock.micros()
        await connection.execute(
            update(deliveries)
            .where(deliveries.c.id == row.id)
            .values(state="cancelled", updated_at=now, finished_at=now)
        )
    return str(row.id)


def _logbook(engine: Engine, delivery_id: str) -> None:
    book = Logbook(engine.services.settings.data_dir / "logbooks", delivery_id, "dead")
    for who, state in (("answered", "accepted"), ("refused", "refused")):
        book.leaving(who)
        book.answered(who, state, "250")
    book.leaving("leaving")
    book.close(settled=False)


@pytest.mark.parametrize("here", [True, False], ids=["with its logbook", "without"])
async def test_the_figures_of_a_cancelled_mailing_are_exact(
    settings: Settings, practice: PracticeServer, *, here: bool
) -> None:
    async with opened(settings, practice, connected={"newsletter"}) as engine:
        services = engine.services
        delivery_id = await _cancelled(engine)
        if here:
            _logbook(engine, delivery_id)
        assert await forsaken_of(services).round() == 6
        assert await forsaken_of(services).round() == 0

        wanted = {"accepted": 3, "refused": 2, "suppressed": 1, "uncertain": 2, "not_sent": 3}
        if not here:
            wanted |= {"accepted": 2, "refused": 1, "uncertain": 5, "not_sent": 2}
        async with client_of(engine) as api:
            said = await _figures(api, delivery_id)
        assert {name: said[name] for name in wanted} == wanted
        assert (said["waiting"], said["selected"]) == (0, len(BOOKS))
        assert sum(wanted.values()) == len(BOOKS)

        async with services.database.read() as connection:
            (told,) = (await connection.execute(select(alerts.c.data))).scalars()
        assert {name: told[name] for name in wanted} == wanted
        unsent, doubt = wanted["not_sent"], wanted["uncertain"]
        assert told["cause"] == (
            f"{unsent} had not been written to when it was cancelled;"
            f" nobody knows whether {doubt} got it"
        )
        french = in_language(told["cause"], "fr")
        assert french.endswith(f"nul ne sait si {doubt} l’ont reçu")
        assert f"{unsent} n’avaient encore rien reçu" in french
        assert list((settings.data_dir / "logbooks").glob("*")) == []


async def _figures(api: TestClient[Any, Any], delivery_id: str) -> dict[str, Any]:
    return await ask(api, "GET", f"/deliveries/{delivery_id}/mailing")
