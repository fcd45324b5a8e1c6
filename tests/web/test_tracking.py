"""Clicks and openings with a name: of who agreed to that, for as long as they do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select, update

from channels.outcome import Delivered
from scheduler.audience.exporting import person
from scheduler.audience.signup import preferences_token
from scheduler.audience.tracking import Kind
from scheduler.audience.wording import version_of
from scheduler.deliveries import Delivery, State
from scheduler.mailing import mailing
from scheduler.roster import Member
from scheduler.services import Services
from scheduler.store import audience, traces
from scheduler.store.audience import Consent
from scheduler.store.audience_tables import consents, lists, memberships
from scheduler.store.audience_tables import traces as noted
from scheduler.web.app import create_app
from scheduler.web.public import key_of
from tests.channels.newsletter.support import adapter, post, practice
from tests.support.audience import ACCOUNT, DELIVERY, seed
from tests.web.conftest import Client
from tests.web.support import ask
from tests.web.test_signup import House, house

__all__ = ["house"]

FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
WILLING, OTHER = (str(UUID(int=n)) for n in (1, 2))
READERS = [
    {"id": WILLING, "email": "willing@example.org", "name": "W"},
    {"id": OTHER, "email": "other@example.org", "name": "O"},
]
BODY = "Bonjour, [le programme](https://theatre.example/a?x=1) est là."


async def _offer(services: Services, offered: str) -> None:
    async with services.database.write() as connection:
        await connection.execute(update(lists).values(tracking=offered))


async def _agree(services: Services, *kinds: Kind) -> None:
    async with services.database.write() as connection:
        for kind in kinds:
            consent = Consent(action=traces.GIVEN[kind], at=1, wording="yes", confirmed_at=1)
            await traces.agree(
                connection, contact_id=WILLING, list_id=ACCOUNT, kind=kind, consent=consent
            )


async def _mails(services: Services) -> dict[str, str]:
    """Send a letter through the real engine; the HTML that each address got."""
    async with practice() as (relay, connected):
        newsletter: Any = adapter()
        account: Any = replace(connected, id=ACCOUNT)
        member = Member(
            account=account, channel=newsletter, status="healthy", paused_until=0,
            pause_reason="", failures=0, max_concurrent=1, gap_us=0, version=1, policy={},
        )  # fmt: skip
        message = newsletter.render(post(body=BODY, blog_url=None), account)
        delivery = Delivery(
            id=DELIVERY, post_id="post-1", account_id=ACCOUNT, state=State.SENDING,
            due_at=services.clock.micros(), planned_at=0, token="token-1", attempt=1,
        )  # fmt: skip
        outcome = await mailing(services)(delivery, message, member, newsletter)
        assert isinstance(outcome, Delivered), outcome
        found = {}
        for entry in relay.ledger.entries("newsletter"):
            raw = str(entry.payload["source"]).encode("utf-8", "surrogateescape")
            mail: Any = message_from_bytes(raw, policy=policy.default)
            html = str(mail.get_body(("html",)).get_content())
            assert "_click_query" not in raw.decode("latin-1")
            found[str(entry.payload["recipient"])] = html
        return found


@pytest.fixture
async def crowd(services: Services) -> Services:
    """Two readers of a list, and a mailing to them that has not begun."""
    await seed(services.database, READERS, now=services.clock.micros())
    return services


@pytest.fixture
async def visitor(services: Services) -> AsyncIterator[Client]:
    async with TestClient(
        TestServer(create_app(services)), cookie_jar=aiohttp.DummyCookieJar(), headers=FIREFOX
    ) as client:
        yield client


def _path(services: Services, html: str, kind: str) -> str | None:
    found = re.search(rf'{services.settings.effective_public_url}(/{kind}/[^"]+)"', html)
    return None if found is None else found[1]


def _there(services: Services, html: str, kind: str) -> str:
    found = _path(services, html, kind)
    assert found is not None, html
    return found


async def _rows(services: Services, table: Any) -> list[dict[str, Any]]:
    async with services.database.read() as connection:
        return [dict(row) for row in (await connection.execute(select(table))).mappings()]


async def test_only_who_agreed_is_named_in_links_and_gets_a_picture(
    crowd: Services, visitor: Client, client: Client
) -> None:
    await _offer(crowd, "clicks opens")
    await _agree(crowd, *Kind)
    mails = await _mails(crowd)
    named = _there(crowd, mails["willing@example.org"], "l")
    plain = _there(crowd, mails["other@example.org"], "l")
    picture = _there(crowd, mails["willing@example.org"], "o")
    assert named.startswith(f"{plain}?p=")
    assert _path(crowd, mails["other@example.org"], "o") is None
    for path in (plain, named, named):
        answer = await visitor.get(path, allow_redirects=False)
        assert answer.headers["Location"] == "https://theatre.example/a?x=1"
    shown = await visitor.get(picture)
    assert (shown.status, shown.content_type) == (200, "image/gif")
    await visitor.get(named, headers={"User-Agent": "Googlebot/2.1"}, allow_redirects=False)
    await visitor.get(picture, headers={"User-Agent": "Barracuda Sentinel (EE)"})
    figures = await ask(client, "GET", f"/deliveries/{DELIVERY}/mailing")
    assert [figures[name] for name in ("clicks", "clicked_by", "opened_by")] == [3, 1, 1]
    people = (await ask(client, "GET", f"/deliveries/{DELIVERY}/recipients"))["recipients"]
    assert [(one["clicks"], one["opens"]) for one in people] == [(2, 1), (None, None)]


async def test_without_an_offer_or_a_yes_nobody_is_named(crowd: Services) -> None:
    await _agree(crowd, *Kind)  # once, to a list that offers it no more
    async with crowd.database.write() as connection:
        await connection.execute(update(lists).values(clicks=True))
    mails = await _mails(crowd)
    for html in mails.values():
        assert "?p=" not in _there(crowd, html, "l")
        assert _path(crowd, html, "o") is None


async def test_what_is_taken_back_is_erased_and_old_mails_note_nothing_more(
    crowd: Services, visitor: Client
) -> None:
    await _offer(crowd, "clicks opens")
    await _agree(crowd, *Kind)
    html = (await _mails(crowd))["willing@example.org"]
    click, picture = _there(crowd, html, "l"), _there(crowd, html, "o")
    await visitor.get(click, allow_redirects=False)
    await visitor.get(picture)
    async with crowd.database.read() as connection:
        whole = await person(connection, WILLING)
    assert whole is not None
    assert {one["url"] for one in whole["traces"]} == {"", "https://theatre.example/a?x=1"}
    async with crowd.database.write() as connection:
        ids = {"contact_id": WILLING, "list_id": ACCOUNT}
        assert await traces.take_back(connection, **ids, kind=Kind.CLICKS, source="t", now=2)
        assert not await traces.take_back(connection, **ids, kind=Kind.CLICKS, source="t", now=2)
    await visitor.get(click, allow_redirects=False)
    assert [row["url"] for row in await _rows(crowd, noted)] == [""]
    async with crowd.database.write() as connection:
        await audience.unsubscribe(connection, **ids, source="t", now=3)
    assert await _rows(crowd, noted) == []
    await visitor.get(picture)
    assert await _rows(crowd, noted) == []
    actions = [row["action"] for row in await _rows(crowd, consents)]
    assert actions == ["track-clicks", "track-opens", "untrack-clicks", "unsubscribe"]


async def test_a_forged_name_notes_nothing_and_the_erased_leave_nothing(
    crowd: Services, visitor: Client, client: Client
) -> None:
    await _offer(crowd, "clicks")
    await _agree(crowd, Kind.CLICKS)
    html = (await _mails(crowd))["willing@example.org"]
    click = _there(crowd, html, "l")
    for wrong in (f"{click[:-4]}AAAA", f"{click.partition('?')[0]}?p=x"):
        assert (await visitor.get(wrong, allow_redirects=False)).status == 302
    assert (await visitor.get("/o/forged")).status == 404
    assert await _rows(crowd, noted) == []
    await visitor.get(click, allow_redirects=False)
    assert len(await _rows(crowd, noted)) == 1
    await ask(client, "DELETE", f"/contacts/{WILLING}", status=204)
    await visitor.get(click, allow_redirects=False)
    assert await _rows(crowd, noted) == []


async def test_the_preference_centre_gives_and_takes_back(crowd: Services, visitor: Client) -> None:
    now = crowd.clock.micros()
    path = f"/preferences/{preferences_token(key_of(crowd), WILLING, ACCOUNT, now=now)}"
    french = {"Accept-Language": "fr"}
    assert "track-" not in await (await visitor.get(path, headers=french)).text()
    await _offer(crowd, "clicks")
    page = await (await visitor.get(path, headers=french)).text()
    found = re.search(rf'name="(track-clicks-{ACCOUNT})" type="checkbox" value="(\w+)">', page)
    assert found is not None, page  # there, and not ticked
    keep = {"do": "save", f"list-{ACCOUNT}": "yes", "name": "W", "language": "fr"}
    stale = await visitor.post(path, data={**keep, found[1]: "00000000"})
    assert stale.status == 200
    assert (await _rows(crowd, consents)) == []
    saved = await (await visitor.post(path, data={**keep, found[1]: found[2]})).text()
    assert f'value="{found[2]}" checked' in saved
    (proof,) = await _rows(crowd, consents)
    assert proof["action"] == "track-clicks"
    assert "à mon nom" in proof["wording"]
    assert proof["wording_version"] == version_of(proof["wording"]) == found[2]
    assert proof["confirmed_at"] == proof["at"]
    data = await (await visitor.get(f"{path}/data.json")).json()
    assert data["lists"][0]["tracking"] == "clicks"
    assert "choices" not in data["lists"][0]
    await _offer(crowd, "")  # what was given can be taken back though nobody offers it any more
    assert "checked" in await (await visitor.get(path, headers=french)).text()
    await visitor.post(path, data=keep)
    rows = {row["contact_id"]: row["tracking"] for row in await _rows(crowd, memberships)}
    assert rows == {WILLING: "", OTHER: ""}


async def test_the_form_asks_with_an_empty_box_and_the_second_yes_confirms_both(
    house: House,
) -> None:
    async with house.services.database.write() as connection:
        await connection.execute(update(lists).values(tracking="clicks opens"))
    page = await (await house.client.get(f"/signup/{house.list_id}")).text()
    boxes = re.findall(r'name="track-\w+" type="checkbox" value="\w+"([^>]*)>', page)
    assert boxes == ["", ""]
    fields = await house.form()
    ticked = dict(re.findall(r'name="(track-clicks)" type="checkbox" value="(\w+)"', page))
    fields = {name: value for name, value in fields.items() if "track" not in name}
    await house.send({**fields, **ticked})
    path = await house.link()
    asked = await (await house.client.get(path)).text()
    assert "Vous avez aussi coché" in asked
    assert "les liens de" in asked
    await house.client.post(path, data={"confirm": "yes"})
    signed, tracked = sorted(await house.rows(consents), key=lambda row: row["id"])
    assert (signed["action"], tracked["action"]) == ("subscribe", "track-clicks")
    assert signed["confirmed_at"] == tracked["confirmed_at"] is not None
    assert tracked["form"] == f"/signup/{house.list_id}"
    (row,) = await house.rows(memberships)
    assert (row["state"], row["tracking"]) == ("subscribed", "clicks")


async def test_whoever_types_a_reader_s_address_agrees_to_nothing_for_them(
    house: House,
) -> None:
    await house.send(await house.form())
    await house.client.post(await house.link(), data={"confirm": "yes"})
    async with house.services.database.write() as connection:
        await connection.execute(update(lists).values(tracking="clicks"))
    await house.send(await house.form())
    (row,) = await house.rows(memberships)
    assert (row["state"], row["tracking"]) == ("subscribed", "")


async def test_a_list_offers_it_by_its_owner_s_wish_alone(client: Client) -> None:
    made = await ask(client, "POST", "/lists", {"name": "Lettre"}, status=201)
    assert made["tracking"] == []
    changed = await ask(client, "PATCH", f"/lists/{made['id']}", {"tracking": ["opens", "clicks"]})
    assert changed["tracking"] == ["clicks", "opens"]
    wrong = await ask(client, "PATCH", f"/lists/{made['id']}", {"tracking": ["reads"]}, status=422)
    assert "tracking" in str(wrong)
    off = await ask(client, "PATCH", f"/lists/{made['id']}", {"tracking": []})
    assert off["tracking"] == []
