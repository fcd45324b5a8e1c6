"""Which of what was published new words reach: pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from channels.abilities import Edits
from channels.posts import Part
from scheduler.deliveries import State
from scheduler.drafts import DraftVariant, NewWords
from scheduler.refusals import FieldError, Refusal, RefusedError, conflict
from scheduler.roster import Member
from scheduler.withdrawal import TO_READERS

Row = Mapping[Any, Any]
_COMMON = frozenset({"title", "body", "summary"})
_MAILS = "what was sent to people one by one keeps the old words"
_CANNOT = "this channel cannot change what it published"
BY_HAND = "change it there by hand, or publish a correction"


def merged(
    variants: Mapping[str, Mapping[str, Any]], words: NewWords
) -> dict[str, DraftVariant] | None:
    """All words of single channels, with the new ones; None when none were sent. What a channel
    says by itself no more, it says in the post's own words; its pictures and its link stay."""
    if not words.variants:
        return None
    found = {channel: dict(one) for channel, one in variants.items()}
    for channel, sent in words.variants.items():
        found.setdefault(channel, {}).update(sent.model_dump(include=sent.model_fields_set))
    kept = {
        channel: {name: value for name, value in one.items() if value is not None}
        for channel, one in found.items()
    }
    return {channel: DraftVariant.model_validate(one) for channel, one in kept.items() if one}


def stands(row: Row) -> bool:
    """Whether readers see its words there; a comment has words of its own."""
    return (
        row["state"] == State.DELIVERED
        and row["withdrawn_at"] is None
        and row["part"] != Part.FIRST_COMMENT
    )


def concerned(channel: str, words: NewWords) -> bool:
    """Whether anything of what was sent may be said on this channel."""
    return bool(_COMMON & words.model_fields_set) or channel in (words.variants or {})


def overruled(variants: Mapping[str, Mapping[str, Any]], words: NewWords) -> Collection[str]:
    """The channels that have words of their own for all that was sent to every channel."""
    sent = words.model_fields_set & _COMMON
    return {
        channel
        for channel, variant in variants.items()
        if channel not in (words.variants or {})
        and all(variant.get(field) is not None for field in sent)
    }


def hindered(
    row: Row, members: Mapping[str, Member], own: Collection[str]
) -> tuple[str, str] | None:
    """(detail, remedy) of why the words that stand there stay; None when they can be changed.
    `own`: the channels whose own words overrule the new ones. Of a newsletter only its page, where
    it has one (`paged`)."""
    member = members.get(row["account_id"])
    if member is None:
        return "its account cannot be opened any more", BY_HAND
    if member.channel.capabilities.addressed:
        if not row["paged"]:
            return _MAILS, TO_READERS
    elif not isinstance(member.channel, Edits):
        return _CANNOT, BY_HAND
    if row["channel"] in own:
        return "it has words of its own on this channel, and they stay", BY_HAND
    if row["remote_id"] is None:
        return "nobody knows which post it is there", BY_HAND
    return None


def correctable(
    rows: Sequence[Row],
    members: Mapping[str, Member],
    words: NewWords,
    own: Collection[str],
) -> set[str]:
    """The accounts where what stands can be changed. `rows`: of deliveries that stand or wait.
    Error: RefusedError when none, or when words for one channel alone reach nobody there."""
    if not rows:
        raise conflict(
            "nothing of this post is published or waits", "publish it again in the new words"
        )
    _refuse_idle(rows, members, words)
    heard = [row for row in rows if concerned(row["channel"], words)]
    found = [(row, hindered(row, members, own)) for row in heard if stands(row)]
    if found and all(why for _, why in found) and len(found) == len(heard):
        errors = [FieldError(row["account_name"], *(why or ("", ""))) for row, why in found]
        raise RefusedError(
            Refusal.INVALID, "no channel of this post can change what it published", errors
        )
    return {row["account_id"] for row, why in found if why is None}


def _refuse_idle(rows: Sequence[Row], members: Mapping[str, Member], words: NewWords) -> None:
    """Words for a channel alone have to change something there."""
    there = sorted({row["channel"] for row in rows})
    errors = []
    for channel in sorted(words.variants or {}):
        legs = [row for row in rows if row["channel"] == channel]
        reasons = [hindered(row, members, ()) if stands(row) else None for row in legs]
        if not legs:
            remedy = f"it goes to {', '.join(there)}"
            errors.append(FieldError(f"variants.{channel}", "the post is not there", remedy))
        elif all(reasons):
            errors.append(FieldError(f"variants.{channel}", *(reasons[0] or ("", ""))))
    if errors:
        raise RefusedError(Refusal.INVALID, "these words would change nothing", errors)
