"""What is refused, in words for the person who asked: which field, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong. `field` is written as in the request: `poll.options[1]`."""

    field: str
    detail: str
    remedy: str = ""


class Refusal(Enum):
    """Why: the HTTP status, the problem type's name, its title."""

    BAD_REQUEST = (400, "bad-request", "The request cannot be read")
    UNAUTHENTICATED = (401, "unauthenticated", "A valid token is needed")
    FORBIDDEN = (403, "forbidden", "This token may not do that")
    NOT_FOUND = (404, "not-found", "There is no such thing")
    METHOD = (405, "method-not-allowed", "Another method is needed here")
    CONFLICT = (409, "conflict", "The present state does not allow it")
    TOO_LARGE = (413, "too-large", "The request is too large")
    MEDIA_TYPE = (415, "unsupported-media-type", "The content type is not understood")
    INVALID = (422, "invalid", "Something in the request is not right")
    KEY_REUSED = (422, "idempotency-key-reused", "This Idempotency-Key was used before")
    TOO_MANY = (429, "too-many-requests", "That is too often")
    PLATFORM = (502, "platform", "The platform did not do it")
    UNAVAILABLE = (503, "unavailable", "The service cannot answer now")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def code(self) -> str:
        return self.value[1]

    @property
    def title(self) -> str:
        return self.value[2]


class RefusedError(Exception):
    """The request is refused and nothing was stored."""

    def __init__(self, refusal: Refusal, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail
        self.errors = tuple(errors)


def invalid(field: str, detail: str, remedy: str = "") -> RefusedError:
    """One field's error as a whole refusal."""
    return RefusedError(Refusal.INVALID, detail, [FieldError(field, detail, remedy)])


def not_found(what: str, identity: str) -> RefusedError:
    return RefusedError(
        Refusal.NOT_FOUND, f"there is no {what} {identity!r}", [FieldError("id", f"no such {what}")]
    )


def conflict(detail: str, remedy: str = "", field: str = "") -> RefusedError:
    return RefusedError(Refusal.CONFLICT, detail, [FieldError(field, detail, remedy)])
