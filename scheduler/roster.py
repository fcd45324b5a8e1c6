"""The accounts as a worker knows them: opened once, read again when their row changes.

One that cannot be opened (its key is lost, its adapter is not of this release) is left out, so that
it keeps none of the others waiting; `closed` says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError

from channels.base import Account, Channel, ChannelSettings
from channels.registry import UnknownChannelError
from scheduler.store.db import Database
from scheduler.store.roster import anyone, rows_of, version
from scheduler.vault import Vault, VaultError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One account, ready to send: its adapter, its opened settings, its limits.

    Times are microseconds since 1970; `paused_until` 0 when not paused.
    """

    account: Account[ChannelSettings]
    channel: Channel
    status: str
    paused_until: int
    pause_reason: str
    failures: int
    max_concurrent: int
    gap_us: int
    version: int
    policy: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.account.id


class Standing(NamedTuple):
    """All accounts as they were at one moment, or later; `version` says of which."""

    members: Mapping[str, Member]
    version: str


class Roster:
    """Looks accounts up by id; decrypts and validates settings only when they changed."""

    def __init__(self, database: Database, registry: Mapping[str, Channel], vault: Vault) -> None:
        self._database = database
        self._registry = registry
        self._vault = vault
        self._members: dict[str, Member] = {}
        self._closed: dict[str, tuple[int, str]] = {}
        self._standing: Standing | None = None

    @cached_property
    def article_adapters(self) -> tuple[str, ...]:
        """The adapters where each post has a page of its own."""
        return tuple(
            name for name, channel in self._registry.items() if channel.capabilities.articles
        )

    async def warm_up(self) -> None:
        """Load the adapters once there is an account: the first post to any would load them all,
        which takes longer than sending it, and nothing else runs meanwhile."""
        if await anyone(self._database):
            _ = self.article_adapters

    async def members(self, ids: Iterable[str]) -> dict[str, Member]:
        """The members with these ids as they are now; unknown ids, and accounts that cannot be
        opened, are left out."""
        return self._opened(await rows_of(self._database, sorted(set(ids))))

    async def everyone(self) -> dict[str, Member]:
        """All accounts that are not archived and can be opened."""
        return self._opened(await rows_of(self._database, None))

    async def remembered(self) -> Standing:
        """As they were when `standing` was last asked for."""
        return self._standing or await self.standing()

    async def standing(self) -> Standing:
        """As `everyone`, and their version. What changes in between is among the members, and the
        version is of before: whoever compares it takes them for changed."""
        before = await version(self._database)
        self._standing = Standing(await self.everyone(), before)
        return self._standing

    def closed(self, account_id: str) -> str:
        """Why this account was left out when it was last asked for; empty when it was not."""
        return self._closed.get(account_id, (0, ""))[1]

    @property
    def left_out(self) -> Mapping[str, str]:
        """Why accounts were left out, by id."""
        return {account_id: why for account_id, (_, why) in self._closed.items()}

    def _opened(self, rows: Iterable[Any]) -> dict[str, Member]:
        found = {}
        for row in rows:
            known = self._members.get(row["id"])
            if known is None or known.version != row["updated_at"]:
                known = self._open(row)
            if known is not None:
                self._members[known.id] = found[known.id] = known
        return found

    def _open(self, row: Any) -> Member | None:
        account_id, version = row["id"], row["updated_at"]
        if self._closed.get(account_id, (None, ""))[0] == version:
            return None
        try:
            member = self._member(row)
        except (VaultError, UnknownChannelError, ValidationError) as error:
            why = _why(error)
            self._closed[account_id] = version, why
            log.error("account.closed", account=account_id, why=why)  # noqa: TRY400 -- a trace may show settings
            return None
        self._closed.pop(account_id, None)
        return member

    def _member(self, row: Any) -> Member:
        channel = self._registry[row["adapter"]]
        settings = channel.settings_type.model_validate(
            {**row["settings"], **self._vault.open(row["secrets"])}
        )
        return Member(
            account=Account(id=row["id"], name=row["name"], settings=settings),
            channel=channel,
            status=row["status"],
            paused_until=row["paused_until"] or 0,
            pause_reason=row["pause_reason"],
            failures=row["failures"],
            max_concurrent=row["max_concurrent"],
            gap_us=row["gap_ms"] * 1000,
            version=row["updated_at"],
            policy=row["policy"],
        )


def _why(error: Exception) -> str:
    """Without what the settings hold."""
    if isinstance(error, ValidationError):
        wrong = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
        return f"its settings are no longer usable: {wrong}"
    return str(error)
