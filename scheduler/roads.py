"""Which roads are open to a delivery that cannot go its own: everything `reroute.choose` needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from channels.media import foreseen
from channels.outcome import HealthStatus, Problem, Severity
from channels.posts import Kind, Part, Post, Reroute
from scheduler.campaigns import read_post
from scheduler.deliveries import Delivery, State
from scheduler.digest import slot_after, week_of
from scheduler.kin import Kin, kin_of
from scheduler.limits import FOREVER, PAUSES, SHUT
from scheduler.reroute import Choice, Mode, Route, Unplaced, choose
from scheduler.roster import Member
from scheduler.store import digests, reroutes
from scheduler.store.db import Connection

log = structlog.get_logger()

# A road that carries the post already, or still may.
CARRIES = frozenset(
    {
        State.SCHEDULED,
        State.ARMED,
        State.SENDING,
        State.ACCEPTED,
        State.UNCONFIRMED,
        State.DELIVERED,
    }
)
BROKEN = {HealthStatus.ACCESS_LOST, HealthStatus.VANISHED}
_OUT_OF_MIND = {State.CANCELLED}


@dataclass(slots=True)
class Placed:
    """What a rehearsal has placed so far, and no store knows of: digests by account and slot,
    mails by account and week."""

    digests: set[tuple[str, int]] = field(default_factory=set)
    mails: Counter[tuple[str, int]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A choice, and what it was made of. `origin`: the account that the author meant, None if it
    is archived; `row`: of the post; `slot`: when the day's digest would go out."""

    choice: Choice
    route: Route
    origin: Member | None
    row: Mapping[Any, Any]
    post: Post
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Looks at the roads of one delivery after the other. `now`: microseconds since 1970;
    `shut`: accounts to count as closed, and why; `asked`: a person said yes."""

    everyone: Mapping[str, Member]
    media_dir: Path
    zone: str
    now: int
    shut: Mapping[str, str] = field(default_factory=dict)
    asked: bool = False
    placed: Placed = field(default_factory=Placed)
    # Read once a survey, for it is short: routes; mails by account and week; whether a digest of an
    # account and slot takes more.
    routes: dict[str, Route] = field(default_factory=dict)
    mails: dict[tuple[str, int], int] = field(default_factory=dict)
    joinable: dict[tuple[str, int], bool] = field(default_factory=dict)

    async def find(
        self, connection: Connection, delivery: Delivery, kin: Kin | None = None
    ) -> Found:
        """The road of a delivery of a post (its other parts have none). `kin`: read already."""
        if kin is None:
            kin = (await kin_of(connection, [delivery.post_id]))[delivery.post_id]
        siblings, row = kin.siblings, kin.row
        origin = next((s for s in siblings if s.id == delivery.origin_id), delivery)
        if origin.account_id not in self.routes:
            self.routes[origin.account_id] = await reroutes.route_of(connection, origin.account_id)
        route = self.routes[origin.account_id]
        member = self.everyone.get(origin.account_id)
        post, unreadable = self._read(row, kin.told, max(self.now, delivery.due_at))
        post = replace(
            post,
            rerouted=Reroute(
                from_channel="" if member is None else member.channel.channel,
                from_name="" if member is None else member.account.name,
                note=route.note,
            ),
        )
        kind = Kind(row["kind"])
        slot = slot_after(
            max(self.now, delivery.due_at), self.zone, route.digest_hour, route.day_us
        )
        route = _in_time(route, kind, slot, delivery)
        few = _for_few(row, member)
        if few and route.mode(kind) is Mode.DIGEST:  # a digest is for everybody of its list
            route = replace(route, rules={**route.rules, kind: Mode.AT_ONCE})
        carriers = [
            s
            for s in (*siblings, *kin.carriers)
            if s.part in {Part.POST, Part.DIGEST} and s.id != delivery.id
        ]
        choice = choose(
            route,
            kind,
            carried={s.account_id for s in carriers if s.state in CARRIES},
            closed=self._closed(route) | await self._full(connection, route, kind, slot, delivery),
            refused=self._refused(route, delivery, carriers, post, few=few),
            overdue_us=self.now - delivery.planned_at,
            asked=self.asked,
        )
        if unreadable:
            choice = Unplaced(unreadable)
        if delivery.part is not Part.POST:
            choice = Unplaced("only the post itself is rerouted")
        if isinstance(choice, Unplaced):
            choice = replace(choice, why=self._by_name(choice.why, route))
        return Found(choice=choice, route=route, origin=member, row=row, post=post, slot=slot)

    def _by_name(self, why: str, route: Route) -> str:
        """People know accounts by their names."""
        for account_id in route.fallbacks:
            if account_id in self.everyone:
                name = self.everyone[account_id].account.name
                why = why.replace(f"{account_id}: ", f"{name}: ")
        return why

    def _read(
        self, row: Mapping[Any, Any], told: Mapping[str, Mapping[str, Any]], at: int
    ) -> tuple[Post, str]:
        """The post, and why it cannot be read (empty: it can); who asks what becomes of it must get
        an answer all the same, else it is asked for ever and nobody hears of it."""
        try:
            return read_post(row, self.media_dir, told, at), ""
        except Exception as error:
            log.exception("post.unreadable", post=row["id"])
            why = f"its words cannot be read ({type(error).__name__})"
            return Post(id=row["id"], title=row["title"]), why

    def _closed(self, route: Route) -> dict[str, str]:
        """Fallbacks that can publish nothing now."""
        closed = dict(self.shut)
        for account_id in route.fallbacks:
            member = self.everyone.get(account_id)
            if member is None:
                closed[account_id] = "no such account"
            elif member.status in BROKEN or member.paused_until >= FOREVER:
                closed[account_id] = _state_of(member)
        return closed

    def _refused(
        self,
        route: Route,
        delivery: Delivery,
        carriers: list[Delivery],
        post: Post,
        *,
        few: bool,
    ) -> dict[str, str]:
        """Fallbacks where the post failed, or that cannot carry it."""
        refused = {
            s.account_id: "the post did not get through here"
            for s in carriers
            if s.state not in CARRIES and s.state not in _OUT_OF_MIND
        }
        refused[delivery.account_id] = "it comes from here"
        for account_id in route.fallbacks:
            member = self.everyone.get(account_id)
            if member is None or account_id in refused:
                continue
            if few and not member.channel.capabilities.addressed:
                refused[account_id] = "it is for a segment, and everybody would see it here"
                continue
            for problem in _problems(post, member):
                if problem.severity is Severity.ERROR:
                    refused.setdefault(account_id, problem.detail)
        return refused

    async def _full(
        self, connection: Connection, route: Route, kind: Kind, slot: int, delivery: Delivery
    ) -> dict[str, str]:
        """Lists that got as many mails from reroutes this week as their owner allows."""
        full: dict[str, str] = {}
        gathered = route.mode(kind) is Mode.DIGEST
        moment = slot if gathered else max(self.now, delivery.due_at)
        begin, end = week_of(moment, self.zone, route.day_us)
        for account_id in route.fallbacks:
            member = self.everyone.get(account_id)
            if member is None or not member.channel.capabilities.addressed:
                continue
            if gathered and await self._joinable(connection, account_id, slot):
                continue
            if (account_id, begin) not in self.mails:
                self.mails[account_id, begin] = await reroutes.mails_between(
                    connection, account_id, begin, end
                )
            mails = self.mails[account_id, begin]
            if mails + self.placed.mails[account_id, begin] >= route.weekly_mails:
                full[account_id] = (
                    f"{member.account.name} had {route.weekly_mails} mails from reroutes that week"
                )
        return full

    async def _joinable(self, connection: Connection, account_id: str, slot: int) -> bool:
        if (account_id, slot) in self.placed.digests:
            return True
        if (account_id, slot) not in self.joinable:
            digest = await digests.at_slot(connection, account_id, digests.DIGEST, slot)
            self.joinable[account_id, slot] = digest is not None and takes_more(digest)
        return self.joinable[account_id, slot]


def _problems(post: Post, member: Member) -> Sequence[Problem]:
    """What the account cannot carry of the post."""
    try:
        message = member.channel.render(foreseen(post, member.channel), member.account)
        return member.channel.check(message, member.account)
    except Exception as error:  # the other roads stay open, and the post does not wait for ever
        log.exception("render.failed", account=member.id)
        detail = f"could not be rendered ({type(error).__name__})"
        return [Problem(code="unrenderable", detail=detail)]


def takes_more(digest: Delivery) -> bool:
    """Whether a post may still join: nothing of it has left, for anybody."""
    return digest.state is State.SCHEDULED and digest.attempt == 0


def _for_few(row: Mapping[Any, Any], origin: Member | None) -> bool:
    """Whether only a segment may read it: it names one, and was not meant for a public page."""
    named = bool(row["content"].get("to"))
    return named and (origin is None or origin.channel.capabilities.addressed)


def _in_time(route: Route, kind: Kind, slot: int, delivery: Delivery) -> Route:
    """A digest that would come after the post's deadline is no road: it goes by itself."""
    if route.mode(kind) is not Mode.DIGEST or slot <= (delivery.deadline_at or slot):
        return route
    return replace(route, rules={**route.rules, kind: Mode.AT_ONCE})


def _state_of(member: Member) -> str:
    """What people read of an account that can publish nothing."""
    if member.status in SHUT:
        return SHUT[member.status]
    return f"paused: {PAUSES.get(member.pause_reason, member.pause_reason)}"
