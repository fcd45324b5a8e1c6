"""The journal as it is written, for whoever listens: one reader of SQL for all listeners."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from scheduler.store import events
from scheduler.store.db import Database
from scheduler.store.faults import StoreError

log = structlog.get_logger()

INTERVAL = 0.25  # seconds between two looks, while somebody listens
BACKLOG = 1000  # events a slow listener may be behind before it is told to come back
# A transaction may commit after one with a greater number: look back that far.
OVERLAP = 200

Row = Mapping[Any, Any]


class LaggingError(Exception):
    """The listener is too slow; it reconnects with its last event's number."""


class Feed:
    """Fans the journal out. One per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: set[asyncio.Queue[Row | None]] = set()
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._reader: asyncio.Task[None] | None = None
        self._floor = self._last = 0

    @asynccontextmanager
    async def listen(self, after: int | None) -> AsyncIterator[AsyncIterator[Row]]:
        """Events after that number (None: from now on), without end. Error: LaggingError."""
        queue: asyncio.Queue[Row | None] = asyncio.Queue(BACKLOG)
        if not self._listeners:
            self._floor = self._last = await events.last(self._database)
            self._seen.clear()
        self._listeners.add(queue)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        try:
            yield self._follow(queue, after)
        finally:
            self._listeners.discard(queue)

    async def close(self) -> None:
        """Stop reading; listeners end."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        for queue in self._listeners:
            _give(queue, None)

    async def _follow(
        self, queue: asyncio.Queue[Row | None], after: int | None
    ) -> AsyncIterator[Row]:
        told: set[int] = set()
        while after is not None:
            rows = await events.after(self._database, after)
            for row in rows:
                told.add(row["seq"])
                yield row
            after = rows[-1]["seq"] if rows else None
        while True:
            event = await queue.get()
            if event is None:
                raise LaggingError
            if event["seq"] not in told:
                yield event

    async def _read(self) -> None:
        while self._listeners:
            try:
                await self._read_once()
            except StoreError as error:
                log.warning("feed.database", error=type(error).__name__)
            await asyncio.sleep(INTERVAL)

    async def _read_once(self) -> None:
        for row in await events.after(self._database, max(self._floor, self._last - OVERLAP)):
            if row["seq"] in self._seen:
                continue
            self._seen[row["seq"]] = None
            self._last = max(self._last, row["seq"])
            for queue in tuple(self._listeners):
                if not _give(queue, row):
                    self._listeners.discard(queue)
        while len(self._seen) > 2 * OVERLAP:
            self._seen.popitem(last=False)


def _give(queue: asyncio.Queue[Row | None], row: Row | None) -> bool:
    """Whether it fitted; a full queue is emptied, and told so."""
    try:
        queue.put_nowait(row)
    except asyncio.QueueFull:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
        return False
    return True
