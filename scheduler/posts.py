"""Accept a post: understand it, plan it, store it with its deliveries, ring the doorbell.

Requests that come together share one transaction: while one batch commits, the next one gathers.
201 means committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import structlog
import uuid_utils

from channels.posts import Post
from scheduler import tracing
from scheduler.asking import (
    Accepted,
    Asked,
    answer_again,
    fail,
    fingerprint,
    one_per_key,
    row_kept,
    succeed,
)
from scheduler.clock import Clock
from scheduler.content import media_ids, to_content, to_post
from scheduler.doorbell import Doorbell
from scheduler.drafts import Draft
from scheduler.plan import Plan, choose, make_plan, names_accounts, refuse_unfit
from scheduler.pointers import foreseen
from scheduler.records import Prepared, Row, prepared
from scheduler.refusals import RefusedError
from scheduler.roster import Member, Roster
from scheduler.settings import Settings
from scheduler.store import idempotency, media
from scheduler.store.arrivals import Arrival, open_arrivals
from scheduler.store.db import Database
from scheduler.store.faults import away
from scheduler.store.tokens import Caller
from scheduler.when import decide_when, takes_lateness

log = structlog.get_logger()

AT_ONCE = 8  # posts planned, about a millisecond each, before others get a turn
TRIES = 5  # plans of one batch while the accounts change; the last is stored as it is
GATHER = 0.002  # seconds between two batches; a first request never waits


class Intake:
    """Takes posts. One per process."""

    def __init__(
        self,
        *,
        database: Database,
        roster: Roster,
        clock: Clock,
        settings: Settings,
        doorbell: Doorbell,
    ) -> None:
        self._database = database
        self._roster = roster
        self._clock = clock
        self._settings = settings
        self._doorbell = doorbell
        self._arrivals = open_arrivals(database)
        self._waiting: list[Asked] = []
        self._drain: asyncio.Task[None] | None = None
        self._bells: set[asyncio.Task[None]] = set()

    async def accept(self, draft: Draft, caller: Caller, key: str | None = None) -> Accepted:
        """Store a post and its deliveries; committed on return. Error: RefusedError."""
        with tracing.span("accept"):
            answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
            asked = Asked(draft, caller, key, fingerprint(draft), answer, tracing.here())
            self._waiting.append(asked)
            if self._drain is None or self._drain.done():
                self._drain = asyncio.create_task(self._take_all())
            accepted = await answer
            tracing.note({"estafette.post.id": accepted.answer["id"]})
            return accepted

    async def plan(self, draft: Draft, routes: Mapping[str, Sequence[str]]) -> tuple[Row, Plan]:
        """What `accept` would store, without storing it."""
        uploads = await self._media([draft])
        members = await self._roster.everyone()
        row, post = self._read(draft, uploads)
        now: int = row["created_at"]
        chosen = choose(draft, members, now)
        post = replace(post, blog_url=await foreseen(post, chosen, now))
        return row, make_plan(post, chosen, routes, now)

    async def row(self, draft: Draft) -> Row:
        """The row of posts that `accept` would store. Error: RefusedError."""
        row, _ = self._read(draft, await self._media([draft]))
        return row

    async def close(self) -> None:
        """Finish what was taken."""
        if self._drain is not None:
            await self._drain
        await asyncio.gather(*self._bells)
        await self._arrivals.close()

    async def _take_all(self) -> None:
        while self._waiting:
            batch, self._waiting = one_per_key(self._waiting)
            try:
                await self._take(batch)
            except Exception as error:  # noqa: BLE001 -- each request is answered with it
                await self._take_singly(batch, error)
            await asyncio.sleep(GATHER)  # a little larger batches cost a lot less under load

    async def _take_singly(self, batch: Sequence[Asked], error: Exception) -> None:
        """One post that the database refuses must not fail those that came beside it. What it did
        not answer to may be stored: never again from here, or it would be published twice."""
        if len(batch) == 1 or away(error):
            for asked in batch:
                fail(asked, error)
            return
        for asked in batch:
            if asked.answer.done():
                continue
            try:
                await self._take([asked])
            except Exception as own:  # noqa: BLE001 -- as above
                fail(asked, own)

    async def _take(self, batch: Sequence[Asked]) -> None:
        uploads = await self._media(asked.draft for asked in batch)
        standing = await self._roster.remembered()
        for last in (False,) * (TRIES - 1) + (True,):
            ready, refused = await self._prepared(batch, standing.members, uploads)
            if refused and not last:
                now = await self._roster.standing()
                if now.version != standing.version:  # it may be taken as the accounts are now
                    standing = now
                    continue
            if await self._store(ready, None if last else standing.version):
                await self._refuse(refused)
                return
            log.info("posts.planned_again", posts=len(ready))  # an account changed meanwhile
            standing = await self._roster.standing()

    async def _prepared(
        self,
        batch: Sequence[Asked],
        members: Mapping[str, Member],
        uploads: Mapping[str, Row],
    ) -> tuple[list[tuple[Asked, Prepared]], list[tuple[Asked, RefusedError]]]:
        ready: list[tuple[Asked, Prepared]] = []
        refused: list[tuple[Asked, RefusedError]] = []
        for index, asked in enumerate(batch, 1):
            try:
                ready.append((asked, self._prepare(asked, members, uploads)))
            except RefusedError as refusal:
                refused.append((asked, refusal))
            if index % AT_ONCE == 0:  # planning only computes: let other requests in between
                await asyncio.sleep(0)
        return ready, refused

    async def _refuse(self, refused: Sequence[tuple[Asked, RefusedError]]) -> None:
        """What was accepted once stays accepted, whatever is said of it now."""
        unknown = await self._answer_known([asked for asked, _ in refused])
        for asked, refusal in refused:
            if asked in unknown:
                fail(asked, refusal)

    async def _answer_known(self, batch: Sequence[Asked]) -> list[Asked]:
        """Answer the requests whose key was used before; the others."""
        slots = [asked.slot for asked in batch if asked.slot is not None]
        if not slots:
            return list(batch)
        async with self._database.read() as connection:
            given = await idempotency.find(connection, slots)
        for asked in batch:
            if asked.slot in given:
                answer_again(asked, given[asked.slot])
        return [asked for asked in batch if asked.slot not in given]

    async def _store(self, ready: Sequence[tuple[Asked, Prepared]], version: str | None) -> bool:
        """Store, and answer those who asked; False, and nothing is done, when the accounts are no
        longer as in `version`."""
        if not ready:
            return True
        now = self._clock.micros()
        stored = await self._arrivals.add(
            [
                Arrival(
                    item.post, item.deliveries, item.event,
                    None if asked.key is None else row_kept(asked, item, now),
                )
                for asked, item in ready
            ],
            version,
        )  # fmt: skip
        if stored is None:
            return False
        won = [pair for place, pair in enumerate(ready) if place in stored]
        for asked, item in won:
            succeed(asked, Accepted(item.answer))
            log.info(
                "post.accepted", post=item.post["id"], actor=item.post["created_by"],
                deliveries=[leg["id"] for leg in item.deliveries],
            )  # fmt: skip
        self._ring(item.post["due_at"] for _, item in won)
        await self._answer_known(
            [asked for place, (asked, _) in enumerate(ready) if place not in stored]
        )
        return True

    def _ring(self, moments: Iterable[int]) -> None:
        for second in sorted({due_at // 1_000_000 for due_at in moments}):
            bell = asyncio.create_task(self._doorbell.ring(second * 1_000_000))
            self._bells.add(bell)
            bell.add_done_callback(self._bells.discard)

    async def _media(self, drafts: Iterable[Draft]) -> dict[str, Row]:
        wanted = {name for draft in drafts for name in media_ids(draft)}
        if not wanted:
            return {}
        async with self._database.read() as connection:
            return await media.described(connection, sorted(wanted))

    def _read(self, draft: Draft, uploads: Mapping[str, Row]) -> tuple[Row, Post]:
        """A new post's row, and the post as channels see it."""
        now = self._clock.micros()
        late_ok = takes_lateness(draft.model_fields_set, draft.late_policy)
        when = decide_when(draft, now, self._settings, late_ok=late_ok)
        row = {
            "id": str(uuid_utils.uuid7()),
            "kind": draft.kind.value,
            "title": draft.title,
            "content": to_content(draft, uploads),
            "due_at": when.due_at,
            "zone": when.zone,
            "late_policy": draft.late_policy.value,
            "deadline_at": when.deadline_at,
            "campaign_id": None,
            "version": 1,
            "cancelled_at": None,
            "created_at": now,
            "updated_at": now,
        }
        post = to_post(row, self._settings.data_dir / "media")
        return row, replace(post, own_hosts=self._settings.own_hosts)

    def _prepare(
        self, asked: Asked, members: Mapping[str, Member], uploads: Mapping[str, Row]
    ) -> Prepared:
        row, post = self._read(asked.draft, uploads)
        now: int = row["created_at"]
        with tracing.span("plan", asked.trace, {"estafette.post.id": row["id"]}):
            plan = make_plan(post, choose(asked.draft, members, now), {}, now, outlined=True)
            refuse_unfit(plan, named=names_accounts(asked.draft))
        return prepared({**row, "created_by": asked.caller.actor}, plan, asked.trace)
