"""The accounts as a worker knows them: opened once, read again when their row changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from channels.base import Account, Channel, ChannelSettings
from scheduler.store.db import Database
from scheduler.store.roster import rows_of
from scheduler.vault import Vault


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


class Roster:
    """Looks accounts up by id; decrypts and validates settings only when they changed."""

    def __init__(self, database: Database, registry: Mapping[str, Channel], vault: Vault) -> None:
        self._database = database
        self._registry = registry
        self._vault = vault
        self._members: dict[str, Member] = {}

    @cached_property
    def article_adapters(self) -> tuple[str, ...]:
        """The adapters where each post has a page of its own."""
        return tuple(
            name for name, channel in self._registry.items() if channel.capabilities.articles
        )

    async def members(self, ids: Iterable[str]) -> dict[str, Member]:
        """The members with these ids as they are now; unknown ids are left out."""
        rows = await rows_of(self._database, sorted(set(ids)))
        found = {row["id"]: self._member(row) for row in rows}
        self._members.update(found)
        return found

    async def everyone(self) -> dict[str, Member]:
        """All accounts that are not archived."""
        found = {row["id"]: self._member(row) for row in await rows_of(self._database, None)}
        self._members.update(found)
        return found

    def _member(self, row: Any) -> Member:
        known = self._members.get(row["id"])
        if known is not None and known.version == row["updated_at"]:
            return known
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
