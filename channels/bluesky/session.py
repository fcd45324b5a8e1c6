"""Sessions: opened with the app password, renewed before they end, at most one at a time.

A server opens 30 sessions in 5 minutes and 300 a day, so one is kept in memory and in the
account's settings; a renewal that fails falls back on the password.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

import jwt
from pydantic import Field, SecretStr

from channels.base import ChannelSettings
from channels.bluesky.errors import evidence, outcome_of
from channels.exchange import Answer, NoAnswer, ask
from channels.http import HttpClient
from channels.outcome import Unavailable
from channels.steps import Stopped

SPARE = timedelta(minutes=2)
# Of about two hours; longer than `SPARE`, so that one process renews and the others read.
REFRESH_AHEAD = timedelta(minutes=15)
Address = Annotated[str, Field(pattern=r"^https?://[^\s?#]+[^\s?#/]$")]


class BlueskySettings(ChannelSettings):
    """One account. `identifier`: handle or DID. `service`: the server that holds the account.
    `did`, `access_jwt`, `refresh_jwt`: the last session, so that a restart opens no new one."""

    page_fields: ClassVar[tuple[str, ...]] = ("identifier", "service")

    identifier: Annotated[str, Field(min_length=3, max_length=253)]
    app_password: SecretStr
    service: Address = "https://bsky.social"
    public_url: Address = "https://bsky.app"
    did: str = ""
    access_jwt: SecretStr | None = None
    refresh_jwt: SecretStr | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        held = (self.app_password, self.access_jwt, self.refresh_jwt)
        return tuple(secret.get_secret_value() for secret in held if secret)


@dataclass(frozen=True, slots=True)
class Session:
    """`ends_at` (UTC): when the access token is no longer accepted."""

    did: str
    access: str
    refresh: str
    ends_at: datetime


class Sessions:
    """The sessions of one process, by server and identifier."""

    def __init__(self, http: HttpClient, now: Callable[[], datetime]) -> None:
        self._http = http
        self._now = now
        self._open: dict[tuple[str, str], Session] = {}
        self._refused: dict[tuple[str, str], str] = {}
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, settings: BlueskySettings) -> Session:
        """A session with some time left. Error: `Stopped` with why there is none."""
        place = (settings.service, settings.identifier)
        async with self._locks[place]:
            session = self._newest(settings)
            if session is None or session.ends_at - SPARE <= self._now():
                session = await self.renewed(settings, session)
            self._open[place] = session
            return session

    async def replaced(self, settings: BlueskySettings) -> Session:
        """A new session instead of the present one. Error: `Stopped` with why there is none."""
        place = (settings.service, settings.identifier)
        async with self._locks[place]:
            session = await self.renewed(settings, self._newest(settings))
            self._open[place] = session
            return session

    def _newest(self, settings: BlueskySettings) -> Session | None:
        """Another process may have renewed the stored one, or this one its own."""
        place = (settings.service, settings.identifier)
        known = [one for one in (self._open.get(place), _stored(settings)) if one]
        usable = [one for one in known if one.access != self._refused.get(place)]
        if not usable and known:
            # Its refresh token may still be good.
            return replace(known[0], ends_at=datetime.fromtimestamp(0, UTC))
        return max(usable, key=lambda one: one.ends_at, default=None)

    def forget(self, settings: BlueskySettings) -> None:
        """The server no longer accepts the session: the next `get` opens another."""
        place = (settings.service, settings.identifier)
        session = self._open.get(place)
        if session is not None:
            self._refused[place] = session.access

    async def renewed(self, settings: BlueskySettings, last: Session | None = None) -> Session:
        """A new session, by the last one's refresh token or by the password. Error: `Stopped`."""
        last = last or _stored(settings)
        if last is not None:
            token = {"Authorization": f"Bearer {last.refresh}"}
            answer = await self._ask(settings, "refreshSession", last, headers=token)
            if isinstance(answer, Answer) and answer.status == 200:
                return _session(answer)
            if not isinstance(answer, Answer) or answer.status >= 429:
                raise Stopped(_why(answer, self._now()))
        login = {
            "identifier": settings.identifier,
            "password": settings.app_password.get_secret_value(),
        }
        answer = await self._ask(settings, "createSession", last, json_body=login)
        if isinstance(answer, Answer) and answer.status == 200:
            return _session(answer)
        raise Stopped(_why(answer, self._now()))

    async def _ask(
        self, settings: BlueskySettings, method: str, last: Session | None, **request: Any
    ) -> Answer | NoAnswer:
        secrets = settings.secrets + ((last.access, last.refresh) if last else ())
        url = f"{settings.service}/xrpc/com.atproto.server.{method}"
        return await ask(self._http, "POST", url, writes=False, secrets=secrets, **request)


def _why(answer: Answer | NoAnswer, now: datetime) -> Any:
    return outcome_of(answer, writes=False, now=now) if isinstance(answer, Answer) else answer


def _session(answer: Answer) -> Session:
    fields = answer.fields
    if not {"did", "accessJwt", "refreshJwt"} <= fields.keys():
        reason = "the server's answer holds no session"
        raise Stopped(Unavailable(reason=reason, evidence=evidence(answer)))
    access = str(fields["accessJwt"])
    return Session(str(fields["did"]), access, str(fields["refreshJwt"]), _ends_at(access))


def session_ends(settings: BlueskySettings) -> datetime:
    """When the stored session ends; long ago when there is none."""
    session = _stored(settings)
    return datetime.fromtimestamp(0, UTC) if session is None else session.ends_at


def _stored(settings: BlueskySettings) -> Session | None:
    if not (settings.did and settings.access_jwt and settings.refresh_jwt):
        return None
    access = settings.access_jwt.get_secret_value()
    refresh = settings.refresh_jwt.get_secret_value()
    return Session(settings.did, access, refresh, _ends_at(access))


def _ends_at(token: str) -> datetime:
    """From the token's `exp`; a token that cannot be read is used up."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
        return datetime.fromtimestamp(0, UTC)
