"""Whether a route leads anywhere. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from channels.outcome import HealthStatus
from scheduler.refusals import FieldError

_BROKEN = {HealthStatus.ACCESS_LOST, HealthStatus.VANISHED}


def route_errors(
    account_id: str, fallbacks: Sequence[str], known: Collection[str]
) -> list[FieldError]:
    """What makes a route impossible. `known`: the ids of all connected accounts."""
    errors: list[FieldError] = []
    for index, fallback in enumerate(fallbacks):
        field = f"fallbacks[{index}]"
        if fallback == account_id:
            errors.append(FieldError(field, "an account cannot replace itself", "remove it"))
        elif fallback in fallbacks[:index]:
            errors.append(FieldError(field, "it stands in the list already", "remove it"))
        elif fallback not in known:
            errors.append(
                FieldError(field, f"there is no account {fallback!r}", "see GET /api/v1/accounts")
            )
    return errors


def route_warnings(
    account_id: str, routes: Mapping[str, Sequence[str]], statuses: Mapping[str, str]
) -> list[str]:
    """What an owner should know of one account's route. `statuses`: of connected accounts, by
    id."""
    fallbacks = routes.get(account_id, ())
    if not fallbacks:
        return ["no plan B: what cannot go out here is held until somebody decides"]
    lost = [one for one in fallbacks if one not in statuses]
    broken = [one for one in fallbacks if statuses.get(one) in _BROKEN]
    if len(broken) + len(lost) == len(fallbacks):
        return ["every fallback is itself unreachable at the moment"]
    return [
        *(f"the fallback {one} is not connected any more" for one in lost),
        *(f"the fallback {one} is unreachable at the moment" for one in broken),
    ]
