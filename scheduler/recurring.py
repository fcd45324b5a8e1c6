"""What comes round again: occurrences become campaigns a bounded time ahead.

Each is planned in one transaction with the mark of how far planning has come, so that a crash or
a second worker repeats nothing; the database itself refuses an occurrence it has already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
import uuid_utils

from scheduler.campaigner import Campaigner
from scheduler.clock import moment
from scheduler.once import once
from scheduler.placement import Anchor, local_of, read_anchor
from scheduler.recurrence import RecurrenceDraft, is_exception, read_rule
from scheduler.recurrence_answers import RecurrenceAnswer, coming_times, recurrence_answer, rule_of
from scheduler.refusals import RefusedError, conflict, invalid, not_found
from scheduler.sitting import refuse_if_leaving
from scheduler.store import alerts, recurrences
from scheduler.store.db import Connection
from scheduler.store.events import append, line
from scheduler.store.tokens import Caller
from scheduler.storyboard import Story
from scheduler.storyline import Beat, beats_of, frame_for, posts_of

log = structlog.get_logger()

AHEAD = timedelta(days=30)
LONGEST_LEAD = 90  # days

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """The answer to a POST; `replayed`: given before, under the same Idempotency-Key."""

    answer: RecurrenceAnswer
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Recurring:
    """Creates recurrences, plans their occurrences, ends them."""

    campaigner: Campaigner

    async def plan(self, draft: RecurrenceDraft, actor: str) -> dict[str, Any]:
        """The row that `create` would store, its first occurrence proven possible. Error:
        RefusedError."""
        now = self.campaigner.clock.micros()
        zone = draft.zone or self.campaigner.settings.zone
        start = read_anchor(draft.start, zone, moment(now), "start").local
        rule = read_rule(draft.rule, start, zone)
        _refuse_long_leads(draft.story)
        row = {
            "id": str(uuid_utils.uuid7()),
            "name": draft.name,
            "rule": draft.rule,
            "start_local": start.isoformat(),
            "zone": zone,
            "exceptions": list(draft.exceptions),
            "story": draft.story.model_dump(mode="json", exclude_defaults=True),
            "done_until": _before(start, now, zone).isoformat(),
            "created_by": actor,
            "created_at": now,
            "updated_at": now,
            "ended_at": None,
        }
        coming = coming_times(row, rule, now)
        if not coming:
            raise invalid("rule", "it is over already", "choose a later start or end")
        anchor = Anchor(coming[0], zone)
        beats = beats_of(posts_of(draft.story), anchor, self.campaigner.settings)
        await self.campaigner.cast(draft.story, beats, frame_for(draft.story, anchor), actor)
        return row

    async def create(self, draft: RecurrenceDraft, caller: Caller, key: str | None) -> Made:
        """Store it and plan what is near; committed on return. Error: RefusedError."""
        database = self.campaigner.database
        asked = once(caller, key, draft)
        given = await asked.given(database)
        if given is None:
            row = await self.plan(draft, caller.actor)
            answer = recurrence_answer(row, row["created_at"])
            async with database.write() as connection:
                first = await asked.first(connection, database, answer, row["created_at"])
                if first:
                    await recurrences.add(connection, row)
                    data = {"recurrence_id": row["id"], "name": row["name"], "rule": row["rule"]}
                    created = line("recurrence.created", row["created_at"], caller.actor, data)
                    await append(connection, [created])
            if first:
                await self.plan_ahead(row["id"])
                return Made(answer)
            given = await asked.given(database)
        return Made(given, replayed=True)

    async def plan_everything(self) -> None:
        """Plan each recurrence as far ahead as it should be; one that fails stops no other."""
        for recurrence_id in await recurrences.running(self.campaigner.database):
            try:
                await self.plan_ahead(recurrence_id)
            except Exception:  # the next round tries again
                log.exception("recurrence.failed", recurrence=recurrence_id)

    async def plan_ahead(self, recurrence_id: str) -> int:
        """Turn the occurrences that come near into campaigns; how many."""
        async with self.campaigner.database.read() as connection:
            row = await recurrences.get(connection, recurrence_id)
        if row is None or row["ended_at"] is not None:
            return 0
        now = self.campaigner.clock.micros()
        rule = rule_of(row)
        story = Story.model_validate(row["story"])
        done = datetime.fromisoformat(row["done_until"])
        try:
            lead = _lead(story)
        except RefusedError as refused:  # its template is not in this release
            await self._refused(row, done, refused)
            return 0
        upto = local_of(moment(now) + AHEAD, row["zone"]) + lead
        planned = 0
        for occurrence in rule.between(done, upto, row["exceptions"]):
            try:
                planned += await self._plan_one(row, story, occurrence)
            except RefusedError as refused:
                await self._refused(row, occurrence, refused)
                break
        return planned

    async def _plan_one(self, row: Row, story: Story, occurrence: datetime) -> bool:
        """One occurrence, with all of it that is not yet over; whether it was ours to plan."""
        now = self.campaigner.clock.micros()
        anchor = Anchor(occurrence, row["zone"])
        beats = beats_of(posts_of(story), anchor, self.campaigner.settings)
        owed = [
            beat for beat in beats if beat.deadline_at > now and beat.due_at >= row["created_at"]
        ]
        cast = None
        if owed:
            key = (row["id"], occurrence.isoformat(timespec="minutes"))
            frame = frame_for(story, anchor)
            cast = await self.campaigner.cast(story, owed, frame, row["created_by"], recurrence=key)
        async with self.campaigner.database.write() as connection:
            current = await recurrences.get(connection, row["id"], lock=True)
            if not _wants(current, occurrence):
                return False
            values = {"done_until": occurrence.isoformat(), "updated_at": now}
            await recurrences.change(connection, row["id"], values)
            await alerts.resolve(connection, _fact(row, "refused"), now)
            if cast is None:
                await self._missed(connection, row, occurrence, beats)
                return False
            stored = await self.campaigner.store(connection, cast, row["created_by"])
        if stored:
            await self.campaigner.ring(cast)
        return stored

    async def _missed(
        self, connection: Connection, row: Row, occurrence: datetime, beats: Sequence[Beat]
    ) -> None:
        """Nobody was there in time to plan it: say so. What was over when the recurrence was
        created was never owed."""
        if all(beat.due_at < row["created_at"] for beat in beats):
            return
        await self._tell(
            connection, row, occurrence, "missed",
            cause="its time and its deadlines passed before it could be planned",
            action="publish by hand what still matters",
        )  # fmt: skip

    async def _refused(self, row: Row, occurrence: datetime, refused: RefusedError) -> None:
        """It cannot be planned as it is: tell, and try again every round."""
        details = [f"{error.field}: {error.detail}" for error in refused.errors]
        async with self.campaigner.database.write() as connection:
            await self._tell(
                connection, row, occurrence, "refused",
                cause="; ".join(details) or refused.detail,
                action="mend what it names, or end the recurrence and create it anew",
            )  # fmt: skip

    async def _tell(
        self,
        connection: Connection,
        row: Row,
        occurrence: datetime,
        what: str,
        *,
        cause: str,
        action: str,
    ) -> None:
        now = self.campaigner.clock.micros()
        data = {
            "recurrence_id": row["id"],
            "title": row["name"],
            "occurrence": occurrence.isoformat(timespec="minutes"),
            "cause": f"{row['name']}, {occurrence:%Y-%m-%d %H:%M}: {cause}",
            "action": action,
        }
        await alerts.raise_alert(
            connection, self.campaigner.database, fact=_fact(row, what),
            kind=f"recurrence.{what}", severity="warning", data=data, now=now,
        )  # fmt: skip
        if what == "missed":
            missed = line("recurrence.missed", now, row["created_by"], data)
            await append(connection, [missed])

    async def skip(self, recurrence_id: str, occurrence: str, actor: str) -> None:
        """Except a day or a time; what is planned for it is cancelled. Error: RefusedError."""
        async with self.campaigner.database.write() as connection:
            row = await self._running(connection, recurrence_id)
            now = self.campaigner.clock.micros()
            exceptions = sorted({*row["exceptions"], occurrence})
            values = {"exceptions": exceptions, "updated_at": now}
            await recurrences.change(connection, recurrence_id, values)
            planned = [
                one
                for one in await recurrences.campaigns_of(connection, recurrence_id)
                if is_exception(datetime.fromisoformat(one["occurrence"]), [occurrence])
            ]
            data = {"recurrence_id": recurrence_id, "occurrence": occurrence}
            await append(connection, [line("recurrence.skipped", now, actor, data)])
            await self._cancel(connection, planned, actor)

    async def end(self, recurrence_id: str, actor: str, *, keep_planned: bool) -> None:
        """No further occurrence; what is planned and still waits is cancelled, unless kept.
        Error: RefusedError."""
        async with self.campaigner.database.write() as connection:
            await self._running(connection, recurrence_id)
            now = self.campaigner.clock.micros()
            values = {"ended_at": now, "updated_at": now}
            await recurrences.change(connection, recurrence_id, values)
            await alerts.resolve(connection, f"recurrence:{recurrence_id}:refused", now)
            data = {"recurrence_id": recurrence_id}
            await append(connection, [line("recurrence.ended", now, actor, data)])
            if not keep_planned:
                planned = await recurrences.campaigns_of(connection, recurrence_id)
                await self._cancel(connection, planned, actor)

    async def _cancel(self, connection: Connection, planned: Sequence[Row], actor: str) -> None:
        ended = [
            one
            for campaign in planned
            for one in await self.campaigner.cancel_locked(connection, campaign, actor)
        ]
        refuse_if_leaving(ended, self.campaigner.clock.micros())

    async def _running(self, connection: Connection, recurrence_id: str) -> Row:
        row = await recurrences.get(connection, recurrence_id, lock=True)
        if row is None:
            raise not_found("recurrence", recurrence_id)
        if row["ended_at"] is not None:
            raise conflict("the recurrence is ended already", "create a new one")
        return row


def _before(start: datetime, now: int, zone: str) -> datetime:
    """Where planning begins: nothing of the past is owed by a recurrence that is new."""
    lead = timedelta(days=LONGEST_LEAD)
    return max(start - timedelta(seconds=1), local_of(moment(now), zone) - lead)


def _wants(current: Row | None, occurrence: datetime) -> bool:
    """Whether a locked recurrence still has this occurrence to plan."""
    return (
        current is not None
        and current["ended_at"] is None
        and datetime.fromisoformat(current["done_until"]) < occurrence
        and not is_exception(occurrence, current["exceptions"])
    )


def _lead(story: Story) -> timedelta:
    """How long before its anchor the story begins, with a day to spare for clock changes."""
    days = [post.when.days + post.when.minutes / 1440 for post in posts_of(story)]
    return timedelta(days=1 + max(0, *(-day for day in days)))


def _refuse_long_leads(story: Story) -> None:
    for index, post in enumerate(posts_of(story)):
        if post.when.days < -LONGEST_LEAD:
            raise invalid(
                f"posts[{index}].when.days",
                f"what comes round again begins at most {LONGEST_LEAD} days before",
                "place it nearer to its occurrence",
            )


def _fact(row: Row, what: str) -> str:
    return f"recurrence:{row['id']}:{what}"
