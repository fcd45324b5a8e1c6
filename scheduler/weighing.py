"""Weighs the basket: counts what hangs on each account, and asks plan B about what waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from scheduler.answers import stamp
from scheduler.basket import BasketReport, Egg, Stranded, TrendPoint, report
from scheduler.clock import Clock, moment
from scheduler.foresight import DAY
from scheduler.reroute import Unplaced
from scheduler.roads import Survey
from scheduler.roster import Roster
from scheduler.store import baskets as store
from scheduler.store import drills
from scheduler.store.db import Database

PERIOD = 90 * DAY
LOOKED_AT = 500  # of the deliveries that wait, the next ones
TREND = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Weighs now, keeps one report a day, and shows how it went."""

    database: Database
    roster: Roster
    clock: Clock
    media_dir: Path
    zone: str

    async def weigh(self) -> BasketReport:
        """The basket as it is."""
        now = self.clock.micros()
        everyone = await self.roster.everyone()
        waiting: Counter[str] = Counter()
        saved: Counter[str] = Counter()
        stranded: list[Stranded] = []
        survey = Survey(everyone=everyone, media_dir=self.media_dir, zone=self.zone, now=now)
        async with self.database.read() as connection:
            connected = await store.connected(connection)
            audiences = await drills.audiences(connection)
            delivered = await store.delivered_since(connection, now - PERIOD)
            for delivery in await store.waiting(connection, LOOKED_AT):
                found = await survey.find(connection, delivery)
                waiting[delivery.account_id] += 1
                if not isinstance(found.choice, Unplaced):
                    saved[delivery.account_id] += 1
                    continue
                member = everyone.get(delivery.account_id)
                stranded.append(
                    {
                        "post_id": delivery.post_id,
                        "title": found.row["title"],
                        "account": "" if member is None else member.account.name,
                        "due_at": stamp(delivery.due_at),
                        "why": found.choice.why,
                    }
                )
        eggs = [
            Egg(
                account_id=row["id"],
                name=row["name"],
                channel=row["channel"],
                audience=audiences[row["id"]],
                delivered=delivered.get(row["id"], 0),
                waiting=waiting[row["id"]],
                saved=saved[row["id"]],
            )
            for row in connected
        ]
        return report(eggs, stranded)

    async def keep(self) -> None:
        """Remember today's."""
        now = self.clock.micros()
        await store.keep(self.database, f"{moment(now):%Y-%m-%d}", await self.weigh(), now)

    async def trend(self) -> list[TrendPoint]:
        """Day by day, oldest first."""
        async with self.database.read() as connection:
            rows = await store.history(connection, TREND)
        return [
            {
                "day": row["day"],
                "audience_index": row["report"]["audience_index"],
                "delivered_index": row["report"]["delivered_index"],
                "stranded": len(row["report"]["stranded"]),
            }
            for row in rows
        ]
