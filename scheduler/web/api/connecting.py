"""What connecting an account takes, from whatever side it comes: checked before it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from channels.base import Channel, ChannelSettings
from channels.registry import UnknownChannelError, adapter_named
from scheduler.admission import admit
from scheduler.clock import micros
from scheduler.refusals import FieldError, Refusal, RefusedError, conflict, invalid
from scheduler.services import Services
from scheduler.web import problems

MASK = "**********"  # what pydantic shows of a SecretStr

Check = Annotated[
    bool,
    Field(
        description="Look at it before storing it. False: its platform is down, store it unseen."
    ),
]


def adapter_of(services: Services, name: str) -> Channel:
    """The adapter of this name. Error: RefusedError that lists those that exist."""
    try:
        return services.registry[adapter_named(name)]
    except UnknownChannelError as error:
        known = ", ".join(services.registry)
        raise invalid("adapter", f"there is no adapter {name!r}", f"one of: {known}") from error


def settings_of(channel: Channel, given: Mapping[str, Any]) -> ChannelSettings:
    """Settings as sent, as the adapter takes them. Error: RefusedError that names the field."""
    masked = [name for name, value in given.items() if MASK in repr(value)]
    if masked:
        raise invalid(
            f"settings.{masked[0]}",
            "this is the mask that hides a stored credential",
            "send the credential itself",
        )
    try:
        return channel.settings_type.model_validate(given)
    except ValidationError as error:
        refused = problems.from_validation(error, channel.settings_type)
        raise RefusedError(
            Refusal.INVALID,
            f"the settings are not what {channel.name} takes",
            [FieldError(_below(one.field), one.detail, one.remedy) for one in refused.errors],
        ) from error


async def looked_at(
    channel: Channel, settings: ChannelSettings, name: str, *, check: bool = True
) -> tuple[ChannelSettings, int | None]:
    """The settings to store, and when the credential ends (microseconds since 1970), None if never
    or unknown. Error: RefusedError when nothing could be published there."""
    if not check:
        return settings, None
    admitted = await admit(channel, settings, name)
    ends = admitted.health.expires_at
    return admitted.settings, None if ends is None else micros(ends)


async def refuse_twin(
    services: Services, channel: Channel, settings: ChannelSettings, account_id: str = ""
) -> None:
    """Error: RefusedError when another account than this one is of the same page."""
    fields = settings.page_fields
    if not fields:
        return
    page = [getattr(settings, name) for name in fields]
    for member in (await services.roster.everyone()).values():
        if member.channel.name != channel.name or member.id == account_id:
            continue
        if [getattr(member.account.settings, name) for name in fields] == page:
            raise conflict(
                f"this page is connected already, as {member.account.name}",
                f"reconnect that account: PUT /api/v1/accounts/{member.id}",
                f"settings.{fields[0]}",
            )


def _below(field: str) -> str:
    return "settings" if field == "body" else f"settings.{field}"
