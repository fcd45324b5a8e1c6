"""A drill says what plan B then does; the basket counts what hangs on what."""

from functools import partial
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from channels.facebook.practice.graph import LE_PETIT_CAFE
from channels.sandbox.faults import FaultName
from channels.sandbox.server import PracticeServer
from scheduler.care import census_of, drill_of, plan_b_of, scales_of
from scheduler.settings import Settings
from scheduler.store.accounts import connect
from scheduler.store.practice import seed_people
from scheduler.store.tables import accounts
from tests.bench import hot
from tests.engine.conftest import Engine
from tests.engine.test_digest import queue, route


@pytest.fixture
def settings(settings: Settings, practice: PracticeServer) -> Settings:
    return settings.model_copy(update={"practice_port": URL(practice.url).port})


async def test_the_dry_run_says_what_then_happens(engine: Engine) -> None:
    await route(engine, "linkedin", "blog")
    ids = await queue(engine, 9, 10, 21)
    ids += await queue(engine, 11, kind="essential")
    ids += await queue(engine, 12, kind="promotional")
    ids.append(await engine.post("facebook", "linkedin", title="Both", seconds=90_000))
    page = engine.accounts["facebook"]
    said = await drill_of(engine.services).rehearse(page)
    assert [(await engine.rows(post))[0].state for post in ids] == ["scheduled"] * 6
    await plan_b_of(engine.services, "tests").move_queue(page, "gone")
    did = {}
    for post in ids:
        legs = await engine.rows(post)
        (own,) = [leg for leg in legs if leg.account_id == page]
        children = [leg for leg in legs if leg.parent_id == own.id]
        if own.state == "held":
            did[post] = "held"
        elif children:
            did[post] = "at-once"
        else:
            did[post] = "covered" if len(legs) > 1 else "digest"
    assert {line["post_id"]: line["road"] for line in said["lines"]} == did
    assert sorted(set(did.values())) == ["at-once", "covered", "digest", "held"]
    assert (said["posts"], said["rerouted"], said["held"]) == (6, 5, 1)
    assert sorted(one["posts"] for one in said["digests"]) == [1, 2]


async def test_a_drill_says_in_which_words_and_who_is_not_reached(engine: Engine) -> None:
    async with engine.services.database.write() as connection:
        for channel, size in (("facebook", 800), ("blog", 200)):
            await connection.execute(
                accounts.update()
                .where(accounts.c.id == engine.accounts[channel])
                .values(audience=size)
            )
    await route(engine, "blog", note="Find us here.")
    await queue(engine, 9, kind="essential")
    report = await drill_of(engine.services).rehearse(engine.accounts["facebook"])
    (line,) = report["lines"]
    assert line["to"] == "Our site"
    assert line["words"]
    assert report["reach"] == {"audience": 800, "fallbacks": {"Our site": 200}, "unreached": 600}


async def test_a_drill_leaves_a_dated_report(engine: Engine, api: TestClient[Any, Any]) -> None:
    await queue(engine, 9)
    body = {"account_id": engine.accounts["facebook"]}
    async with api.post("/api/v1/drills", json=body) as answer:
        assert answer.status == 201, await answer.text()
        made = await answer.json()
    async with api.get("/api/v1/drills") as answer:
        assert (await answer.json())["drills"] == [made]
    assert made["report"]["posts"] == 1
    async with api.post("/api/v1/drills", json={"account_id": "nobody"}) as answer:
        assert answer.status == 404


async def test_a_live_drill_vanishes_returns_and_leaves_the_queue_as_it_was(
    engine: Engine, api: TestClient[Any, Any]
) -> None:
    ids = await queue(engine, 9, 10)
    body = {"account_id": engine.accounts["facebook"], "live": True}
    async with api.post("/api/v1/drills", json=body) as answer:
        assert answer.status == 201, await answer.text()
        assert (await answer.json())["live"] is True
    kinds = {alert.kind for alert in await engine.alerts()}
    assert {"account.vanished", "account.returned"} <= kinds
    for post in ids:
        assert [row.state for row in await engine.rows(post)] == ["scheduled"]
    assert (await engine.account("facebook")).status == "healthy"


async def test_nothing_real_is_made_to_vanish(engine: Engine, api: TestClient[Any, Any]) -> None:
    body = {"account_id": engine.accounts["blog"], "live": True}
    async with api.post("/api/v1/drills", json=body) as answer:
        assert answer.status == 422
        assert (await answer.json())["errors"][0]["field"] == "live"


async def test_the_basket_names_what_has_no_other_road(
    engine: Engine, api: TestClient[Any, Any]
) -> None:
    await queue(engine, 9)
    await engine.post("blog", title="Alone", seconds=3600)
    async with api.get("/api/v1/basket") as answer:
        assert answer.status == 200, await answer.text()
        basket = await answer.json()
    assert [one["title"] for one in basket["stranded"]] == ["Alone"]
    assert (basket["waiting"], basket["saved"], basket["trend"]) == (2, 1, [])
    await scales_of(engine.services).keep()
    await scales_of(engine.services).keep()
    async with api.get("/api/v1/basket") as answer:
        (today,) = (await answer.json())["trend"]
    assert today["stranded"] == 1


async def test_a_long_queue_is_weighed_and_rehearsed_in_few_trips(engine: Engine) -> None:
    await queue(engine, *(9 + number % 10 for number in range(50)))
    services = engine.services
    for ask in (
        scales_of(services).weigh,
        partial(drill_of(services).rehearse, engine.accounts["facebook"]),
    ):
        async with hot.statements(services.database) as sent:
            found: Any = await ask()
        assert len(sent) < 30
        assert found.get("waiting", found.get("posts")) == 50


async def test_followers_weigh_in_the_basket_as_their_platform_counts_them(
    engine: Engine, api: TestClient[Any, Any]
) -> None:
    census = census_of(engine.services)
    await census.look()
    async with api.get("/api/v1/accounts") as answer:
        told = {one["channel"]: one["audience"] for one in (await answer.json())["accounts"]}
    assert told["facebook"] == LE_PETIT_CAFE.followers
    assert told["linkedin"] == 212
    assert told["blog"] is None
    async with api.get("/api/v1/basket") as answer:
        eggs = {one["channel"]: one for one in (await answer.json())["accounts"]}
    assert eggs["facebook"]["audience_share"] == pytest.approx(1840 / 2052, abs=0.001)


async def test_a_new_account_is_counted_at_once_and_the_others_in_their_time(
    engine: Engine,
) -> None:
    census = census_of(engine.services)
    await census.look()
    known = engine.accounts["facebook"]
    async with engine.services.database.write() as connection:
        await connection.execute(accounts.update().where(accounts.c.id == known).values(audience=7))
        await connection.execute(
            accounts.update()
            .where(accounts.c.id == engine.accounts["linkedin"])
            .values(audience=None, created_at=engine.services.clock.micros())
        )
    await census.look()
    assert (await engine.account("linkedin")).audience == 212
    assert (await engine.account("facebook")).audience == 7


async def test_a_platform_that_does_not_say_leaves_the_last_count(engine: Engine) -> None:
    async with engine.services.database.write() as connection:
        await connection.execute(
            accounts.update().where(accounts.c.id == engine.accounts["facebook"]).values(audience=7)
        )
    engine.fault("facebook", FaultName.SERVER_ERROR)
    await census_of(engine.services).look()
    account = await engine.account("facebook")
    assert (account.audience, account.status) == (7, "healthy")
    assert (await engine.account("linkedin")).audience == 212


async def test_whom_we_may_write_to_weighs_in_the_basket(engine: Engine) -> None:
    (mail,) = [one for one in engine.practice.accounts() if one.adapter == "newsletter"]
    services = engine.services
    channel = services.registry[mail.adapter]
    async with services.database.write() as connection:
        newsletter = await connect(
            connection, services.vault, channel=channel, name=mail.name, now=1,
            settings=channel.settings_type.model_validate(dict(mail.settings)),
        )  # fmt: skip
        await seed_people(
            connection, services.database, account_id=newsletter, account_name=mail.name,
            channel=channel.channel, people=mail.contacts, now=1,
        )  # fmt: skip
        await connection.execute(
            accounts.update().where(accounts.c.id == engine.accounts["facebook"]).values(audience=9)
        )
    weighed = await scales_of(services).weigh()
    shares = {egg["account_id"]: egg["audience_share"] for egg in weighed["accounts"]}
    assert (shares[engine.accounts["facebook"]], shares[newsletter]) == (0.75, 0.25)
    assert weighed["audience_index"] == 0.625
