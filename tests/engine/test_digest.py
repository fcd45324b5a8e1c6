"""Plan B as it is written: digests, undo, last resort, what a person decides."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from channels.sandbox.faults import FaultName
from scheduler.care import comeback_of, doctor_of, plan_b_of, undo_of
from scheduler.clock import Clock
from scheduler.decide import Move
from scheduler.drafts import Revision
from scheduler.refusals import RefusedError
from scheduler.settings import Settings
from scheduler.store import accounts, claims, reroutes, routes
from scheduler.store.article_tables import pages
from scheduler.store.tables import deliveries, events, posts
from tests.engine.conftest import Engine, unhurried

CAUSE = "the page is gone"
# Looked up once: the posts of a test that runs at midnight are of one day.
TOMORROW = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return unhurried(settings)


def tomorrow(hour: int) -> str:
    return f"{TOMORROW}T{hour:02}:00"


async def queue(engine: Engine, *hours: int, **words: Any) -> list[str]:
    """Ordinary posts for the page, tomorrow at these hours."""
    return [
        await engine.post(
            "facebook", title=f"At {hour}", kind=words.pop("kind", "ordinary"), at=tomorrow(hour),
            **words,
        )
        for hour in hours
    ]  # fmt: skip


async def route(engine: Engine, *fallbacks: str, **rules: Any) -> None:
    async with engine.services.database.write() as connection:
        await routes.write(
            connection,
            engine.services.database,
            account_id=engine.accounts["facebook"],
            fallbacks=[engine.accounts[name] for name in fallbacks],
            mode="at-once",
            rules=rules,
            now=1,
        )


async def vanish(engine: Engine) -> None:
    """The queue takes plan B, as after two looks."""
    await plan_b_of(engine.services, "tests").move_queue(engine.accounts["facebook"], CAUSE)


async def digest_of(engine: Engine) -> Any:
    statement = (
        select(deliveries, posts.c.title.label("says"), posts.c.content)
        .join(posts, posts.c.id == deliveries.c.post_id)
        .where(deliveries.c.part == "digest")
        .order_by(deliveries.c.id)
    )
    async with engine.services.database.read() as connection:
        return (await connection.execute(statement)).all()


async def states(engine: Engine, ids: Sequence[str]) -> list[list[str]]:
    return [[row.state for row in await engine.rows(post)] for post in ids]


async def site(engine: Engine) -> list[str]:
    async with engine.services.database.read() as connection:
        return list((await connection.execute(select(pages.c.html))).scalars())


async def test_five_lost_posts_become_one_digest_in_their_order(engine: Engine) -> None:
    ids = await queue(engine, 11, 9, 10)
    await vanish(engine)
    assert await states(engine, ids) == [["rerouted"]] * 3
    (digest,) = await digest_of(engine)
    assert digest.account_id == engine.accounts["blog"]
    body = digest.content["body"]
    assert body.index("At 9") < body.index("At 10") < body.index("At 11")
    async with engine.services.database.write() as connection:
        await connection.execute(
            deliveries.update().where(deliveries.c.id == digest.id).values(due_at=1)
        )
    async with engine.worker():
        await engine.settled(digest.post_id, "delivered")
    (page,) = await site(engine)
    assert page.count("At 9") == page.count("At 10") == page.count("At 11") == 1


async def test_posts_of_two_days_make_two_digests(engine: Engine) -> None:
    await queue(engine, 9, 21)
    await vanish(engine)
    assert len(await digest_of(engine)) == 2


async def test_a_digest_that_has_left_takes_no_more(engine: Engine) -> None:
    await queue(engine, 9)
    await vanish(engine)
    async with engine.services.database.write() as connection:
        await connection.execute(
            deliveries.update().where(deliveries.c.part == "digest").values(state="delivered")
        )
    await queue(engine, 10)
    await vanish(engine)
    first, second = await digest_of(engine)
    assert "At 10" not in first.content["body"]
    assert second.due_at > first.due_at


async def test_a_post_that_the_other_account_carries_is_not_doubled(engine: Engine) -> None:
    post = await engine.post("facebook", "blog", kind="ordinary", at=tomorrow(9))
    await vanish(engine)
    assert sorted((await states(engine, [post]))[0]) == ["rerouted", "scheduled"]
    assert await digest_of(engine) == []


async def test_what_another_account_was_to_carry_waits_for_a_word_when_that_is_cancelled(
    engine: Engine,
) -> None:
    post = await engine.post("facebook", "blog", kind="ordinary", at=tomorrow(9))
    await vanish(engine)
    rows = {row.account_id: row for row in await engine.rows(post)}
    leans, carries = rows[engine.accounts["facebook"]], rows[engine.accounts["blog"]]
    await engine.services.desk.cancel(carries.id, "tests")
    rows = {row.account_id: row for row in await engine.rows(post)}
    assert rows[leans.account_id].state == "held"
    assert [alert.fact for alert in await engine.alerts()] == [f"delivery:{leans.id}:held"]


async def test_what_leaned_on_a_reroute_comes_back_with_it_and_its_journal_says_so(
    engine: Engine,
) -> None:
    await route(engine, "blog", kinds={"ordinary": "at-once"})
    post = await engine.post("facebook", "linkedin", kind="ordinary", at=tomorrow(9))
    plan_b = plan_b_of(engine.services, "tests")
    for channel in ("facebook", "linkedin"):
        await plan_b.move_queue(engine.accounts[channel], CAUSE)
    rows = {row.account_id: row for row in await engine.rows(post)}
    page, leans = rows[engine.accounts["facebook"]], rows[engine.accounts["linkedin"]]
    assert [page.state, leans.state] == ["rerouted", "rerouted"]
    await undo_of(engine.services).one(page.id, "tests")
    assert sorted((await states(engine, [post]))[0]) == ["cancelled", "scheduled", "scheduled"]
    statement = select(events.c.delivery_id).where(events.c.kind == "delivery.undone")
    async with engine.services.database.read() as connection:
        told = set((await connection.execute(statement)).scalars())
    assert told == {page.id, leans.id}


async def test_what_leaned_on_a_digest_that_fails_looks_for_its_own_road(engine: Engine) -> None:
    post = await engine.post("facebook", "linkedin", kind="ordinary", at=tomorrow(9))
    plan_b = plan_b_of(engine.services, "tests")
    for page in ("facebook", "linkedin"):
        await plan_b.move_queue(engine.accounts[page], CAUSE)
    assert (await states(engine, [post]))[0] == ["rerouted", "rerouted"]
    (digest,) = await digest_of(engine)
    async with engine.services.database.read() as connection:
        failing = await reroutes.delivery(connection, digest.id)
    assert failing is not None
    await plan_b.move(failing, Move("the site is full"))
    rows = await engine.rows(post)
    assert [row.state for row in rows] == ["held", "held"]
    facts = {alert.fact for alert in await engine.alerts()}
    assert {f"delivery:{row.id}:held" for row in rows} <= facts


async def test_what_leaned_on_a_post_that_is_refused_looks_for_its_own_road(
    engine: Engine,
) -> None:
    await route(engine, "linkedin")
    engine.fault("linkedin", FaultName.REJECTED)
    post = await engine.post("facebook", "linkedin", kind="essential", at=tomorrow(9))
    await vanish(engine)
    async with engine.services.database.write() as connection:
        soon = deliveries.update().where(deliveries.c.state == "scheduled").values(due_at=1)
        await connection.execute(soon)
    async with engine.worker():
        rows = await engine.settled(post, "held", "rerouted", "delivered")
    leans = next(row for row in rows if row.account_id == engine.accounts["facebook"])
    assert leans.state == "held"
    assert f"delivery:{leans.id}:held" in {alert.fact for alert in await engine.alerts()}
    assert engine.ledger("linkedin") == []


async def test_a_cancelled_post_asks_for_no_word_about_what_leaned_on_it(engine: Engine) -> None:
    post = await engine.post("facebook", "blog", kind="ordinary", at=tomorrow(9))
    await vanish(engine)
    await engine.services.desk.cancel_post(post, "tests")
    assert sorted((await states(engine, [post]))[0]) == ["cancelled", "rerouted"]


async def test_undone_before_it_left_a_post_goes_out_by_its_own_road(engine: Engine) -> None:
    ids = await queue(engine, 9, 10)
    await vanish(engine)
    parents = [(await engine.rows(post))[0].id for post in ids]
    await undo_of(engine.services).one(parents[0], "tests")
    (digest,) = await digest_of(engine)
    assert "At 9" not in digest.content["body"]
    assert await undo_of(engine.services).account(engine.accounts["facebook"], "tests") == (1, 0)
    (digest,) = await digest_of(engine)
    assert digest.state == "cancelled"
    assert await states(engine, ids) == [["scheduled"]] * 2


async def test_what_has_left_is_not_undone(engine: Engine) -> None:
    await route(engine, "blog")
    (post,) = await queue(engine, 9, kind="essential")
    await vanish(engine)
    parent, child = await engine.rows(post)
    async with engine.services.database.write() as connection:
        await connection.execute(
            deliveries.update().where(deliveries.c.id == child.id).values(state="delivered")
        )
    with pytest.raises(RefusedError):
        await undo_of(engine.services).one(parent.id, "tests")
    assert await states(engine, [post]) == [["rerouted", "delivered"]]


async def test_a_digest_that_cannot_go_out_lets_its_posts_look_further(engine: Engine) -> None:
    await route(engine, "linkedin", "blog")
    ids = await queue(engine, 9, 10)
    await vanish(engine)
    (digest,) = await digest_of(engine)
    assert digest.account_id == engine.accounts["linkedin"]
    plan_b = plan_b_of(engine.services, "tests")
    await plan_b.move_queue(engine.accounts["linkedin"], CAUSE)
    first, second = await digest_of(engine)
    assert (first.state, second.account_id) == ("rerouted", engine.accounts["blog"])
    assert "At 9" in second.content["body"]
    await plan_b.move_queue(engine.accounts["blog"], CAUSE)
    assert await states(engine, ids) == [["held"]] * 2
    assert {alert.kind for alert in await engine.alerts()} == {
        "delivery.rerouted",
        "delivery.held",
    }


async def test_a_digest_whose_posts_went_further_is_not_undone(engine: Engine) -> None:
    await route(engine, "linkedin", "blog")
    ids = await queue(engine, 9)
    await vanish(engine)
    await plan_b_of(engine.services, "tests").move_queue(engine.accounts["linkedin"], CAUSE)
    first, second = await digest_of(engine)
    with pytest.raises(RefusedError, match="roads of their own"):
        await undo_of(engine.services).one(first.id, "tests")
    first, second = await digest_of(engine)
    assert (first.state, second.state) == ("rerouted", "scheduled")
    assert await states(engine, ids) == [["rerouted"]]


async def test_the_posts_of_a_digest_that_a_person_sent_elsewhere_wait_for_its_undo(
    engine: Engine,
) -> None:
    await route(engine, "linkedin", "blog")
    ids = await queue(engine, 9, 10)
    await vanish(engine)
    (digest,) = await digest_of(engine)
    undo = undo_of(engine.services)
    child = await engine.services.desk.redirect(digest.id, engine.accounts["blog"], "tests")
    parent = (await engine.rows(ids[0]))[0].id
    with pytest.raises(RefusedError, match="another account"):
        await undo.one(parent, "tests")
    await undo.one(digest.id, "tests")
    rows = {row.id: row.state for row in await engine.rows(digest.post_id)}
    assert rows == {digest.id: "scheduled", child: "cancelled"}
    assert await undo.account(engine.accounts["facebook"], "tests") == (2, 0)
    assert await states(engine, ids) == [["scheduled"]] * 2
    assert [one.state for one in await digest_of(engine)] == ["cancelled"]


async def test_mutual_fallbacks_end(engine: Engine) -> None:
    await route(engine, "blog")
    async with engine.services.database.write() as connection:
        await routes.write(
            connection, engine.services.database, account_id=engine.accounts["blog"],
            fallbacks=[engine.accounts["facebook"]], mode="at-once", rules={}, now=1,
        )  # fmt: skip
    (post,) = await queue(engine, 9, kind="essential")
    plan_b = plan_b_of(engine.services, "tests")
    for channel in ("facebook", "blog", "facebook", "blog"):
        await plan_b.move_queue(engine.accounts[channel], CAUSE)
    assert await states(engine, [post]) == [["rerouted", "held"]]


async def test_a_person_who_is_asked_says_yes(engine: Engine) -> None:
    await route(engine, "blog", kinds={"essential": "ask"})
    (post,) = await queue(engine, 9, kind="essential")
    await vanish(engine)
    (held,) = await engine.rows(post)
    assert (held.state, held.hold_reason) == ("held", "approval")
    await plan_b_of(engine.services, "tests").approve(held.id)
    assert await states(engine, [post]) == [["rerouted", "scheduled"]]


async def test_when_every_road_is_closed_the_site_takes_it_if_its_owner_allows(
    engine: Engine,
) -> None:
    await route(engine, "linkedin", last_resort=True)
    async with engine.services.database.write() as connection:
        await accounts.pause(connection, engine.accounts["linkedin"], None, 1)
    (post,) = await queue(engine, 9, kind="essential")
    await vanish(engine)
    rows = await engine.rows(post)
    assert rows[1].account_id == engine.accounts["blog"]
    assert "account.last-resort" in {alert.kind for alert in await engine.alerts()}


async def test_the_owners_words_stand_on_what_took_another_road(engine: Engine) -> None:
    await route(engine, "blog", note="Find us here from now on.")
    post = await engine.post("facebook", title="Today")
    await vanish(engine)
    async with engine.worker():
        await engine.settled(post, "rerouted", "delivered")
    (page,) = await site(engine)
    assert "Find us here from now on." in page


async def test_a_page_that_returns_replays_nothing(engine: Engine) -> None:
    engine.fault("facebook", FaultName.PAGE_GONE)
    async with engine.worker():
        post = await engine.post("facebook", title="Today")
        await engine.settled(post, "rerouted", "delivered")
        engine.mend("facebook")
        await doctor_of(engine.services, "tests").probe(engine.accounts["facebook"])
        fresh = await engine.post("facebook", title="Back again")
        await engine.settled(fresh, "delivered")
        assert [text.splitlines()[0] for text in engine.ledger("facebook")] == ["Back again"]
        assert "account.returned" in {alert.kind for alert in await engine.alerts()}
        comeback = comeback_of(engine.services)
        caught_up = await comeback.publish(engine.accounts["facebook"], "tests")
        await engine.settled(caught_up, "delivered")
    assert "Today" in engine.ledger("facebook")[-1] + engine.ledger("facebook")[0]
    with pytest.raises(RefusedError):
        await comeback.publish(engine.accounts["facebook"], "tests")


async def test_a_list_gets_no_more_mails_a_week_than_its_owner_allows(engine: Engine) -> None:
    (mail,) = [one for one in engine.practice.accounts() if one.adapter == "newsletter"]
    services = engine.services
    channel = services.registry[mail.adapter]
    async with services.database.write() as connection:
        newsletter = await accounts.connect(
            connection, services.vault, channel=channel, name=mail.name,
            settings=channel.settings_type.model_validate(dict(mail.settings)), now=1,
        )  # fmt: skip
    engine.accounts = {**engine.accounts, "newsletter": newsletter}
    await route(engine, "newsletter", "blog", weekly_mails=2)
    ids = await queue(engine, 8, 9)
    essential = [await engine.post("facebook", at=tomorrow(hour)) for hour in (10, 11)]
    await vanish(engine)
    (digest,) = await digest_of(engine)
    assert (digest.account_id, await states(engine, ids)) == (newsletter, [["rerouted"]] * 2)
    taken = [(await engine.rows(post))[1].account_id for post in essential]
    assert taken == [newsletter, engine.accounts["blog"]]


async def test_a_post_that_is_cancelled_leaves_the_digest_too(engine: Engine) -> None:
    ids = await queue(engine, 9, 10)
    await vanish(engine)
    await engine.services.desk.cancel_post(ids[0], "tests")
    (digest,) = await digest_of(engine)
    assert "At 9" not in digest.content["body"]
    assert "At 10" in digest.content["body"]
    await engine.services.desk.cancel_post(ids[1], "tests")
    (digest,) = await digest_of(engine)
    assert digest.state == "cancelled"
    assert await states(engine, ids) == [["cancelled"]] * 2
    with pytest.raises(RefusedError):
        await engine.services.desk.cancel_post(ids[1], "tests")


async def test_a_post_that_is_changed_reads_so_in_the_digest(engine: Engine) -> None:
    ids = await queue(engine, 9, 10)
    await vanish(engine)
    revision = Revision.model_validate({"title": "An hour later"})
    await engine.services.reviser.revise(ids[0], revision, "tests")
    (digest,) = await digest_of(engine)
    assert "An hour later" in digest.content["body"]
    assert "At 9" not in digest.content["body"]


@pytest.mark.parametrize("whole_post", [True, False])
async def test_the_posts_of_a_digest_that_is_cancelled_wait_for_a_person_who_is_told(
    engine: Engine, *, whole_post: bool
) -> None:
    ids = await queue(engine, 9, 10)
    await vanish(engine)
    (digest,) = await digest_of(engine)
    desk = engine.services.desk
    if whole_post:
        await desk.cancel_post(digest.post_id, "tests")
    else:
        await desk.cancel(digest.id, "tests")
    assert [row.state for row in await digest_of(engine)] == ["cancelled"]
    assert await states(engine, ids) == [["held"]] * 2
    held = [(await engine.rows(post))[0] for post in ids]
    assert {row.hold_reason for row in held} == {"approval"}
    assert all(row.finished_at is None for row in held)
    alerts = {alert.fact: alert for alert in await engine.alerts()}
    assert set(alerts) == {f"delivery:{row.id}:held" for row in held}
    assert "was cancelled" in alerts[f"delivery:{held[0].id}:held"].data["cause"]
    # Each may still take its road alone, in another day's digest, or be dropped knowingly.
    await plan_b_of(engine.services, "tests").approve(held[0].id)
    await desk.cancel(held[1].id, "tests")
    assert await states(engine, ids) == [["rerouted"], ["cancelled"]]
    assert sorted(row.state for row in await digest_of(engine)) == ["cancelled", "scheduled"]
    assert all(alert.resolved_at is not None for alert in await engine.alerts())


class Slow(Clock):
    """The second time it is read, two seconds have passed."""

    def __init__(self, now: int) -> None:
        self.readings = itertools.chain([now], itertools.repeat(now + 2_000_000))

    def micros(self) -> int:
        return next(self.readings)


async def decide_slowly(engine: Engine, what: str, post: str, slow: Slow) -> None:
    """A decision whose transaction takes two seconds."""
    services = engine.services
    desk = replace(services.desk, clock=slow)
    (own, *others) = await engine.rows(post)
    match what:
        case "cancel":
            await desk.cancel(own.id, "tests")
        case "cancel the post":
            await desk.cancel_post(post, "tests")
        case "hurry":
            await desk.publish_now(post, "tests")
        case "retry":
            await desk.retry(own.id, "tests")
        case "redirect":
            await desk.redirect(own.id, engine.accounts["linkedin"], "tests")
        case "revise":
            revision = Revision.model_validate({"title": "Other words"})
            await replace(services.reviser, clock=slow).revise(post, revision, "tests")
        case "undo":
            await replace(undo_of(services), clock=slow).one(own.id, "tests")
        case "undo all":
            page = engine.accounts["facebook"]
            await replace(undo_of(services), clock=slow).account(page, "tests")
        case _:
            raise AssertionError((what, others))


@pytest.mark.parametrize(
    "what",
    ["cancel", "cancel the post", "hurry", "retry", "redirect", "revise", "undo", "undo all"],
)
async def test_a_decision_that_took_too_long_gives_way_to_what_is_leaving(
    engine: Engine, what: str
) -> None:
    post = await engine.post("facebook", seconds=3600)
    if what.startswith("undo"):
        await route(engine, "blog")
        await vanish(engine)
    due = (await engine.rows(post))[-1].due_at
    now = due - 1_800_000
    armed = await claims.claim_due(
        engine.services.database, horizon=due, worker="another", token="its token",
        lease_until=due + 60_000_000, now=now,
    )  # fmt: skip
    assert [one.post_id for one in armed] == [post]
    before = await engine.rows(post)
    with pytest.raises(RefusedError, match="being sent"):
        await decide_slowly(engine, what, post, Slow(now))
    assert await engine.rows(post) == before
