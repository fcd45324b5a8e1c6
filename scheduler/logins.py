"""Accounts connected by logging in at the platform (OAuth 2, authorisation code).

The browser carries a secret of ours all the way, the platform only a sealed, single-use `state`:
whoever brings one without the other is refused. What the login opens stays sealed in SQL until the
person has chosen, a few minutes at most; each page is looked at before it is saved.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter, ValidationError

from channels.abilities import Candidate, Connects
from channels.base import Channel, ChannelSettings
from channels.outcome import AccessLost, Unavailable
from channels.registry import UnknownChannelError
from scheduler.admission import admit
from scheduler.clock import micros
from scheduler.decide import SECOND
from scheduler.refusals import FieldError, Refusal, RefusedError, invalid
from scheduler.services import Services
from scheduler.store import accounts
from scheduler.store import logins as store
from scheduler.store.events import note_account
from scheduler.store.logins import Step
from scheduler.vault import VaultError

LASTS = 20 * 60 * SECOND
AGAIN = "begin the connection again"
_CANDIDATES = TypeAdapter(tuple[Candidate, ...])


@dataclass(frozen=True, slots=True)
class Ticket:
    """A login just begun. `secret` opens it once; `expires_at`: microseconds since 1970."""

    adapter: str
    secret: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """What became of one chosen page; `account_id` None when it was refused."""

    name: str
    account_id: str | None = None
    detail: str = ""
    remedy: str = ""


def connectable(services: Services) -> list[str]:
    """The adapters whose accounts can be connected by a login: our application is known there."""
    known = _apps(services)
    return [
        name
        for name in services.registry
        if name in known and isinstance(services.registry[name], Connects)
    ]


async def begin(services: Services, adapter: str, actor: str) -> Ticket:
    """Error: RefusedError when this adapter takes no login, or our application is not set up."""
    _app_of(services, _adapter(services, adapter))
    now = services.clock.micros()
    ticket = Ticket(adapter, secrets.token_urlsafe(32), now + LASTS)
    row = {
        "id": _id_of(ticket.secret),
        "adapter": adapter,
        "actor": actor,
        "step": Step.BEGUN,
        "expires_at": ticket.expires_at,
    }
    async with services.database.write() as connection:
        await store.add(connection, row, now)
    return ticket


async def leave(services: Services, adapter: str, secret: str) -> str:
    """Where to send the browser that holds the secret. Error: RefusedError, the second time too."""
    channel = _adapter(services, adapter)
    login_id = _id_of(secret)
    async with services.database.write() as connection:
        now = services.clock.micros()
        row = await store.advance(connection, login_id, Step.BEGUN, Step.ASKED, now)
    if row is None or row["adapter"] != adapter:
        raise _stale()
    state = services.vault.seal({"login": login_id}).decode()
    return channel.authorize_url(
        _app_of(services, channel), redirect_uri=redirect_uri(services, adapter), state=state
    )


async def come_back(
    services: Services, adapter: str, secret: str, query: Mapping[str, str]
) -> Sequence[Candidate]:
    """What the login opened, kept until `choose`. `query`: what the platform sent the browser back
    with. Error: RefusedError; the login is over then."""
    channel = _adapter(services, adapter)
    login_id = _id_of(secret)
    if _login_in(services, query.get("state", "")) != login_id:
        raise _stale()
    async with services.database.write() as connection:
        now = services.clock.micros()
        row = await store.advance(connection, login_id, Step.ASKED, Step.RETURNED, now)
    if row is None or row["adapter"] != adapter:
        raise _stale()
    if "error" in query or "code" not in query:
        said = query.get("error_description") or query.get("error") or "no code came back"
        raise _refused(f"the login was not completed: {said[:200]}", f"{AGAIN} and agree to it")
    answer = await channel.exchange(
        _app_of(services, channel),
        code=query["code"],
        redirect_uri=redirect_uri(services, adapter),
    )
    if isinstance(answer, AccessLost):
        raise _refused(answer.detail, answer.remedy or AGAIN)
    if isinstance(answer, Unavailable):
        raise RefusedError(
            Refusal.UNAVAILABLE, answer.reason, [FieldError("code", answer.reason, AGAIN)]
        )
    found = _CANDIDATES.dump_python(tuple(answer), mode="json")
    async with services.database.write() as connection:
        await store.keep(connection, login_id, services.vault.seal({"candidates": found}))
    return answer


async def choose(
    services: Services, adapter: str, secret: str, chosen: Collection[str]
) -> list[Connected]:
    """Connect the pages with these remote ids, each looked at first. A page that is connected
    already gets the new credentials. Error: RefusedError."""
    if not chosen:
        raise invalid("page", "nothing is chosen", "tick at least one page")
    async with services.database.write() as connection:
        row = await store.take(connection, _id_of(secret), services.clock.micros())
    if row is None or row["adapter"] != adapter:
        raise _stale()
    channel = _adapter(services, adapter)
    held = services.vault.open(row["candidates"])["candidates"]
    return [
        await _connect(services, channel, candidate, row["actor"])
        for candidate in _CANDIDATES.validate_python(held)
        if candidate.remote_id in chosen
    ]


def redirect_uri(services: Services, adapter: str) -> str:
    """Where platforms send browsers back to: to be entered there, letter for letter."""
    return f"{services.settings.effective_public_url}/connect/{adapter}/back"


async def _connect(
    services: Services, channel: Connects, candidate: Candidate, actor: str
) -> Connected:
    problem = candidate.problem
    if problem is not None and candidate.refused:
        return Connected(name=candidate.name, detail=problem.detail, remedy=problem.remedy)
    known = await _known(services, channel, candidate)
    held = {} if known is None else dict(known.settings)
    settings = channel.settings_type.model_validate({**held, **candidate.settings})
    try:
        admitted = await admit(channel, settings, candidate.name)
    except RefusedError as refused:
        remedy = " ".join(error.remedy for error in refused.errors)
        return Connected(name=candidate.name, detail=refused.detail, remedy=remedy)
    ends = candidate.expires_at or admitted.health.expires_at
    async with services.database.write() as connection:
        now = services.clock.micros()
        about: dict[str, Any] = {
            "settings": admitted.settings,
            "now": now,
            "expires_at": None if ends is None else micros(ends),
        }
        if known is None:
            account_id = await accounts.connect(
                connection, services.vault, channel=channel, name=candidate.name, **about
            )
        else:
            account_id = known.id
            await accounts.update_settings(
                connection, services.vault, account_id=known.id, name=known.name, **about
            )
        kind = "account.connected" if known is None else "account.reconnected"
        await note_account(connection, kind, account_id, actor=actor, now=now, data={"by": "login"})
    await services.doorbell.ring(now)
    return Connected(name=candidate.name, account_id=account_id)


async def _known(services: Services, channel: Channel, candidate: Candidate) -> Any:
    """The account of the page that the candidate is, None if it is not connected."""
    for member in (await services.roster.everyone()).values():
        held = (str(value) for value in dict(member.account.settings).values())
        if member.channel is channel and candidate.remote_id in held:
            return member.account
    return None


def _adapter(services: Services, name: str) -> Connects:
    try:
        channel = services.registry[name]
    except UnknownChannelError as error:
        raise RefusedError(Refusal.NOT_FOUND, f"there is no adapter {name!r}") from error
    if not isinstance(channel, Connects):
        detail = f"{name} takes no login"
        remedy = "connect it with its settings: POST /api/v1/accounts"
        raise RefusedError(Refusal.NOT_FOUND, detail, [FieldError("adapter", detail, remedy)])
    return channel


def _apps(services: Services) -> Mapping[str, Any]:
    held: Mapping[str, Any] = json.loads(services.settings.apps.get_secret_value())
    return held


def _app_of(services: Services, channel: Connects) -> ChannelSettings:
    given = _apps(services).get(channel.name)
    if given is None:
        detail = f"our application at {channel.channel} is not set up"
        needed = ", ".join(
            name for name, about in channel.app_type.model_fields.items() if about.is_required()
        )
        remedy = f'put {needed} under "{channel.name}" into ESTAFETTE_APPS'
        raise RefusedError(Refusal.CONFLICT, detail, [FieldError("adapter", detail, remedy)])
    try:
        return channel.app_type.model_validate(given)
    except ValidationError as error:
        wrong = ", ".join(str(one["loc"][0]) for one in error.errors(include_input=False))
        detail = f"our application at {channel.channel} is not set up rightly: {wrong}"
        remedy = "correct ESTAFETTE_APPS"
        raise RefusedError(
            Refusal.CONFLICT, detail, [FieldError("adapter", detail, remedy)]
        ) from error


def _id_of(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _login_in(services: Services, state: str) -> str | None:
    """The login that a state of ours names; None for anything else."""
    try:
        return str(services.vault.open(state.encode()).get("login"))
    except VaultError:
        return None


def _stale() -> RefusedError:
    return _refused("this login is over, or began in another browser", AGAIN)


def _refused(detail: str, remedy: str) -> RefusedError:
    return RefusedError(Refusal.FORBIDDEN, detail, [FieldError("login", detail, remedy)])
