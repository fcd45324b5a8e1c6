"""Weighs the basket: counts what hangs on each account, and asks plan B about what waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scheduler.answers import stamp
from scheduler.basket import BasketReport, Egg, Stranded, TrendPoint, report
from scheduler.clock import Clock, moment
from scheduler.foresight import DAY
from scheduler.kin import kin_of
from scheduler.limits import FOREVER
from scheduler.reroute import Unplaced
from scheduler.roads import Survey
from scheduler.roster import Roster
from scheduler.store import baskets as store
from scheduler.store import drills
from scheduler.store.db import Connection, Database

PERIOD = 90 * DAY
RECENT = 7 * DAY
KEPT = 2 * DAY  # workers count every ten minutes
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
        async with self.database.read() as connection:
            counted = await store.last_counted(connection, now)
            if counted is None or not fits(counted, now):
                counted = await self._count(connection, now)
            delivered = await self._brought_up(connection, counted, now)
        return await self._weighed(delivered, now)

    async def _count(self, connection: Connection, now: int) -> store.Carried:
        """What changes little: not the last days, which are counted as often as they are asked
        for."""
        return await store.carried(connection, now - PERIOD, now - RECENT)

    async def _brought_up(
        self, connection: Connection, counted: store.Carried, now: int
    ) -> Mapping[str, int]:
        """What each account carried in the time up to now."""
        recent = await store.carried(connection, counted.until, FOREVER)
        gone = await store.carried(connection, counted.since, now - PERIOD)
        return Counter(counted.counts) + Counter(recent.counts) - Counter(gone.counts)

    async def _weighed(self, delivered: Mapping[str, int], now: int) -> BasketReport:
        everyone = await self.roster.everyone()
        waiting: Counter[str] = Counter()
        saved: Counter[str] = Counter()
        stranded: list[Stranded] = []
        survey = Survey(everyone=everyone, media_dir=self.media_dir, zone=self.zone, now=now)
        async with self.database.read() as connection:
            connected = await store.connected(connection)
            audiences = await drills.audiences(connection)
            queue = await store.waiting(connection, LOOKED_AT)
            kin = await kin_of(connection, {one.post_id for one in queue})
            for delivery in queue:
                found = await survey.find(connection, delivery, kin[delivery.post_id])
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
        """Remember today's, and count anew what others count on."""
        now = self.clock.micros()
        async with self.database.read() as connection:
            counted = await self._count(connection, now)
            delivered = await self._brought_up(connection, counted, now)
        report = await self._weighed(delivered, now)
        # A year of them is read for the trend, which only asks how many were stranded.
        told = {
            **report,
            "accounts": [],
            "stranded": [one["post_id"] for one in report["stranded"]],
        }
        await store.keep(self.database, f"{moment(now):%Y-%m-%d}", told, counted, now)

    async def trend(self, days: int = TREND) -> list[TrendPoint]:
        """Day by day, oldest first."""
        async with self.database.read() as connection:
            rows = await store.history(connection, days)
        return [
            {
                "day": row["day"],
                "audience_index": row["report"]["audience_index"],
                "delivered_index": row["report"]["delivered_index"],
                "stranded": len(row["report"]["stranded"]),
            }
            for row in rows
        ]


def fits(counted: store.Carried, now: int) -> bool:
    """Whether it is recent enough to go on from; a clock that was put back makes it none."""
    return counted.since <= now - PERIOD <= counted.since + KEPT
