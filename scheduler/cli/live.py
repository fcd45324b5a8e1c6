"""What the service does, as plain lines: the journal, read as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from scheduler.clock import moment
from scheduler.services import Services
from scheduler.store import events, posts
from scheduler.store.faults import StoreError

log = structlog.get_logger()

_EVERY = 0.2  # seconds between two looks
_WORDS: Mapping[str, str] = {
    "post.accepted": "accepted",
    "delivery.delivered": "delivered",
    "delivery.accepted": "taken",
    "delivery.retried": "again later",
    "delivery.unconfirmed": "in doubt",
    "delivery.held": "held",
    "delivery.rerouted": "rerouted",
    "delivery.failed": "failed",
    "delivery.withdrawn": "taken down",
    "delivery.edited": "corrected",
    "delivery.edit_failed": "not corrected",
    "delivery.withdrawal_failed": "not taken down",
    "delivery.page_withdrawn": "its page taken down",
    "delivery.page_edited": "its page corrected",
}
_MARKS: Mapping[str, str] = {"delivered": "green", "rerouted": "cyan", "failed": "red",
                             "held": "yellow", "in doubt": "yellow"}  # fmt: skip
Write = Callable[[str, str], None]


async def follow(services: Services, after: int, write: Write) -> None:
    """Write a line, and its colour, for each event after `after`; for ever."""
    names = _Names(services)
    while True:
        for row in await _news(services, after):
            after = row["seq"]
            words = _WORDS.get(row["kind"], row["kind"].replace(".", " ").replace("-", " "))
            at = f"{moment(row['at']).astimezone():%H:%M:%S}"
            write(f"{at}  {words:<12} {await _about(row, names)}", _MARKS.get(words, ""))
        await asyncio.sleep(_EVERY)


async def _news(services: Services, after: int) -> Sequence[Mapping[Any, Any]]:
    try:
        return await events.after(services.database, after)
    except StoreError as error:
        log.warning("live.unreadable", error=type(error).__name__)
        return ()


async def _about(row: Mapping[Any, Any], names: _Names) -> str:
    data = row["data"]
    parts = []
    if row["account_id"]:
        parts.append(await names.account(row["account_id"]))
    if row["post_id"]:
        parts.append(f"“{await names.post(row['post_id'])}”")
    if data.get("late_us") is not None:
        parts.append(f"({max(data['late_us'], 0) / 1000:.0f} ms after its time)")
    parts += [str(data[name]) for name in ("cause", "detail", "url") if data.get(name)]
    return "  ".join(parts)


class _Names:
    """Titles and account names by id, asked for once."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._accounts: dict[str, str] = {}
        self._posts: dict[str, str] = {}

    async def account(self, account_id: str) -> str:
        if account_id not in self._accounts:
            found = await self._services.roster.members([account_id])
            member = found.get(account_id)
            self._accounts[account_id] = (
                account_id if member is None else f"{member.channel.channel} {member.account.name}"
            )
        return self._accounts[account_id]

    async def post(self, post_id: str) -> str:
        if post_id not in self._posts:
            async with self._services.database.read() as connection:
                row = await posts.get(connection, post_id)
            words = "" if row is None else row["title"] or row["content"].get("body", "")
            self._posts[post_id] = words.splitlines()[0][:60] if words else post_id
        return self._posts[post_id]
