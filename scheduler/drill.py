"""Drills: what plan B would do with the real queue, said before the day it is needed.

A dry run asks the same questions as the real thing and writes nothing but its report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from channels.posts import Part, Reroute
from channels.sentences import reroute_note
from channels.words import shorten
from scheduler.answers import stamp
from scheduler.campaigns import filled_rows
from scheduler.clock import Clock
from scheduler.deliveries import Delivery
from scheduler.digest import Room, digest_words, language_of, week_of
from scheduler.kin import kin_of
from scheduler.refusals import not_found
from scheduler.reroute import Covered, Taken, Unplaced
from scheduler.roads import Found, Placed, Survey
from scheduler.roster import Member, Roster
from scheduler.store import campaigns, reroutes
from scheduler.store import drills as store
from scheduler.store.db import Database

EXCERPT = 500


class DrillLine(TypedDict):
    """One delivery of the queue. `road`: at-once, digest, covered or held; `to`: an account's
    name; `words`: the beginning of what would be said there; `why`: when no road is open."""

    delivery_id: str
    post_id: str
    title: str
    due_at: str
    road: str
    to: str | None
    at: str | None
    words: str
    why: str


class DrillDigest(TypedDict):
    """One digest that several posts would share."""

    to: str
    at: str
    title: str
    body: str
    posts: int


class Reach(TypedDict):
    """Who would be reached. `unreached`: at the least so many of `audience` people (null: the
    size of an audience is not known); `fallbacks`: the audience of each account that takes over."""

    audience: int | None
    fallbacks: dict[str, int | None]
    unreached: int | None


class DrillReport(TypedDict):
    """What a drill found."""

    account_id: str
    account: str
    posts: int
    rerouted: int
    held: int
    lines: list[DrillLine]
    digests: list[DrillDigest]
    reach: Reach


@dataclass(slots=True)
class _Rehearsal:
    """What a dry run has gathered so far."""

    lines: list[DrillLine] = field(default_factory=list)
    gathered: dict[tuple[str, int], list[Mapping[Any, Any]]] = field(default_factory=dict)
    takers: set[str] = field(default_factory=set)
    placed: Placed = field(default_factory=Placed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """Rehearses the loss of an account."""

    database: Database
    roster: Roster
    clock: Clock
    media_dir: Path
    zone: str

    async def rehearse(self, account_id: str) -> DrillReport:
        """A dry run: as if the account were gone now. Error: RefusedError, unknown account."""
        everyone = await self.roster.everyone()
        lost = everyone.get(account_id)
        if lost is None:
            raise not_found("account", account_id)
        run = _Rehearsal()
        survey = Survey(
            everyone=everyone,
            media_dir=self.media_dir,
            zone=self.zone,
            now=self.clock.micros(),
            shut={account_id: "gone in this drill"},
            placed=run.placed,
        )
        async for some in reroutes.queue_of(self.database, account_id):
            posts = [one for one in some if one.part is Part.POST]
            async with self.database.read() as connection:
                kin = await kin_of(connection, {one.post_id for one in posts})
                for delivery in posts:
                    found = await survey.find(connection, delivery, kin[delivery.post_id])
                    self._note(run, delivery, found, survey)
        async with self.database.read() as connection:
            audiences = await store.audiences(connection)
            told = await campaigns.told_by(
                connection, [row for rows in run.gathered.values() for row in rows]
            )
        return {
            "account_id": account_id,
            "account": lost.account.name,
            "posts": len(run.lines),
            "rerouted": sum(line["road"] != "held" for line in run.lines),
            "held": sum(line["road"] == "held" for line in run.lines),
            "lines": run.lines,
            "digests": [
                self._digest(everyone[to], slot, filled_rows(rows, told, slot), lost)
                for (to, slot), rows in sorted(run.gathered.items(), key=lambda one: one[0][1])
            ],
            "reach": _reach(account_id, run.takers, audiences, everyone),
        }

    def _note(self, run: _Rehearsal, delivery: Delivery, found: Found, survey: Survey) -> None:
        line: DrillLine = {
            "delivery_id": delivery.id,
            "post_id": delivery.post_id,
            "title": found.post.title,
            "due_at": stamp(delivery.due_at),
            "road": "held",
            "to": None,
            "at": None,
            "words": "",
            "why": "",
        }
        match found.choice:
            case Unplaced(why):
                line["why"] = why
            case Covered(account_id):
                line |= {"road": "covered", "to": survey.everyone[account_id].account.name}
                run.takers.add(account_id)
            case Taken(account_id, digest):
                fallback = survey.everyone[account_id]
                at = found.slot if digest else max(survey.now, delivery.due_at)
                line |= {
                    "road": "digest" if digest else "at-once",
                    "to": fallback.account.name,
                    "at": stamp(at),
                    "words": _excerpt(fallback, found),
                }
                run.takers.add(account_id)
                self._place(run, account_id, at, found, digest=digest)
        run.lines.append(line)

    def _place(
        self, run: _Rehearsal, account_id: str, at: int, found: Found, *, digest: bool
    ) -> None:
        """Remember it, so that the week's mails are counted as on the day."""
        begin, _ = week_of(at, self.zone, found.route.day_us)
        if not digest:
            run.placed.mails[account_id, begin] += 1
            return
        if (account_id, at) not in run.placed.digests:
            run.placed.digests.add((account_id, at))
            run.placed.mails[account_id, begin] += 1
        run.gathered.setdefault((account_id, at), []).append(found.row)

    def _digest(
        self, fallback: Member, slot: int, rows: list[Mapping[Any, Any]], lost: Member
    ) -> DrillDigest:
        able = fallback.channel.capabilities
        words = Reroute(from_channel=lost.channel.channel, from_name=lost.account.name)
        title, content = digest_words(
            rows,
            name=lost.account.name,
            note=reroute_note(words, language_of(rows)),
            room=Room(
                channel=fallback.channel.channel,
                text_limit=able.text_limit,
                max_images=able.max_images,
            ),
        )
        return {
            "to": fallback.account.name,
            "at": stamp(slot),
            "title": title,
            "body": content["body"],
            "posts": len(rows),
        }


def _excerpt(fallback: Member, found: Found) -> str:
    message = fallback.channel.render(found.post, fallback.account)
    return shorten(message.text or message.title, EXCERPT)


def _reach(
    account_id: str,
    takers: set[str],
    audiences: Mapping[str, int | None],
    everyone: Mapping[str, Member],
) -> Reach:
    """Nobody knows who follows two channels: only what no fallback is large enough for is
    certainly lost."""
    audience = audiences.get(account_id)
    sizes = {one: audiences.get(one) for one in sorted(takers)}
    unreached = None
    known = [size for size in sizes.values() if size is not None]
    if audience is not None and len(known) == len(sizes):
        unreached = max(0, audience - sum(known))
    return {
        "audience": audience,
        "fallbacks": {everyone[one].account.name: size for one, size in sizes.items()},
        "unreached": unreached,
    }
