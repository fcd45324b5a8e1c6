"""What the pages show, read from the store: the overview, a post, a drill, the basket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from channels.abilities import Edits, Proofs, Withdraws
from channels.inspection import Inspects
from scheduler.alert_words import ENGLISH, FRENCH
from scheduler.care import scales_of
from scheduler.clock import moment
from scheduler.comeback import WORTH_TELLING
from scheduler.deliveries import FINAL, State
from scheduler.refusals import not_found
from scheduler.roads import BROKEN
from scheduler.routing import route_warnings
from scheduler.services import Services
from scheduler.sitting import in_doubt, may_be_leaving
from scheduler.store import accounts, drills, events, mailings, notices, posts, reroutes, routes
from scheduler.store.claims import to_delivery
from scheduler.store.db import Connection
from scheduler.store.posts import PostFilter
from scheduler.times import zone_named
from scheduler.undo import WINDOW
from scheduler.web.api.account_answers import account_answer
from scheduler.web.headlines import headlined
from scheduler.web.readiness import look
from scheduler.withdrawal import Fate, Withdrawal

_UNDECIDED = (State.HELD, State.FAILED, State.UNCONFIRMED)
_SHOWN = 50
_TREND = 30
_WEEK = timedelta(days=7)
Shown = dict[str, Any]


async def overview(services: Services, language: str) -> Shown:
    """Everything at a glance."""
    now = services.clock.micros()
    async with services.database.read() as connection:
        connected = await accounts.listed(connection)
        undecided = await _undecided(connection)
        planned = await headlined(
            connection,
            await posts.page(
                connection, PostFilter(due_from=now), after=None, limit=4 * _SHOWN,
                newest_first=False,
            ),
        )  # fmt: skip
        past = await headlined(
            connection,
            await posts.page(
                connection, PostFilter(due_before=now), after=None, limit=_SHOWN,
                newest_first=True,
            ),
        )  # fmt: skip
        legs = await posts.deliveries_of(connection, [row["id"] for row in (*planned, *past)])
        told = await notices.listed(connection, resolved=False, limit=_SHOWN)
        stand = await _accounts(connection, connected, now)
    readiness = await look(services)
    waiting = _with_legs([row for row in planned if row["cancelled_at"] is None], legs)
    horizon = now + _WEEK // timedelta(microseconds=1)
    return {
        "checks": [check for check in readiness["checks"] if not check["ok"]],
        "alerts": _alerts(told, {row["id"]: row["name"] for row in connected}, language),
        "undecided": undecided,
        "days": _by_day([row for row in waiting if row["due_at"] <= horizon], services),
        "later": [row for row in waiting if row["due_at"] > horizon],
        "past": _with_legs(past, legs),
        "accounts": stand,
        **_abilities(services, connected),
        "places": [(row["id"], row["name"]) for row in connected],
    }


async def post(services: Services, post_id: str) -> Shown:
    """One post: its words, its deliveries, its timeline. Error: RefusedError."""
    now = services.clock.micros()
    async with services.database.read() as connection:
        row = await posts.get(connection, post_id)
        if row is None:
            raise not_found("post", post_id)
        (told,) = await headlined(connection, [row])
        rows = await posts.deliveries_of(connection, [post_id])
        found = await mailings.with_pages(connection, rows)
        connected = await accounts.listed(connection, archived=True)
    names = {one["id"]: one["name"] for one in connected}
    timeline = await events.of_post(services.database, post_id)
    able = _abilities(services, connected)
    legs = [{**leg, **_able(leg, now)} for leg in found]
    for leg in legs:  # of a newsletter, its page
        leg["paged"] = leg["paged"] and leg["state"] in FINAL
        leg["falls"] = leg["paged"] or (leg["stands"] and leg["account_id"] in able["withdraws"])
    return {
        "post": told,
        "legs": legs,
        "waits": any(_waits(leg, now) for leg in legs),
        "corrigible": any(
            _waits(leg, now)
            or (leg["stands"] and (leg["paged"] or leg["account_id"] in able["edits"]))
            for leg in legs
        ),
        "stands": sum(leg["falls"] for leg in legs),
        "timeline": [{**one, "account": names.get(one["account_id"], "")} for one in timeline],
        "places": [(one["id"], one["name"]) for one in connected if not one["archived_at"]],
        **able,
    }


async def withdrawal(services: Services, post_id: str, delivery_id: str) -> Shown:
    """What taking down a post, or one delivery of it, would come to. Error: RefusedError."""
    ahead = await services.withdrawer.foreseen(post_id)
    chosen = [one for one in ahead if not delivery_id or one.delivery.id == delivery_id]
    if not chosen:
        raise not_found("delivery", delivery_id)
    return await withdrawn(services, post_id, chosen)


async def withdrawn(services: Services, post_id: str, done: Sequence[Withdrawal]) -> Shown:
    """What became, or would become, of each."""
    async with services.database.read() as connection:
        row = await posts.get(connection, post_id)
        assert row is not None  # posts are never deleted
        (told,) = await headlined(connection, [row])
    return {
        "post": told,
        "done": done,
        "possible": [one for one in done if one.fate is Fate.POSSIBLE],
        "others": [one for one in done if one.fate is not Fate.POSSIBLE],
    }


async def drill(services: Services, drill_id: str) -> Shown:
    """A rehearsal's report. Error: RefusedError."""
    async with services.database.read() as connection:
        row = await drills.get(connection, drill_id)
    if row is None:
        raise not_found("drill", drill_id)
    return {"drill": row, "report": row["report"]}


async def basket(services: Services) -> Shown:
    """How much hangs on each account, and how that went."""
    scales = scales_of(services)
    return {"basket": await scales.weigh(), "trend": await scales.trend(_TREND)}


def _abilities(services: Services, connected: Sequence[Mapping[Any, Any]]) -> Shown:
    """Accounts whose mails may be looked at first, and whose arrival can be inspected."""
    channels = {row["id"]: services.registry.get(row["adapter"]) for row in connected}
    return {
        "withdraws": {
            one
            for one, channel in channels.items()
            if isinstance(channel, Withdraws) and not channel.capabilities.addressed
        },
        "edits": {
            one
            for one, channel in channels.items()
            if isinstance(channel, Edits) and not channel.capabilities.addressed
        },
        "mailing": {one for one, channel in channels.items() if isinstance(channel, Proofs)},
        "inspected": {one for one, channel in channels.items() if isinstance(channel, Inspects)},
    }


async def _undecided(connection: Connection) -> list[Shown]:
    rows = [
        row
        for state in _UNDECIDED
        for row in await posts.delivery_page(
            connection, state=state, account=None, after=None, limit=_SHOWN
        )
    ]
    held = await headlined(connection, await posts.known(connection, {r["post_id"] for r in rows}))
    titles = {row["id"]: row["title"] for row in held}
    return [
        {**row, "title": titles[row["post_id"]], "doubtful": in_doubt(to_delivery(row))}
        for row in rows
    ]


async def _accounts(
    connection: Connection, connected: Sequence[Mapping[Any, Any]], now: int
) -> list[Shown]:
    """How each stands, with its plan B and what may be done about it."""
    ways = await routes.effective(connection)
    names = {row["id"]: row["name"] for row in connected}
    statuses = {row["id"]: row["status"] for row in connected}
    last = await drills.last(connection)
    away = await reroutes.away(connection, since=now - WINDOW, now=now)
    missed = await reroutes.missed(connection, since=now - WORTH_TELLING)
    shown = []
    for row in connected:
        broken = row["status"] in BROKEN
        shown.append(
            {
                **account_answer(row, now),
                "looked_at": row["checked_at"],
                "mood": "suspected" if row["suspected_at"] and not broken else row["status"],
                "roads": [names[one] for one in ways.get(row["id"], ()) if one in names],
                "warned": bool(route_warnings(row["id"], ways, statuses)),
                "away": 0 if broken else away.get(row["id"], 0),
                "missed": 0 if broken else missed.get(row["id"], 0),
                "drilled_at": last.get(row["id"]),
            }
        )
    return shown


def _alerts(rows: Sequence[Mapping[Any, Any]], names: Mapping[str, str], language: str) -> Any:
    """In the reader's words; a delivery that waits stands in a table of its own."""
    words = FRENCH if language == "fr" else ENGLISH
    found = []
    for row in rows:
        if row["kind"].startswith("delivery.") or row["kind"] not in words:
            continue
        what, action = words[row["kind"]]
        name = names.get(row["data"].get("account_id", ""), "?")
        cause = row["data"].get("cause", "")
        found.append({**row, "what": what.format(account=name, post=""), "action": action,
                      "cause": cause})  # fmt: skip
    return found


def _by_day(rows: Sequence[Shown], services: Services) -> list[tuple[int, list[Shown]]]:
    """Grouped by local day; each group with a moment of that day."""
    zone = zone_named(services.settings.zone)
    days: dict[Any, list[Shown]] = {}
    for row in rows:
        days.setdefault(moment(row["due_at"]).astimezone(zone).date(), []).append(row)
    return [(group[0]["due_at"], group) for group in days.values()]


def _with_legs(rows: Any, legs: Any) -> list[Shown]:
    return [{**row, "legs": [leg for leg in legs if leg["post_id"] == row["id"]]} for row in rows]


def _able(leg: Any, now: int) -> Shown:
    """What a person may decide about a delivery."""
    delivery = to_delivery(leg)
    doubtful = in_doubt(delivery)
    return {
        "doubtful": doubtful,
        "held": delivery.state is State.HELD and not doubtful,
        "failed": delivery.state is State.FAILED,
        "waits": _waits(leg, now) and not doubtful,
        "rerouted": delivery.state is State.REROUTED,
        "stands": delivery.state is State.DELIVERED and leg["withdrawn_at"] is None,
    }


def _waits(leg: Any, now: int) -> bool:
    delivery = to_delivery(leg)
    waiting = {State.SCHEDULED, State.ARMED, State.HELD}
    return delivery.state in waiting and not may_be_leaving(delivery, now)
