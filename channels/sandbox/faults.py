"""Faults that a practice platform can be told to have, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class FaultName(StrEnum):
    """Every platform understands all of them, in its own error envelope.

    `ANSWER_LOST` writes, then cuts the connection before the answer; `MALFORMED` writes, then
    answers garbage; `SERVER_ERROR` and the rest write nothing. `PHONE_ONLY` hides the public page
    from desktop browsers. `SLOW` waits `seconds` before handling, `HANG` never answers, `CUT` ends
    the connection unread.
    """

    PAGE_GONE = "page-gone"
    UNPUBLISHED = "unpublished"
    PHONE_ONLY = "phone-only"
    TOKEN_DEAD = "token-dead"  # noqa: S105 -- the name of a fault, not a secret
    PERMISSION_LOST = "permission-lost"
    ROLE_LOST = "role-lost"
    THROTTLED = "throttled"
    REJECTED = "rejected"
    SLOW = "slow"
    HANG = "hang"
    CUT = "cut"
    ANSWER_LOST = "answer-lost"
    SERVER_ERROR = "server-error"
    MALFORMED = "malformed"


@dataclass(slots=True)
class Fault:
    """One fault of one account (`""`: the whole platform).

    `times`: how many writes it still hits (None: until cleared). `every`: hits each n-th write.
    `seconds`: of SLOW, or the Retry-After of THROTTLED.
    """

    name: FaultName
    account: str = ""
    times: int | None = None
    every: int = 1
    seconds: float = 1.0
    seen: int = field(default=0)


class Faults:
    """The faults of one platform."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.clear(fault.name, fault.account)
        self._faults.append(fault)

    def clear(self, name: FaultName | None = None, account: str | None = None) -> None:
        """Remove the faults that match; with no argument, all."""
        self._faults = [
            fault
            for fault in self._faults
            if (name is not None and fault.name != name)
            or (account is not None and fault.account != account)
        ]

    def listed(self) -> list[Fault]:
        return list(self._faults)

    def holds(self, name: FaultName, account: str = "") -> Fault | None:
        """The fault if it is set, without using it up: for reads, probes and public pages."""
        for fault in self._faults:
            if fault.name == name and fault.account in {"", account}:
                return fault
        return None

    def strike(self, name: FaultName, account: str = "") -> Fault | None:
        """The fault if it hits this write, counting it."""
        fault = self.holds(name, account)
        if fault is None:
            return None
        fault.seen += 1
        if fault.seen % fault.every:
            return None
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return fault
