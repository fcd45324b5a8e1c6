"""`doctor`: looks at everything a delivery needs, and says what to do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from channels.inspection import Grade
from scheduler.cli import checks
from scheduler.cli.checks import Check
from scheduler.cli.database import make_data_dir
from scheduler.cli.exits import Exit
from scheduler.cli.output import Json, print_json, print_rows
from scheduler.cli.place import load_settings, noted
from scheduler.logs import configure
from scheduler.services import open_services
from scheduler.settings import Settings
from scheduler.store.db import Database
from scheduler.vault import VaultError


class Role(StrEnum):
    """What a container of this image runs."""

    API = "api"
    WORKER = "worker"


def doctor(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only what a health check needs: no account is probed.")
    ] = False,
    role: Annotated[
        Role | None, typer.Option(help="With --quick: this machine's API or worker is alive.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check settings, database, Redis, clock, DNS, workers, accounts and whether mails arrive.

    Exit code 1: an error."""
    configure("warning", kept=False)  # what is found is the answer, not how it was looked for
    settings = load_settings()
    make_data_dir(settings)
    found = asyncio.run(_all(_quick(settings, role) if quick else _whole(settings)))
    if as_json:
        print_json([asdict(check) for check in found])
    else:
        columns = {"": "grade", "Check": "name", "Found": "detail", "What to do": "remedy"}
        print_rows([asdict(check) for check in found], columns, empty="")
    if any(check.grade is Grade.ERROR for check in found):
        raise typer.Exit(Exit.FAILED)


async def _all(found: AsyncIterator[Check]) -> list[Check]:
    return [check async for check in found]


async def _quick(settings: Settings, role: Role | None) -> AsyncIterator[Check]:
    opened = Database(settings.effective_database_url)
    # A worker waits for its database with what it still has to write: no reason to restart it.
    away = Grade.WARNING if role is Role.WORKER else Grade.ERROR
    try:
        yield (connected := await checks.database(opened, away=away))
        if role is Role.API:
            yield await checks.service(checks.own_url(settings))
        elif role is Role.WORKER and connected.grade is Grade.OK:
            yield await checks.workers(settings, opened, host=socket.gethostname())
    finally:
        await opened.close()


async def _whole(settings: Settings) -> AsyncIterator[Check]:
    yield checks.disk(settings)
    yield checks.clock()
    yield await checks.redis(settings)
    yield await checks.service(checks.own_url(settings))
    # Practice platforms are at home on this machine: their probes may go there.
    place = noted(settings.data_dir)
    if place is not None and place.practice_url:
        settings = settings.model_copy(update={"private_addresses_ok": True})
    else:
        yield checks.links(settings)
    if place is not None and not settings.public_url:
        settings = settings.model_copy(update={"public_url": place.url})
    try:
        async with open_services(settings) as services:
            yield (connected := await checks.database(services.database))
            if connected.grade is not Grade.OK:
                return
            yield await checks.workers(settings, services.database)
            yield await checks.drill(services.database)
            yield await checks.copies(settings, services.database)
            members = list((await services.roster.everyone()).values())
            for account_id, why in services.roster.left_out.items():
                remedy = "put its key or its release back, or reconnect it"
                yield Check(f"account {account_id}", Grade.ERROR, why, remedy)
            async for check in checks.names(members):
                yield check
            for member in members:
                async for check in checks.deliverability(member, settings.effective_public_url):
                    yield check
            for probe in asyncio.as_completed([checks.account(member) for member in members]):
                yield await probe
    except VaultError as error:
        yield Check("keys", Grade.ERROR, str(error), "see ESTAFETTE_SECRET_KEYS")
