"""What a mailing is beside its mails: whom it is for."""

from __future__ import annotations

from dataclasses import dataclass

from channels.base import Broadcasts
from channels.outcome import Outcome, Problem, Rejected
from channels.posts import Message
from scheduler.attempt import BroadcastRun
from scheduler.broadcast import broadcaster
from scheduler.deliveries import Delivery
from scheduler.roster import Member
from scheduler.services import Services
from scheduler.store.segments import LostSegmentError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    """Runs a delivery to many recipients through `broadcast`."""

    broadcast: BroadcastRun

    async def __call__(
        self, delivery: Delivery, message: Message, member: Member, channel: Broadcasts
    ) -> Outcome:
        """Run one claimed delivery, as `Broadcaster` does."""
        try:
            return await self.broadcast(delivery, message, member, channel)
        except LostSegmentError as error:
            return Rejected(
                problem=Problem(
                    code="segment-gone",
                    detail=f"the post is for the segment {error}, which is not there any more",
                    field="to",
                    remedy="Name another segment, and publish the post again.",
                )
            )


def mailing(services: Services) -> Mailing:
    """The mailings of one worker."""
    return Mailing(broadcast=broadcaster(services))
