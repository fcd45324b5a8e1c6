"""What a person does about plan B and alerts, over HTTP."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from channels.base import Account
from channels.outcome import Severity
from channels.posts import Part, Post
from channels.sandbox.faults import FaultName
from scheduler.store.alerts import raise_alert
from tests.engine.conftest import Engine
from tests.engine.test_digest import queue, route, states, vanish

Api = TestClient[Any, Any]


async def call(api: Api, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with api.request(method, f"/api/v1{path}", json=body) as answer:
        return answer.status, None if answer.status == 204 else await answer.json()


async def test_approving_and_undoing(engine: Engine, api: Api) -> None:
    await route(engine, "blog", kinds={"essential": "ask"})
    (post,) = await queue(engine, 9, kind="essential")
    await vanish(engine)
    (held,) = await engine.rows(post)
    status, shown = await call(api, "POST", f"/deliveries/{held.id}/approve")
    assert (status, shown["state"]) == (200, "rerouted")
    assert (await call(api, "POST", f"/deliveries/{held.id}/approve"))[0] == 409
    status, shown = await call(api, "POST", f"/deliveries/{held.id}/undo")
    assert (status, shown["state"]) == (200, "scheduled")
    assert await states(engine, [post]) == [["scheduled", "cancelled"]]
    assert (await call(api, "POST", "/deliveries/nothing/undo"))[0] == 404


async def test_undoing_a_whole_account(engine: Engine, api: Api) -> None:
    ids = await queue(engine, 9, 10)
    await vanish(engine)
    page = engine.accounts["facebook"]
    assert await call(api, "POST", f"/accounts/{page}/undo") == (200, {"undone": 2, "kept": 0})
    assert await states(engine, ids) == [["scheduled"]] * 2
    assert (await call(api, "POST", "/accounts/nothing/undo"))[0] == 404


async def test_there_is_nothing_to_catch_up_with(engine: Engine, api: Api) -> None:
    page = engine.accounts["facebook"]
    assert (await call(api, "GET", f"/accounts/{page}/catch-up"))[0] == 409
    assert (await call(api, "POST", f"/accounts/{page}/catch-up"))[0] == 409


async def test_how_closely_an_account_is_watched(engine: Engine, api: Api) -> None:
    path = f"/accounts/{engine.accounts['facebook']}/policy"
    wanted = {"confirm_gone_after": 60.0, "probe_interval": None, "hidden_is_gone": True}
    assert await call(api, "PUT", path, wanted) == (200, wanted)
    assert await call(api, "GET", path) == (200, wanted)
    status, refused = await call(api, "PUT", path, {"probe_interval": 1})
    assert (status, refused["errors"][0]["field"]) == (422, "probe_interval")
    assert (await call(api, "PUT", "/accounts/nothing/policy", {}))[0] == 404


async def test_a_hook_shows_its_secret_once(engine: Engine, api: Api) -> None:
    url = "https://hooks.example.org/estafette"
    status, made = await call(api, "POST", "/hooks", {"url": url, "kinds": ["delivery.held"]})
    assert status == 201
    assert made["secret"].startswith("whsec_")
    _, listed = await call(api, "GET", "/hooks")
    assert [one["id"] for one in listed["hooks"]] == [made["id"]]
    assert made["secret"] not in str(listed)
    status, refused = await call(api, "POST", "/hooks", {"url": url, "kinds": ["nonsense"]})
    assert (status, refused["errors"][0]["field"]) == (422, "kinds[0]")
    assert (await call(api, "DELETE", f"/hooks/{made['id']}"))[0] == 204
    assert (await call(api, "DELETE", f"/hooks/{made['id']}"))[0] == 404
    assert (await call(api, "GET", "/hooks"))[1] == {"hooks": []}


async def test_alerts_are_listed(engine: Engine, api: Api) -> None:
    async with engine.services.database.write() as connection:
        await raise_alert(
            connection, engine.services.database, fact="one", kind="workers.none",
            severity="critical", data={"cause": "silence"}, now=1,
        )  # fmt: skip
    _, found = await call(api, "GET", "/alerts")
    assert [(one["kind"], one["data"]["cause"]) for one in found["alerts"]] == [
        ("workers.none", "silence")
    ]


async def test_a_route_is_written_with_its_rules(engine: Engine, api: Api) -> None:
    path = f"/routes/{engine.accounts['facebook']}"
    body = {
        "fallbacks": [engine.accounts["blog"]],
        "kinds": {"ordinary": "never"},
        "digest_hour": 7,
        "worth_hours": 12,
        "weekly_mails": 1,
        "last_resort": True,
    }
    await queue(engine, 9)
    status, written = await call(api, "PUT", path, body)
    assert status == 200
    assert {name: written[name] for name in body if name != "kinds"} == {
        name: value for name, value in body.items() if name != "kinds"
    }
    assert written["kinds"]["ordinary"] == "never"
    assert "1 of 1 waiting posts would be held" in written["warnings"][0]
    own = {"fallbacks": [engine.accounts["facebook"]]}
    status, refused = await call(api, "PUT", path, own)
    assert (status, refused["errors"][0]["field"]) == (422, "fallbacks[0]")


@pytest.mark.parametrize("part", [Part.DIGEST, Part.CATCH_UP])
async def test_every_channel_can_carry_a_digest(engine: Engine, part: Part) -> None:
    post = Post(id="p", title="News", body="## One\n\nWords\n\n## Two\n\n[Read](https://a.example)")
    for practised in engine.practice.accounts():
        channel = engine.services.registry[practised.adapter]
        settings = channel.settings_type.model_validate(dict(practised.settings))
        account = Account(id="a", name=practised.name, settings=settings)
        message = channel.render(post, account, part)
        assert "Two" in (message.text + message.html), practised.adapter
        problems = [
            one for one in channel.check(message, account) if one.severity is Severity.ERROR
        ]
        assert [one.code for one in problems] in ([], ["no-image"], ["no-recipient"])


async def test_days_of_their_own_are_for_practice_accounts_alone(engine: Engine, api: Api) -> None:
    body = {"fallbacks": [engine.accounts["linkedin"]], "day_seconds": 8}
    status, refused = await call(api, "PUT", f"/routes/{engine.accounts['blog']}", body)
    assert (status, refused["errors"][0]["field"]) == (422, "day_seconds")
    status, _ = await call(api, "POST", f"/routes/{engine.accounts['blog']}/check", body)
    assert status == 422


async def test_a_fallback_that_is_itself_down_is_told_when_it_is_written(
    engine: Engine, api: Api
) -> None:
    engine.fault("linkedin", FaultName.TOKEN_DEAD)
    other = engine.accounts["linkedin"]
    await call(api, "POST", f"/accounts/{other}/probe")
    path = f"/routes/{engine.accounts['facebook']}"
    body = {"fallbacks": [other, engine.accounts["blog"]]}
    assert "is unreachable" in (await call(api, "POST", f"{path}/check", body))[1]["warnings"][0]
    assert "is unreachable" in (await call(api, "PUT", path, body))[1]["warnings"][0]
    alone = {"fallbacks": [other]}
    assert "every fallback" in (await call(api, "PUT", path, alone))[1]["warnings"][0]
    nobody: dict[str, Any] = {"fallbacks": []}
    assert "no plan B" in (await call(api, "PUT", path, nobody))[1]["warnings"][0]
