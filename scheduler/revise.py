"""Change a post that has not gone out yet: new words, another time, in one transaction.

Its deliveries are taken from whoever armed them with the old words, and armed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import uuid_utils
from pydantic import ValidationError

from channels.posts import Part, Post
from scheduler.answers import ProblemAnswer
from scheduler.campaigns import frame_now, unplaced
from scheduler.changes import Change, columns
from scheduler.clock import Clock, micros, moment
from scheduler.content import columns_of, draft_of, media_ids, to_post
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.doorbell import Doorbell
from scheduler.drafts import Draft, Revision
from scheduler.gathering import Gatherer
from scheduler.placeholders import fill
from scheduler.plan import Plan, make_plan, refuse_unfit
from scheduler.records import problems_of
from scheduler.refusals import invalid
from scheduler.roster import Member, Roster
from scheduler.settings import Settings
from scheduler.sitting import leaving, may_be_leaving, nothing_left, post_at, sitting
from scheduler.store import campaigns, desk, digests, media, posts
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import append, line
from scheduler.storyline import refuse_unknown
from scheduler.when import When, deadline_of, decide_when, takes_lateness

_OPEN = frozenset({State.SCHEDULED, State.ARMED, State.HELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviser:
    """Carries out revisions."""

    database: Database
    roster: Roster
    clock: Clock
    settings: Settings
    doorbell: Doorbell

    async def revise(self, post_id: str, revision: Revision, actor: str) -> list[ProblemAnswer]:
        """Apply it; what the author should know. Error: RefusedError, nothing changed."""
        members = await self.roster.everyone()
        async with sitting(self.database, self.clock) as held:
            connection, now = held.connection, held.now
            row = await post_at(connection, post_id, revision.version)
            every = await desk.locked_of_post(connection, post_id)
            gathered = await digests.waiting_with(connection, [post_id])
            waiting = _waiting([*every, *gathered], now)
            held.taken.extend(waiting)
            waiting = [one for one in waiting if one.post_id == post_id]
            draft = applied(revision, row)
            when = _when(draft, revision, row, now, self.settings)
            changed = await self.changed_row(connection, dict(row), draft, when)
            if "at" in revision.changed and row["campaign_id"] is not None:
                changed["placement"] = unplaced(row)
            post = await self.read(connection, changed, now)
            plan = refuse_unfit(make_plan(post, _members_of(waiting, members), {}, now), named=True)
            values = {**changed, "version": row["version"] + 1, "updated_at": now}
            await desk.update_post(connection, post_id, values)
            for digest in gathered:  # on another road, in the same words
                gatherer = Gatherer(zone=self.settings.zone, now=now)
                await gatherer.refresh(connection, digest, members)
            for delivery in waiting:
                await self._follow(connection, delivery, when, row["due_at"], now)
            await self._follow_comments(connection, waiting, plan, when, now)
            data = {"fields": sorted(revision.changed), "version": row["version"] + 1}
            await append(connection, [line("post.changed", now, actor, data, post_id=post_id)])
        await self.doorbell.ring(when.due_at)
        return problems_of(plan)

    async def changed_row(
        self, connection: Connection, row: dict[str, Any], draft: Draft, when: When
    ) -> dict[str, Any]:
        """The post's row with what the draft says."""
        ids = media_ids(draft)
        uploads = await media.described(connection, ids) if ids else {}
        return row | columns_of(draft, uploads, when)

    async def read(self, connection: Connection, row: Mapping[str, Any], now: int) -> Post:
        """The post as channels see it, its campaign's placeholders filled."""
        post = replace(
            to_post(row, self.settings.data_dir / "media"), own_hosts=self.settings.own_hosts
        )
        if row["campaign_id"] is None:
            return post
        campaign = await campaigns.get(connection, row["campaign_id"])
        assert campaign is not None  # campaigns are never deleted
        frame = frame_now(campaign)
        refuse_unknown(post, frame)
        return fill(post, frame, moment(max(row["due_at"], now)))

    async def _follow(
        self, connection: Connection, delivery: Delivery, when: When, was_due: int, now: int
    ) -> None:
        """Bring one waiting delivery in line with its post."""
        moved = when.due_at != was_due
        waits = delivery.state is State.HELD and delivery.hold_reason is not HoldReason.LATE
        if moved and not waits:
            await desk.reschedule(
                connection,
                delivery.id,
                due_at=when.due_at,
                deadline_at=when.deadline_at,
                now=now,
            )
        elif delivery.state is State.ARMED:
            await desk.hand_back(connection, delivery.id, now=now)

    async def _follow_comments(
        self,
        connection: Connection,
        waiting: Sequence[Delivery],
        plan: Plan,
        when: When,
        now: int,
    ) -> None:
        """First comments that came or went with the change."""
        there = {one.account_id: one for one in waiting if one.part is Part.FIRST_COMMENT}
        wanted = {
            planned.member.id for planned in plan.deliveries if planned.part is Part.FIRST_COMMENT
        }
        gone = [
            Change(one, None, columns(one, State.CANCELLED, now, cause="no comment any more"))
            for account_id, one in there.items()
            if account_id not in wanted
        ]
        await write_changes(connection, gone, now)
        legs = [
            {
                "id": str(uuid_utils.uuid7()),
                "post_id": waiting[0].post_id,
                "account_id": account_id,
                "part": Part.FIRST_COMMENT.value,
                "state": State.SCHEDULED.value,
                "due_at": when.due_at,
                "planned_at": when.due_at,
                "deadline_at": when.deadline_at,
                "created_at": now,
                "updated_at": now,
            }
            for account_id in sorted(wanted - set(there))
        ]
        if legs:
            await posts.add_deliveries(connection, legs)


def _waiting(every: list[Delivery], now: int) -> list[Delivery]:
    if any(may_be_leaving(one, now) for one in every):
        raise leaving()
    waiting = [one for one in every if one.state in _OPEN]
    if not waiting:
        raise nothing_left(every, now)
    return waiting


def _members_of(waiting: Sequence[Delivery], members: Mapping[str, Member]) -> list[Member]:
    """The accounts whose words change."""
    return [
        members[one.account_id]
        for one in waiting
        if one.part is Part.POST and one.account_id in members
    ]


def applied(revision: Revision, row: Mapping[Any, Any]) -> Draft:
    """The post as it reads with this revision. Error: RefusedError."""
    if not revision.changed:
        raise invalid("body", "there is nothing to change", "send the fields that change")
    try:
        return revision.applied_to(draft_of(row))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise invalid("body", first["msg"].removeprefix("Value error, "), "keep some of it") from (
            error
        )


def _when(
    draft: Draft, revision: Revision, row: Mapping[Any, Any], now: int, settings: Settings
) -> When:
    """The new moment; one that was not sent stays, and a deadline moves with its post."""
    due_at: int = row["due_at"]
    zone = draft.zone or settings.zone
    deadline_at: int = row["deadline_at"]
    if "at" in revision.changed:
        late_ok = takes_lateness(revision.changed, draft.late_policy)
        undated = draft.model_copy(update={"deadline": None})
        placed = decide_when(undated, now, settings, late_ok=late_ok)
        due_at = placed.due_at
        deadline_at += due_at - row["due_at"]
    if "deadline" in revision.changed:
        deadline = deadline_of(draft, moment(due_at), zone)
        deadline_at = (
            due_at + int(settings.default_deadline_hours * 3_600_000_000)
            if deadline is None
            else micros(deadline)
        )
    return When(due_at, deadline_at, zone)
