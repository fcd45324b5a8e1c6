"""Signing up over real HTTP and real SMTP: a form, a mail, a second yes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from multidict import CIMultiDict
from sqlalchemy import func, insert, select, update

from channels.newsletter.sandbox import PracticeRelay
from channels.sandbox.faults import Fault, FaultName
from scheduler.audience.links import UnsubscribeLinks
from scheduler.audience.mails import Mailer, mailer_of
from scheduler.audience.suppression import fingerprint
from scheduler.audience.wording import version_of
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from scheduler.store import accounts, lists
from scheduler.store.audience_tables import (
    consents,
    contacts,
    memberships,
    service_mails,
    suppressions,
)
from scheduler.web.app import create_app
from scheduler.web.visitor import visitor
from tests.channels.newsletter.support import practice
from tests.support.clocks import SetClock
from tests.web.conftest import Client

START = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
FRENCH = {"Accept-Language": "fr"}
FIELD = re.compile(r'name="(\w+)" (?:type="\w+" )?value="([^"]+)"')


class House:
    """A shop with one newsletter, its sign-up page, its relay, and a clock that a test sets."""

    def __init__(
        self,
        services: Services,
        client: Client,
        relay: PracticeRelay,
        list_id: str,
        clock: SetClock,
    ) -> None:
        self.services, self.client, self.relay = services, client, relay
        self.list_id, self.clock = list_id, clock
        self.mailer: Mailer = mailer_of(services)

    def later(self, **time: float) -> None:
        self.clock.set(self.clock.now() + timedelta(**time))

    async def form(self, **headers: str) -> dict[str, str]:
        """The page's fields as a reader's browser would send them, filled in after a while."""
        answer = await self.client.get(f"/signup/{self.list_id}", headers=headers)
        fields = dict(FIELD.findall(await answer.text()))
        self.later(seconds=5)
        return {**fields, "email": " Amelie@Example.org", "name": "Amélie", "website": ""}

    async def send(self, fields: dict[str, str], *, status: int = 200) -> str:
        answer = await self.client.post(
            f"/signup/{self.list_id}",
            data=fields,
            headers={"Referer": "https://shop.fr/"},
        )
        assert answer.status == status, await answer.text()
        return await answer.text()

    async def link(self) -> str:
        """The path of the confirmation link in the last mail."""
        assert await self.mailer.send_due() == 1
        mail = self.relay.ledger.entries("newsletter")[-1]
        found = re.search(r"(/confirm/[\w-]+)", mail.text.replace("=\r\n", ""))
        assert found is not None, mail.text
        return found[1]

    async def rows(self, table: Any) -> list[dict[str, Any]]:
        async with self.services.database.read() as connection:
            found = await connection.execute(select(table))
            return [dict(row) for row in found.mappings()]

    async def state(self) -> str:
        (row,) = await self.rows(memberships)
        return str(row["state"])


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, redis_url="none", site_name="La librairie",
        trusted_proxies=("127.0.0.1",), signups_per_visitor=2, signups_per_list=5,
    )  # fmt: skip
    clock = SetClock(START)
    async with practice() as (relay, account), open_services(settings, clock=clock) as services:
        now = clock.micros()
        async with services.database.write() as connection:
            account_id = await accounts.connect(
                connection, services.vault, channel=services.registry["newsletter"],
                name="La lettre", settings=account.settings, now=now,
            )  # fmt: skip
            assert await lists.find(connection, services.database, account_id, now=now)
        async with TestClient(TestServer(create_app(services)), headers=FRENCH) as client:
            yield House(services, client, relay, account_id, clock)


async def test_a_form_a_mail_and_a_second_yes_make_a_reader_with_proof(house: House) -> None:
    answer = await house.send(await house.form())
    assert "Regardez votre messagerie" in answer
    assert await house.state() == "pending"
    path = await house.link()
    mail = house.relay.ledger.entries("newsletter")[-1]
    assert mail.payload["recipient"] == "amelie@example.org"
    asked = await house.client.get(path)
    assert "La lettre" in await asked.text()
    assert await house.state() == "pending"
    house.later(hours=1)
    done = await house.client.post(path, data={"confirm": "yes"})
    assert "Bienvenue" in await done.text()
    assert await house.state() == "subscribed"
    (proof,) = await house.rows(consents)
    assert proof["action"] == "subscribe"
    assert "La lettre" in proof["wording"]
    assert proof["wording_version"] == version_of(proof["wording"])
    assert proof["form"] == f"/signup/{house.list_id}"
    assert proof["source"] == "https://shop.fr/ from 127.0.0.1"
    assert proof["confirmed_at"] - proof["at"] >= 3600 * 1_000_000
    again = await house.client.post(path, data={"confirm": "yes"})
    assert "Bienvenue" in await again.text()
    assert await house.mailer.send_due() == 0


async def test_a_hundred_forms_for_one_address_write_to_it_once(house: House) -> None:
    fields = await house.form()
    for _ in range(5):
        await house.send(fields)
    await house.link()
    await house.send(fields)
    assert await house.mailer.send_due() == 0
    assert len(house.relay.ledger.entries("newsletter")) == 1
    assert len(await house.rows(consents)) == 1


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"email": "amelie@"}, 422, "Nous ne pouvons pas écrire"),
        ({"email": ""}, 422, "Nous ne pouvons pas écrire"),
        ({"email": "amelie@localhost"}, 422, "la forme nom@exemple.fr.</p>"),
        ({"email": "amélie@example.org"}, 422, "que des lettres sans accent.</p>"),
        ({"agree": ""}, 422, "Cochez la case"),
        ({"agree": "00000000"}, 422, "Cochez la case"),
        ({"stamp": ""}, 200, "encore une fois"),
        ({"stamp": "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, 200, "encore une fois"),
        ({"website": "https://spam.example"}, 200, "Regardez votre messagerie"),
    ],
)
async def test_what_is_wrong_or_a_robot_stores_nothing(
    house: House, changes: dict[str, str], status: int, words: str
) -> None:
    answer = await house.send({**await house.form(), **changes}, status=status)
    assert words in answer
    assert await house.rows(contacts) == []
    assert await house.rows(service_mails) == []


async def test_a_form_sent_faster_than_anybody_writes_is_asked_again(house: House) -> None:
    house.clock.stop()
    fields = await house.form()
    house.clock.set(house.clock.now() - timedelta(seconds=4.5))
    answer = await house.send(fields)
    assert "encore une fois" in answer
    assert 'value="Amélie"' in answer
    assert await house.rows(contacts) == []


@pytest.mark.parametrize(
    ("proxies", "said", "asked"),
    [
        ("", ["198.51.100.7"], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("127.0.0.0/8, 198.51.100.0/24", ["203.0.113.9, 198.51.100.7"], "203.0.113.9"),
        ("127.0.0.0/8, 198.51.100.0/24", ["203.0.113.9", "198.51.100.7"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9, <script>"], "127.0.0.1"),
        ("0.0.0.0/0", ["2001:db8::1"], "2001:db8::1"),
    ],
)
def test_who_asked_is_told_by_our_own_proxies_alone(
    proxies: str, said: list[str], asked: str
) -> None:
    headers = CIMultiDict([("X-Forwarded-For", one) for one in said])
    request = make_mocked_request("POST", "/signup/x", headers=headers).clone(remote="127.0.0.1")
    trusted = Settings.model_validate({"trusted_proxies": proxies}).trusted_proxies
    assert visitor(request, trusted) == asked


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="is no address or network"):
        Settings.model_validate({"trusted_proxies": "nginx"})


async def test_a_form_is_good_for_one_address(house: House) -> None:
    fields = await house.form()
    assert "Regardez votre messagerie" in await house.send(fields)
    assert "Regardez votre messagerie" in await house.send(fields)  # pressed twice
    other = await house.send({**fields, "email": "somebody@example.org"})
    assert "encore une fois" in other
    assert [row["email"] for row in await house.rows(contacts)] == ["amelie@example.org"]


async def test_the_mail_that_asks_says_nothing_that_the_form_was_given(house: House) -> None:
    await house.send({**await house.form(), "name": "WIN 1000 at evil.example\r\nBcc: x@y.org"})
    await house.link()
    source = house.relay.ledger.entries("newsletter")[-1].payload["source"]
    assert "evil.example" not in source
    assert message_from_string(source, policy=policy.default)["To"] == "amelie@example.org"
    (person,) = await house.rows(contacts)
    assert person["name"] == "WIN 1000 at evil.example Bcc: x@y.org"


async def test_these_mails_say_why_they_come_and_in_the_reader_s_language(house: House) -> None:
    def last() -> str:
        source = house.relay.ledger.entries("newsletter")[-1].payload["source"]
        mail = message_from_string(source, policy=policy.default)
        parts = (mail.get_body((kind,)) for kind in ("plain", "html"))
        return " ".join(part.get_content() for part in parts if part is not None)

    await house.send(await house.form())
    await house.link()
    assert last().count("parce que quelqu’un a saisi cette adresse") == 2
    assert "inscrit à notre lettre" not in last()
    (person,) = await house.rows(contacts)
    link = UnsubscribeLinks("", house.mailer.key).link(person["id"], house.list_id)
    await house.client.post(f"{link}/manage", headers={"Accept-Language": "en"})
    assert await house.mailer.send_due() == 1
    assert last().count("vous l’avez demandé") == 2
    assert "valable 7 jours" in last()


async def test_a_form_left_open_for_two_days_is_asked_again(house: House) -> None:
    fields = await house.form()
    house.later(days=2)
    assert "encore une fois" in await house.send(fields)


async def test_what_nobody_confirms_is_forgotten(house: House) -> None:
    await house.send(await house.form())
    path = await house.link()
    house.later(days=6)
    assert await house.mailer.expire() == 0
    house.later(days=2)
    assert await house.mailer.expire() == 1
    for table in (contacts, memberships, consents, service_mails):
        assert await house.rows(table) == []
    late = await house.client.post(path, data={"confirm": "yes"})
    assert "Rien à confirmer" in await late.text()


async def test_who_left_and_asks_again_without_confirming_has_still_left(house: House) -> None:
    await house.send(await house.form())
    path = await house.link()
    await house.client.post(path, data={"confirm": "yes"})
    mail = house.relay.ledger.entries("newsletter")[-1].text.replace("=\r\n", "")
    unsubscribe = re.search(r"(/u/[\w-]+)", mail)
    assert unsubscribe is not None
    await house.client.post(unsubscribe[1], data={"List-Unsubscribe": "One-Click"})
    assert await house.state() == "unsubscribed"
    house.later(hours=12)
    await house.send(await house.form())
    assert await house.state() == "pending"
    house.later(days=8)
    assert await house.mailer.expire() == 1
    assert await house.state() == "unsubscribed"


async def test_who_was_barred_may_come_back_by_their_own_yes(house: House) -> None:
    row = {
        "hash": fingerprint(house.mailer.key, "amelie@example.org"),
        "reason": "erased", "detail": "", "at": 1,
    }  # fmt: skip
    async with house.services.database.write() as connection:
        await connection.execute(insert(suppressions).values(row))
    await house.send(await house.form())
    path = await house.link()
    assert len(await house.rows(suppressions)) == 1
    await house.client.post(path, data={"confirm": "yes"})
    assert await house.rows(suppressions) == []


async def test_a_relay_that_is_down_delays_the_mail_and_loses_none(house: House) -> None:
    house.relay.faults.add(Fault(FaultName.SERVER_ERROR, times=1))
    await house.send(await house.form())
    assert await house.mailer.send_due() == 1
    assert house.relay.ledger.entries("newsletter") == []
    assert await house.mailer.send_due() == 0
    house.later(minutes=5)
    assert (await house.link()).startswith("/confirm/")


async def _joined(house: House) -> str:
    """Subscribe the reader; the path of their preferences, which they asked for by mail."""
    await house.send(await house.form())
    await house.client.post(await house.link(), data={"confirm": "yes"})
    mail = house.relay.ledger.entries("newsletter")[-1].text.replace("=\r\n", "")
    unsubscribe = re.search(r"(/u/[\w-]+)", mail)
    assert unsubscribe is not None
    asked = await house.client.post(f"{unsubscribe[1]}/manage")
    assert "Regardez votre messagerie" in await asked.text()
    assert await house.mailer.send_due() == 1
    mail = house.relay.ledger.entries("newsletter")[-1].text.replace("=\r\n", "")
    found = re.search(r"(/preferences/[\w-]+)", mail)
    assert found is not None
    return found[1]


async def test_who_was_erased_comes_back_by_a_new_sign_up_with_new_proof(house: House) -> None:
    path = await _joined(house)
    await house.client.post(path, data={"do": "erase"})
    house.later(minutes=1)
    await house.send(await house.form())
    assert "Bienvenue" in await (await house.client.post(await house.link())).text()
    assert await house.state() == "subscribed"
    (proof,) = await house.rows(consents)
    assert proof["confirmed_at"] is not None
    assert await house.rows(suppressions) == []
    assert (await house.client.get(path)).status == 404  # the page of who is forgotten


async def test_whose_mailbox_was_gone_comes_back_by_signing_up_again(house: House) -> None:
    await house.send(await house.form())
    path = await house.link()
    await house.client.post(path, data={"confirm": "yes"})
    row = {
        "hash": fingerprint(house.mailer.key, "amelie@example.org"),
        "reason": "gone", "detail": "5.1.1", "at": 1,
    }  # fmt: skip
    async with house.services.database.write() as connection:
        await connection.execute(insert(suppressions).values(row))
    house.later(hours=12)
    await house.send(await house.form())
    again = await house.link()
    assert "Souhaitez-vous recevoir" in await (await house.client.get(again)).text()
    assert len(await house.rows(suppressions)) == 1
    assert "Bienvenue" in await (await house.client.post(again)).text()
    assert await house.rows(suppressions) == []
    assert [one["action"] for one in await house.rows(consents)] == ["subscribe", "renew"]
    assert "Rien à confirmer" in await (await house.client.get(again)).text()


async def test_the_link_to_ones_data_works_for_a_week_and_asks_for_another(house: House) -> None:
    path = await _joined(house)
    house.later(days=8)
    for answer in (
        await house.client.get(path),
        await house.client.get(f"{path}/data.json"),
        await house.client.post(path, data={"do": "erase"}),
    ):
        page = await answer.text()
        assert answer.status == 410
        assert "plus valable" in page
        assert "amelie" not in page
    assert await house.state() == "subscribed"
    assert f'action="{path}/again"' in page
    await house.client.post(f"{path}/again")
    assert await house.mailer.send_due() == 1
    mail = house.relay.ledger.entries("newsletter")[-1].text.replace("=\r\n", "")
    found = re.search(r"(/preferences/[\w-]+)", mail)
    assert found is not None
    assert (await house.client.get(found[1])).status == 200
    assert (await house.client.post("/preferences/forged/again")).status == 404


async def test_who_left_may_still_see_their_data(house: House) -> None:
    path = await _joined(house)
    (person,) = await house.rows(contacts)
    link = UnsubscribeLinks("", house.mailer.key).link(person["id"], house.list_id)
    left = await house.client.post(link, data={"List-Unsubscribe": "One-Click"})
    asked = await house.client.get(link)
    for answer in (left, asked):
        assert f'action="{link}/manage"' in await answer.text()
    await house.client.post(path, data={"do": "erase"})
    assert "/manage" not in await (await house.client.get(link)).text()


async def test_ticking_a_list_confirms_it_and_lets_us_write_again(house: House) -> None:
    path = await _joined(house)
    async with house.services.database.write() as connection:
        await connection.execute(update(memberships).values(state="pending"))
        row = {"hash": fingerprint(house.mailer.key, "amelie@example.org"),
               "reason": "complaint", "detail": "", "at": 1}  # fmt: skip
        await connection.execute(insert(suppressions).values(row))
    assert "sans confirmer encore" in await (await house.client.get(path)).text()
    await house.client.post(path, data={"do": "save", f"list-{house.list_id}": "yes"})
    assert await house.state() == "subscribed"
    assert await house.rows(suppressions) == []


async def test_readers_choose_see_what_we_know_and_take_it_away(house: House) -> None:
    path = await _joined(house)
    page = await (await house.client.get(path)).text()
    assert "amelie@example.org" in page
    assert "La lettre" in page
    saved = await house.client.post(path, data={"do": "save", "name": "A", "language": "en"})
    assert "Saved." in await saved.text()
    assert await house.state() == "unsubscribed"
    back = {"do": "save", f"list-{house.list_id}": "yes", "name": "A", "language": "en"}
    await house.client.post(path, data=back)
    assert await house.state() == "subscribed"
    data = await (await house.client.get(f"{path}/data.json")).json()
    assert (data["email"], data["name"]) == ("amelie@example.org", "A")
    assert [one["action"] for one in data["consents"]] == ["subscribe", "unsubscribe", "subscribe"]


async def test_readers_erase_themselves_and_opening_the_page_does_not(house: House) -> None:
    path = await _joined(house)
    await house.client.get(path)
    assert len(await house.rows(contacts)) == 1
    gone = await house.client.post(path, data={"do": "erase"})
    assert "Tout est effacé" in await gone.text()
    for table in (contacts, memberships, consents, service_mails):
        assert await house.rows(table) == []
    (barred,) = await house.rows(suppressions)
    assert barred["hash"] == fingerprint(house.mailer.key, "amelie@example.org")
    assert (await house.client.get(path)).status == 404
    for forged in ("/preferences/forged", "/preferences/forged/data.json"):
        assert (await house.client.get(forged)).status == 404


async def test_a_closed_or_unknown_list_and_a_forged_link_are_told_kindly(house: House) -> None:
    async with house.services.database.write() as connection:
        await lists.change(connection, house.list_id, {"open": False})
    for path in (f"/signup/{house.list_id}", "/signup/nowhere", "/confirm/forged"):
        for answer in (await house.client.get(path), await house.client.post(path, data={})):
            assert answer.status == 404
            assert answer.content_type == "text/html"
            framed = "frame-ancestors *" in answer.headers["Content-Security-Policy"]
            assert framed is path.startswith("/signup/"), path


async def test_the_form_may_stand_in_a_frame_and_keeps_what_is_typed_as_text(house: House) -> None:
    fields = {**await house.form(), "name": '"><script>x</script>', "stamp": ""}
    answer = await house.client.post(f"/signup/{house.list_id}", data=fields)
    assert "frame-ancestors *" in answer.headers["Content-Security-Policy"]
    assert "<script>" not in await answer.text()


async def test_a_form_without_a_field_is_no_accident(house: House) -> None:
    answer = await house.client.post(f"/signup/{house.list_id}", data=b"\xff\xfe")
    assert answer.status == 422
    async with house.services.database.read() as connection:
        count = await connection.execute(select(func.count()).select_from(contacts))
    assert count.scalar_one() == 0
