"""An account that is archived while deliveries are added to it: none is left there to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from sqlalchemy import func, select, text

from scheduler.campaigner import Campaigner
from scheduler.drafts import Draft
from scheduler.posts import Intake
from scheduler.refusals import RefusedError
from scheduler.roster import Member, Roster
from scheduler.services import Services
from scheduler.store import accounts, desk, reroutes
from scheduler.store.db import Connection
from scheduler.store.faults import ArchivedError
from scheduler.store.tables import deliveries, posts
from scheduler.store.tokens import Caller, Scope
from scheduler.storyboard import CampaignDraft

CALLER = Caller(id="t", name="tests", scopes=frozenset({Scope.ADMIN}))


class Interrupted(Roster):
    """A roster after whose first reading something else happens."""

    def __init__(self, services: Services, then: Callable[[], Awaitable[object]]) -> None:
        super().__init__(services.database, services.registry, services.vault)
        self._then: Callable[[], Awaitable[object]] | None = then

    async def everyone(self) -> dict[str, Member]:
        found = await super().everyone()
        if self._then is not None:
            then, self._then = self._then, None
            await then()
        return found


def intake_of(services: Services, then: Callable[[], Awaitable[object]]) -> Intake:
    return Intake(
        database=services.database, roster=Interrupted(services, then), clock=services.clock,
        settings=services.settings, doorbell=services.doorbell,
    )  # fmt: skip


async def connected(services: Services, name: str) -> str:
    channel = services.registry["blog"]
    async with services.database.write() as connection:
        return await accounts.connect(
            connection, services.vault, channel=channel, name=name,
            settings=channel.settings_type.model_validate({"base_url": "https://other.example"}),
            now=services.clock.micros(),
        )  # fmt: skip


async def archive(connection: Connection, services: Services, account_id: str) -> None:
    await accounts.lock(connection, account_id)
    await accounts.archive(connection, account_id, services.clock.micros())


def archiving(services: Services, account_id: str) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        async with services.database.write() as connection:
            await archive(connection, services, account_id)

    return run


async def kept(services: Services) -> Mapping[str, int]:
    """How many posts there are, and how many deliveries by account."""
    async with services.database.read() as connection:
        count = (await connection.execute(select(func.count()).select_from(posts))).scalar_one()
        grouped = select(deliveries.c.account_id, func.count()).group_by(deliveries.c.account_id)
        return {"posts": count} | {row[0]: row[1] for row in await connection.execute(grouped)}


def draft(**fields: object) -> Draft:
    return Draft.model_validate(
        {"title": "Hello", "body": "Hello", "at": "2030-01-07T09:00"} | fields
    )


async def test_a_post_for_everybody_goes_to_those_that_are_left(
    services: Services, blog: str
) -> None:
    other = await connected(services, "The other")
    intake = intake_of(services, archiving(services, blog))
    accepted = await intake.accept(draft(), CALLER, "key")
    assert [leg["account_id"] for leg in accepted.answer["deliveries"]] == [other]
    assert await kept(services) == {"posts": 1, other: 1}
    assert (await intake.accept(draft(), CALLER, "key")).replayed
    await intake.close()


async def test_only_the_post_that_names_it_is_refused(services: Services, blog: str) -> None:
    other = await connected(services, "The other")
    intake = intake_of(services, archiving(services, blog))
    named, good = await asyncio.gather(
        intake.accept(draft(accounts=[blog]), CALLER),
        intake.accept(draft(accounts=[other]), CALLER),
        return_exceptions=True,
    )
    assert isinstance(named, RefusedError)
    assert not isinstance(good, BaseException)
    assert await kept(services) == {"posts": 1, other: 1}
    await intake.close()


async def test_a_campaign_that_names_it_is_refused(services: Services, blog: str) -> None:
    campaigner = Campaigner(
        database=services.database, roster=Interrupted(services, archiving(services, blog)),
        clock=services.clock, settings=services.settings, doorbell=services.doorbell,
    )  # fmt: skip
    beats = {"label": "say", "title": "Hello", "body": "Hello"}
    story = {"name": "n", "anchor": "2030-01-07T09:00", "accounts": [blog], "posts": [beats]}
    with pytest.raises(RefusedError, match="archived at this moment"):
        await campaigner.create(CampaignDraft.model_validate(story), CALLER, None)
    assert await kept(services) == {"posts": 0}


async def rerouted(services: Services, delivery_id: str, account_id: str) -> None:
    async with services.database.write() as connection:
        parent = await desk.locked(connection, delivery_id)
        assert parent is not None
        await reroutes.add_child(connection, parent, account_id, now=0, cause="")


async def test_no_road_leads_there(services: Services, blog: str) -> None:
    other = await connected(services, "The other")
    accepted = await services.intake.accept(draft(accounts=[blog]), CALLER)
    await archiving(services, other)()
    (leg,) = accepted.answer["deliveries"]
    with pytest.raises(ArchivedError):
        await rerouted(services, leg["id"], other)
    assert await kept(services) == {"posts": 1, blog: 1}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_adds_a_delivery_waits_for_whoever_archives(
    services: Services, blog: str
) -> None:
    """SQLite has one writer at a time; on PostgreSQL the two meet at the account."""
    other = await connected(services, "The other")
    database = services.database
    made = await services.intake.accept(draft(accounts=[other]), CALLER)
    (leg,) = made.answer["deliveries"]
    async with database.write() as connection:
        await archive(connection, services, blog)
        adding = [
            asyncio.create_task(services.intake.accept(draft(accounts=[blog]), CALLER)),
            asyncio.create_task(services.desk.redirect(leg["id"], blog, "tests")),
        ]
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        async with database.read() as looking, asyncio.timeout(60):
            while (await looking.execute(waits)).scalar_one() < len(adding):  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)
    for task in adding:
        with pytest.raises(RefusedError):
            await task
    assert await kept(services) == {"posts": 1, other: 1}
