"""Whether an account's messages arrive: what to publish in DNS, and the key to sign with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal, cast

from pydantic import Field
from typing_extensions import TypedDict

from channels.inspection import Advice, Inspects, Signs
from channels.outcome import Unavailable
from scheduler.audience.links import UnsubscribeLinks
from scheduler.drafts import Strict
from scheduler.refusals import Refusal, RefusedError, conflict, not_found
from scheduler.roster import Member
from scheduler.services import Services
from scheduler.store import accounts
from scheduler.store.events import note_account
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById, Query
from scheduler.web.endpoint import Call, Endpoints
from scheduler.web.public import key_of

endpoints = Endpoints("accounts")
_REFUSALS = (Refusal.NOT_FOUND, Refusal.CONFLICT)


class InspectionQuery(Query):
    """In which words."""

    language: Annotated[
        Literal["en", "fr"] | None, Field(description="Null: the service's own.")
    ] = None


class RecordAnswer(TypedDict):
    """A DNS record to copy."""

    name: str
    type: str
    value: str


class AdviceAnswer(TypedDict):
    """One finding. `code` is the same in every language; `record`: what to publish."""

    area: str
    code: str
    grade: Literal["ok", "warning", "error"]
    detail: str
    remedy: str
    record: RecordAnswer | None


class InspectionAnswer(TypedDict):
    """What was looked at, in the order in which it is mended."""

    advice: list[AdviceAnswer]


class KeyDraft(Strict):
    """A new key's name in DNS."""

    selector: Annotated[
        str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="Any label.")
    ] = "estafette"


class KeyAnswer(TypedDict):
    """The key's record; `active` once it is published and mails are signed with it."""

    record: RecordAnswer
    active: bool


@endpoints.get("/accounts/{id}/deliverability", scope=Scope.READ, refusals=_REFUSALS)
async def look(call: Call, path: ById, query: InspectionQuery) -> InspectionAnswer:
    """Look at SPF, DKIM, DMARC, the relays and a sample mail, now. It asks DNS and the relays, and
    writes to nobody."""
    services = call.services
    found = await inspected(services, path.id, query.language or services.settings.language)
    return {"advice": [cast("AdviceAnswer", asdict(one)) for one in found]}


@endpoints.post(
    "/accounts/{id}/dkim", scope=Scope.ADMIN, refusals=(*_REFUSALS, Refusal.UNAVAILABLE)
)
async def sign(call: Call, path: ById, body: KeyDraft) -> KeyAnswer:
    """Make the account's DKIM key, to be published; asked again once it is, mails are signed with
    it. The private half is stored encrypted and never shown."""
    services = call.services
    member = await _member(services, path.id)
    if not isinstance(member.channel, Signs):
        raise conflict(f"{member.channel.name} signs nothing", "name a newsletter")
    step = await member.channel.signing(member.account, selector=body.selector)
    if isinstance(step, Unavailable):
        raise RefusedError(Refusal.UNAVAILABLE, step.reason)
    if step.changed:
        before = member.account.settings
        settings = type(before).model_validate({**dict(before), **step.changed})
        now = services.clock.micros()
        async with services.database.write() as connection:
            if not await accounts.renew(
                connection, services.vault, account_id=member.id, before=before,
                settings=settings, now=now,
            ):  # fmt: skip
                raise conflict("the account was changed meanwhile", "ask again")
            kind = "account.signing" if step.active else "account.key-made"
            await note_account(
                connection, kind, member.id, actor=call.caller.actor, now=now,
                data={"name": step.record.name},
            )  # fmt: skip
    return {"record": cast("RecordAnswer", asdict(step.record)), "active": step.active}


async def inspected(services: Services, account_id: str, language: str) -> list[Advice]:
    """What is found about one account. Error: RefusedError when there is nothing to look at."""
    member = await _member(services, account_id)
    if not isinstance(member.channel, Inspects):
        raise conflict(
            f"there is nothing to set up outside {member.channel.name}", "name a newsletter"
        )
    link = UnsubscribeLinks(services.settings.effective_public_url, key_of(services))
    return list(
        await member.channel.inspect(
            member.account, unsubscribe_url=link.link("sample", account_id), language=language
        )
    )


async def _member(services: Services, account_id: str) -> Member:
    member = (await services.roster.everyone()).get(account_id)
    if member is None:
        raise not_found("account", account_id)
    return member
