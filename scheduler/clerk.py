"""The clerk of one broadcast: each page of its books is one transaction.

It settles what is known, looks again at who is welcome, and claims whoever comes next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from channels.outcome import Outcome, Throttled, Unavailable
from scheduler.audience.suppression import fingerprint
from scheduler.gate import Gate
from scheduler.store import recipients as store
from scheduler.store import turns
from scheduler.store.db import Database
from scheduler.store.recipients import Claimed, Settled


@dataclass(frozen=True, slots=True)
class Known:
    """What became of people since the last page: settled one by one, accepted by the code of the
    answer, and addresses never to be written to again."""

    settled: Sequence[Settled]
    taken: Mapping[str, Sequence[str]]
    banned: Sequence[tuple[str, Settled]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a transaction brought. `asked` and `found`: how many were to be claimed and were;
    `later`: when the turn of those comes who have to wait; `gone`: who of those waiting may get
    nothing any more; `stop`: why the run has to end."""

    claimed: Sequence[Claimed] = ()
    later: Mapping[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    asked: int = 0
    found: int = 0
    stop: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clerk:
    """`token` fences all it writes. `list_id`: whose subscribers are welcome (None: an address is
    enough). `key`: of the suppression list."""

    database: Database
    gate: Gate
    delivery_id: str
    token: str
    list_id: str | None
    key: bytes

    async def write(
        self, known: Known, *, waiting: Sequence[Claimed], wanted: int, now: int, look: bool
    ) -> Page:
        """One page. `look`: look again at who of `waiting` is welcome, and at closed domains."""
        async with self.database.write() as connection:
            await self._settle(connection, known, now)
            if self.gate.changed:
                await self.gate.write_down(connection)
            stop = await self.stop(connection, now)
            if stop is not None:
                return Page(stop=stop)
            gone: set[str] = set()
            if look:
                await self.gate.look(connection, now)
                gone = await self._unwelcome(connection, waiting)
            asked = await self.gate.width(connection, wanted, now)
            if not asked:
                return Page(gone=gone)
            people = await turns.claim(
                self.database,
                connection,
                delivery_id=self.delivery_id,
                token=self.token,
                list_id=self.list_id,
                now=now,
                limit=asked,
            )
            barred = await self._barred(connection, people)
            welcome = [one for one in people if one.welcome and one.contact_id not in barred]
            go, later = await self.gate.sort(connection, welcome, now)
            await self.gate.passed(connection, len(go), now)
        kept = {one.contact_id for one in welcome}
        unwelcome = [one._replace(welcome=False) for one in people if one.contact_id not in kept]
        return Page(
            claimed=[*go, *unwelcome], later=later, gone=gone, asked=asked, found=len(people)
        )

    async def _settle(self, connection: Any, known: Known, now: int) -> None:
        delivery_id, token = self.delivery_id, self.token
        await turns.settle(
            connection, delivery_id=delivery_id, token=token, settled=known.settled, now=now
        )
        await turns.accept(
            self.database,
            connection,
            delivery_id=delivery_id,
            token=token,
            taken=known.taken,
            now=now,
        )
        bans = [
            {
                "hash": fingerprint(self.key, address),
                "reason": "no-such-address",
                "detail": settled.code,
                "at": now,
            }
            for address, settled in known.banned
        ]
        await store.suppress(self.database, connection, bans)

    async def stop(self, connection: Any, now: int) -> Outcome | None:
        """Why this run may not go on, None when it may."""
        paused_until = await store.lease_of(connection, self.delivery_id, self.token)
        if paused_until is None:
            return taken_over()
        if paused_until > now:
            return Throttled(reason="the account is paused", ours=True)
        return None

    async def _unwelcome(self, connection: Any, waiting: Sequence[Claimed]) -> set[str]:
        """Who of those waiting in memory unsubscribed or was suppressed since."""
        if not waiting:
            return set()
        ids = [one.contact_id for one in waiting]
        welcome = await turns.subscribed(self.database, connection, ids, self.list_id)
        return {who for who in ids if who not in welcome} | await self._barred(connection, waiting)

    async def _barred(self, connection: Any, people: Sequence[Claimed]) -> set[str]:
        hashes = {fingerprint(self.key, one.address): one.contact_id for one in people}
        if not hashes:
            return set()
        found = await turns.suppressed(self.database, connection, hashes)
        return {hashes[each] for each in found}


def taken_over() -> Outcome:
    """What a run that lost its claim says: evidence only, its successor decides."""
    return Unavailable(reason="another worker took this delivery over")
