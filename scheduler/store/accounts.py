"""Accounts as their owner manages them: connect, list, pause, resume, archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import uuid_utils
from pydantic import SecretStr
from pydantic_core import to_jsonable_python
from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.base import Channel, ChannelSettings
from channels.outcome import HealthStatus
from scheduler.deliveries import FINAL, State
from scheduler.limits import FOREVER
from scheduler.plan import BY_HAND
from scheduler.store.health import go_on
from scheduler.store.tables import accounts, deliveries
from scheduler.vault import Vault

_UNSETTLED = sorted(set(State) - FINAL)


def split_settings(settings: ChannelSettings, vault: Vault) -> tuple[dict[str, Any], bytes | None]:
    """The settings as shown (credentials masked), and, sealed, the fields that hold a credential
    at any depth (None: none does). Laid over the first, the second gives the settings back."""
    shown = settings.model_dump(mode="json")
    opened = {
        name: _revealed(value)
        for name, value in settings.model_dump(mode="python").items()
        if _holds_secret(value)
    }
    return shown, vault.seal(opened) if opened else None


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_secret(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_secret(item) for item in value)
    return isinstance(value, SecretStr)


def _revealed(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {name: _revealed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    return to_jsonable_python(value)


async def connect(
    connection: AsyncConnection,
    vault: Vault,
    *,
    channel: Channel,
    name: str,
    settings: ChannelSettings,
    now: int,
    expires_at: int | None = None,
) -> str:
    """Store a new account; its id. `expires_at`: when its credential ends, None if never or
    unknown."""
    plain, sealed = split_settings(settings, vault)
    account_id = str(uuid_utils.uuid7())
    row = {
        "id": account_id,
        "adapter": channel.name,
        "channel": channel.channel,
        "name": name,
        "settings": plain,
        "secrets": sealed,
        "status": HealthStatus.HEALTHY,
        "status_since": now,
        "expires_at": expires_at,
        "policy": {},
        "created_at": now,
        "updated_at": now,
    }
    await connection.execute(insert(accounts), row)
    return account_id


async def get(connection: AsyncConnection, account_id: str) -> RowMapping | None:
    statement = select(accounts).where(accounts.c.id == account_id)
    return (await connection.execute(statement)).mappings().one_or_none()


async def listed(connection: AsyncConnection, *, archived: bool = False) -> Sequence[RowMapping]:
    """Connected accounts, oldest first."""
    statement = select(accounts).order_by(accounts.c.id)
    if not archived:
        statement = statement.where(accounts.c.archived_at.is_(None))
    return (await connection.execute(statement)).mappings().all()


async def update_settings(
    connection: AsyncConnection,
    vault: Vault,
    *,
    account_id: str,
    name: str,
    settings: ChannelSettings,
    now: int,
    expires_at: int | None = None,
) -> None:
    """Connect the account anew: new name or credentials, same account, clean status; what was
    held for it goes on. `expires_at`: as `connect` takes it."""
    plain, sealed = split_settings(settings, vault)
    await _change(
        connection,
        account_id,
        now,
        {
            "name": name,
            "settings": plain,
            "secrets": sealed,
            "status": HealthStatus.HEALTHY,
            "status_reason": "",
            "status_detail": "",
            "status_since": now,
            "suspected_at": None,
            "paused_until": None,
            "pause_reason": "",
            "failures": 0,
            "expires_at": expires_at,
        },
    )
    await go_on(connection, account_id, now)


async def renew(
    connection: AsyncConnection,
    vault: Vault,
    *,
    account_id: str,
    before: ChannelSettings,
    settings: ChannelSettings,
    now: int,
) -> bool:
    """Put renewed credentials in the place of `before` and change nothing else; the next probe
    comes soon, and says when they end. False when others were put there meanwhile."""
    row = (
        (
            await connection.execute(
                select(accounts).where(accounts.c.id == account_id).with_for_update()
            )
        )
        .mappings()
        .one()
    )
    held = type(before).model_validate({**row["settings"], **vault.open(row["secrets"])})
    if held != before or row["archived_at"] is not None:
        return False
    plain, sealed = split_settings(settings, vault)
    values = {"settings": plain, "secrets": sealed, "checked_at": None}
    await _change(connection, account_id, now, values)
    return True


async def pause(connection: AsyncConnection, account_id: str, until: int | None, now: int) -> None:
    """Pause by hand until a moment, or until resumed."""
    values = {"paused_until": until or FOREVER, "pause_reason": BY_HAND}
    await _change(connection, account_id, now, values)


async def resume(connection: AsyncConnection, account_id: str, now: int) -> None:
    """End any pause and believe the account again; what was held for it goes on, and the next
    failure will say otherwise."""
    values = {
        "paused_until": None,
        "pause_reason": "",
        "failures": 0,
        "suspected_at": None,
        "status": HealthStatus.HEALTHY,
        "status_reason": "",
        "status_detail": "",
        "status_since": now,
    }
    await _change(connection, account_id, now, values)
    await go_on(connection, account_id, now)


async def set_policy(
    connection: AsyncConnection, account_id: str, policy: Mapping[str, Any], now: int
) -> None:
    """How closely it is watched: see `scheduler.policy`."""
    await _change(connection, account_id, now, {"policy": dict(policy)})


async def lock(connection: AsyncConnection, account_id: str) -> None:
    """Nobody adds a delivery for this account before the transaction ends; whoever just did is
    waited for."""
    await connection.execute(
        select(accounts.c.id).where(accounts.c.id == account_id).with_for_update()
    )


async def archive(connection: AsyncConnection, account_id: str, now: int) -> None:
    """Forget the credentials and publish nothing more; what was published stays on record."""
    values = {"archived_at": now, "secrets": None, "paused_until": FOREVER}
    await _change(connection, account_id, now, values)


async def _change(
    connection: AsyncConnection, account_id: str, now: int, values: Mapping[str, Any]
) -> None:
    # Workers reopen an account when updated_at changes: it has to grow, whatever the clocks say.
    row = (
        await connection.execute(
            select(accounts.c.updated_at).where(accounts.c.id == account_id).with_for_update()
        )
    ).one()
    await connection.execute(
        update(accounts)
        .where(accounts.c.id == account_id)
        .values(**values, updated_at=max(now, row.updated_at + 1))
    )


async def waiting(connection: AsyncConnection, account_id: str) -> int:
    """How many deliveries of this account are not settled."""
    statement = (
        select(func.count())
        .select_from(deliveries)
        .where(deliveries.c.account_id == account_id, deliveries.c.state.in_(_UNSETTLED))
    )
    return (await connection.execute(statement)).scalar_one()
