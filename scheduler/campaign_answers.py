"""What the API says of campaigns: typed dicts, built once and serialised as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from channels.posts import Post
from scheduler.answers import PostAnswer, ProblemAnswer, stamp, stamp_or_none
from scheduler.campaigns import Effect, Row, frame_now, placement_of, reread_post
from scheduler.clock import moment
from scheduler.content import to_post
from scheduler.corrections import Correction
from scheduler.late import Lateness
from scheduler.placeholders import Frame, UnknownPlaceholderError, fill, fill_text
from scheduler.times import in_words

LATE = {
    Lateness.SEND: "publish",
    Lateness.SPREAD: "publish",
    Lateness.ASK: "ask",
    Lateness.TOO_LATE: "ask",
    Lateness.DROP: "drop",
}


class Reading(TypedDict):
    """A post as it would read when it is due, placeholders filled."""

    title: str
    body: str


class CampaignPost(PostAnswer):
    """A post of a campaign. `when`: its place from the anchor, null once its time is its own."""

    label: str
    when: dict[str, Any] | None
    reads: Reading


class CampaignSummary(TypedDict):
    """A campaign. `anchor`: local time in `zone`; `anchor_at`: the same with its offset."""

    id: str
    name: str
    anchor: str
    zone: str
    anchor_at: str
    fields: dict[str, str]
    hours: dict[str, Any] | None
    version: int
    recurrence_id: str | None
    occurrence: str | None
    created_at: str
    updated_at: str
    cancelled_at: str | None


class CampaignAnswer(CampaignSummary):
    """A campaign with its posts in order of time."""

    posts: list[CampaignPost]


class SkippedPost(TypedDict):
    """A post of the story whose time was over already."""

    label: str
    title: str
    due_at: str


class NewCampaign(CampaignAnswer):
    """A campaign just created, with what its author should know."""

    skipped: list[SkippedPost]
    problems: list[ProblemAnswer]


class CampaignList(TypedDict):
    """A page of campaigns. `next`: the cursor of the page after, null at the end."""

    campaigns: list[CampaignSummary]
    next: str | None


class EffectAnswer(TypedDict):
    """What a move does to one post.

    `effect`: `moves`, `stays`, `fixed` (its time is its own), `out` (gone out already), `closed`
    (nothing of it waits). `late`: for a new time that is over, what the post's late policy does:
    `publish` at once, `ask`, `drop`. `wrong`: it is out and says what is no longer so.
    """

    post_id: str
    label: str
    title: str
    effect: str
    at: str
    new_at: str
    late: str | None
    waiting: int
    out: int
    wrong: bool


class CorrectionAnswer(TypedDict):
    """A post that would put right what `posts` said, on the accounts that said it last."""

    language: str
    accounts: list[str]
    posts: list[str]
    title: str
    body: str


class MovePreview(TypedDict):
    """What a move would do. Send `token` with the move: it is refused if anything changed."""

    token: str
    anchor: str
    anchor_at: str
    new_anchor: str
    new_anchor_at: str
    zone: str
    posts: list[EffectAnswer]
    corrections: list[CorrectionAnswer]


class MovedCampaign(MovePreview):
    """A move that was made. `corrected`: the ids of the corrections now on their way."""

    version: int
    corrected: list[str]


def summary(row: Row) -> CampaignSummary:
    """`row`: a full row of campaigns."""
    fields = dict(row["fields"])
    hours = fields.pop("hours", None)
    anchor = frame_now(row).anchor
    return {
        "id": row["id"],
        "name": row["name"],
        "anchor": row["anchor_local"],
        "zone": row["zone"],
        "anchor_at": in_words(anchor.instant, row["zone"]),
        "fields": fields,
        "hours": hours,
        "version": row["version"],
        "recurrence_id": row["recurrence_id"],
        "occurrence": row["occurrence"],
        "created_at": stamp(row["created_at"]),
        "updated_at": stamp(row["updated_at"]),
        "cancelled_at": stamp_or_none(row["cancelled_at"]),
    }


def campaign_answer(campaign: Row, told: Sequence[tuple[Row, PostAnswer]]) -> CampaignAnswer:
    """`told`: the rows of its posts, each with the post's own answer."""
    ordered = sorted(told, key=lambda one: (one[0]["due_at"], one[0]["id"]))
    return {
        **summary(campaign),
        "posts": [_post(campaign, row, answer) for row, answer in ordered],
    }


def _post(campaign: Row, row: Row, answer: PostAnswer) -> CampaignPost:
    read = readable(row, campaign, row["due_at"])
    when = placement_of(row)
    return {
        "id": answer["id"],
        "label": label_of(row),
        "when": None if when is None else when.model_dump(),
        "reads": {"title": read.title, "body": read.body},
        "title": answer["title"],
        "kind": answer["kind"],
        "content": answer["content"],
        "at": answer["at"],
        "zone": answer["zone"],
        "late_policy": answer["late_policy"],
        "deadline": answer["deadline"],
        "version": answer["version"],
        "campaign_id": answer["campaign_id"],
        "created_by": answer["created_by"],
        "created_at": answer["created_at"],
        "updated_at": answer["updated_at"],
        "cancelled_at": answer["cancelled_at"],
        "deliveries": answer["deliveries"],
    }


def label_of(row: Row) -> str:
    """What its owner calls a post of a campaign."""
    return str((row["placement"] or {}).get("label", ""))


def readable(row: Row, campaign: Row | None, at: int) -> Post:
    """A row of `posts` as it reads at a moment; as it was written, where what it speaks of does
    not exist any more."""
    try:
        return reread_post(row, Path(), {} if campaign is None else {campaign["id"]: campaign}, at)
    except UnknownPlaceholderError:
        return to_post(row, Path())


def effect_answer(effect: Effect, campaign: Row, wanted: Frame) -> EffectAnswer:
    if effect.waiting:
        read = fill(to_post(effect.row, Path()), wanted, moment(effect.due_at))
    else:
        read = readable(effect.row, campaign, effect.was)
    return {
        "post_id": effect.row["id"],
        "label": label_of(effect.row),
        "title": read.title,
        "effect": effect.fate.value,
        "at": in_words(moment(effect.was), effect.row["zone"]),
        "new_at": in_words(moment(effect.due_at), wanted.anchor.zone),
        "late": None if effect.late is None else LATE[effect.late],
        "waiting": len(effect.waiting),
        "out": len(effect.out),
        "wrong": effect.wrong,
    }


def correction_answer(correction: Correction, wanted: Frame, now: int) -> CorrectionAnswer:
    """As it would read if it went out at `now`."""
    at = moment(now)
    return {
        "language": correction.language,
        "accounts": list(correction.accounts),
        "posts": list(correction.post_ids),
        "title": fill_text(correction.title, wanted, at, correction.language),
        "body": fill_text(correction.body, wanted, at, correction.language),
    }
