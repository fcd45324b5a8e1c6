"""Accept a post: understand it, plan it, store it with its deliveries, ring the doorbell.

Requests that come together share one transaction: while one batch commits, the next one gathers.
201 means committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import structlog
import uuid_utils

from channels.posts import Post
from scheduler import tracing
from scheduler.answers import AcceptedAnswer
from scheduler.clock import Clock
from scheduler.content import columns_of, media_ids, to_post
from scheduler.doorbell import Doorbell
from scheduler.drafts import Draft
from scheduler.plan import Plan, choose, make_plan, names_accounts, refuse_unfit
from scheduler.pointers import foreseen
from scheduler.records import Prepared, Row, prepared
from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.roster import Member, Roster
from scheduler.settings import Settings
from scheduler.store import events, idempotency, media, posts
from scheduler.store.db import Database
from scheduler.store.faults import ArchivedError
from scheduler.store.tokens import Caller
from scheduler.when import decide_when, takes_lateness

log = structlog.get_logger()

BATCH = 64
AT_ONCE = 8  # posts planned, about a millisecond each, before others get a turn
GATHER = 0.002  # seconds between two batches; a first request never waits


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a POST; `replayed`: given before, under the same Idempotency-Key."""

    answer: AcceptedAnswer
    replayed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    draft: Draft
    caller: Caller
    key: str | None
    fingerprint: str
    answer: asyncio.Future[Accepted]
    trace: str | None

    @property
    def slot(self) -> idempotency.Key | None:
        return None if self.key is None else (self.caller.id, self.key)


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
        self._waiting: list[_Asked] = []
        self._drain: asyncio.Task[None] | None = None
        self._bells: set[asyncio.Task[None]] = set()

    async def accept(self, draft: Draft, caller: Caller, key: str | None = None) -> Accepted:
        """Store a post and its deliveries; committed on return. Error: RefusedError."""
        with tracing.span("accept"):
            answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
            asked = _Asked(draft, caller, key, fingerprint(draft), answer, tracing.here())
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

    async def _take_all(self) -> None:
        while self._waiting:
            batch, self._waiting = _one_per_key(self._waiting)
            try:
                await self._take(batch)
            except Exception as error:  # noqa: BLE001 -- each request is answered with it
                await self._take_singly(batch, error)
            await asyncio.sleep(GATHER)  # a little larger batches cost a lot less under load

    async def _take_singly(self, batch: Sequence[_Asked], error: Exception) -> None:
        """One post that the database refuses must not fail those that came beside it."""
        if len(batch) == 1:
            _fail(batch[0], error)
            return
        for asked in batch:
            if asked.answer.done():
                continue
            try:
                await self._take([asked])
            except Exception as own:  # noqa: BLE001 -- as above
                _fail(asked, own)

    async def _take(self, batch: Sequence[_Asked]) -> None:
        batch = await self._answer_known(batch)
        uploads = await self._media(asked.draft for asked in batch)
        while batch:
            prepared = await self._planned(batch, uploads)
            try:
                await self._store(prepared)
            except ArchivedError as error:  # it was there when the roster was read
                log.info("posts.planned_again", archived=str(error))
                batch = [asked for asked, _ in prepared]
            else:
                return

    async def _planned(
        self, batch: Sequence[_Asked], uploads: Mapping[str, Row]
    ) -> list[tuple[_Asked, Prepared]]:
        """Those of them that can be stored; the others are refused."""
        members = await self._roster.everyone()
        prepared: list[tuple[_Asked, Prepared]] = []
        for index, asked in enumerate(batch, 1):
            try:
                prepared.append((asked, self._prepare(asked, members, uploads)))
            except RefusedError as refusal:
                _fail(asked, refusal)
            if index % AT_ONCE == 0:  # planning only computes: let other requests in between
                await asyncio.sleep(0)
        return prepared

    async def _answer_known(self, batch: Sequence[_Asked]) -> list[_Asked]:
        """Answer the requests whose key was used before; the others."""
        slots = [asked.slot for asked in batch if asked.slot is not None]
        if not slots:
            return list(batch)
        async with self._database.read() as connection:
            given = await idempotency.find(connection, slots)
        for asked in batch:
            if asked.slot in given:
                _answer_again(asked, given[asked.slot])
        return [asked for asked in batch if asked.slot not in given]

    async def _store(self, prepared: Sequence[tuple[_Asked, Prepared]]) -> None:
        """Error: ArchivedError, nothing stored."""
        if not prepared:
            return
        now = self._clock.micros()
        kept = [_answer_row(asked, item, now) for asked, item in prepared if asked.key is not None]
        async with self._database.write() as connection:
            free = await idempotency.keep(connection, self._database, kept) if kept else set()
            won = [pair for pair in prepared if pair[0].slot is None or pair[0].slot in free]
            if won:
                await posts.add(
                    connection,
                    [item.post for _, item in won],
                    [row for _, item in won for row in item.deliveries],
                )
                await events.append(connection, [item.event for _, item in won])
        for asked, item in won:
            _succeed(asked, Accepted(item.answer))
            log.info(
                "post.accepted", post=item.post["id"], actor=item.post["created_by"],
                deliveries=[leg["id"] for leg in item.deliveries],
            )  # fmt: skip
        self._ring(item.post["due_at"] for _, item in won)
        lost = [asked for asked, _ in prepared if asked.slot is not None and asked.slot not in free]
        if lost:
            await self._answer_known(lost)

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
            **columns_of(draft, uploads, when),
            "campaign_id": None,
            "version": 1,
            "cancelled_at": None,
            "created_at": now,
            "updated_at": now,
        }
        post = to_post(row, self._settings.data_dir / "media")
        return row, replace(post, own_hosts=self._settings.own_hosts)

    def _prepare(
        self, asked: _Asked, members: Mapping[str, Member], uploads: Mapping[str, Row]
    ) -> Prepared:
        row, post = self._read(asked.draft, uploads)
        now: int = row["created_at"]
        with tracing.span("plan", asked.trace, {"estafette.post.id": row["id"]}):
            plan = make_plan(post, choose(asked.draft, members, now), {}, now, outlined=True)
            refuse_unfit(plan, named=names_accounts(asked.draft))
        return prepared({**row, "created_by": asked.caller.actor}, plan, asked.trace)


def fingerprint(draft: Draft) -> str:
    """The same for the same request, however its JSON is laid out."""
    return sha256(draft.model_dump_json(exclude_unset=True).encode()).hexdigest()


def _one_per_key(waiting: Sequence[_Asked]) -> tuple[list[_Asked], list[_Asked]]:
    """The next batch, and who waits for the one after: two with one key never share a batch."""
    batch: list[_Asked] = []
    later: list[_Asked] = []
    taken: set[idempotency.Key] = set()
    for asked in waiting:
        if len(batch) >= BATCH or asked.slot in taken:
            later.append(asked)
            continue
        batch.append(asked)
        if asked.slot is not None:
            taken.add(asked.slot)
    return batch, later


def _answer_row(asked: _Asked, item: Prepared, now: int) -> Row:
    return {
        "token_id": asked.caller.id,
        "key": asked.key,
        "fingerprint": asked.fingerprint,
        "status": 201,
        "body": item.answer,
        "created_at": now,
    }


def _answer_again(asked: _Asked, given: idempotency.Given) -> None:
    if given.fingerprint != asked.fingerprint:
        detail = f"the key {asked.key!r} was used with another post"
        error = FieldError("Idempotency-Key", detail, "use a new key for a new post")
        _fail(asked, RefusedError(Refusal.KEY_REUSED, detail, [error]))
    else:
        _succeed(asked, Accepted(given.body, replayed=True))


def _succeed(asked: _Asked, answer: Accepted) -> None:
    if not asked.answer.done():  # the client may have hung up meanwhile
        asked.answer.set_result(answer)


def _fail(asked: _Asked, error: Exception) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(error)
