"""Correct the words of what was published, where its channel can, and of what still waits.

The post is changed first, in one transaction, then each platform is asked within the request.
Nothing is changed while one of its deliveries is in doubt: looking for what may have been published
goes by the words that it was sent with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from channels.abilities import Archives, Edits
from channels.outcome import Delivered, Outcome, Rejected, Unconfirmed
from scheduler.archive import page_of
from scheduler.changes import event, evidence_json
from scheduler.clock import Clock
from scheduler.content import draft_of
from scheduler.correctable import (
    BY_HAND,
    concerned,
    correctable,
    hindered,
    merged,
    overruled,
    stands,
)
from scheduler.deliveries import Delivery, State
from scheduler.drafts import NewWords
from scheduler.gathering import Gatherer
from scheduler.plan import make_plan, refuse_unfit
from scheduler.rendering import Renderer
from scheduler.revise import Reviser, applied
from scheduler.roster import Member, Roster
from scheduler.sitting import in_doubt, leaving, may_be_leaving, post_at, settle_first, sitting
from scheduler.store import desk, digests, mailings, posts
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection, Database
from scheduler.store.events import append, line
from scheduler.when import When
from scheduler.withdraw import verdict
from scheduler.withdrawal import TO_READERS, Fate, Withdrawal

log = structlog.get_logger()

_PAGE = "its page in the archive says it in the new words; what was sent keeps the old ones"
_WAITS = frozenset({State.SCHEDULED, State.ARMED, State.HELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Editor:
    """Changes the post and asks the platforms. `timeout`: seconds for each answer."""

    database: Database
    roster: Roster
    clock: Clock
    reviser: Reviser
    renderer: Renderer
    timeout: float

    async def edit(self, post_id: str, words: NewWords, actor: str) -> list[Withdrawal]:
        """What became of each delivery that stands or waits. Error: RefusedError, nothing changed:
        nothing of it that a channel could change is published, or one is in doubt."""
        members = await self.roster.everyone()
        due_at, own = await self._change(post_id, words, members, actor)
        await self.reviser.doorbell.ring(due_at)  # what was armed with the old words
        async with self.database.read() as connection:
            rows = await _rows(connection, post_id)
        shown = [row for row in rows if _there(row) and concerned(row["channel"], words)]
        return list(await asyncio.gather(*(self._one(row, members, own, actor) for row in shown)))

    async def _change(
        self, post_id: str, words: NewWords, members: Mapping[str, Member], actor: str
    ) -> tuple[int, Collection[str]]:
        """When the first of what waits is due (microseconds), now if nothing does; the channels
        that have words of their own for all that was sent."""
        async with sitting(self.database, self.clock) as held:
            connection, now = held.connection, held.now
            row = await post_at(connection, post_id, words.version)
            every = await desk.locked_of_post(connection, post_id)
            gathered = await digests.waiting_with(connection, [post_id])
            _refuse_doubt([*every, *gathered], now)
            own = overruled(row["content"].get("variants", {}), words)
            rows = [one for one in await _rows(connection, post_id) if _there(one)]
            fit = correctable(rows, members, words, own)
            waiting = [one for one in [*every, *gathered] if one.state in _WAITS]
            held.taken.extend(waiting)
            draft = applied(words.revision(merged(draft_of(dict(row))["variants"], words)), row)
            when = When(row["due_at"], row["deadline_at"], row["zone"])
            changed = await self.reviser.changed_row(connection, dict(row), draft, when)
            post = await self.reviser.read(connection, changed, now)
            fit |= {one.account_id for one in waiting if one.post_id == post_id}
            read_by = [members[one] for one in sorted(fit) if one in members]
            refuse_unfit(make_plan(post, read_by, {}, now), named=True)
            version = row["version"] + 1
            values = {**changed, "version": version, "updated_at": now}
            await desk.update_post(connection, post_id, values)
            for digest in gathered:
                gatherer = Gatherer(zone=self.reviser.settings.zone, now=now)
                await gatherer.refresh(connection, digest, members)
            for one in waiting:
                if one.post_id == post_id and one.state is State.ARMED:
                    await desk.hand_back(connection, one.id, now=now)
            data = {
                "fields": sorted(words.model_fields_set - {"version"}),
                "version": version,
                "before": _before(row, words),
            }
            await append(connection, [line("post.changed", now, actor, data, post_id=post_id)])
        return min((one.due_at for one in waiting), default=now), own

    async def _one(
        self,
        row: Mapping[Any, Any],
        members: Mapping[str, Member],
        own: Collection[str],
        actor: str,
    ) -> Withdrawal:
        delivery = to_delivery(row)  # type: ignore[arg-type]
        if delivery.state in _WAITS:
            return _of(row, delivery, Fate.WAITING, "it goes out in the new words")
        why = hindered(row, members, own)
        if why is not None:
            return _of(row, delivery, Fate.IMPOSSIBLE, *why)
        if row["paged"]:
            return await self._correct_page(row, delivery, actor)
        outcome = await self._asked(delivery)
        now = self.clock.micros()
        data: dict[str, Any] = {"evidence": evidence_json(outcome.evidence)}
        if isinstance(outcome, Delivered):
            async with self.database.write() as connection:
                await append(connection, [event("delivery.edited", delivery, now, actor, data)])
            return _of(row, delivery, Fate.EDITED, outcome.note)
        fate, detail, remedy = verdict(outcome)
        if isinstance(outcome, Rejected) and not outcome.problem.remedy:
            remedy = BY_HAND
        if fate is Fate.UNCONFIRMED:
            remedy = "try again: it does no harm"
        data |= {"cause": detail, "outcome": fate.value}
        async with self.database.write() as connection:
            await append(connection, [event("delivery.edit_failed", delivery, now, actor, data)])
        return _of(row, delivery, fate, detail, remedy)

    async def _correct_page(
        self, row: Mapping[Any, Any], delivery: Delivery, actor: str
    ) -> Withdrawal:
        rendered = await self.renderer.again(delivery)
        assert rendered is not None  # its account could be opened a moment ago
        member, message = rendered
        assert isinstance(member.channel, Archives)  # it made the page
        values = page_of(message, member.id, member.channel)
        now = self.clock.micros()
        async with self.database.write() as connection:
            await mailings.correct(connection, delivery.id, values)
            await append(connection, [event("delivery.page_edited", delivery, now, actor, {})])
        return _of(row, delivery, Fate.PAGE_ONLY, _PAGE, TO_READERS)

    async def _asked(self, delivery: Delivery) -> Outcome:
        try:
            async with asyncio.timeout(self.timeout):
                rendered = await self.renderer.again(delivery)
                assert rendered is not None  # its account could be opened a moment ago
                member, message = rendered
                assert isinstance(member.channel, Edits)
                assert delivery.remote_id is not None
                return await member.channel.edit(
                    message, member.account, remote_id=delivery.remote_id
                )
        except TimeoutError:
            return Unconfirmed(detail=f"no answer within {self.timeout:g} s")
        except Exception as error:
            log.exception("adapter.unforeseen", delivery=delivery.id)
            return Unconfirmed(detail=f"unforeseen {type(error).__name__} in the adapter")


async def _rows(connection: Connection, post_id: str) -> list[dict[Any, Any]]:
    rows = await posts.deliveries_of(connection, [post_id])
    return await mailings.with_pages(connection, rows)


def _refuse_doubt(every: Sequence[Delivery], now: int) -> None:
    if any(may_be_leaving(one, now) for one in every):
        raise leaving()
    doubtful = next((one for one in every if in_doubt(one)), None)
    if doubtful is not None:
        raise settle_first(doubtful)


def _there(row: Mapping[Any, Any]) -> bool:
    return stands(row) or State(row["state"]) in _WAITS


def _before(row: Mapping[Any, Any], words: NewWords) -> dict[str, Any]:
    """What was said until now."""
    variants = row["content"].get("variants", {})
    own = {
        channel: {name: variants.get(channel, {}).get(name) for name in ("title", "body")}
        for channel in words.variants or {}
    }
    said = {"title": row["title"], "body": row["content"].get("body", "")}
    return said | ({"variants": own} if own else {})


def _of(
    row: Mapping[Any, Any], delivery: Delivery, fate: Fate, detail: str = "", remedy: str = ""
) -> Withdrawal:
    return Withdrawal(
        delivery=delivery, account=row["account_name"], channel=row["channel"], fate=fate,
        detail=detail, remedy=remedy,
    )  # fmt: skip
