"""A connection is looked at before it is saved; one that would not work is refused, with the
remedy, and nothing is stored."""

from __future__ import annotations

from channels.base import Account, Channel, ChannelSettings
from channels.outcome import Health, HealthStatus
from scheduler.health import examine
from scheduler.refusals import FieldError, Refusal, RefusedError

_REMEDIES = {
    HealthStatus.ACCESS_LOST: "check the credentials, and what they are allowed to do",
    HealthStatus.VANISHED: "check its address, that it exists, and that it is published",
}


async def admit(channel: Channel, settings: ChannelSettings, name: str) -> Health:
    """What a probe with these settings finds. Error: RefusedError when nothing could be published
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
    return health
