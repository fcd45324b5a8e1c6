"""After a kill: what was delivered is written down, what had left is in doubt, the rest goes on."""

from pathlib import Path

from prometheus_client import REGISTRY
from sqlalchemy import insert, select

from scheduler.deliveries import State
from scheduler.journal import Answered, Left
from scheduler.store.db import Database
from scheduler.store.tables import accounts, attempts, deliveries, events, posts
from scheduler.takeover import take_over

NOW = 1_800_000_000_000_000
SAID = Answered("123_456", "https://page.example/1", "", NOW - 2_000, NOW - 1_000)


async def _armed(database: Database, *ids: str) -> None:
    async with database.write() as connection:
        await connection.execute(
            insert(accounts).values(
                id="account", adapter="facebook", channel="facebook", name="Page", settings={},
                secrets=b"", status="healthy", status_since=NOW, policy={},
                created_at=NOW, updated_at=NOW,
            )
        )  # fmt: skip
        for number, delivery in enumerate(ids):
            await connection.execute(
                insert(posts).values(
                    id=f"post-{number}", kind="essential", title="t", content={}, due_at=NOW,
                    zone="UTC", late_policy="publish", version=1, created_by="test",
                    created_at=NOW, updated_at=NOW,
                )
            )  # fmt: skip
            await connection.execute(
                insert(deliveries).values(
                    id=delivery, post_id=f"post-{number}", account_id="account", part="post",
                    state=State.ARMED, due_at=NOW - 5_000, planned_at=NOW - 5_000, token="t",
                    worker="dead", lease_until=NOW, attempt=1, created_at=NOW, updated_at=NOW,
                )
            )  # fmt: skip


def _counted() -> list[float]:
    return [
        REGISTRY.get_sample_value("estafette_rescued_total", {"to": to}) or 0
        for to in ("delivered", "scheduled", "unconfirmed")
    ]


async def test_only_what_had_no_answer_is_in_doubt(database: Database, tmp_path: Path) -> None:
    await _armed(database, "answered", "asked", "waiting", "rearmed")
    left = Left(
        worker="dead",
        proves=True,
        sent=frozenset({("answered", 1), ("asked", 1), ("rearmed", 0)}),
        delivered={("answered", 1): SAID, ("rearmed", 0): SAID},
        path=tmp_path / "dead.sent",
    )
    before = _counted()
    await take_over(database, left, now=NOW, first_look=NOW)
    assert [now - was for was, now in zip(before, _counted(), strict=True)] == [1, 2, 1]
    async with database.read() as connection:
        rows = {row.id: row for row in await connection.execute(select(deliveries))}
        tried = (await connection.execute(select(attempts))).all()
        told = (await connection.execute(select(events))).all()
    assert {name: row.state for name, row in rows.items()} == {
        "answered": State.DELIVERED,
        "asked": State.UNCONFIRMED,
        "waiting": State.SCHEDULED,
        "rearmed": State.SCHEDULED,
    }
    done = rows["answered"]
    assert (done.remote_id, done.url, done.tries, done.token) == (SAID.remote_id, SAID.url, 1, None)
    assert (done.first_sent_at, done.finished_at) == (SAID.started_at, NOW)
    assert [(row.delivery_id, row.outcome, row.late_us) for row in tried] == [
        ("answered", "delivered", 3_000)
    ]
    assert [(row.delivery_id, row.kind) for row in told] == [("answered", "delivery.delivered")]
