"""Facebook's errors, row by row. Data, and how a row is found.

Seven-digit values come as code or as subcode. Sources: Meta's error, rate-limit and Pages pages
(March to September 2026). Most seven-digit publishing codes have one third-party source each and
are read in the cautious way.
"""

from __future__ import annotations

from datetime import timedelta

from channels.facebook.errors import GraphError, Ruling, Table, Verdict
from channels.outcome import AccessReason

RECONNECT = "Reconnect the account."
_LOG_IN = "Log in to facebook.com once as the person who connected the page, then reconnect."
_LONG = timedelta(hours=24)


def _dead(detail: str, remedy: str = RECONNECT) -> Ruling:
    return Ruling(verdict=Verdict.ACCESS, reason=AccessReason.TOKEN, detail=detail, remedy=remedy)


def _busy(detail: str) -> Ruling:
    return Ruling(verdict=Verdict.THROTTLED, detail=detail)


def _refused(detail: str, code: str, field: str, remedy: str) -> Ruling:
    return Ruling(verdict=Verdict.REJECTED, detail=detail, code=code, field=field, remedy=remedy)


_LINK = _refused(
    "Facebook refuses this link", "link-refused", "link", "Change the link or remove it."
)
_PICTURE = _refused(
    "Facebook refuses this picture",
    "image-refused",
    "media",
    "Use a JPEG or PNG under 4 MB.",
)
_FLAGGED = _refused(
    "Facebook flagged this content", "content-flagged", "body", "Change the words or the pictures."
)
_PERMISSION = Ruling(
    verdict=Verdict.ACCESS,
    reason=AccessReason.PERMISSION,
    detail="a permission, or the person's task on the page, is missing",
    remedy="Reconnect and grant every permission, as someone who may create content on the page.",
)
_VANISHED = Ruling(
    verdict=Verdict.GONE, detail="the page does not exist, or is not visible to this credential"
)
_POLICY = Ruling(
    verdict=Verdict.ACCESS,
    reason=AccessReason.POLICY,
    detail="Facebook wants the page or its owner checked before it publishes again",
    remedy="Open facebook.com as the page's owner and follow what it asks.",
)
_DUPLICATE = Ruling(
    verdict=Verdict.DUPLICATE,
    detail="Facebook says that this was just published",
    code="duplicate",
    field="body",
    remedy="Change a word: Facebook refuses the same text twice running.",
)
_BLOCKED = Ruling(
    verdict=Verdict.THROTTLED,
    detail="Facebook blocks the account for a while, for reasons of policy",
    pause=_LONG,
    human=True,
)
_MISCONFIGURED = Ruling(
    verdict=Verdict.ACCESS,
    reason=AccessReason.MISCONFIGURED,
    detail="the request does not fit this API",
    remedy="Check the Graph API version and the base address in the account's settings.",
)
_OTHER = _refused("Facebook refuses this", "refused", "", "See Facebook's answer.")

_MEDIA_ERRORS = range(1_363_000, 1_364_000)

FACEBOOK: Table = {
    (1, None): Ruling(verdict=Verdict.DOUBTFUL, detail="unknown error"),
    (2, None): Ruling(verdict=Verdict.DOUBTFUL, detail="service temporarily unavailable"),
    (3, None): _PERMISSION,
    (4, None): _busy("the app's call limit is reached"),
    (10, None): _PERMISSION,
    (17, None): _busy("the person's call limit is reached"),
    (32, None): _busy("the page's call limit is reached"),
    (100, 33): _VANISHED,
    (100, None): _OTHER,
    (102, None): _dead("the session is no longer valid"),
    (104, None): _dead("no access token was accepted"),
    (190, None): _dead("the access token is no longer valid"),
    (190, 458): _dead("the app was removed by the person who connected it"),
    (190, 459): _dead("Facebook wants that person to pass a check", _LOG_IN),
    (190, 460): _dead("the password of the person who connected it was changed"),
    (190, 463): _dead("the access token has expired"),
    (190, 464): _dead("that person's Facebook account is not confirmed", _LOG_IN),
    (190, 467): _dead("the access token was invalidated"),
    (190, 492): Ruling(
        verdict=Verdict.ACCESS,
        reason=AccessReason.ROLE,
        detail="the person who connected it has no role on this page any more",
        remedy="Give that person a role on the page again, or reconnect as someone who has one.",
    ),
    (197, None): _refused("the post is empty", "empty", "body", "Write a text or add a link."),
    (324, None): _PICTURE,
    (341, None): _busy("the app's limit of posts is reached"),
    (368, None): _BLOCKED,
    (506, None): _DUPLICATE,
    (613, None): _busy("too many calls in a short time"),
    (613, 1996): _busy("an unusual volume of calls"),
    (803, None): _VANISHED,
    (1500, None): _LINK,
    (2500, None): _MISCONFIGURED,
    (80001, None): _busy("the page's business limit is reached"),
    (80002, None): _busy("the Instagram account's limit is reached"),
    (80006, None): _busy("the page's messaging limit is reached"),
    (1346003, None): _FLAGGED,
    (_MEDIA_ERRORS.start, None): _PICTURE,
    (1366046, None): _PICTURE,
    (1366051, None): _DUPLICATE,
    (1390008, None): _busy("posting too fast"),
    (1404006, None): _POLICY,
    (1404078, None): _POLICY,
    (1404102, None): _FLAGGED,
    (1404112, None): _BLOCKED,
    (1609005, None): _LINK,
    (1609008, None): _LINK,
    (2069019, None): _PICTURE,
    (4854002, None): _POLICY,
}


def ruling(error: GraphError, *tables: Table) -> Ruling:
    """What the error means by the first table that knows it, `FACEBOOK` last.

    Within a table the pair decides, then a seven-digit value on either side, then the code.
    """
    for table in (*tables, FACEBOOK):
        found = _look_up(error, table)
        if found is not None:
            return found
    if 200 <= error.code <= 299:
        return _PERMISSION
    return _OTHER


def _look_up(error: GraphError, table: Table) -> Ruling | None:
    long = [_family(value) for value in (error.subcode, error.code) if value >= 1_000_000]
    keys = [(error.code, error.subcode), *((value, None) for value in long), (error.code, None)]
    return next((table[key] for key in keys if key in table), None)


def _family(value: int) -> int:
    """Media errors fill a whole range, listed under its first."""
    return _MEDIA_ERRORS.start if value in _MEDIA_ERRORS else value
