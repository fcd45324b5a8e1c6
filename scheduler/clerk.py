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
from scheduler.store.ready import Steps, follow
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
            paused_until = await self._settle(connection, known, now)
            if self.gate.changed:
                await self.gate.write_down(connection)
            stop = _end(paused_until, now)
            if stop is not None:
                return Page(stop=stop)
            gone: set[str] = set()
            if look:
                await self.gate.look(connection, now)
                gone = await self._unwelcome(connection, waiting)
            asked = await self.gate.width(connection, wanted, now)
            if not asked:
                return Page(gone=gone)
            people, barred = await follow(connection, self._next(asked, now))
            welcome = [one for one in people if one.welcome and one.contact_id not in barred]
            go, later = await self.gate.sort(connection, welcome, now)
            await self.gate.passed(connection, len(go), now)
        kept = {one.contact_id for one in welcome}
        unwelcome = [one._replace(welcome=False) for one in people if one.contact_id not in kept]
        return Page(
            claimed=[*go, *unwelcome], later=later, gone=gone, asked=asked, found=len(people)
        )

    async def _settle(self, connection: Any, known: Known, now: int) -> int | None:
        """As `lease_of`, asked behind it."""
        await turns.settle(
            connection,
            delivery_id=self.delivery_id,
            token=self.token,
            settled=known.settled,
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
        return await follow(connection, self._accept(known.taken, now))

    def _accept(self, taken: Mapping[str, Sequence[str]], now: int) -> Steps[int | None]:
        yield from turns.accepting(
            self.database, delivery_id=self.delivery_id, token=self.token, taken=taken, now=now
        )
        return (yield from store.leased(self.delivery_id, self.token))

    def _next(self, limit: int, now: int) -> Steps[tuple[list[Claimed], set[str]]]:
        """Who comes next, and who of them is barred."""
        people = yield from turns.claiming(
            self.database,
            delivery_id=self.delivery_id,
            token=self.token,
            list_id=self.list_id,
            now=now,
            limit=limit,
        )
        return people, (yield from self._barring(people))

    async def stop(self, connection: Any, now: int) -> Outcome | None:
        """Why this run may not go on, None when it may."""
        return _end(await store.lease_of(connection, self.delivery_id, self.token), now)

    async def _unwelcome(self, connection: Any, waiting: Sequence[Claimed]) -> set[str]:
        """Who of those waiting in memory unsubscribed or was suppressed since."""
        if not waiting:
            return set()
        ids = [one.contact_id for one in waiting]
        welcome = await turns.subscribed(self.database, connection, ids, self.list_id)
        barred = await follow(connection, self._barring(waiting))
        return {who for who in ids if who not in welcome} | barred

    def _barring(self, people: Sequence[Claimed]) -> Steps[set[str]]:
        hashes = {fingerprint(self.key, one.address): one.contact_id for one in people}
        if not hashes:
            return set()
        found = yield from turns.barring(self.database, hashes)
        return {hashes[each] for each in found}


def _end(paused_until: int | None, now: int) -> Outcome | None:
    if paused_until is None:
        return taken_over()
    if paused_until > now:
        return Throttled(reason="the account is paused", ours=True)
    return None


def taken_over() -> Outcome:
    """What a run that lost its claim says: evidence only, its successor decides."""
    return Unavailable(reason="another worker took this delivery over")
