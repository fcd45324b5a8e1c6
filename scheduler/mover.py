"""Move a campaign: show first what would change, then change it all in one transaction.

What is armed is taken from its worker, as cancelling does; the token of the preview is refused as
soon as a move would do anything else than it showed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels.posts import Kind
from scheduler.campaign_answers import (
    MovedCampaign,
    MovePreview,
    correction_answer,
    effect_answer,
)
from scheduler.campaigner import (
    Campaigner,
    add_posts,
    stored_fields,
)
from scheduler.campaigns import Effect, Fate, Placed, Row, effects_of, fingerprint, frame_now
from scheduler.clock import moment
from scheduler.content import to_post
from scheduler.corrections import Correction, corrections_of
from scheduler.deliveries import Delivery, HoldReason, State
from scheduler.gathering import Gatherer
from scheduler.late import LateRules
from scheduler.placeholders import Frame
from scheduler.placement import read_anchor
from scheduler.records import Prepared
from scheduler.refusals import FieldError, Refusal, RefusedError, conflict, invalid, not_found
from scheduler.settings import Settings
from scheduler.sitting import refuse_if_leaving
from scheduler.store import alerts, campaigns, desk, digests, events
from scheduler.store.db import Connection
from scheduler.storyboard import Move, Shift, Story, StoryPost
from scheduler.storyline import Beat, Kit, prepare, refuse_unknown
from scheduler.times import in_words

_SECOND = 1_000_000  # microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a move would do, at one moment (microseconds since 1970)."""

    campaign: Row
    wanted: Frame
    effects: Sequence[Effect]
    corrections: Sequence[Correction]
    now: int

    @property
    def token(self) -> str:
        return fingerprint(self.campaign, self.wanted, self.effects)

    @property
    def answer(self) -> MovePreview:
        told = frame_now(self.campaign).anchor
        new = self.wanted.anchor
        return {
            "token": self.token,
            "anchor": self.campaign["anchor_local"],
            "anchor_at": in_words(told.instant, told.zone),
            "new_anchor": new.text,
            "new_anchor_at": in_words(new.instant, new.zone),
            "zone": new.zone,
            "posts": [effect_answer(one, self.campaign, self.wanted) for one in self.effects],
            "corrections": [
                correction_answer(one, self.wanted, self.now) for one in self.corrections
            ],
        }


@dataclass(frozen=True, slots=True)
class Mover:
    """Previews and makes moves. Errors of both: RefusedError, nothing changed."""

    campaigner: Campaigner

    async def preview(self, campaign_id: str, shift: Shift) -> MovePreview:
        """What `move` would do now."""
        kit = await self.campaigner.kit([], "")
        async with self.campaigner.database.read() as connection:
            outlook = await self._outlook(connection, campaign_id, shift, kit, lock=False)
        return outlook.answer

    async def move(self, campaign_id: str, move: Move, actor: str) -> MovedCampaign:
        """Change the anchor, the fields or both, and all posts with them."""
        kit = await self.campaigner.kit([], actor)
        async with self.campaigner.database.write() as connection:
            outlook = await self._outlook(connection, campaign_id, move, kit, lock=True)
            if outlook.token != move.token:
                raise conflict(
                    "the campaign would not move as it was previewed: something changed since",
                    "preview the move again and send the new token",
                    "token",
                )
            corrected = _corrections(outlook, kit) if move.correct else []
            await _apply(connection, outlook, actor)
            if corrected:
                await add_posts(connection, corrected)
            taken = [one for effect in outlook.effects for one in effect.waiting]
            taken += await _refresh_digests(connection, outlook, kit)
            refuse_if_leaving(taken, self.campaigner.clock.micros())
        for due_at in sorted({one.due_at for one in outlook.effects if one.waiting}):
            await self.campaigner.doorbell.ring(due_at)
        if corrected:
            await self.campaigner.doorbell.ring(outlook.now)
        return {
            **outlook.answer,
            "version": outlook.campaign["version"] + 1,
            "corrected": [one.post["id"] for one in corrected],
        }

    async def _outlook(
        self, connection: Connection, campaign_id: str, shift: Shift, kit: Kit, *, lock: bool
    ) -> Outlook:
        campaign = await campaigns.get(connection, campaign_id, lock=lock)
        if campaign is None:
            raise not_found("campaign", campaign_id)
        if campaign["cancelled_at"] is not None:
            raise conflict("the campaign is cancelled", "create a new one")
        placed = await _placed(connection, campaign_id, lock=lock)
        now = self.campaigner.clock.micros()  # waiting for the locks may have taken a while
        wanted = _wanted(campaign, shift, now)
        if lock:
            refuse_if_leaving((one for post in placed for one in post.deliveries), now)
        effects = effects_of(campaign, placed, wanted, now, late_rules(kit.settings))
        _refuse_unknown(effects, wanted)
        return Outlook(
            campaign=campaign,
            wanted=wanted,
            effects=effects,
            corrections=corrections_of(campaign, effects, wanted, kit.members.keys()),
            now=now,
        )


def late_rules(settings: Settings) -> LateRules:
    """What the engine judges late posts by."""
    return LateRules(
        late_after_us=int(settings.late_after * _SECOND),
        default_deadline_us=int(settings.default_deadline_hours * 3600 * _SECOND),
    )


def _wanted(campaign: Row, shift: Shift, now: int) -> Frame:
    """The campaign as it would be; what was not sent stays."""
    sent = shift.model_fields_set & {"anchor", "zone", "fields", "hours"}
    if not sent:
        raise invalid(
            "body", "there is nothing to change", "send `anchor`, `zone`, `fields` or `hours`"
        )
    told = frame_now(campaign)
    zone = shift.zone or campaign["zone"]
    anchor = told.anchor
    if shift.anchor is not None or zone != campaign["zone"]:
        anchor = read_anchor(shift.anchor or campaign["anchor_local"], zone, moment(now))
    return Frame(
        anchor=anchor,
        fields=told.fields if shift.fields is None else shift.fields,
        hours=shift.hours if "hours" in sent else told.hours,
    )


async def _placed(connection: Connection, campaign_id: str, *, lock: bool) -> list[Placed]:
    rows = await campaigns.posts_of(connection, campaign_id, lock=lock)
    by_post: dict[str, list[Delivery]] = {row["id"]: [] for row in rows}
    for one in await campaigns.deliveries_of(connection, list(by_post), lock=lock):
        by_post[one.post_id].append(one)
    return [Placed(row, by_post[row["id"]]) for row in rows]


def _refuse_unknown(effects: Sequence[Effect], wanted: Frame) -> None:
    errors: list[FieldError] = []
    for effect in effects:
        if effect.waiting:
            try:
                refuse_unknown(to_post(effect.row, Path()), wanted)
            except RefusedError as refused:
                errors += refused.errors
    if errors:
        raise RefusedError(
            Refusal.INVALID, "posts that still wait would lack a field", list(dict.fromkeys(errors))
        )


async def _apply(connection: Connection, outlook: Outlook, actor: str) -> None:
    campaign, now = outlook.campaign, outlook.now
    was = {name: campaign[name] for name in ("anchor_local", "zone", "fields")}
    values = {
        "anchor_local": outlook.wanted.anchor.text,
        "zone": outlook.wanted.anchor.zone,
        "fields": stored_fields(outlook.wanted),
        "history": [*campaign["history"], {"until": now, **was}],
        "version": campaign["version"] + 1,
        "updated_at": now,
    }
    await campaigns.change(connection, campaign["id"], values)
    moved = [effect for effect in outlook.effects if effect.waiting]
    for effect in moved:
        await _follow(connection, effect, outlook)
    data = {
        "campaign_id": campaign["id"],
        "from": was["anchor_local"],
        "to": values["anchor_local"],
        "posts": len(moved),
    }
    lines = [
        events.line("campaign.moved", now, actor, data),
        *(
            events.line(
                "post.moved",
                now,
                actor,
                {"from": effect.was, "to": effect.due_at},
                post_id=effect.row["id"],
            )
            for effect in moved
            if effect.fate is Fate.MOVES
        ),
    ]
    await events.append(connection, lines)


async def _refresh_digests(connection: Connection, outlook: Outlook, kit: Kit) -> list[Delivery]:
    """Digests of another road that have not left say the new date too; as they were."""
    ids = [effect.row["id"] for effect in outlook.effects]
    waiting = await digests.waiting_with(connection, ids)
    gatherer = Gatherer(zone=kit.settings.zone, now=outlook.now)
    for digest in waiting:
        await gatherer.refresh(connection, digest, kit.members)
    return waiting


async def _follow(connection: Connection, effect: Effect, outlook: Outlook) -> None:
    """Bring one post and what waits of it in line with its campaign."""
    now = outlook.now
    values: dict[str, Any] = {"version": effect.row["version"] + 1, "updated_at": now}
    if effect.fate is Fate.MOVES:
        zone = outlook.wanted.anchor.zone
        values |= {"due_at": effect.due_at, "deadline_at": effect.deadline_at, "zone": zone}
    await desk.update_post(connection, effect.row["id"], values)
    for delivery in effect.waiting:
        if effect.fate is Fate.MOVES:
            await _retime(connection, delivery, effect, now)
        elif delivery.state is State.ARMED:  # it was armed with the old words
            await desk.hand_back(connection, delivery.id, now=now)


async def _retime(connection: Connection, delivery: Delivery, effect: Effect, now: int) -> None:
    due, deadline = effect.due_at, effect.deadline_at
    if delivery.state is State.HELD and delivery.hold_reason is not HoldReason.LATE:
        look = None if delivery.look_at is None else deadline
        await campaigns.retime(
            connection, delivery.id, due_at=due, deadline_at=deadline, look_at=look, now=now
        )
        return
    await desk.reschedule(connection, delivery.id, due_at=due, deadline_at=deadline, now=now)
    await alerts.resolve(connection, f"delivery:{delivery.id}:{State.HELD}", now)


def _corrections(outlook: Outlook, kit: Kit) -> list[Prepared]:
    """Posts that go out now; their time is their own."""
    found: list[Prepared] = []
    for index, one in enumerate(outlook.corrections):
        post = StoryPost(
            label="correction",
            title=one.title,
            body=one.body,
            language=one.language,
            kind=Kind.ESSENTIAL,
        )
        deadline = outlook.now + int(kit.settings.default_deadline_hours * 3600 * _SECOND)
        beat = Beat(
            where=f"corrections[{index}]", post=post, due_at=outlook.now, deadline_at=deadline
        )
        places = Story(name="correction", posts=(post,), accounts=list(one.accounts))
        for made in prepare([beat], places, outlook.wanted, outlook.campaign["id"], kit):
            placement = {"label": "correction", "when": None}
            found.append(
                Prepared(
                    post={**made.post, "placement": placement},
                    deliveries=made.deliveries,
                    event=made.event,
                    answer=made.answer,
                )
            )
    return found
