"""API tokens: shown once, stored as a hash, limited by scope and date."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

import uuid_utils
from sqlalchemy import ColumnElement, RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scheduler.store.access_tables import tokens

PREFIX = "est_"


class Scope(StrEnum):
    """What a token may do; each includes those before it. `CALENDAR` opens the calendar of what
    is planned, from an address, and nothing else."""

    CALENDAR = "calendar"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


_INCLUDES = {
    Scope.CALENDAR: {Scope.CALENDAR},
    Scope.READ: {Scope.CALENDAR, Scope.READ},
    Scope.WRITE: {Scope.CALENDAR, Scope.READ, Scope.WRITE},
    Scope.ADMIN: set(Scope),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `id` is the token's."""

    id: str
    name: str
    scopes: frozenset[Scope]

    @property
    def actor(self) -> str:
        """As journals name them."""
        return f"token:{self.name}"[:64]

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made. `secret` is shown once and stored nowhere."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"NewToken(id={self.id!r})"


def digest(secret: str) -> str:
    """What is stored: the token has 256 random bits, so a plain hash is enough."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


async def create(
    connection: AsyncConnection,
    *,
    name: str,
    scopes: Iterable[Scope],
    now: int,
    expires_at: int | None = None,
) -> NewToken:
    """Make a token; times are microseconds since 1970."""
    made = NewToken(str(uuid_utils.uuid7()), PREFIX + secrets.token_urlsafe(32))
    row = {
        "id": made.id,
        "name": name,
        "hash": digest(made.secret),
        "scopes": sorted(set(scopes)),
        "created_at": now,
        "expires_at": expires_at,
    }
    await connection.execute(insert(tokens), row)
    return made


async def find(connection: AsyncConnection, secret: str, now: int) -> RowMapping | None:
    """The token's row if it is valid now."""
    return await _valid(connection, tokens.c.hash == digest(secret), now)


async def by_id(connection: AsyncConnection, token_id: str, now: int) -> RowMapping | None:
    """As `find`, by the token's id."""
    return await _valid(connection, tokens.c.id == token_id, now)


async def _valid(
    connection: AsyncConnection, which: ColumnElement[bool], now: int
) -> RowMapping | None:
    statement = select(tokens).where(which)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None or row["revoked_at"] is not None:
        return None
    if row["expires_at"] is not None and row["expires_at"] <= now:
        return None
    return row


def caller_of(row: RowMapping) -> Caller:
    scopes = frozenset(part for name in row["scopes"] for part in _INCLUDES[Scope(name)])
    return Caller(id=row["id"], name=row["name"], scopes=scopes)


async def touch(connection: AsyncConnection, token_id: str, now: int) -> None:
    """Note that the token was used."""
    await connection.execute(update(tokens).where(tokens.c.id == token_id).values(used_at=now))


async def revoke(connection: AsyncConnection, token_id: str, now: int) -> bool:
    """End a token; False when there is no live one with this id."""
    statement = (
        update(tokens)
        .where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return (await connection.execute(statement)).rowcount > 0


async def listed(connection: AsyncConnection) -> Sequence[RowMapping]:
    """All tokens without their hashes, oldest first."""
    columns = [column for column in tokens.c if column.name != "hash"]
    statement = select(*columns).order_by(tokens.c.created_at, tokens.c.id)
    return (await connection.execute(statement)).mappings().all()
