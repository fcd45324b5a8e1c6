"""A connection is looked at before it is saved; one that would not work is refused, with the
remedy, and nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from channels.abilities import Prechecks
from channels.base import Account, Channel, ChannelSettings
from channels.outcome import AccessLost, Health, HealthStatus, Unavailable
from scheduler.health import examine
from scheduler.refusals import FieldError, Refusal, RefusedError

_REMEDIES = {
    HealthStatus.ACCESS_LOST: "check the credentials, and what they are allowed to do",
    HealthStatus.VANISHED: "check its address, that it exists, and that it is published",
}


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a probe found, and the settings to store: the provider may have replaced some."""

    health: Health
    settings: ChannelSettings


async def admit(channel: Channel, settings: ChannelSettings, name: str) -> Admitted:
    """Look at a connection with these settings. Error: RefusedError when nothing could be published
    there, or when nobody can tell."""
    health = await examine(channel, Account(id="", name=name, settings=settings))
    if health.status is HealthStatus.PLATFORM_DOWN:
        detail = f"{name} does not answer: {health.detail}"
        remedy = health.remedy or "try again, or send check: false to store it unseen"
        raise RefusedError(
            Refusal.UNAVAILABLE, detail, [FieldError("settings", health.detail, remedy)]
        )
    if health.status in _REMEDIES:
        remedy = health.remedy or _REMEDIES[health.status]
        raise RefusedError(
            Refusal.INVALID,
            f"nothing can be published to {name}: {health.detail}",
            [FieldError("settings", health.detail, remedy)],
        )
    replaced = await _prechecked(channel, Account(id="", name=name, settings=settings))
    if replaced:
        settings = type(settings).model_validate({**dict(settings), **replaced})
    return Admitted(health, settings)


async def _prechecked(channel: Channel, account: Account[Any]) -> Mapping[str, Any]:
    """The settings that the provider replaced, by name."""
    replaced: dict[str, Any] = {}
    if not isinstance(channel, Prechecks):
        return replaced

    async def keep(changed: Mapping[str, Any]) -> None:
        replaced.update(changed)

    match await channel.precheck(account, keep=keep):
        case None:
            return replaced
        case AccessLost(detail=detail, remedy=remedy):
            raise RefusedError(
                Refusal.INVALID,
                f"something is amiss with {account.name}: {detail}",
                [FieldError("settings", detail, remedy)],
            )
        case Unavailable(reason=reason):
            remedy = "look whether the server answers, or send check: false to store it unseen"
            raise RefusedError(
                Refusal.UNAVAILABLE,
                f"{account.name} does not answer: {reason}",
                [FieldError("settings", reason, remedy)],
            )
