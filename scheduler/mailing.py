"""What a mailing is beside its mails: whom it is for, its page, and links that count.

The page shows nobody's data. Clicks are counted by mailing and link, and by person of those alone
who agreed to that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from channels.abilities import Archives
from channels.base import Broadcasts
from channels.outcome import Outcome, Problem, Rejected
from channels.posts import Message, Part
from channels.words import slugify
from scheduler.archive import archive_path, page_of
from scheduler.attempt import BroadcastRun
from scheduler.audience.links import audience_key, seal
from scheduler.audience.tracking import Kind
from scheduler.broadcast import broadcaster
from scheduler.clock import Clock
from scheduler.deliveries import Delivery
from scheduler.leaving import let_go
from scheduler.roster import Member
from scheduler.services import Services
from scheduler.store import mailings
from scheduler.store.db import Database
from scheduler.store.segments import LostSegmentError

CLICK = "click"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    """Runs a delivery to many recipients through `broadcast`. `key`: of personal links."""

    broadcast: BroadcastRun
    database: Database
    clock: Clock
    public_url: str
    key: bytes

    async def __call__(
        self, delivery: Delivery, message: Message, member: Member, channel: Broadcasts
    ) -> Outcome:
        """Run one claimed delivery, as `Broadcaster` does."""
        try:
            try:
                prepared = await self._prepared(delivery, message, member, channel)
            except asyncio.CancelledError:  # nobody was chosen, and no mail has left
                await asyncio.shield(let_go(self.database, self.clock, delivery))
                raise
            return await self.broadcast(delivery, prepared, member, channel)
        except LostSegmentError as error:
            return Rejected(
                problem=Problem(
                    code="segment-gone",
                    detail=f"the post is for the segment {error}, which is not there any more",
                    field="to",
                    remedy="Name another segment, and publish the post again.",
                )
            )

    async def _prepared(
        self, delivery: Delivery, message: Message, member: Member, channel: Broadcasts
    ) -> Message:
        """The same at each run of a delivery."""
        if not isinstance(channel, Archives):
            return message
        async with self.database.read() as connection:
            wanted = await mailings.wishes(connection, delivery.id, member.id)
        # A letter to some, because their own channel could not reach them, is no issue of the list.
        public = wanted.archive and delivery.part is not Part.STAND_IN
        page_url = await self._page(delivery, message, member, channel) if public else None
        by_person = Kind.CLICKS in wanted.tracking
        led = wanted.clicks or by_person
        opens = Kind.OPENS in wanted.tracking
        if page_url is None and not led and not opens:
            return message
        redirect = self._redirect(delivery.id) if led else None
        return channel.linked(
            message, page_url=page_url, redirect=redirect, by_person=by_person, opens=opens
        )

    async def _page(
        self, delivery: Delivery, message: Message, member: Member, channel: Archives
    ) -> str:
        page = page_of(message, member.id, channel)
        values = {
            **page,
            "delivery_id": delivery.id,
            "list_id": member.id,
            "published_at": self.clock.micros(),
        }
        slug = slugify(page["title"]) or delivery.id
        async with self.database.write() as connection:
            kept = await mailings.keep_letter(connection, self.database, values, slug=slug)
        return f"{self.public_url}{archive_path(member.id)}/{kept}"

    def _redirect(self, delivery_id: str) -> Callable[[str], str]:
        def led(url: str) -> str:
            return f"{self.public_url}/l/{seal(self.key, CLICK, delivery_id, url)}"

        return led


def mailing(services: Services) -> Mailing:
    """The mailings of one worker."""
    settings = services.settings
    return Mailing(
        broadcast=broadcaster(services),
        database=services.database,
        clock=services.clock,
        public_url=settings.effective_public_url,
        key=audience_key(settings.audience_key.get_secret_value(), settings.data_dir),
    )
