"""Claim what is due soon and make it ready to send: account, post, rendered message.

Everything slow happens here, ahead of time, so that nothing but the request is left at the due
time. What cannot go now is put back with a later time, held, or closed, in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
import uuid_utils

from channels.posts import Part
from scheduler import tracing
from scheduler.attempt import Armed
from scheduler.campaigns import read_post
from scheduler.clearance import LATE_ARTICLE, Batch, Clearance
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.deliveries import Delivery, State
from scheduler.pointers import NOWHERE, Pointer, Pointers
from scheduler.rendering import Renderer, words
from scheduler.roster import Member, Roster
from scheduler.store import arming as store
from scheduler.store import campaigns, claims
from scheduler.store.alerts import raise_alert
from scheduler.store.completions import write_changes
from scheduler.store.db import Connection, Database
from scheduler.store.events import Event, append
from scheduler.store.roster import reserve_slots

log = structlog.get_logger()

_YIELD_EVERY = 4
SPREAD = "spread out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Armer:
    """Claims and prepares; one per worker."""

    database: Database
    roster: Roster
    clock: Clock
    worker: str
    clearance: Clearance
    renderer: Renderer
    lease_us: int
    send_us: int
    catch_up_gap_us: int
    article_us: int
    _failed: list[str] = field(default_factory=list)

    async def warm_up(self) -> None:
        """What first rounds pay for: load the adapters, have the claim prepared (of what was due
        before 1970: nothing)."""
        await self.roster.warm_up()
        now = self.clock.micros()
        await claims.claim_due(
            self.database, horizon=-1, worker=self.worker, token="", lease_until=now, now=now,
            limit=1,
        )  # fmt: skip

    async def arm(
        self, horizon: int, limit: int, crowded: claims.Crowded = claims.NOBODY
    ) -> Batch | None:
        """One claim of up to `limit` rows due by `horizon`, prepared; None when nothing is due but
        of those who have their share."""
        if not await claims.any_due(self.database, horizon, crowded, now=self.clock.micros()):
            return None
        token = str(uuid_utils.uuid7())
        try:
            return await self._claim(horizon, limit, token, crowded)
        except BaseException:  # claimed or not, nobody has it in hand
            self._failed.append(token)
            raise

    async def forget_failed(self) -> None:
        """Give back what was claimed by rounds that failed: nothing of it was sent."""
        if self._failed:
            tokens = tuple(self._failed)
            await claims.release_all(self.database, tokens, now=self.clock.micros())
            del self._failed[: len(tokens)]

    async def _claim(
        self, horizon: int, limit: int, token: str, crowded: claims.Crowded
    ) -> Batch | None:
        now = self.clock.micros()
        claimed = await claims.claim_due(
            self.database,
            horizon=horizon,
            worker=self.worker,
            token=token,
            # Renewed while it waits; a send that begins at its time must fit in anyway.
            lease_until=max(now + self.lease_us, horizon + self.send_us + SECOND),
            now=now,
            limit=limit,
            crowded=crowded,
        )
        if not claimed:
            return None
        # Those put off to the same moment, the end of a pause, keep the order of their own times.
        claimed.sort(key=lambda delivery: (delivery.due_at, delivery.planned_at, delivery.id))
        batch = await self._prepare(claimed)
        tracing.record_all("claim", now, self.clock.micros(), (a.delivery for a in batch.armed))
        if batch.changes:
            await self._write(batch)
        return batch

    async def _write(self, batch: Batch) -> None:
        async with self.database.write() as connection:
            applied = await write_changes(connection, batch.changes, self.clock.micros())
            lines = [line for line in batch.events if line["delivery_id"] in applied]
            await append(connection, lines)
            for line in lines:
                if "action" in line["data"]:
                    await self._alert(connection, line)

    async def _alert(self, connection: Connection, line: Event) -> None:
        """Late is a choice, and its owner hears what it came to."""
        await raise_alert(
            connection,
            self.database,
            fact=f"delivery:{line['delivery_id']}:{line['kind'].partition('.')[2]}",
            kind=line["kind"],
            severity="warning",
            data={
                "post_id": line["post_id"],
                "delivery_id": line["delivery_id"],
                "account_id": line["account_id"],
                **line["data"],
            },
            now=line["at"],
        )

    async def _prepare(self, claimed: Sequence[Delivery]) -> Batch:
        members = await self.roster.members(delivery.account_id for delivery in claimed)
        rows = await store.posts_of(self.database, (delivery.post_id for delivery in claimed))
        origins = await store.origins_of(
            self.database, (d.origin_id for d in claimed if d.origin_id is not None)
        )
        mains = await store.mains_of(
            self.database,
            ((d.post_id, d.account_id) for d in claimed if d.part is Part.FIRST_COMMENT),
        )
        told = await campaigns.of_posts(self.database, rows.values())
        late = self.clock.micros() - self.clearance.late.late_after_us
        begun = await store.begun_of(self.database, (d.id for d in claimed if d.planned_at < late))
        batch = Batch()
        ready: list[tuple[Delivery, str | None]] = []
        now = self.clock.micros()
        for delivery in claimed:
            row = rows[delivery.post_id]
            main: Any = mains.get((delivery.post_id, delivery.account_id))
            try:
                member, some = members.get(delivery.account_id), delivery.id in begun
                if self._cleared(batch, delivery, member, row, main, now, begun=some):
                    comments = delivery.part is Part.FIRST_COMMENT
                    ready.append((delivery, main.remote_id if comments else None))
            except Exception as error:  # one that is odd keeps none of the others waiting
                log.exception("clearance.failed", delivery=delivery.id)
                self.clearance.unclear(batch, delivery, type(error).__name__, now)
        fire_at = await self._fire_times(batch, ready, members, now)
        leaving = [delivery for delivery, _ in ready if delivery.id in fire_at]
        articles = await Pointers(self.database, self.roster).of(leaving, members, rows, told, now)
        for count, (delivery, reply_to) in enumerate(ready):
            if delivery.id not in fire_at:
                continue
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)  # rendering must not delay what fires meanwhile
            member = members[delivery.account_id]
            at = max(fire_at[delivery.id], now)
            pointer = articles.get(delivery.id, NOWHERE)
            try:
                read = read_post(rows[delivery.post_id], self.renderer.media_dir, told, at)
                post = words(read, delivery, origins)
                message = await self.renderer.message(
                    post, member, delivery.part, reply_to, pointer.url
                )
            except Exception as error:
                log.exception("render.failed", delivery=delivery.id, channel=member.channel.name)
                batch.moved.append((delivery, f"could not be rendered ({type(error).__name__})"))
                continue
            assert delivery.lease_until is not None  # it was just claimed
            armed = Armed(
                delivery, member, message, fire_at[delivery.id], delivery.lease_until,
                version=rows[delivery.post_id]["version"],
            )  # fmt: skip
            self._wait_for(armed, pointer, at)
            batch.armed.append(armed)
        return batch

    def _cleared(
        self,
        batch: Batch,
        delivery: Delivery,
        member: Member | None,
        row: Mapping[str, Any],
        main: Any,
        now: int,
        *,
        begun: bool,
    ) -> bool:
        """Whether it may go; else what becomes of it is in the batch."""
        if member is None:
            why = self.roster.closed(delivery.account_id)
            self.clearance.closed(batch, delivery, row, why, now)
            return False
        if self.clearance.refuses(batch, delivery, member, row, now, begun=begun):
            return False
        comments = delivery.part is Part.FIRST_COMMENT
        return not (comments and self.clearance.comment_waits(batch, delivery, main, now))

    def _wait_for(self, armed: Armed, pointer: Pointer, at: int) -> None:
        if pointer.named_by(armed.message):
            armed.article, armed.patience_until = pointer.article, at + self.article_us

    async def put_back(self, paused: Sequence[tuple[Delivery, int, str]]) -> None:
        """Armed deliveries whose account was paused (until, why) before they fired."""
        batch = Batch()
        now = self.clock.micros()
        for delivery, until, why in paused:
            self.clearance.pause(batch, delivery, until, why, now)
        for delivery, _ in batch.moved:  # by whoever claims it next
            self.clearance.change(batch, delivery, "", State.SCHEDULED, now, cause=delivery.cause)
        await self._write(batch)

    async def drop_links(self, late: Sequence[Delivery]) -> None:
        """Armed deliveries whose article was not there in time."""
        batch = Batch()
        now = self.clock.micros()
        for delivery in late:
            self.clearance.drop_link(batch, delivery, now)
        await self._write(batch)

    async def _fire_times(
        self,
        batch: Batch,
        ready: Sequence[tuple[Delivery, str | None]],
        members: Mapping[str, Member],
        now: int,
    ) -> dict[str, int]:
        """When each fires: its due time, unless its account needs gaps. Gaps are reserved in the
        account's row, so that all workers together keep them."""
        times: dict[str, int] = {}
        spaced: dict[tuple[str, int], list[Delivery]] = {}
        for delivery, _ in ready:
            gap = members[delivery.account_id].gap_us
            if now - delivery.planned_at > self.clearance.late.late_after_us:
                gap = max(gap, self.catch_up_gap_us)
            if gap and not _has_slot(delivery, gap, now):
                spaced.setdefault((delivery.account_id, gap), []).append(delivery)
            else:
                times[delivery.id] = delivery.due_at
        for (account_id, gap), queued in spaced.items():
            async with self.database.write() as connection:
                at = await reserve_slots(
                    connection, account_id, count=len(queued), gap_us=gap,
                    now=max(now, queued[0].due_at),
                )  # fmt: skip
            for place, delivery in enumerate(queued):
                fire_at = max(at + place * gap, delivery.due_at)
                if fire_at > now + self.lease_us // 2:
                    self.clearance.change(batch, delivery, "", State.SCHEDULED, now,
                                          due_at=fire_at, cause=SPREAD)  # fmt: skip
                else:
                    times[delivery.id] = fire_at
        return times


def _has_slot(delivery: Delivery, gap: int, now: int) -> bool:
    """Whether its slot is already reserved: spacing it again would put it off for ever. A slot that
    passed is none any more: after an outage all of them would leave at once."""
    if delivery.cause == SPREAD:
        return delivery.due_at >= now - gap - SECOND
    return delivery.cause == LATE_ARTICLE
