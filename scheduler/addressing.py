"""What a recipient's own mail needs: their links and tags, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from channels.base import Recipient
from scheduler.audience.returns import tag_of
from scheduler.audience.tracking import Kind, Trail, kinds_in
from scheduler.store.recipients import Claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressing:
    """`key`: signs the tags that bounces come back to; `link`: the unsubscribe address of a contact
    for an account; `trail`: names who agreed to that in links (None: nobody)."""

    key: bytes
    link: Callable[[str, str], str]
    trail: Trail | None
    account_id: str
    delivery_id: str

    def __call__(self, claimed: Claimed) -> Recipient:
        contact_id, trail = claimed.contact_id, self.trail
        kinds = kinds_in(claimed.tracking) if claimed.tracking and trail is not None else ()
        # By place: by name costs twice as much, once a mail.
        return Recipient(
            contact_id,
            claimed.address,
            claimed.name,
            claimed.language,
            claimed.attributes,
            self.link(contact_id, self.account_id),
            tag_of(self.key, contact_id),
            trail.query(contact_id) if trail and Kind.CLICKS in kinds else "",
            trail.picture(self.delivery_id, contact_id) if trail and Kind.OPENS in kinds else "",
        )
