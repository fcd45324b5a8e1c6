"""Create a campaign with all its posts in one transaction, and cancel what of it still waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uuid_utils

from scheduler.campaign_answers import NewCampaign, SkippedPost, campaign_answer
from scheduler.campaigns import went_out
from scheduler.changes import Change, columns, event
from scheduler.clock import Clock, moment
from scheduler.content import media_ids
from scheduler.deliveries import Delivery, State
from scheduler.doorbell import Doorbell
from scheduler.once import once
from scheduler.placeholders import Frame
from scheduler.placement import read_anchor
from scheduler.records import Prepared
from scheduler.refusals import FieldError, Refusal, RefusedError, conflict, invalid, not_found
from scheduler.roster import Roster
from scheduler.settings import Settings
from scheduler.sitting import may_be_leaving, refuse_if_leaving
from scheduler.store import alerts, campaigns, desk, events, media, posts
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.faults import ArchivedError
from scheduler.store.tokens import Caller
from scheduler.storyboard import CampaignDraft, Story, StoryPost
from scheduler.storyline import Beat, Kit, beats_of, frame_for, posts_of, prepare
from scheduler.times import in_words
from scheduler.when import SLACK

WAITING = frozenset({State.SCHEDULED, State.ARMED, State.HELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """A campaign ready to be stored."""

    row: Mapping[str, Any]
    posts: Sequence[Prepared]
    skipped: Sequence[Beat]

    @property
    def answer(self) -> NewCampaign:
        told = [(one.post, one.answer) for one in self.posts]
        return {
            **campaign_answer(self.row, told),
            "skipped": [_skipped(beat, self.row["zone"]) for beat in self.skipped],
            "problems": [problem for one in self.posts for problem in one.answer["problems"]],
        }


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to a POST; `replayed`: given before, under the same Idempotency-Key."""

    answer: NewCampaign
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaigner:
    """Creates and cancels campaigns."""

    database: Database
    roster: Roster
    clock: Clock
    settings: Settings
    doorbell: Doorbell

    async def plan(self, draft: CampaignDraft, actor: str) -> Cast:
        """What `create` would store. Error: RefusedError."""
        now = self.clock.micros()
        zone = draft.zone or self.settings.zone
        anchor = read_anchor(draft.anchor, zone, moment(now))
        stories = posts_of(draft)
        beats = beats_of(stories, anchor, self.settings)
        over = [beat for beat in beats if moment(beat.due_at) < moment(now) - SLACK]
        if over and draft.past == "refuse":
            raise _all_over(over, zone)
        kept = [beat for beat in beats if beat not in over]
        if not kept:
            raise invalid("anchor", "every post's time is over already", "choose a later anchor")
        return await self.cast(draft, kept, frame_for(draft, anchor), actor, skipped=over)

    async def cast(
        self,
        story: Story,
        beats: Sequence[Beat],
        frame: Frame,
        actor: str,
        *,
        skipped: Sequence[Beat] = (),
        recurrence: tuple[str, str] | None = None,
    ) -> Cast:
        """A campaign's rows. `recurrence`: its id and which occurrence. Error: RefusedError."""
        kit = await self.kit([beat.post for beat in beats], actor)
        campaign_id = str(uuid_utils.uuid7())
        row: dict[str, Any] = {
            "id": campaign_id,
            "name": story.name,
            "anchor_local": frame.anchor.text,
            "zone": frame.anchor.zone,
            "fields": stored_fields(frame),
            "history": [],
            "recurrence_id": None if recurrence is None else recurrence[0],
            "occurrence": None if recurrence is None else recurrence[1],
            "version": 1,
            "created_at": kit.now,
            "updated_at": kit.now,
            "cancelled_at": None,
        }
        found = prepare(beats, story, frame, campaign_id, kit)
        return Cast(row=row, posts=found, skipped=skipped)

    async def kit(self, stories: Sequence[StoryPost], actor: str) -> Kit:
        """What planning these posts goes by."""
        uploads: Mapping[str, Mapping[str, Any]] = {}
        ids = sorted({name for post in stories for name in media_ids(post)})
        if ids:
            async with self.database.read() as connection:
                uploads = await media.described(connection, ids)
        return Kit(
            members=await self.roster.everyone(),
            uploads=uploads,
            settings=self.settings,
            now=self.clock.micros(),
            actor=actor,
        )

    async def create(self, draft: CampaignDraft, caller: Caller, key: str | None) -> Created:
        """Store a campaign and its posts; committed on return. Error: RefusedError."""
        asked = once(caller, key, draft)
        given = await asked.given(self.database)
        if given is None:
            cast = await self.plan(draft, caller.actor)
            async with self.database.write() as connection:
                now: int = cast.row["created_at"]
                first = await asked.first(connection, self.database, cast.answer, now)
                if first:
                    await self.store(connection, cast, caller.actor)
            if first:
                await self.ring(cast)
                return Created(cast.answer)
            given = await asked.given(self.database)
        return Created(given, replayed=True)

    async def store(self, connection: Connection, cast: Cast, actor: str) -> bool:
        """Write it all; False when its occurrence is planned already."""
        if not await campaigns.add(connection, self.database, cast.row):
            return False
        await add_posts(connection, cast.posts)
        now: int = cast.row["created_at"]
        data = {"campaign_id": cast.row["id"], "name": cast.row["name"], "posts": len(cast.posts)}
        await events.append(connection, [events.line("campaign.created", now, actor, data)])
        return True

    async def ring(self, cast: Cast) -> None:
        """After the commit."""
        for due_at in sorted({one.post["due_at"] for one in cast.posts}):
            await self.doorbell.ring(due_at)

    async def cancel(self, campaign_id: str, actor: str) -> None:
        """Cancel the campaign and every delivery of it that has not gone out."""
        async with self.database.write() as connection:
            campaign = await campaigns.get(connection, campaign_id, lock=True)
            if campaign is None:
                raise not_found("campaign", campaign_id)
            ended = await self.cancel_locked(connection, campaign, actor)
            refuse_if_leaving(ended, self.clock.micros())

    async def cancel_locked(
        self, connection: Connection, campaign: Mapping[Any, Any], actor: str
    ) -> list[Delivery]:
        """As `cancel`, of a locked row; what was cancelled, as it was: call `refuse_if_leaving`
        with it last of all. Error: RefusedError when it is cancelled already."""
        if campaign["cancelled_at"] is not None:
            raise conflict("the campaign is cancelled already", "create a new one")
        ids = [row["id"] for row in await campaigns.posts_of(connection, campaign["id"], lock=True)]
        every = await campaigns.deliveries_of(connection, ids, lock=True)
        now = self.clock.micros()
        ended = [
            one
            for one in every
            if one.state in WAITING and not went_out(one) and not may_be_leaving(one, now)
        ]
        await _end(connection, ended, now, actor)
        for post_id in sorted({one.post_id for one in ended}):
            await desk.update_post(connection, post_id, {"cancelled_at": now, "updated_at": now})
        values = {"cancelled_at": now, "updated_at": now, "version": campaign["version"] + 1}
        await campaigns.change(connection, campaign["id"], values)
        data = {"campaign_id": campaign["id"], "deliveries": len(ended)}
        await events.append(connection, [events.line("campaign.cancelled", now, actor, data)])
        return ended


async def add_posts(connection: Connection, found: Sequence[Prepared]) -> None:
    """Store prepared posts with their deliveries. Error: RefusedError."""
    legs = [leg for one in found for leg in one.deliveries]
    try:
        await posts.add(connection, [one.post for one in found], legs)
    except ArchivedError as error:
        raise conflict(f"{error} was archived at this moment", "ask again") from error
    await events.append(connection, [one.event for one in found])


async def _end(connection: Connection, ended: Sequence[Delivery], now: int, actor: str) -> None:
    cause = "its campaign was cancelled"
    gone = [
        Change(one, one.token, columns(one, State.CANCELLED, now, cause=cause)) for one in ended
    ]
    await write_changes(connection, gone, now)
    lines = [event("delivery.cancelled", one, now, actor, {"cause": cause}) for one in ended]
    await events.append(connection, lines)
    for one in ended:
        await alerts.resolve(connection, f"delivery:{one.id}:{State.HELD}", now)


def stored_fields(frame: Frame) -> dict[str, Any]:
    """Fields and hours as the table keeps them (see `scheduler.campaigns.frame_of`)."""
    hours = {} if frame.hours is None else {"hours": frame.hours.model_dump(mode="json")}
    return {**frame.fields, **hours}


def _all_over(over: Sequence[Beat], zone: str) -> RefusedError:
    remedy = "choose a later anchor, or add past: skip to leave such posts out"
    return RefusedError(
        Refusal.INVALID,
        "the time of some posts is over already",
        [
            FieldError(
                f"{beat.where}.when",
                f"{in_words(moment(beat.due_at), zone)} is in the past",
                remedy,
            )
            for beat in over
        ],
    )


def _skipped(beat: Beat, zone: str) -> SkippedPost:
    return {
        "label": beat.post.label,
        "title": beat.post.title,
        "due_at": in_words(moment(beat.due_at), zone),
    }
