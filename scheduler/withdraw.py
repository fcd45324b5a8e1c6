"""Take down what was published, where its channel can.

The platform is asked within the request: adapters may be asked again without harm, so an answer
that was lost costs a person another click, and nothing is planned, claimed or retried. The
delivery stays `delivered`, a final state: nothing sends it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from channels.abilities import Withdraws
from channels.outcome import (
    AccessLost,
    Delivered,
    Gone,
    HealthStatus,
    Outcome,
    Rejected,
    Throttled,
    Unavailable,
    Unconfirmed,
)
from channels.posts import Part
from scheduler.attempt import detail_of
from scheduler.changes import event, evidence_json
from scheduler.clock import Clock
from scheduler.deliveries import Delivery
from scheduler.desk import Desk
from scheduler.refusals import FieldError, Refusal, RefusedError, not_found
from scheduler.roster import Member, Roster
from scheduler.sitting import in_doubt, may_be_leaving
from scheduler.store import mailings, posts, withdrawals
from scheduler.store.claims import to_delivery
from scheduler.store.db import Database
from scheduler.store.events import append
from scheduler.withdrawal import (
    NOT_ASKED,
    PAGE_DOWN,
    PAGE_WOULD,
    TAKEN_DOWN,
    TO_READERS,
    Fate,
    Withdrawal,
    hindrance,
)

log = structlog.get_logger()

# How adapters call a post that is not on its page any more.
_MISSING = frozenset({"post-gone", "post-missing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawer:
    """Asks the platforms, and notes what came of it. `timeout`: seconds for each answer."""

    database: Database
    roster: Roster
    clock: Clock
    desk: Desk
    timeout: float

    async def foreseen(self, post_id: str) -> list[Withdrawal]:
        """What withdrawing this post would come to, asking nobody: `Fate.POSSIBLE` where a platform
        would be asked. Error: RefusedError when there is no such post."""
        rows = await self._rows(post_id)
        members = await self._members(rows)
        return [self._foreseen(row, members) for row in rows]

    async def one(self, delivery_id: str, actor: str) -> Withdrawal:
        """Take one delivery down. Error: RefusedError when it was not."""
        async with self.database.read() as connection:
            found = await posts.delivery(connection, delivery_id)
            if found is None:
                raise not_found("delivery", delivery_id)
            (row,) = await mailings.with_pages(connection, [found])
        done = await self._withdraw(row, await self._members([row]), actor)
        if done.fate not in {*TAKEN_DOWN, Fate.PAGE_ONLY}:
            raise refused([done], done.detail)
        return done

    async def post(self, post_id: str, actor: str) -> list[Withdrawal]:
        """Take down everything of a post that can be. Error: RefusedError when there is nothing
        that a platform could be asked for; what a platform answered is in the list."""
        done = await self.chosen(post_id, "", actor)
        if all(one.fate in NOT_ASKED for one in done):
            raise refused(done, "nothing of this post can be taken down")
        return done

    async def chosen(self, post_id: str, delivery_id: str, actor: str) -> list[Withdrawal]:
        """Take down what of a post can be, or only this delivery of it (empty: all), and say of
        each what became of it. Error: RefusedError when there is no such post."""
        rows = await self._rows(post_id)
        rows = [row for row in rows if delivery_id in {"", row["id"]}]
        members = await self._members(rows)
        by_account: dict[str, list[Mapping[Any, Any]]] = {}
        # Comments first: with the post gone, a platform knows nothing of them.
        for row in sorted(rows, key=lambda row: row["part"] != Part.FIRST_COMMENT):
            by_account.setdefault(row["account_id"], []).append(row)
        groups = await asyncio.gather(
            *(self._in_turn(group, members, actor) for group in by_account.values())
        )
        done = {one.delivery.id: one for group in groups for one in group}
        return [done[row["id"]] for row in rows]

    async def _rows(self, post_id: str) -> Sequence[Mapping[Any, Any]]:
        async with self.database.read() as connection:
            if await posts.get(connection, post_id) is None:
                raise not_found("post", post_id)
            rows = await posts.deliveries_of(connection, [post_id])
            return await mailings.with_pages(connection, rows)

    async def _members(self, rows: Sequence[Mapping[Any, Any]]) -> Mapping[str, Member]:
        return await self.roster.members(row["account_id"] for row in rows)

    async def _in_turn(
        self, rows: Sequence[Mapping[Any, Any]], members: Mapping[str, Member], actor: str
    ) -> list[Withdrawal]:
        return [await self._withdraw(row, members, actor) for row in rows]

    def _foreseen(self, row: Mapping[Any, Any], members: Mapping[str, Member]) -> Withdrawal:
        delivery = to_delivery(row)  # type: ignore[arg-type]
        if row["withdrawn_at"] is not None:
            return _of(row, delivery, Fate.ALREADY, at=row["withdrawn_at"])
        member = members.get(delivery.account_id)
        found = hindrance(
            delivery,
            leaving=may_be_leaving(delivery, self.clock.micros()),
            doubtful=in_doubt(delivery),
            channel=None if member is None else member.channel,
            archived=bool(row["account_archived_at"]),
            closed=self.roster.closed(delivery.account_id),
        )
        if found is None:
            return _of(row, delivery, Fate.POSSIBLE)
        if row["paged"] and found.fate not in {Fate.WAITING, Fate.UNSETTLED}:
            return _of(row, delivery, Fate.POSSIBLE, detail=PAGE_WOULD)
        return _of(row, delivery, found.fate, detail=found.detail, remedy=found.remedy)

    async def _withdraw(
        self, row: Mapping[Any, Any], members: Mapping[str, Member], actor: str
    ) -> Withdrawal:
        ahead = self._foreseen(row, members)
        if ahead.fate is not Fate.POSSIBLE:
            return ahead
        delivery = ahead.delivery
        if row["paged"]:
            return await self._take_page_down(row, delivery, actor)
        member = members[delivery.account_id]
        outcome = await self._asked(delivery, member)
        if isinstance(outcome, Rejected) and outcome.problem.code in _MISSING:
            outcome = await self._missing(outcome, delivery, member)
        now = self.clock.micros()
        if isinstance(outcome, Delivered):
            await self._note_withdrawn(delivery, outcome, now, actor)
            return _of(row, delivery, Fate.WITHDRAWN, detail=outcome.note, at=now)
        fate, detail, remedy = verdict(outcome)
        data = {
            "cause": detail,
            "outcome": fate.value,
            "evidence": evidence_json(outcome.evidence),
        }
        async with self.database.write() as connection:
            line = event("delivery.withdrawal_failed", delivery, now, actor, data)
            await append(connection, [line])
        return _of(row, delivery, fate, detail=detail, remedy=remedy)

    async def _take_page_down(
        self, row: Mapping[Any, Any], delivery: Delivery, actor: str
    ) -> Withdrawal:
        now = self.clock.micros()
        async with self.database.write() as connection:
            if await mailings.take_down(connection, delivery.id, now):
                line = event("delivery.page_withdrawn", delivery, now, actor, {})
                await append(connection, [line])
        return _of(row, delivery, Fate.PAGE_ONLY, detail=PAGE_DOWN, remedy=TO_READERS)

    async def _asked(self, delivery: Delivery, member: Member) -> Outcome:
        channel = member.channel
        assert isinstance(channel, Withdraws)  # foreseen
        assert delivery.remote_id is not None
        try:
            async with asyncio.timeout(self.timeout):
                return await channel.withdraw(delivery.remote_id, member.account)
        except TimeoutError:
            return Unconfirmed(detail=f"no answer within {self.timeout:g} s")
        except Exception as error:
            log.exception("adapter.unforeseen", channel=channel.name, delivery=delivery.id)
            return Unconfirmed(detail=f"unforeseen {type(error).__name__} in the adapter")

    async def _missing(self, said: Rejected, delivery: Delivery, member: Member) -> Outcome:
        """Not there, or not for us? With an account that is well, it is not there: deleted by a
        call of ours whose answer was lost, or by somebody else."""
        with suppress(Exception):  # then nothing is known about the account
            async with asyncio.timeout(self.timeout):
                health = await member.channel.probe(member.account)
            if health.status is HealthStatus.HEALTHY:
                note = "it was not there any more"
                remote_id = delivery.remote_id or ""
                return Delivered(remote_id=remote_id, note=note, evidence=said.evidence)
        return said

    async def _note_withdrawn(
        self, delivery: Delivery, outcome: Delivered, now: int, actor: str
    ) -> None:
        data = {"cause": outcome.note, "evidence": evidence_json(outcome.evidence)}
        async with self.database.write() as connection:
            if not await withdrawals.mark(connection, delivery.id, now):
                return  # somebody else asked at the same time
            await append(connection, [event("delivery.withdrawn", delivery, now, actor, data)])
        if delivery.part is not Part.FIRST_COMMENT:
            await self._drop_comments(delivery, actor)

    async def _drop_comments(self, delivery: Delivery, actor: str) -> None:
        """What waits to be said under it has no place any more."""
        async with self.database.read() as connection:
            rows = await posts.deliveries_of(connection, [delivery.post_id])
        for row in rows:
            if row["account_id"] == delivery.account_id and row["part"] == Part.FIRST_COMMENT:
                with suppress(RefusedError):  # it went out, or is going
                    await self.desk.cancel(row["id"], actor)


def refused(done: Sequence[Withdrawal], detail: str) -> RefusedError:
    """Why nothing was taken down: each delivery's reason."""
    refusal = Refusal.CONFLICT
    if all(one.fate is Fate.IMPOSSIBLE for one in done):
        refusal = Refusal.INVALID
    elif any(one.fate in {Fate.THROTTLED, Fate.UNAVAILABLE, Fate.UNCONFIRMED} for one in done):
        refusal = Refusal.PLATFORM
    errors = [FieldError(one.account, one.detail, one.remedy) for one in done if one.detail]
    return RefusedError(refusal, detail, errors)


def verdict(outcome: Outcome) -> tuple[Fate, str, str]:
    """(fate, detail, remedy) of what is not taken down."""
    again = "nothing was changed there; try again in a while"
    match outcome:
        case Throttled():
            return Fate.THROTTLED, detail_of(outcome) or "the platform asks to slow down", again
        case Unavailable():
            return Fate.UNAVAILABLE, detail_of(outcome), again
        case AccessLost():
            return Fate.ACCESS_LOST, outcome.detail, outcome.remedy or "reconnect the account"
        case Gone():
            remedy = "look at the page: if it is gone, nobody sees what was published there"
            return Fate.GONE, outcome.detail, remedy
        case Rejected():
            remedy = outcome.problem.remedy or "take it down there by hand"
            return Fate.REFUSED, outcome.problem.detail, remedy
        case _:
            remedy = "try again: it does no harm when it is down already"
            return Fate.UNCONFIRMED, detail_of(outcome) or "the platform does not say", remedy


def _of(
    row: Mapping[Any, Any],
    delivery: Delivery,
    fate: Fate,
    *,
    detail: str = "",
    remedy: str = "",
    at: int | None = None,
) -> Withdrawal:
    return Withdrawal(
        delivery=delivery,
        account=row["account_name"],
        channel=row["channel"],
        fate=fate,
        detail=detail,
        remedy=remedy,
        withdrawn_at=at,
    )
