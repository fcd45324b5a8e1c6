"""Credentials are renewed before they end, and nobody loses one by it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from scheduler.care import renewer_of
from scheduler.plan import BY_HAND
from scheduler.store import accounts
from scheduler.store.tables import events
from tests.engine.conftest import PATIENCE, Engine


async def settings_of(engine: Engine, channel: str) -> dict[str, Any]:
    """As an adapter gets them."""
    account_id = engine.accounts[channel]
    return dict((await engine.services.roster.members([account_id]))[account_id].account.settings)


async def change(engine: Engine, channel: str, **changed: Any) -> None:
    """As somebody who connects the account anew."""
    account_id = engine.accounts[channel]
    member = (await engine.services.roster.members([account_id]))[account_id]
    settings = {**dict(member.account.settings), **changed}
    async with engine.services.database.write() as connection:
        await accounts.update_settings(
            connection,
            engine.services.vault,
            account_id=account_id,
            name=member.account.name,
            settings=member.channel.settings_type.model_validate(settings),
            now=engine.services.clock.micros(),
        )


async def look(engine: Engine) -> int:
    renewer = renewer_of(engine.services, "tests")
    return await replace(renewer, patience=timedelta(0)).look()


async def test_a_renewal_without_a_refresh_token_keeps_the_old_one(engine: Engine) -> None:
    soon = datetime.now(UTC) + timedelta(days=2)
    await change(engine, "linkedin", access_expires_at=soon)
    before = await settings_of(engine, "linkedin")
    async with engine.services.database.write() as connection:
        await accounts.pause(
            connection, engine.accounts["linkedin"], None, engine.services.clock.micros()
        )
    assert await look(engine) == 1
    after = await settings_of(engine, "linkedin")
    assert after["access_expires_at"] > soon + timedelta(days=30)
    assert after["refresh_token"] == before["refresh_token"]
    assert after["client_secret"] == before["client_secret"]
    account = await engine.account("linkedin")
    assert account.pause_reason == BY_HAND, "a renewal ends no pause"
    token = after["access_token"].get_secret_value()
    assert token not in str(account.settings)
    assert token.encode() not in account.secrets
    statement = select(events).where(events.c.kind == "account.renewed")
    async with engine.services.database.read() as connection:
        (line,) = (await connection.execute(statement)).all()
    assert token not in str(line)


async def test_what_has_time_left_is_not_renewed(engine: Engine) -> None:
    later = datetime.now(UTC) + timedelta(days=50)
    await change(engine, "linkedin", access_expires_at=later)
    assert await look(engine) == 0
    await change(engine, "linkedin", access_expires_at=datetime.now(UTC), refresh_token=None)
    assert await look(engine) == 0, "without a refresh token only a person can"


async def test_a_refused_renewal_is_told_while_the_access_still_works(engine: Engine) -> None:
    await change(engine, "linkedin", refresh_token="revoked")
    renewer = renewer_of(engine.services, "tests")
    assert await renewer.look() == 0
    assert await renewer.look() == 0, "asked again only hours later"
    (alert,) = await engine.alerts()
    assert (alert.kind, alert.severity, alert.count) == ("account.renewal-failed", "critical", 1)
    assert alert.data["action"]
    assert "revoked" not in str(alert.data["action"])
    account = await engine.account("linkedin")
    assert (account.status, account.paused_until) == ("healthy", None)
    await change(engine, "linkedin", refresh_token="practice")
    (alert,) = await engine.alerts()
    assert alert.resolved_at is not None


async def test_a_platform_that_is_down_is_asked_again_and_nobody_is_alarmed(
    engine: Engine,
) -> None:
    await change(engine, "linkedin", oauth_url="http://127.0.0.1:1/oauth")
    assert await look(engine) == 0
    assert await engine.alerts() == []


async def test_who_reconnects_meanwhile_keeps_what_they_gave(engine: Engine) -> None:
    account_id = engine.accounts["linkedin"]
    member = (await engine.services.roster.members([account_id]))[account_id]
    before = member.account.settings
    await change(engine, "linkedin", access_token="given-by-a-person")
    async with engine.services.database.write() as connection:
        kept = await accounts.renew(
            connection,
            engine.services.vault,
            account_id=account_id,
            before=before,
            settings=before,
            now=engine.services.clock.micros(),
        )
    assert not kept
    after = await settings_of(engine, "linkedin")
    assert after["access_token"].get_secret_value() == "given-by-a-person"


async def test_the_leader_renews_what_is_due(engine: Engine) -> None:
    async with engine.worker(), asyncio.timeout(PATIENCE):
        while True:
            if (await settings_of(engine, "linkedin"))["access_expires_at"] is not None:
                break
            await asyncio.sleep(0.02)
