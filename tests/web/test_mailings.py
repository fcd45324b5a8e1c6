"""A mailing's page, its links and its figures, over real SMTP and HTTP."""

from __future__ import annotations

import re
from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import insert, select, update

from channels.outcome import Delivered
from channels.posts import Media
from scheduler.mailing import mailing
from scheduler.roster import Member
from scheduler.services import Services
from scheduler.store import audience, mailings
from scheduler.store.audience_tables import clicks, lists, memberships, recipients
from scheduler.store.tables import deliveries, posts
from scheduler.web.app import create_app
from tests.channels.newsletter.support import adapter, post, practice
from tests.support.audience import ACCOUNT, DELIVERY, seed
from tests.web.conftest import Client
from tests.web.support import ask

FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
SECRET = "Zacharie-Only"
BODY = (
    "Bonjour {{name|chers amis}}, [le programme](https://theatre.example/a?x=1&y=2) et"
    " [à vous](https://theatre.example/p?who={{name}})."
)
READERS = [
    {"id": f"c{n}", "email": f"zach{n}@example.org", "name": f"{SECRET}{n}"} for n in range(3)
]


async def _wish(services: Services, **values: bool) -> None:
    async with services.database.write() as connection:
        await connection.execute(update(lists).where(lists.c.id == ACCOUNT).values(**values))


async def _mail(
    services: Services,
    *,
    media: tuple[Media, ...] = (),
    to: Any = None,
    blog_url: str | None = None,
    title: str = "Réouverture le 1er décembre",
) -> list[Any]:
    """Send a letter through the real engine; the mails that arrived."""
    delivery = await seed(services.database, READERS, now=services.clock.micros())
    if to:
        await _wish(services, **to)
    async with practice() as (relay, connected):
        newsletter: Any = adapter()
        account: Any = replace(connected, id=ACCOUNT)
        member = Member(
            account=account, channel=newsletter, status="healthy",
            paused_until=0, pause_reason="", failures=0, max_concurrent=1, gap_us=0, version=1,
            policy={},
        )  # fmt: skip
        words = post(title=title, body=BODY, blog_url=blog_url, media=media)
        message = newsletter.render(words, member.account)
        outcome = await mailing(services)(delivery, message, member, newsletter)
        assert isinstance(outcome, Delivered), outcome
        entries = relay.ledger.entries("newsletter")
        found = []
        for entry in entries:
            raw = str(entry.payload["source"]).encode("utf-8", "surrogateescape")
            found.append(message_from_bytes(raw, policy=policy.default))
    return found


def _html(mail: Any) -> str:
    return str(mail.get_body(("html",)).get_content())


def _links(html: str) -> list[str]:
    return re.findall(r'<a\b[^>]*href="([^"]+)"', html)


@pytest.fixture
async def visitor(services: Services) -> Any:
    async with TestClient(
        TestServer(create_app(services)), cookie_jar=aiohttp.DummyCookieJar(), headers=FIREFOX
    ) as client:
        yield client


async def test_without_a_wish_nothing_is_archived_and_links_stay(
    services: Services, visitor: Client
) -> None:
    mails = await _mail(services)
    assert "https://theatre.example/a?x=1&amp;y=2" in _links(_html(mails[0]))
    assert (await visitor.get(f"/letters/{ACCOUNT}")).status == 404
    assert "navigateur" not in _html(mails[0])


async def test_the_archived_page_shows_nobody_s_data(services: Services, visitor: Client) -> None:
    picture = Media(id="m1", content_type="image/png", alt="x", url="https://x.example/a.png")
    mails = await _mail(services, media=(picture,), to={"archive": True})
    (link,) = {one for one in _links(_html(mails[0])) if "/letters/" in one}
    assert link in str(mails[0].get_body(("plain",)).get_content())
    path = link.removeprefix(services.settings.effective_public_url)
    page = await visitor.get(path)
    assert page.status == 200
    assert page.headers["X-Robots-Tag"] == "noindex"
    text = await page.text()
    assert "chers amis" in text
    assert "https://theatre.example/a?x=1&amp;y=2" in text
    for private in (SECRET, "zach", "/u/", "désinscrire", "{{", "<!--"):
        assert private not in text, private
    index = await visitor.get(f"/letters/{ACCOUNT}", headers={"Accept-Language": "fr"})
    assert path in await index.text()
    await _wish(services, indexed=True)
    assert (await visitor.get(path)).headers["X-Robots-Tag"] == "all"
    await _wish(services, archive=False)
    assert (await visitor.get(path)).status == 404


async def test_the_letter_s_own_page_goes_before_its_article_on_the_blog(
    services: Services,
) -> None:
    article = "https://shop.example/blog/article"
    mails = await _mail(services, to={"archive": True}, blog_url=article)
    text = str(mails[0].get_body(("plain",)).get_content())
    assert article not in _html(mails[0]) + text
    assert text.count("Voir dans le navigateur") == 1
    assert "/letters/" in text


async def test_a_title_with_a_reader_s_name_is_nobody_s_on_its_page(
    services: Services, visitor: Client
) -> None:
    title = "{{name|Chers amis}}, nous rouvrons"
    mails = await _mail(services, to={"archive": True}, title=title)
    assert {str(mail["Subject"]) for mail in mails} == {
        f"{SECRET}{n}, nous rouvrons" for n in range(3)
    }
    (link,) = {one for one in _links(_html(mails[0])) if "/letters/" in one}
    assert link.endswith("/chers-amis-nous-rouvrons")
    pages = (link.removeprefix(services.settings.effective_public_url), f"/letters/{ACCOUNT}")
    for path in pages:
        text = await (await visitor.get(path)).text()
        assert "Chers amis, nous rouvrons" in text
        assert SECRET not in text
        assert "{{" not in text


async def test_a_second_mailing_of_the_same_name_gets_a_page_of_its_own(
    services: Services,
) -> None:
    async with services.database.write() as connection:
        kept = []
        for delivery_id in ("d1", "d1", "d2"):
            values = {"delivery_id": delivery_id, "list_id": "l", "title": "t", "language": "fr",
                      "html": "", "published_at": 1}  # fmt: skip
            kept.append(await mailings.keep_letter(connection, services.database, values, slug="t"))
    assert kept == ["t", "t", "t-2"]


async def test_what_nobody_got_is_for_nobody_to_read(services: Services, visitor: Client) -> None:
    await seed(services.database, READERS, now=services.clock.micros())
    await _wish(services, archive=True)
    reader = {"delivery_id": DELIVERY, "contact_id": "c0", "address": "a@x.org", "updated_at": 1}
    async with services.database.write() as connection:
        values = {"delivery_id": DELIVERY, "list_id": ACCOUNT, "title": "Fermeture", "html": "Non",
                  "language": "fr", "published_at": 1}  # fmt: skip
        await mailings.keep_letter(connection, services.database, values, slug="fermeture")
        await connection.execute(insert(recipients).values(state="pending", **reader))
    # Cancelled, or waiting for its relay.
    assert (await visitor.get(f"/letters/{ACCOUNT}/fermeture")).status == 404
    assert "Fermeture" not in await (await visitor.get(f"/letters/{ACCOUNT}")).text()
    for state in ("sending", "uncertain", "accepted"):
        async with services.database.write() as connection:
            await connection.execute(update(recipients).values(state=state))
        assert (await visitor.get(f"/letters/{ACCOUNT}/fermeture")).status == 200
        assert "Fermeture" in await (await visitor.get(f"/letters/{ACCOUNT}")).text()


async def test_what_is_for_a_segment_gets_no_page(services: Services) -> None:
    await seed(services.database, READERS, now=services.clock.micros())
    await _wish(services, archive=True)
    async with services.database.write() as connection:
        assert (await mailings.wishes(connection, DELIVERY, ACCOUNT)).archive
        await connection.execute(update(posts).values(content={"to": "s1"}))
        assert not (await mailings.wishes(connection, DELIVERY, ACCOUNT)).archive


async def test_links_count_people_and_lead_only_where_we_wrote(
    services: Services, visitor: Client, client: Client
) -> None:
    mails = await _mail(services, to={"clicks": True})
    led = [{one for one in _links(_html(mail)) if "/l/" in one} for mail in mails]
    assert led[0] == led[1] == led[2]  # the same for everybody: it tells nothing of who follows
    assert any("who=" in one for one in _links(_html(mails[0])))  # not led: it may hold a name
    (link,) = led[0]
    path = link.removeprefix(services.settings.effective_public_url)
    for _ in range(2):
        answer = await visitor.get(path, allow_redirects=False)
        assert answer.status == 302
        assert answer.headers["Location"] == "https://theatre.example/a?x=1&y=2"
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    for robot in (
        {"User-Agent": "Googlebot/2.1"},
        {"User-Agent": "Barracuda Sentinel (EE)"},
        {"User-Agent": ""},
        {**FIREFOX, "Sec-Purpose": "prefetch"},
    ):
        answer = await visitor.get(path, headers=robot, allow_redirects=False)
        assert answer.status == 302
    assert (await visitor.head(path, allow_redirects=False)).status == 302
    forged = await visitor.get(f"{path[:-6]}AAAAAA", allow_redirects=False)
    assert forged.status == 404
    assert "Location" not in forged.headers
    figures = await ask(client, "GET", f"/deliveries/{DELIVERY}/mailing")
    assert figures["clicks"] == 2
    assert figures["links"] == [{"url": "https://theatre.example/a?x=1&y=2", "clicks": 2}]
    async with services.database.read() as connection:
        assert len((await connection.execute(select(clicks))).all()) == 1


async def test_figures_add_up_and_say_who_left_because_of_which_mailing(
    services: Services, client: Client
) -> None:
    await seed(services.database, READERS, now=1)
    now = services.clock.micros()
    async with services.database.write() as connection:
        row = (await connection.execute(select(deliveries))).mappings().one()
        await connection.execute(
            insert(deliveries).values({**row, "id": "d0", "part": "correction"})
        )
        await connection.execute(
            insert(recipients),
            [
                {"delivery_id": delivery_id, "contact_id": f"c{n}", "address": f"zach{n}@x.org",
                 "state": state, "code": code, "updated_at": at}
                for delivery_id, n, state, code, at in (
                    ("d0", 0, "accepted", "", now - 100), ("d0", 1, "accepted", "", now - 100),
                    ("d0", 2, "accepted", "", now - 100), (DELIVERY, 0, "accepted", "", now - 50),
                    (DELIVERY, 1, "refused", "5.1.1", now - 50),
                    (DELIVERY, 2, "pending", "", now - 50),
                )
            ],
        )  # fmt: skip
        for contact_id in ("c0", "c1"):
            await audience.unsubscribe(
                connection, contact_id=contact_id, list_id=ACCOUNT, source="test", now=now
            )
        assert await connection.scalar(select(memberships.c.since).limit(1)) is not None
    said = await ask(client, "GET", f"/deliveries/{DELIVERY}/mailing")
    names = ("selected", "accepted", "refused", "suppressed", "uncertain", "waiting")
    assert [said[name] for name in names] == [3, 1, 1, 0, 0, 1]
    assert (said["unsubscribed"], said["page"]) == (1, None)  # c0: this was the last they got
    before = await ask(client, "GET", "/deliveries/d0/mailing")
    assert before["unsubscribed"] == 1  # c1
    path = f"/deliveries/{DELIVERY}/recipients"
    (refused,) = (await ask(client, "GET", f"{path}?state=refused"))["recipients"]
    assert (refused["contact_id"], refused["code"]) == ("c1", "5.1.1")
    first = await ask(client, "GET", f"{path}?limit=2")
    rest = await ask(client, "GET", f"{path}?limit=2&after={first['next']}")
    assert [one["contact_id"] for one in rest["recipients"]] == ["c2"]
    for wrong in ("/deliveries/no/mailing", "/deliveries/no/recipients"):
        await ask(client, "GET", wrong, status=404)
