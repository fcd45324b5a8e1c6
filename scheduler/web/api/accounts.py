"""Accounts: connect, list, probe, pause, resume, archive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from channels.translations import in_language
from scheduler.care import doctor_of
from scheduler.clock import micros
from scheduler.drafts import Name, Strict
from scheduler.refusals import Refusal, conflict, invalid, not_found
from scheduler.services import Services
from scheduler.store import accounts
from scheduler.store.events import note_account
from scheduler.store.tokens import Scope
from scheduler.web.api.account_answers import (
    AccountAnswer,
    AccountList,
    ChannelList,
    HealthAnswer,
    account_answer,
    channel_answer,
)
from scheduler.web.api.connecting import Check, adapter_of, looked_at, refuse_twin, settings_of
from scheduler.web.api.shapes import ById, Query
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("accounts")

_ONE = (Refusal.NOT_FOUND,)
_LOOKED_AT = (Refusal.UNAVAILABLE, Refusal.CONFLICT)


class Connecting(Strict):
    """A new account. `settings`: as GET /api/v1/channels describes them for the adapter."""

    adapter: Annotated[Name, Field(description="Its adapter's name: `blog`, `facebook`, …")]
    name: Name
    settings: dict[str, Any]
    check: Check = True


class Reconnecting(Strict):
    """New credentials, or a new name, for an account."""

    name: Name
    settings: dict[str, Any]
    check: Check = True


class Pause(Strict):
    """How long."""

    until: Annotated[AwareDatetime | None, Field(description="Null: until resumed.")] = None


class AccountsQuery(Query):
    """Which accounts."""

    archived: Annotated[bool, Field(description="Also those that were archived.")] = False


@endpoints.get("/channels", scope=Scope.READ)
async def channels(call: Call) -> ChannelList:
    """The channels there are, and what connecting each takes."""
    return {
        "channels": [
            channel_answer(call.services.registry[name]) for name in call.services.registry
        ]
    }


@endpoints.get("/accounts", scope=Scope.READ)
async def index(call: Call, query: AccountsQuery) -> AccountList:
    """Connected accounts and how they stand."""
    now = call.services.clock.micros()
    async with call.services.database.read() as connection:
        rows = await accounts.listed(connection, archived=query.archived)
    return {"accounts": [account_answer(row, now, call.language) for row in rows]}


@endpoints.post("/accounts", scope=Scope.ADMIN, status=201, refusals=_LOOKED_AT)
async def connect(call: Call, body: Connecting) -> AccountAnswer:
    """Connect a page, site or list, once a look with its credentials says that publishing there
    will work. Credentials are stored encrypted and never shown again."""
    services = call.services
    channel = adapter_of(services, body.adapter)
    settings = settings_of(channel, body.settings)
    await refuse_twin(services, channel, settings)
    settings, expires_at = await looked_at(channel, settings, body.name, check=body.check)
    async with services.database.write() as connection:
        now = services.clock.micros()
        account_id = await accounts.connect(
            connection,
            services.vault,
            channel=channel,
            name=body.name,
            settings=settings,
            now=now,
            expires_at=expires_at,
        )
        await note_account(
            connection, "account.connected", account_id, actor=call.caller.actor, now=now
        )
    return await _answer(services, account_id, call.language)


@endpoints.get("/accounts/{id}", scope=Scope.READ, refusals=_ONE)
async def read(call: Call, path: ById) -> AccountAnswer:
    """One account."""
    return await _answer(call.services, path.id, call.language)


@endpoints.put("/accounts/{id}", scope=Scope.ADMIN, refusals=(*_ONE, *_LOOKED_AT))
async def reconnect(call: Call, path: ById, body: Reconnecting) -> AccountAnswer:
    """Give an account new settings; what was held for lack of access goes on."""
    services = call.services
    row = await _row(services, path.id)
    channel = services.registry[row["adapter"]]
    settings = settings_of(channel, body.settings)
    await refuse_twin(services, channel, settings, path.id)
    settings, expires_at = await looked_at(channel, settings, body.name, check=body.check)
    async with services.database.write() as connection:
        now = services.clock.micros()
        await accounts.update_settings(
            connection,
            services.vault,
            account_id=path.id,
            name=body.name,
            settings=settings,
            now=now,
            expires_at=expires_at,
        )
        await note_account(
            connection, "account.reconnected", path.id, actor=call.caller.actor, now=now
        )
    await services.doorbell.ring(now)
    return await _answer(services, path.id, call.language)


@endpoints.post("/accounts/{id}/probe", scope=Scope.WRITE, refusals=(*_ONE, Refusal.CONFLICT))
async def probe(call: Call, path: ById) -> HealthAnswer:
    """Look at the account now, with its credentials."""
    await _row(call.services, path.id)
    health = await doctor_of(call.services, call.caller.actor).probe(path.id)
    if health is None:
        if why := call.services.roster.closed(path.id):
            raise conflict(why, "put the key or the release back that it needs, or reconnect it")
        raise not_found("account", path.id)
    return {
        "status": health.status.value,
        "detail": in_language(health.detail, call.language),
        "remedy": in_language(health.remedy, call.language),
        "account": await _answer(call.services, path.id, call.language),
    }


@endpoints.post("/accounts/{id}/pause", scope=Scope.WRITE, refusals=_ONE)
async def pause(call: Call, path: ById, body: Pause) -> AccountAnswer:
    """Publish nothing there for a while; what is scheduled waits."""
    until = None if body.until is None else micros(body.until)
    await set_paused(call.services, path.id, until, call.caller.actor)
    return await _answer(call.services, path.id, call.language)


@endpoints.post("/accounts/{id}/resume", scope=Scope.WRITE, refusals=_ONE)
async def resume(call: Call, path: ById) -> AccountAnswer:
    """End any pause; what was held for this account goes on."""
    await set_resumed(call.services, path.id, call.caller.actor)
    return await _answer(call.services, path.id, call.language)


@endpoints.delete("/accounts/{id}", scope=Scope.ADMIN, refusals=(*_ONE, Refusal.CONFLICT))
async def archive(call: Call, path: ById) -> None:
    """Forget the credentials and publish nothing more there. Refused while something waits."""
    services = call.services
    await _row(services, path.id)
    async with services.database.write() as connection:
        await accounts.lock(connection, path.id)
        waiting = await accounts.waiting(connection, path.id)
        if waiting:
            raise conflict(
                f"{waiting} deliveries wait for this account",
                "cancel or redirect them first: GET /api/v1/deliveries?account=…",
            )
        now = services.clock.micros()
        await accounts.archive(connection, path.id, now)
        await note_account(
            connection, "account.archived", path.id, actor=call.caller.actor, now=now
        )


async def set_paused(services: Services, account_id: str, until: int | None, actor: str) -> None:
    """Pause by hand until a moment (microseconds since 1970), or until resumed. Error:
    RefusedError."""
    await _row(services, account_id)
    async with services.database.write() as connection:
        now = services.clock.micros()
        if until is not None and until <= now:
            raise invalid("until", "the pause would be over already", "give a later time")
        await accounts.pause(connection, account_id, until, now)
        await note_account(connection, "account.paused", account_id, actor=actor, now=now)


async def set_resumed(services: Services, account_id: str, actor: str) -> None:
    """End any pause, and let go what was held for this account. Error: RefusedError."""
    await _row(services, account_id)
    async with services.database.write() as connection:
        now = services.clock.micros()
        await accounts.resume(connection, account_id, now)
        await note_account(connection, "account.resumed", account_id, actor=actor, now=now)
    await services.doorbell.ring(now)


async def _row(services: Services, account_id: str) -> Mapping[Any, Any]:
    async with services.database.read() as connection:
        row = await accounts.get(connection, account_id)
    if row is None or row["archived_at"] is not None:
        raise not_found("account", account_id)
    return row


async def _answer(services: Services, account_id: str, language: str) -> AccountAnswer:
    return account_answer(await _row(services, account_id), services.clock.micros(), language)
