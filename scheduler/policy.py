"""How closely one account is watched: its owner's words over the service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from scheduler.decide import SECOND
from scheduler.drafts import Strict
from scheduler.settings import Settings

WEEK = 7 * 24 * 3600.0


class AccountPolicy(Strict):
    """What `accounts.policy` holds; seconds. None: as the service's settings say."""

    confirm_gone_after: Annotated[
        float | None,
        Field(ge=0, le=WEEK, description="Between the first sign that it is gone and the second."),
    ] = None
    probe_interval: Annotated[
        float | None, Field(ge=30, le=WEEK, description="Between two looks on a calm day.")
    ] = None
    hidden_is_gone: Annotated[
        bool,
        Field(description="A page that no visitor sees counts as gone, whatever its API says."),
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """An account's policy with every blank filled; microseconds."""

    confirm_after_us: int
    probe_every_us: int
    hidden_is_gone: bool = False


def watch_of(stored: Mapping[str, Any], settings: Settings) -> Watch:
    """`stored`: the account's `policy`."""
    own = AccountPolicy.model_validate(stored)
    confirm, every = own.confirm_gone_after, own.probe_interval
    return Watch(
        confirm_after_us=int(
            (settings.confirm_gone_after if confirm is None else confirm) * SECOND
        ),
        probe_every_us=int((settings.probe_interval if every is None else every) * SECOND),
        hidden_is_gone=own.hidden_is_gone,
    )
