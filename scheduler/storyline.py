"""From a story and an anchor to the posts that tell it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import uuid_utils

from channels.posts import Post
from scheduler import tracing
from scheduler.clock import micros, moment
from scheduler.content import to_content, to_post
from scheduler.placeholders import Frame, fill, known_names, unknown_in
from scheduler.placement import Anchor, due_at
from scheduler.plan import Places, choose, make_plan, names_accounts, refuse_unfit
from scheduler.records import Prepared, prepared
from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.roster import Member
from scheduler.settings import Settings
from scheduler.storyboard import Story, StoryPost
from scheduler.templates import template

_HOUR = 3_600_000_000  # microseconds
_HOURS_EXAMPLE = 'send hours such as {"monday": ["09:00-12:30", "14:00-19:00"]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One post of a story in time; `where` as in the request. Microseconds since 1970."""

    where: str
    post: StoryPost
    due_at: int
    deadline_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What planning goes by, read beforehand. `now`: microseconds since 1970."""

    members: Mapping[str, Member]
    uploads: Mapping[str, Mapping[str, Any]]
    settings: Settings
    now: int
    actor: str


def posts_of(story: Story) -> Sequence[StoryPost]:
    """Its own posts, or its template's. Error: RefusedError naming what the template lacks."""
    if story.template is None:
        return story.posts
    chosen = template(story.template, story.language)
    errors = [
        FieldError(
            f"fields.{field.name}",
            f"the template {chosen.name!r} needs it: {field.label}",
            f"for instance {field.example!r}",
        )
        for field in chosen.fields
        if not story.fields.get(field.name, "").strip()
    ]
    if chosen.hours and story.hours is None:
        detail = f"the template {chosen.name!r} says the opening hours"
        errors.append(FieldError("hours", detail, _HOURS_EXAMPLE))
    if errors:
        raise RefusedError(Refusal.INVALID, "the template is not filled in", errors)
    return chosen.posts


def frame_for(story: Story, anchor: Anchor) -> Frame:
    return Frame(anchor=anchor, fields=story.fields, hours=story.hours)


def beats_of(posts: Sequence[StoryPost], anchor: Anchor, settings: Settings) -> list[Beat]:
    """The posts in time, in their own order."""
    beats = []
    for index, post in enumerate(posts):
        due = micros(due_at(anchor, post.when))
        patience = post.patience_hours or settings.default_deadline_hours
        beats.append(
            Beat(
                where=f"posts[{index}]",
                post=post,
                due_at=due,
                deadline_at=due + int(patience * _HOUR),
            )
        )
    return beats


def prepare(
    beats: Sequence[Beat], places: Places, frame: Frame, campaign_id: str, kit: Kit
) -> list[Prepared]:
    """What storing the posts writes. Error: RefusedError naming every post that cannot be."""
    errors: list[FieldError] = []
    found: list[Prepared] = []
    for beat in beats:
        try:
            found.append(_prepare(beat, places, frame, campaign_id, kit))
        except RefusedError as refused:
            errors += [
                error
                if error.field.startswith(("accounts", "channels"))
                else replace(error, field=f"{beat.where}.{error.field}")
                for error in refused.errors
            ]
    if errors:
        unique = list(dict.fromkeys(errors))
        raise RefusedError(Refusal.INVALID, "the campaign cannot go out as it is", unique)
    return found


def _prepare(beat: Beat, places: Places, frame: Frame, campaign_id: str, kit: Kit) -> Prepared:
    post = beat.post
    row = {
        "id": str(uuid_utils.uuid7()),
        "kind": post.kind.value,
        "title": post.title,
        "content": to_content(post, kit.uploads),
        "due_at": beat.due_at,
        "zone": frame.anchor.zone,
        "late_policy": post.late_policy.value,
        "deadline_at": beat.deadline_at,
        "campaign_id": campaign_id,
        "placement": {"label": post.label, "when": post.when.model_dump(exclude_defaults=True)},
        "version": 1,
        "cancelled_at": None,
        "created_by": kit.actor,
        "created_at": kit.now,
        "updated_at": kit.now,
    }
    read = replace(to_post(row, kit.settings.data_dir / "media"), own_hosts=kit.settings.own_hosts)
    refuse_unknown(read, frame)
    filled = fill(read, frame, moment(max(beat.due_at, kit.now)))
    plan = make_plan(filled, choose(places, kit.members, kit.now), {}, kit.now)
    return prepared(row, refuse_unfit(plan, named=names_accounts(places)), tracing.here())


def refuse_unknown(post: Post, frame: Frame) -> None:
    """Error: RefusedError naming each placeholder that has no value, and where it stands."""
    known = ", ".join(known_names(frame))
    errors = [
        FieldError(
            where,
            f"there is no placeholder {{{{{name}}}}}",
            f"add it to `fields`, or use one of {known}",
        )
        for where, name in unknown_in(post, frame)
    ]
    if errors:
        raise RefusedError(Refusal.INVALID, "a placeholder has no value", errors)
