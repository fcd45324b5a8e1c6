"""What one process of the service works with, opened and closed in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from channels.base import Tools
from channels.http import HttpClient
from channels.registry import Registry
from scheduler import tracing
from scheduler.campaigner import Campaigner
from scheduler.clock import Clock
from scheduler.desk import Desk
from scheduler.doorbell import Doorbell, SilentDoorbell
from scheduler.editing import Editor
from scheduler.lending import lender_of
from scheduler.posts import Intake
from scheduler.rendering import Renderer
from scheduler.revise import Reviser
from scheduler.roster import Roster
from scheduler.settings import Settings
from scheduler.store.db import Database
from scheduler.store.pages import PageStore
from scheduler.vault import Vault, key_file_keys
from scheduler.withdraw import Withdrawer


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Shared by the API and the worker; whoever opens it closes it."""

    settings: Settings
    clock: Clock
    database: Database
    vault: Vault
    http: HttpClient
    registry: Registry
    roster: Roster
    pages: PageStore
    doorbell: Doorbell
    intake: Intake
    desk: Desk
    reviser: Reviser
    withdrawer: Withdrawer
    editor: Editor
    campaigner: Campaigner


@asynccontextmanager
async def open_services(
    settings: Settings, *, clock: Clock | None = None, doorbell: Doorbell | None = None
) -> AsyncIterator[Services]:
    """Open everything that `settings` names. The database is not migrated here.

    Errors: VaultError for unusable keys, OSError for a data directory that cannot be written,
    TracingError for traces that cannot be made.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    time = clock or Clock()
    bell = doorbell or SilentDoorbell()
    async with AsyncExitStack() as stack:
        if settings.tracing:
            await stack.enter_async_context(tracing.exporting())
        vault = Vault(
            [key.get_secret_value() for key in settings.secret_keys]
            or key_file_keys(settings.data_dir)
        )
        database = Database(settings.effective_database_url)
        stack.push_async_callback(database.close)
        http = await stack.enter_async_context(
            HttpClient(
                private_ok=settings.private_addresses_ok,
                middlewares=[tracing.client_span] if settings.tracing else [],
            )
        )
        pages = PageStore(database)
        lender = lender_of(settings)
        tools = Tools(
            http=http,
            now=time.now,
            site=pages,
            dns_server=settings.dns_server,
            lend=None if lender is None else lender.lend,
        )
        registry = Registry(tools)
        roster = Roster(database, registry, vault)
        intake = Intake(
            database=database, roster=roster, clock=time, settings=settings, doorbell=bell
        )
        stack.push_async_callback(intake.close)
        desk = Desk(
            database=database,
            roster=roster,
            zone=settings.zone,
            clock=time,
            doorbell=bell,
            grace_us=int(settings.default_deadline_hours * 3_600_000_000),
        )
        reviser = Reviser(
            database=database, roster=roster, clock=time, settings=settings, doorbell=bell
        )
        yield Services(
            settings=settings,
            clock=time,
            database=database,
            vault=vault,
            http=http,
            registry=registry,
            roster=roster,
            pages=pages,
            doorbell=bell,
            intake=intake,
            desk=desk,
            reviser=reviser,
            editor=Editor(
                database=database,
                roster=roster,
                clock=time,
                reviser=reviser,
                renderer=Renderer(
                    database=database,
                    roster=roster,
                    media_dir=settings.data_dir / "media",
                    own_hosts=settings.own_hosts,
                ),
                timeout=settings.send_timeout,
            ),
            withdrawer=Withdrawer(
                database=database,
                roster=roster,
                clock=time,
                desk=desk,
                timeout=settings.send_timeout,
            ),
            campaigner=Campaigner(
                database=database, roster=roster, clock=time, settings=settings, doorbell=bell
            ),
        )
