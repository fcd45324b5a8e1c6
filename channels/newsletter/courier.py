"""One open road to the readers of a newsletter."""

from __future__ import annotations

from channels.base import Recipient
from channels.newsletter.compose import Letter, Mail
from channels.newsletter.headers import UnsafeHeaderError
from channels.newsletter.relay import Road
from channels.outcome import Outcome, RecipientOutcome, Unreachable
from channels.streams import Crowd


class MailCourier:
    """One connection; `send` is called for one recipient after the other."""

    def __init__(self, letter: Letter, road: Road) -> None:
        self._letter = letter
        self._road = road

    @property
    def road(self) -> str:
        return self._road.relay

    async def send(self, recipient: Recipient, *, key: str) -> RecipientOutcome:
        mail = self._pack(recipient, key)
        if isinstance(mail, Unreachable):
            return mail
        return await self._road.mail(mail.message_id, mail.sender, mail.recipient, mail.content)

    async def stream(self, crowd: Crowd) -> Outcome | None:
        """As `Streams`; a relay that does not pipeline gets one mail at a time."""
        while True:
            fault = await self._road.open()
            idle = False
            if fault is None and self._road.streams:
                fault, idle = await self._road.stream(crowd, self._pack)
            elif fault is None:
                fault, idle = await self._one(crowd)
            if fault is not None or idle:
                return fault

    async def _one(self, crowd: Crowd) -> tuple[Outcome | None, bool]:
        chosen = crowd.next()
        if chosen is None:
            return None, True
        recipient, key = chosen
        if not crowd.leaving(recipient):
            return None, False
        outcome = await self.send(recipient, key=key)
        broken = crowd.answered(recipient, outcome)
        return (outcome if broken and not isinstance(outcome, Unreachable) else None), False

    def _pack(self, recipient: Recipient, key: str) -> Mail | Unreachable:
        try:
            return self._letter.to(recipient, key=key)
        except UnsafeHeaderError as error:
            return Unreachable(detail=f"{recipient.id}: {error}", permanent=True)

    async def close(self) -> None:
        await self._road.close()
