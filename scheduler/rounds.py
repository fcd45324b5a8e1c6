"""One round of a broadcast: everyone who is due now, over several connections at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import structlog

from channels.base import Account, Broadcasts, Courier, Recipient
from channels.outcome import Outcome, Unavailable
from channels.posts import Message
from channels.streams import OnRoad, Streams
from scheduler.books import Books
from scheduler.clock import Clock
from scheduler.crowd import Conduct, Crowd, one_by_one
from scheduler.ending import end
from scheduler.logbook import Logbook
from scheduler.store.recipients import Claimed
from scheduler.verdicts import Pace

log = structlog.get_logger()


class Rounds:
    """The rounds of one run. `recipient_of`: what a courier is told of somebody; `by_email`: they
    have no other address than the mail that this goes to."""

    def __init__(
        self,
        channel: Broadcasts,
        message: Message,
        account: Account[Any],
        books: Books,
        logbook: Logbook,
        conduct: Conduct,
        recipient_of: Callable[[Claimed], Recipient],
        *,
        clock: Clock,
        pace: Pace,
        rng: Random,
        delivery_id: str,
        by_email: bool,
    ) -> None:
        self._channel, self._message, self._account = channel, message, account
        self._books, self._logbook, self._conduct = books, logbook, conduct
        self._recipient_of, self._by_email = recipient_of, by_email
        self._clock, self._pace, self._rng = clock, pace, rng
        self._delivery_id = delivery_id

    async def write(self) -> Outcome | None:
        """Write to everyone who is due; the fault when the road failed before the end."""
        fault = None
        if await self._books.open_round():
            first = await self._opened()
            if isinstance(first, Outcome):
                fault = first
                if not isinstance(first, Unavailable):
                    self._books.stop = first
            elif first is not None:
                fault = await self._write_on(first)
        self._conduct.settle_refusals()
        await self._books.close_round()
        return fault

    async def _opened(self) -> Courier | Outcome | None:
        """A connection, or why there is none; None when the run was told to end meanwhile: nobody
        waits then for a relay that hangs."""
        opening = asyncio.ensure_future(self._channel.open(self._message, self._account))
        told = asyncio.ensure_future(self._books.ended.wait())
        try:
            await asyncio.wait([opening, told], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not opening.done():
                await end([opening])
            told.cancel()
        return None if opening.cancelled() else opening.result()

    async def _write_on(self, first: Courier) -> Outcome | None:
        """Write over several connections at once; the first fault of any."""
        wanted = min(self._books.waiting, self._pace.connections)
        couriers = [first, *await self._more_couriers(wanted)]
        clerk = asyncio.create_task(self._books.keep())
        try:
            async with asyncio.TaskGroup() as group:
                carriers = [group.create_task(self._carry(courier)) for courier in couriers]
        finally:
            self._books.close()
            await clerk
        faults = [carrier.result() for carrier in carriers]
        return next((fault for fault in faults if fault is not None), None)

    async def _more_couriers(self, wanted: int) -> list[Courier]:
        """Further connections; a relay that allows fewer gets fewer."""
        opened = await asyncio.gather(*(self._opened() for _ in range(wanted - 1)))
        return [one for one in opened if one is not None and not isinstance(one, Outcome)]

    async def _carry(self, courier: Courier) -> Outcome | None:
        """Write to one recipient after the other on one connection; its fault, if it failed."""
        crowd = Crowd(
            self._books,
            self._logbook,
            self._conduct,
            clock=self._clock,
            pace=self._pace,
            rng=self._rng,
            recipient_of=self._recipient_of,
            by_email=self._by_email,
            key=f"{self._delivery_id}/",
            road=(lambda: courier.road) if isinstance(courier, OnRoad) else str,
        )
        try:
            while await self._books.more():
                fault = await self._stretch(courier, crowd)
                if fault is not None:
                    return fault
        finally:
            await courier.close()
        return None

    async def _stretch(self, courier: Courier, crowd: Crowd) -> Outcome | None:
        """Write to those at hand; the fault of the road, if it failed."""
        if isinstance(courier, OnRoad):
            self._books.gate.road = courier.road
        if not isinstance(courier, Streams):
            return await one_by_one(courier, crowd)
        try:
            return await courier.stream(crowd)
        except Exception as error:
            log.exception("courier.unforeseen", delivery=self._delivery_id)
            detail = f"unforeseen {type(error).__name__} in the adapter"
            crowd.abandoned(detail)
            return Unavailable(reason=detail)
