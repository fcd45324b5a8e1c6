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

from channels.abilities import Edits
from channels.outcome import Delivered, Outcome, Rejected, Unconfirmed
from channels.posts import Part
from scheduler.changes import event, evidence_json
from scheduler.clock import Clock
from scheduler.deliveries import Delivery, State
from scheduler.drafts import NewWords
from scheduler.gathering import Gatherer
from scheduler.plan import make_plan, refuse_unfit
from scheduler.refusals import FieldError, Refusal, RefusedError, conflict
from scheduler.rendering import Renderer
from scheduler.revise import Reviser, applied
from scheduler.roster import Member, Roster
from scheduler.sitting import in_doubt, leaving, may_be_leaving, post_at, settle_first, sitting
from scheduler.store import desk, digests, posts
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection, Database
from scheduler.store.events import append, line
from scheduler.when import When
from scheduler.withdraw import verdict
from scheduler.withdrawal import Fate, Withdrawal

log = structlog.get_logger()

_WAITS = frozenset({State.SCHEDULED, State.ARMED, State.HELD})
_MAILS = "what was sent to people one by one keeps the old words"
_CANNOT = "this channel cannot change what it published"
_BY_HAND = "change it there by hand, or publish a correction"


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
            rows = await posts.deliveries_of(connection, [post_id])
        shown = [row for row in rows if _stands(row) or State(row["state"]) in _WAITS]
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
            own = _own(row["content"].get("variants", {}), words)
            fit = await self._fit(connection, post_id, members, own)
            waiting = [one for one in [*every, *gathered] if one.state in _WAITS]
            held.taken.extend(waiting)
            draft = applied(words.revision(), row)
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
            before = {"title": row["title"], "body": row["content"].get("body", "")}
            data = {
                "fields": sorted(words.model_fields_set - {"version"}),
                "version": version,
                "before": before,
            }
            await append(connection, [line("post.changed", now, actor, data, post_id=post_id)])
        return min((one.due_at for one in waiting), default=now), own

    async def _fit(
        self,
        connection: Connection,
        post_id: str,
        members: Mapping[str, Member],
        own: Collection[str],
    ) -> set[str]:
        """The accounts where what stands can be changed. Error: RefusedError when none."""
        rows = [row for row in await posts.deliveries_of(connection, [post_id]) if _stands(row)]
        if not rows:
            raise conflict(
                "nothing of this post is published",
                f"change what waits: PATCH /api/v1/posts/{post_id}",
            )
        found = {row["id"]: _hindered(row, members, own) for row in rows}
        if all(found.values()):
            errors = [
                FieldError(row["account_name"], *(found[row["id"]] or ("", ""))) for row in rows
            ]
            raise RefusedError(
                Refusal.INVALID, "no channel of this post can change what it published", errors
            )
        return {row["account_id"] for row in rows if found[row["id"]] is None}

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
        hindered = _hindered(row, members, own)
        if hindered is not None:
            return _of(row, delivery, Fate.IMPOSSIBLE, *hindered)
        outcome = await self._asked(delivery)
        now = self.clock.micros()
        data: dict[str, Any] = {"evidence": evidence_json(outcome.evidence)}
        if isinstance(outcome, Delivered):
            async with self.database.write() as connection:
                await append(connection, [event("delivery.edited", delivery, now, actor, data)])
            return _of(row, delivery, Fate.EDITED, outcome.note)
        fate, detail, remedy = verdict(outcome)
        if isinstance(outcome, Rejected) and not outcome.problem.remedy:
            remedy = _BY_HAND
        if fate is Fate.UNCONFIRMED:
            remedy = "try again: it does no harm"
        data |= {"cause": detail, "outcome": fate.value}
        async with self.database.write() as connection:
            await append(connection, [event("delivery.edit_failed", delivery, now, actor, data)])
        return _of(row, delivery, fate, detail, remedy)

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


def _refuse_doubt(every: Sequence[Delivery], now: int) -> None:
    if any(may_be_leaving(one, now) for one in every):
        raise leaving()
    doubtful = next((one for one in every if in_doubt(one)), None)
    if doubtful is not None:
        raise settle_first(doubtful)


def _stands(row: Mapping[Any, Any]) -> bool:
    """Whether readers see its words there; a comment has words of its own."""
    return (
        row["state"] == State.DELIVERED
        and row["withdrawn_at"] is None
        and row["part"] != Part.FIRST_COMMENT
    )


def _own(variants: Mapping[str, Mapping[str, Any]], words: NewWords) -> Collection[str]:
    sent = words.model_fields_set - {"version"}
    return {
        channel
        for channel, variant in variants.items()
        if all(variant.get(field) is not None for field in sent)
    }


def _hindered(
    row: Mapping[Any, Any], members: Mapping[str, Member], own: Collection[str]
) -> tuple[str, str] | None:
    """(detail, remedy) of why the words that stand there stay; None when they can be changed."""
    member = members.get(row["account_id"])
    if member is None:
        return "its account cannot be opened any more", _BY_HAND
    if member.channel.capabilities.addressed:
        return _MAILS, "send them a correction"
    if not isinstance(member.channel, Edits):
        return _CANNOT, _BY_HAND
    if row["channel"] in own:
        return "it has words of its own on this channel, and they stay", _BY_HAND
    if row["remote_id"] is None:
        return "nobody knows which post it is there", _BY_HAND
    return None


def _of(
    row: Mapping[Any, Any], delivery: Delivery, fate: Fate, detail: str = "", remedy: str = ""
) -> Withdrawal:
    return Withdrawal(
        delivery=delivery, account=row["account_name"], channel=row["channel"], fate=fate,
        detail=detail, remedy=remedy,
    )  # fmt: skip
