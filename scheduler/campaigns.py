"""Campaigns: posts that follow one anchor, and what becomes of each when it moves. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from channels.posts import Part, Post
from scheduler.clock import micros, moment
from scheduler.content import to_post
from scheduler.deliveries import Delivery, HoldReason, LatePolicy, State
from scheduler.late import Lateness, LateRules, judge
from scheduler.opening import Hours
from scheduler.placeholders import (
    Frame,
    UnknownPlaceholderError,
    fill,
    fill_text,
    names_in,
    states_date,
    texts_of,
)
from scheduler.placement import Anchor, Placement, due_at

Row = Mapping[Any, Any]  # a row of SQLAlchemy, or a dict with its columns

_WAITS = frozenset({State.SCHEDULED, State.ARMED, State.HELD})
_DOUBTFUL = frozenset({State.UNCONFIRMED, State.ACCEPTED, State.SENDING})
_TEXTS = frozenset({"title", "body", "summary", "first_comment"})
_OWN_PARTS = frozenset({Part.POST, Part.FIRST_COMMENT})


class Fate(StrEnum):
    """What a move means for a post: another time; the same; a time of its own; gone out already;
    nothing left that waits."""

    MOVES = "moves"
    STAYS = "stays"
    FIXED = "fixed"
    OUT = "out"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Placed:
    """A campaign's post (a row of `posts`) and its deliveries."""

    row: Row
    deliveries: Sequence[Delivery]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a move does to one post. Times are microseconds since 1970.

    `late`: how the late policy treats it, when its new time is over already. `wrong`: what went
    out says something that is no longer so.
    """

    row: Row
    fate: Fate
    due_at: int
    deadline_at: int | None
    late: Lateness | None
    waiting: tuple[Delivery, ...]
    out: tuple[Delivery, ...]
    wrong: bool

    @property
    def was(self) -> int:
        due: int = self.row["due_at"]
        return due


def frame_of(anchor_local: str, zone: str, fields: Mapping[str, Any]) -> Frame:
    """As they are stored; `fields` holds the opening hours beside the owner's own."""
    hours = fields.get("hours")
    return Frame(
        anchor=Anchor(datetime.fromisoformat(anchor_local), zone),
        fields={name: value for name, value in fields.items() if name != "hours"},
        hours=None if hours is None else Hours.model_validate(hours),
    )


def frame_now(campaign: Row) -> Frame:
    """What the campaign's placeholders stand for. No clock is asked: another machine's, a little
    behind, must not bring an old date back."""
    return frame_of(campaign["anchor_local"], campaign["zone"], campaign["fields"])


def frame_at(campaign: Row, at: int) -> Frame:
    """What the campaign's placeholders stood for at a past moment (microseconds since 1970)."""
    told = next((was for was in campaign["history"] if at < was["until"]), campaign)
    return frame_of(told["anchor_local"], told["zone"], told["fields"])


def read_post(row: Row, media_dir: Path, campaigns: Mapping[str, Row], at: int) -> Post:
    """A row of `posts` as it will read at a moment: of a campaign, with its placeholders filled.
    Error: UnknownPlaceholderError."""
    post = to_post(row, media_dir)
    campaign = campaigns.get(row["campaign_id"])
    return post if campaign is None else fill(post, frame_now(campaign), moment(at))


def reread_post(row: Row, media_dir: Path, campaigns: Mapping[str, Row], at: int) -> Post:
    """As `read_post`, for what left then: as the campaign stood at that moment."""
    post = to_post(row, media_dir)
    campaign = campaigns.get(row["campaign_id"])
    return post if campaign is None else fill(post, frame_at(campaign, at), moment(at))


def filled_rows(rows: Iterable[Row], campaigns: Mapping[str, Row], at: int) -> list[Row]:
    """Rows of `posts` as they will read at a moment, for what is made of several of them. Error:
    UnknownPlaceholderError."""
    return [_filled_row(row, campaigns.get(row["campaign_id"]), at) for row in rows]


def _filled_row(row: Row, campaign: Row | None, at: int) -> Row:
    if campaign is None:
        return row
    frame = frame_now(campaign)
    language = row["content"].get("language", "en")

    def filled(words: Row) -> dict[Any, Any]:
        return {
            name: fill_text(value, frame, moment(at), language)
            if name in _TEXTS and isinstance(value, str)
            else value
            for name, value in words.items()
        }

    variants = {
        channel: filled(words) for channel, words in row["content"].get("variants", {}).items()
    }
    changed = {"variants": variants} if variants else {}
    return {**filled(row), "content": {**filled(row["content"]), **changed}}


def placement_of(row: Row) -> Placement | None:
    """Where a row of `posts` stands from its anchor; None when its time is its own."""
    when = (row["placement"] or {}).get("when")
    return None if when is None else Placement.model_validate(when)


def unplaced(row: Row) -> dict[str, Any]:
    """The placement of a post whose author gave it a time of its own."""
    return {**(row["placement"] or {}), "when": None}


def effects_of(
    campaign: Row, placed: Iterable[Placed], wanted: Frame, now: int, rules: LateRules
) -> list[Effect]:
    """What changing the campaign to `wanted` does to each of its posts, in order of time."""
    found = [_effect(campaign, one, wanted, now, rules) for one in placed]
    return sorted(found, key=lambda effect: (effect.due_at, effect.row["id"]))


def _effect(campaign: Row, placed: Placed, wanted: Frame, now: int, rules: LateRules) -> Effect:
    row = placed.row
    own = [one for one in placed.deliveries if one.part in _OWN_PARTS]
    out = tuple(one for one in own if went_out(one))
    waiting = tuple(one for one in own if one.state in _WAITS and not went_out(one))
    placement = placement_of(row)
    due: int = row["due_at"]
    deadline: int | None = row["deadline_at"]
    if waiting and placement is not None:
        due = micros(due_at(wanted.anchor, placement))
        deadline = None if deadline is None else deadline + due - row["due_at"]
    late = None
    if waiting and due < now:
        late = _lateness(waiting[0], due, deadline, LatePolicy(row["late_policy"]), now, rules)
    return Effect(
        row=row,
        fate=_fate(row, placement, waiting, out, due),
        due_at=due,
        deadline_at=deadline,
        late=late,
        waiting=waiting,
        out=out,
        wrong=any(is_wrong(campaign, row, one, wanted) for one in out),
    )


def went_out(delivery: Delivery) -> bool:
    """Whether it is out, or may be."""
    return (
        delivery.state is State.DELIVERED
        or delivery.state in _DOUBTFUL
        or delivery.hold_reason is HoldReason.UNCONFIRMED
    )


def _fate(
    row: Row,
    placement: Placement | None,
    waiting: Sequence[Delivery],
    out: Sequence[Delivery],
    due: int,
) -> Fate:
    if not waiting:
        return Fate.OUT if out else Fate.CLOSED
    if placement is None:
        return Fate.FIXED
    return Fate.STAYS if due == row["due_at"] else Fate.MOVES


def _lateness(
    delivery: Delivery,
    due: int,
    deadline: int | None,
    policy: LatePolicy,
    now: int,
    rules: LateRules,
) -> Lateness:
    """The judgement that the engine will come to, by the same function."""
    return judge(replace(delivery, planned_at=due, deadline_at=deadline), policy, now, rules)


def sent_at(delivery: Delivery) -> int:
    """When its words left, as nearly as is known."""
    return delivery.first_sent_at or delivery.due_at


def speaks_of(campaign: Row, row: Row, delivery: Delivery) -> bool:
    """Whether what went out said something that depends on the campaign."""
    post = to_post(row, Path())
    told = frame_at(campaign, sent_at(delivery)).anchor.local.date()
    return any(names_in(text) for _, text in texts_of(post)) or states_date(post, told)


def is_wrong(campaign: Row, row: Row, delivery: Delivery, wanted: Frame) -> bool:
    """Whether what went out would read otherwise under `wanted`."""
    post = to_post(row, Path())
    at = sent_at(delivery)
    told = frame_at(campaign, at)
    day = told.anchor.local.date()
    if day != wanted.anchor.local.date() and states_date(post, day):
        return True
    try:
        return fill(post, told, moment(at)) != fill(post, wanted, moment(at))
    except UnknownPlaceholderError:
        return True  # what it spoke of does not exist any more


def fingerprint(campaign: Row, wanted: Frame, effects: Sequence[Effect]) -> str:
    """The same as long as a move would do the same: what a preview is held to."""
    seen = [
        campaign["version"],
        [wanted.anchor.local.isoformat(), wanted.anchor.zone, dict(sorted(wanted.fields.items()))],
        None if wanted.hours is None else wanted.hours.model_dump(mode="json"),
        [
            [
                effect.row["id"],
                effect.row["version"],
                effect.fate,
                effect.due_at,
                effect.late.value if effect.late else None,
                [one.id for one in effect.waiting],
                [one.id for one in effect.out],
                effect.wrong,
            ]
            for effect in effects
        ],
    ]
    return sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:40]
