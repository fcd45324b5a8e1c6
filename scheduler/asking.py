"""Who waits for a post to be accepted, and what they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from scheduler.answers import AcceptedAnswer
from scheduler.drafts import Draft
from scheduler.records import Prepared, Row
from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.store import idempotency
from scheduler.store.tokens import Caller

BATCH = 64


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a POST; `replayed`: given before, under the same Idempotency-Key."""

    answer: AcceptedAnswer
    replayed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    draft: Draft
    caller: Caller
    key: str | None
    fingerprint: str
    answer: asyncio.Future[Accepted]
    trace: str | None

    @property
    def slot(self) -> idempotency.Key | None:
        return None if self.key is None else (self.caller.id, self.key)


def fingerprint(draft: Draft) -> str:
    """The same for the same request, however its JSON is laid out."""
    return sha256(draft.model_dump_json(exclude_unset=True).encode()).hexdigest()


def one_per_key(waiting: Sequence[Asked]) -> tuple[list[Asked], list[Asked]]:
    """The next batch, and who waits for the one after: two with one key never share a batch."""
    batch: list[Asked] = []
    later: list[Asked] = []
    taken: set[idempotency.Key] = set()
    for asked in waiting:
        if len(batch) >= BATCH or asked.slot in taken:
            later.append(asked)
            continue
        batch.append(asked)
        if asked.slot is not None:
            taken.add(asked.slot)
    return batch, later


def row_kept(asked: Asked, item: Prepared, now: int) -> Row:
    return {
        "token_id": asked.caller.id,
        "key": asked.key,
        "fingerprint": asked.fingerprint,
        "status": 201,
        "body": item.answer,
        "created_at": now,
    }


def answer_again(asked: Asked, given: idempotency.Given) -> None:
    if given.fingerprint != asked.fingerprint:
        detail = f"the key {asked.key!r} was used with another post"
        error = FieldError("Idempotency-Key", detail, "use a new key for a new post")
        fail(asked, RefusedError(Refusal.KEY_REUSED, detail, [error]))
    else:
        succeed(asked, Accepted(given.body, replayed=True))


def succeed(asked: Asked, answer: Accepted) -> None:
    if not asked.answer.done():  # the client may have hung up meanwhile
        asked.answer.set_result(answer)


def fail(asked: Asked, error: Exception) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(error)
