"""The practice platforms of `run`: one account per channel, connected and kept up to date."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from pydantic import SecretStr

from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeAccount, PracticeServer
from scheduler.cli.exits import CommandError
from scheduler.roster import Member
from scheduler.services import Services
from scheduler.settings import Settings
from scheduler.store import accounts
from scheduler.store.practice import seed_people

# The built-in site needs no platform to practise on: it is real.
_SITE = ("blog", "Our site")
# Connected from the start; the other platforms are there to be connected by hand.
_PRACTISED = frozenset({"blog", "newsletter", "facebook", "linkedin", "messenger"})


@asynccontextmanager
async def practice_platforms(settings: Settings) -> AsyncIterator[PracticeServer]:
    """All practice platforms on the practice port; what was published there is kept."""
    ledger = Ledger(settings.data_dir / "practice.db")
    try:
        server = PracticeServer(ledger, host=settings.host, port=settings.practice_port)
        try:
            await server.__aenter__()
        except OSError as error:
            raise CommandError(
                f"the practice platforms cannot listen on {settings.host}:"
                f"{settings.practice_port}: {error.strerror}; set ESTAFETTE_PRACTICE_PORT to a"
                " free port"
            ) from error
        try:
            yield server
        finally:
            await server.__aexit__(None, None, None)
    finally:
        ledger.close()


async def connect_accounts(services: Services, server: PracticeServer) -> list[Member]:
    """One account per channel, connected anew where its address changed; all of them."""
    site = PracticeAccount(*_SITE, {"base_url": services.settings.effective_public_url})
    known = {
        (member.channel.name, member.account.name): member
        for member in (await services.roster.everyone()).values()
    }
    for wanted in _one_each([*server.accounts(), site]):
        await _connect(services, wanted, known.get((wanted.adapter, wanted.name)))
    return list((await services.roster.everyone()).values())


def practised(settings: Settings, server: PracticeServer) -> Settings:
    """The settings with the practice port, and our applications there where none is set up."""
    apps = {**server.apps(), **json.loads(settings.apps.get_secret_value())}
    changed = {"practice_port": server.port, "apps": SecretStr(json.dumps(apps))}
    return settings.model_copy(update=changed)


def _one_each(found: Iterable[PracticeAccount]) -> Iterable[PracticeAccount]:
    first: dict[str, PracticeAccount] = {}
    for account in found:
        if account.adapter in _PRACTISED:
            first.setdefault(account.adapter, account)
    return first.values()


async def _connect(services: Services, wanted: PracticeAccount, known: Member | None) -> None:
    channel = services.registry[wanted.adapter]
    settings = channel.settings_type.model_validate(wanted.settings)
    now = services.clock.micros()
    async with services.database.write() as connection:
        if known is None:
            account_id = await accounts.connect(
                connection, services.vault, channel=channel, name=wanted.name, settings=settings,
                now=now,
            )  # fmt: skip
        else:
            account_id = known.id
            if settings != known.account.settings:
                await accounts.update_settings(
                    connection, services.vault, account_id=account_id, name=wanted.name,
                    settings=settings, now=now,
                )  # fmt: skip
        await seed_people(
            connection, services.database, account_id=account_id, account_name=wanted.name,
            channel=channel.channel, people=wanted.contacts, now=now,
        )  # fmt: skip
