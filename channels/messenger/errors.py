"""What a Send API error means, where it differs from Facebook's own table. Pure.

Most of them concern one person and leave the channel healthy: the broadcast goes on, and that
person is reached by another address. Source: Meta's Messenger error and policy pages, March to
September 2026.
"""

from __future__ import annotations

from datetime import timedelta

from channels.facebook.errors import Ruling, Table, Verdict
from channels.outcome import AccessReason

_CLOSED = Ruling(
    verdict=Verdict.UNREACHABLE,
    detail="this person last wrote more than 24 hours ago",
    remedy="They can be written to again once they write.",
)
_UNAVAILABLE = Ruling(
    verdict=Verdict.UNREACHABLE, detail="this person cannot be written to at the moment"
)
_UNKNOWN_PERSON = Ruling(
    verdict=Verdict.UNREACHABLE, detail="the page knows no such person", permanent=True
)
_STOPPED = Ruling(verdict=Verdict.UNREACHABLE, detail="this person stopped these notifications")
_ELSEWHERE = Ruling(
    verdict=Verdict.UNREACHABLE, detail="another app holds this conversation for now"
)
_ABUSE = Ruling(
    verdict=Verdict.THROTTLED,
    detail="Messenger warns that people are written to too often",
    pause=timedelta(hours=1),
    human=True,
)
_RESTRICTED = Ruling(
    verdict=Verdict.THROTTLED,
    detail="the page may not write for a while",
    pause=timedelta(minutes=30),
)
_BUSY = Ruling(verdict=Verdict.THROTTLED, detail="too many messages in a short time")
_POLICY = Ruling(
    verdict=Verdict.THROTTLED,
    detail="Messenger blocks the page, for reasons of policy",
    pause=timedelta(hours=24),
    human=True,
)
_PERMISSION = Ruling(
    verdict=Verdict.ACCESS,
    reason=AccessReason.PERMISSION,
    detail="the app may not write to people on Messenger",
    remedy="Reconnect and grant pages_messaging; for other people than the app's own team,"
    " Meta must have reviewed it.",
)

MESSENGER: Table = {
    # Documented: the message arrived although an error is answered.
    (1, 1357046): Ruling(
        verdict=Verdict.DOUBTFUL,
        detail="an unreadable answer behind a message that most likely arrived",
        presumed_sent=True,
    ),
    (1, 99): _PERMISSION,
    # May hide that the person blocked the page.
    (2, None): Ruling(
        verdict=Verdict.DOUBTFUL, detail="an unexpected error; the person may have blocked the page"
    ),
    (4, None): _BUSY,
    (10, 1893015): _STOPPED,
    (10, 1893063): _RESTRICTED,
    (10, 2018065): _UNAVAILABLE,
    (10, 2018108): _UNAVAILABLE,
    (10, 2018278): _CLOSED,
    (10, 2534022): _CLOSED,
    (100, 33): _UNKNOWN_PERSON,
    (100, 2018001): _UNKNOWN_PERSON,
    (100, 2534037): _ELSEWHERE,
    (100, None): Ruling(
        verdict=Verdict.REJECTED,
        detail="Messenger refuses this message",
        code="refused",
        remedy="See Messenger's answer.",
    ),
    (200, 1545041): _UNAVAILABLE,
    (200, 2018028): _PERMISSION,
    (551, None): _UNAVAILABLE,
    (551, 1545041): _UNAVAILABLE,
    (613, None): _BUSY,
    (613, 2018338): _ABUSE,
    (613, 2534040): _BUSY,
    (2022, None): _POLICY,
    (2018300, None): _ELSEWHERE,
    (80006, None): _BUSY,
}
