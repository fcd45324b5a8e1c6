"""Answers under an Idempotency-Key, for requests that are stored one by one."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydantic import BaseModel

from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.store import idempotency
from scheduler.store.db import Connection, Database
from scheduler.store.tokens import Caller


@dataclass(frozen=True, slots=True)
class Once:
    """One request that may come again."""

    caller: Caller
    key: str | None
    fingerprint: str

    async def given(self, database: Database) -> Any:
        """The answer given before, None when there was none. Error: RefusedError when the key was
        used for another request."""
        if self.key is None:
            return None
        slot = (self.caller.id, self.key)
        async with database.read() as connection:
            known = (await idempotency.find(connection, [slot])).get(slot)
        if known is None:
            return None
        if known.fingerprint != self.fingerprint:
            detail = f"the key {self.key!r} was used with another request"
            error = FieldError("Idempotency-Key", detail, "use a new key for a new request")
            raise RefusedError(Refusal.KEY_REUSED, detail, [error])
        return known.body

    async def first(
        self, connection: Connection, database: Database, answer: Any, now: int
    ) -> bool:
        """Keep the answer; False when another request with this key was quicker."""
        if self.key is None:
            return True
        row = {
            "token_id": self.caller.id,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "status": 201,
            "body": answer,
            "created_at": now,
        }
        return bool(await idempotency.keep(connection, database, [row]))


def once(caller: Caller, key: str | None, asked: BaseModel) -> Once:
    """`asked`: the request's body."""
    body = f"{type(asked).__name__} {asked.model_dump_json(exclude_unset=True)}"
    return Once(caller, key, sha256(body.encode()).hexdigest())
