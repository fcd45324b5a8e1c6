"""What taking a delivery down comes to, and what stands in its way beforehand. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, get_args

from pydantic import SecretStr

from channels.abilities import Withdraws
from channels.base import Channel
from scheduler.deliveries import Delivery, State


class Fate(StrEnum):
    """What became of it.

    `WITHDRAWN`: readers no longer see it; `EDITED`: they read the new words; `PAGE_ONLY`: its page
    in the archive, while what went out by mail stays; `ALREADY`: it was down. Nobody was asked:
    `POSSIBLE` (would be), `WAITING` (not published yet), `UNSETTLED` (may be there, or will in a
    moment), `NEVER` (was not published there), `IMPOSSIBLE` (its channel cannot), `OUT_OF_REACH`
    (its account, or which post it is there, is not known any more). The platform's answer: the
    rest; after `UNCONFIRMED` nobody knows.
    """

    POSSIBLE = "possible"
    WITHDRAWN = "withdrawn"
    EDITED = "edited"
    PAGE_ONLY = "page-only"
    ALREADY = "already"
    WAITING = "waiting"
    UNSETTLED = "unsettled"
    NEVER = "never"
    IMPOSSIBLE = "impossible"
    OUT_OF_REACH = "out-of-reach"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    ACCESS_LOST = "access-lost"
    GONE = "gone"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"


TAKEN_DOWN = frozenset({Fate.WITHDRAWN, Fate.ALREADY})
NOTHING_STANDS = TAKEN_DOWN | {Fate.NEVER, Fate.WAITING}
# Nobody was asked, and it stands or never stood.
NOT_ASKED = frozenset(
    {Fate.WAITING, Fate.UNSETTLED, Fate.NEVER, Fate.IMPOSSIBLE, Fate.OUT_OF_REACH}
)

ASK_AGAIN = frozenset({Fate.THROTTLED, Fate.UNAVAILABLE, Fate.ACCESS_LOST, Fate.UNCONFIRMED})

_WAITS = frozenset({State.SCHEDULED, State.ARMED, State.HELD, State.SENDING})


_BY_HAND = "take it down there by hand"
TO_READERS = "send them a correction"
PAGE_WOULD = "its page in the archive would be; what was sent to people one by one stays"
PAGE_DOWN = "its page in the archive is taken down; what was sent to people one by one stays"


class Hindrance(NamedTuple):
    """What stands in the way, in sentences."""

    fate: Fate
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """`detail` and `remedy`: sentences, empty where there is nothing to say; `withdrawn_at`:
    microseconds, None while it stands."""

    delivery: Delivery
    account: str
    channel: str
    fate: Fate
    detail: str = ""
    remedy: str = ""
    withdrawn_at: int | None = None


def hindrance(
    delivery: Delivery,
    *,
    leaving: bool,
    doubtful: bool,
    channel: Channel | None,
    archived: bool,
    closed: str,
) -> Hindrance | None:
    """What nobody needs to be asked for; None when its platform can be.

    `channel` None: its account cannot be opened, and `closed` says why.
    """
    return _not_there(delivery, leaving=leaving, doubtful=doubtful) or _no_way(
        delivery, channel, archived=archived, closed=closed
    )


def _not_there(delivery: Delivery, *, leaving: bool, doubtful: bool) -> Hindrance | None:
    if doubtful:
        return Hindrance(
            Fate.UNSETTLED,
            "nobody knows yet whether it was published",
            "look at the page and settle it first, then withdraw it",
        )
    if leaving:
        return Hindrance(
            Fate.UNSETTLED,
            "it is being sent at this moment",
            "withdraw it in a few seconds, when it is there",
        )
    if delivery.state in _WAITS:
        return Hindrance(Fate.WAITING, "it is not published yet", "cancel it instead")
    if delivery.state is not State.DELIVERED:
        return Hindrance(
            Fate.NEVER,
            f"it was not published there: it is {delivery.state}",
            "there is nothing to take down; what went elsewhere is a delivery of its own",
        )
    return None


def _no_way(
    delivery: Delivery, channel: Channel | None, *, archived: bool, closed: str
) -> Hindrance | None:
    if archived and (channel is None or _keeps_secrets(channel)):
        return Hindrance(Fate.OUT_OF_REACH, "its account is archived", _BY_HAND)
    if channel is None:
        why = closed or "it is not known any more"
        return Hindrance(
            Fate.OUT_OF_REACH,
            f"its account cannot be opened: {why}",
            "connect the account again, or take it down there by hand",
        )
    if channel.capabilities.addressed:
        return Hindrance(
            Fate.IMPOSSIBLE,
            "what was sent to people one by one cannot be taken back",
            TO_READERS,
        )
    if not isinstance(channel, Withdraws):
        said = "this channel cannot take back what it published"
        return Hindrance(Fate.IMPOSSIBLE, said, _BY_HAND)
    if delivery.remote_id is None:
        return Hindrance(Fate.OUT_OF_REACH, "nobody knows which post it is there", _BY_HAND)
    return None


def _keeps_secrets(channel: Channel) -> bool:
    """Whether it needs credentials: those of an archived account are erased."""
    kinds = [one.annotation for one in channel.settings_type.model_fields.values()]
    return any(SecretStr in {kind, *get_args(kind)} for kind in kinds)
