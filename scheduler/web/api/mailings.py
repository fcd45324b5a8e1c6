"""Mailings: what became of a delivery to many readers, in figures and one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from scheduler.answers import Row, stamp
from scheduler.refusals import Refusal, not_found
from scheduler.services import Services
from scheduler.store import afterwards, forsaken, mailings, posts, recipients, traces
from scheduler.store.afterwards import Later
from scheduler.store.recipients import RecipientState
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById, Query
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("mailings")
_ONE = (Refusal.NOT_FOUND,)


class ReachedQuery(Query):
    """Whom to show; `after` is `next` of the page before."""

    state: RecipientState | None = None
    after: Annotated[str | None, Field(max_length=36)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class LinkAnswer(TypedDict):
    """A link, and how often it was followed."""

    url: str
    clicks: int


class MailingAnswer(TypedDict):
    """`selected` = `accepted` + `refused` + `suppressed` + `uncertain` + `not_sent` + `waiting` +
    `unreached` + `rerouted` + `covered`. `not_sent`: it was cancelled before their turn came. The
    last three on channels with a window: who could not be written to,
    who got it at another address instead, who has it by another delivery. `bounced`, `complained`:
    of the accepted, whose mail came back later, and who called it spam; `delivered`: accepted, and
    has not come back. `arrived`: of these, how many the reader's own server took, as the provider
    told (`feedback` in the newsletter's settings); null where none has told of any. `unsubscribed`:
    left the list with this as the last mailing they got. `clicks`: of people as far as programs say
    what they are, counted where the list wants it, without who. `clicked_by`, `opened_by`: how
    many of those who agreed that it be noted; of everybody else nothing is known. `page`: its page
    in the archive."""

    delivery_id: str
    account_id: str
    selected: int
    accepted: int
    refused: int
    suppressed: int
    uncertain: int
    not_sent: int
    waiting: int
    unreached: int
    rerouted: int
    covered: int
    bounced: int
    complained: int
    delivered: int
    arrived: int | None
    unsubscribed: int
    clicks: int
    clicked_by: int
    opened_by: int
    links: list[LinkAnswer]
    page: str | None


class ReachedAnswer(TypedDict):
    """One recipient. `later`: `bounced` or `complained`, after they were accepted. `arrived_at`:
    when their own server took it, as far as the provider tells. `address` is empty when they had
    themselves erased; `clicks`, `opens`: null but of who agreed that they be noted, and did."""

    contact_id: str
    address: str
    state: str
    later: str
    arrived_at: str | None
    code: str
    detail: str
    tries: int
    clicks: int | None
    opens: int | None
    updated_at: str


class ReachedPage(TypedDict):
    """A part of a mailing's recipients, by contact id."""

    recipients: list[ReachedAnswer]
    next: str | None


@endpoints.get("/deliveries/{id}/mailing", scope=Scope.READ, refusals=_ONE)
async def read(call: Call, path: ById) -> MailingAnswer:
    """What became of a newsletter, in figures."""
    return await figures(call.services, path.id)


@endpoints.get("/deliveries/{id}/recipients", scope=Scope.READ, refusals=_ONE)
async def reached(call: Call, path: ById, query: ReachedQuery) -> ReachedPage:
    """Who it was for, and what became of each, with what their server said."""
    async with call.services.database.read() as connection:
        if await posts.delivery(connection, path.id) is None:
            raise not_found("delivery", path.id)
        rows = await mailings.recipients_of(
            connection, path.id, state=query.state, after=query.after, limit=query.limit
        )
        noted = await traces.of_delivery(connection, path.id, [row["contact_id"] for row in rows])
    full = len(rows) == query.limit
    return {
        "recipients": [
            {
                "contact_id": row["contact_id"],
                "address": row["address"],
                "state": row["state"],
                "later": row["later"],
                "arrived_at": stamp(row["arrived_at"]) if row["arrived_at"] else None,
                "code": row["code"],
                "detail": row["detail"],
                "tries": row["tries"],
                "clicks": _noted(noted, row["contact_id"], "clicks"),
                "opens": _noted(noted, row["contact_id"], "opens"),
                "updated_at": stamp(row["updated_at"]),
            }
            for row in rows
        ],
        "next": rows[-1]["contact_id"] if full else None,
    }


def _noted(noted: Mapping[str, Row], contact_id: str, name: str) -> int | None:
    found = noted.get(contact_id)
    return None if found is None else int(found[name]) or None


async def figures(services: Services, delivery_id: str) -> MailingAnswer:
    """As `read` answers them. Error: RefusedError when there is no such delivery."""
    async with services.database.read() as connection:
        row = await posts.delivery(connection, delivery_id)
        if row is None:
            raise not_found("delivery", delivery_id)
        account_id = row["account_id"]
        counts = await recipients.tally(connection, delivery_id)
        unsent = await forsaken.not_sent(connection, delivery_id)
        later = await afterwards.counts(connection, delivery_id)
        arrived = await afterwards.at_mailboxes(connection, delivery_id)
        left = await mailings.left_after(connection, delivery_id, account_id)
        links = await mailings.clicks_of(connection, delivery_id)
        clicked, opened = await traces.people(connection, delivery_id)
        slug = await mailings.page_slug(connection, delivery_id)

    def of(*states: RecipientState) -> int:
        return sum(counts.get(state, 0) for state in states)

    base = f"{services.settings.effective_public_url}/letters/{account_id}"
    return {
        "delivery_id": delivery_id,
        "account_id": account_id,
        "selected": sum(counts.values()),
        "accepted": of(RecipientState.ACCEPTED),
        "refused": of(RecipientState.REFUSED),
        "suppressed": of(RecipientState.SUPPRESSED) - unsent,
        "uncertain": of(RecipientState.UNCERTAIN),
        "not_sent": unsent,
        "waiting": of(RecipientState.PENDING, RecipientState.SENDING),
        "unreached": of(RecipientState.UNREACHED),
        "rerouted": of(RecipientState.REROUTED),
        "covered": of(RecipientState.COVERED),
        "bounced": later.get(Later.BOUNCED, 0),
        "complained": later.get(Later.COMPLAINED, 0),
        "delivered": max(0, of(RecipientState.ACCEPTED) - later.get(Later.BOUNCED, 0)),
        "arrived": arrived,
        "unsubscribed": left,
        "clicks": sum(link["count"] for link in links),
        "clicked_by": clicked,
        "opened_by": opened,
        "links": [{"url": link["url"], "clicks": link["count"]} for link in links],
        "page": None if slug is None else f"{base}/{slug}",
    }
