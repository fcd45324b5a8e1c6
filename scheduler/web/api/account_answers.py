"""Accounts and channels as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from channels.base import Channel
from channels.outcome import HealthStatus
from channels.translations import in_language
from scheduler.answers import stamp, stamp_or_none
from scheduler.limits import FOREVER

_REMEDIES: Mapping[str, str] = {
    HealthStatus.ACCESS_LOST: "reconnect it: PUT /api/v1/accounts/{} with new credentials",
    HealthStatus.VANISHED: "look at the page; when it is back, resume the account",
    HealthStatus.THROTTLED: "nothing to do: it goes on by itself",
    HealthStatus.PLATFORM_DOWN: "nothing to do: it goes on by itself",
}


class AccountAnswer(TypedDict):
    """One connected page, site or list; credentials are masked. `paused_until` is null while it
    is paused until somebody resumes it. `action`: what to do next, empty when all is well."""

    id: str
    adapter: str
    channel: str
    name: str
    settings: dict[str, Any]
    status: str
    reason: str
    detail: str
    action: str
    since: str
    checked_at: str | None
    paused: bool
    paused_until: str | None
    pause_reason: str
    expires_at: str | None
    audience: int | None
    archived_at: str | None
    created_at: str


class AccountList(TypedDict):
    """Accounts, oldest first."""

    accounts: list[AccountAnswer]


class HealthAnswer(TypedDict):
    """What a probe found, and the account after it."""

    status: str
    detail: str
    remedy: str
    account: AccountAnswer


class ChannelAnswer(TypedDict):
    """A channel that accounts can be connected to. `settings`: JSON Schema 2020-12."""

    adapter: str
    channel: str
    text_limit: int | None
    max_images: int
    first_comment: bool
    addressed: bool
    settings: dict[str, Any]


class ChannelList(TypedDict):
    """Every channel of this release."""

    channels: list[ChannelAnswer]


def account_answer(row: Mapping[Any, Any], now: int, language: str = "en") -> AccountAnswer:
    """`row`: of accounts; `now`: microseconds since 1970; `language`: of the words for people."""
    until = row["paused_until"]
    paused = until is not None and until > now
    action = _REMEDIES.get(row["status"], "").replace("{}", row["id"])
    if paused and not action:
        action = f"resume it when you like: POST /api/v1/accounts/{row['id']}/resume"
    return {
        "id": row["id"],
        "adapter": row["adapter"],
        "channel": row["channel"],
        "name": row["name"],
        "settings": row["settings"],
        "status": row["status"],
        "reason": row["status_reason"],
        "detail": in_language(row["status_detail"], language),
        "action": in_language(action, language),
        "since": stamp(row["status_since"]),
        "checked_at": stamp_or_none(row["checked_at"]),
        "paused": paused,
        "paused_until": stamp(until) if paused and until < FOREVER else None,
        "pause_reason": row["pause_reason"] if paused else "",
        "expires_at": stamp_or_none(row["expires_at"]),
        "audience": row["audience"],
        "archived_at": stamp_or_none(row["archived_at"]),
        "created_at": stamp(row["created_at"]),
    }


def channel_answer(channel: Channel) -> ChannelAnswer:
    """A channel, and the schema of what connecting it takes."""
    able = channel.capabilities
    return {
        "adapter": channel.name,
        "channel": channel.channel,
        "text_limit": able.text_limit,
        "max_images": able.max_images,
        "first_comment": able.first_comment,
        "addressed": able.addressed,
        "settings": channel.settings_type.model_json_schema(),
    }
