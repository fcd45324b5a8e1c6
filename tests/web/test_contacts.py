"""Contacts and lists through the API."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from channels.translations import in_language
from scheduler.audience.address import AddressError, usable_address
from scheduler.services import Services
from scheduler.store.audience_tables import recipients, suppressions
from tests.bench import hot
from tests.web.conftest import Client
from tests.web.support import ask, connect

CONSENT = {"source": "card at the till", "wording": "Oui, la lettre", "at": "2026-03-01T10:00:00Z"}


async def _list(client: Client, **fields: Any) -> str:
    made = await ask(client, "POST", "/lists", {"name": "La lettre", **fields}, status=201)
    return str(made["id"])


async def _reader(client: Client, list_id: str, email: str = "Ann@X.org") -> str:
    body = {"email": email, "name": "Ann", "lists": [list_id], "consent": CONSENT}
    made = await ask(client, "POST", "/contacts", body, status=201)
    return str(made["contact"]["id"])


async def test_a_list_says_who_is_on_it_and_where_to_sign_up(client: Client) -> None:
    list_id = await _list(client, language="fr")
    await _reader(client, list_id)
    changed = await ask(client, "PATCH", f"/lists/{list_id}", {"wording": "Oui !", "open": False})
    assert (changed["wording"], changed["open"], changed["subscribed"]) == ("Oui !", False, 1)
    assert changed["signup"].endswith(f"/signup/{list_id}")
    listed = await ask(client, "GET", "/lists")
    assert [one["id"] for one in listed["lists"]] == [list_id]
    await ask(client, "GET", "/lists/nowhere", status=404)


async def test_nobody_who_writes_waits_while_a_list_is_counted(
    client: Client, services: Services
) -> None:
    list_id = await _list(client)
    async with hot.statements(services.database, reading=False) as written:
        await ask(client, "GET", f"/lists/{list_id}")
        await ask(client, "PATCH", f"/lists/{list_id}", {"open": True})
    assert written
    assert not any("count(" in sql for sql, _ in written)


async def test_a_list_is_read_a_page_at_a_time(client: Client) -> None:
    lists = [await _list(client), await _list(client)]
    ids = [await _reader(client, lists[n % 2], f"reader{n}@x.org") for n in range(9)]
    for chosen, wanted in ((lists[0], ids[::2]), (lists[1], ids[1::2])):
        for state in ("", "&state=subscribed"):
            seen: list[str] = []
            after = ""
            while True:
                path = f"/contacts?list={chosen}{state}&limit=2{after}"
                page = await ask(client, "GET", path)
                seen += [one["id"] for one in page["contacts"]]
                if page["next"] is None:
                    break
                after = f"&after={page['next']}"
            assert seen == wanted
    assert (await ask(client, "GET", f"/contacts?list={lists[0]}&state=pending"))["contacts"] == []


async def test_an_account_has_its_list(client: Client, services: Services) -> None:
    account_id = await connect(services, "Our letter")
    found = await ask(client, "GET", f"/lists/{account_id}")
    assert (found["id"], found["name"]) == (account_id, "Our letter")


async def test_a_contact_is_added_with_proof_found_and_corrected(client: Client) -> None:
    list_id = await _list(client)
    contact_id = await _reader(client, list_id)
    assert await _reader(client, list_id, "ann@x.org") == contact_id
    whole = (await ask(client, "GET", f"/contacts/{contact_id}"))["contact"]
    assert whole["email"] == "ann@x.org"
    assert [(one["list_id"], one["state"]) for one in whole["lists"]] == [(list_id, "subscribed")]
    (proof,) = whole["consents"]
    assert (proof["source"], proof["wording"]) == ("card at the till", "Oui, la lettre")
    assert proof["form"] == "API (token:tests)"
    assert proof["at"] == proof["confirmed_at"]
    changes = {"name": "Anne", "attributes": {"town": "Nantes"}, "tags": ["vip"]}
    changed = (await ask(client, "PATCH", f"/contacts/{contact_id}", changes))["contact"]
    assert {name: changed[name] for name in changes} == changes
    for query in ("?email=ANN@x.org", f"?list={list_id}&state=subscribed"):
        page = await ask(client, "GET", f"/contacts{query}")
        assert [one["id"] for one in page["contacts"]] == [contact_id]
    assert (await ask(client, "GET", "/contacts?list=other"))["contacts"] == []


async def test_pages_of_contacts_follow_one_another(client: Client) -> None:
    list_id = await _list(client)
    ids = [await _reader(client, list_id, f"r{number}@x.org") for number in range(5)]
    found, after = [], ""
    for _ in range(3):
        page = await ask(client, "GET", f"/contacts?limit=2{after}")
        found += [one["id"] for one in page["contacts"]]
        after = f"&after={page['next']}"
    assert found == ids
    assert page["next"] is None


async def test_who_left_or_was_erased_is_not_put_back(client: Client, services: Services) -> None:
    list_id = await _list(client)
    contact_id = await _reader(client, list_id)
    left = await ask(
        client, "POST", f"/contacts/{contact_id}/unsubscribe", {"list": list_id, "source": "phone"}
    )
    assert left["contact"]["lists"][0]["state"] == "unsubscribed"
    assert left["contact"]["consents"][-1]["source"] == "phone (token:tests)"
    body = {"email": "ann@x.org", "lists": [list_id], "consent": CONSENT}
    refused = await ask(client, "POST", "/contacts", body, status=409)
    assert refused["errors"][0]["field"] == "lists[0]"
    async with services.database.write() as connection:
        await connection.execute(
            insert(recipients).values(
                delivery_id="d", contact_id=contact_id, address="ann@x.org", state="refused",
                code="550", detail="<ann@x.org>: no such user", updated_at=1,
            )
        )  # fmt: skip
    await ask(client, "DELETE", f"/contacts/{contact_id}", status=204)
    await ask(client, "DELETE", f"/contacts/{contact_id}", status=404)
    async with services.database.read() as connection:
        (sent,) = (await connection.execute(select(recipients))).mappings().all()
    assert (sent["state"], sent["code"]) == ("refused", "550")
    assert "ann@x.org" not in str(dict(sent))
    await ask(client, "GET", f"/contacts/{contact_id}", status=404)
    refused = await ask(client, "POST", "/contacts", body, status=409)
    assert refused["errors"][0]["field"] == "email"
    async with services.database.read() as connection:
        (row,) = (await connection.execute(select(suppressions))).mappings().all()
    assert row["reason"] == "erased"
    assert "ann@x.org" not in str(dict(row))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@x"}, "email"),
        ({"consent": None}, "consent"),
        ({"consent": {**CONSENT, "at": "2999-01-01T00:00:00Z"}}, "consent.at"),
        ({"lists": ["nowhere"]}, "lists[0]"),
        ({"language": "f"}, "language"),
        ({"attributes": {"a b": "c"}}, "attributes"),
        ({"surname": "X"}, "surname"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    client: Client, changes: dict[str, Any], field: str
) -> None:
    list_id = await _list(client)
    body = {"email": "a@x.org", "lists": [list_id], "consent": CONSENT, **changes}
    refused = await ask(client, "POST", "/contacts", body, status=422)
    assert field in str([error["field"] for error in refused["errors"]])
    assert (await ask(client, "GET", "/contacts"))["contacts"] == []


@pytest.mark.parametrize(
    "email",
    [
        "", "jean", "@x.fr", "jean@", "jean@localhost", "jean@x.test", "je an@x.fr", "jean.@x.fr",
        ".jean@x.fr", "je..an@x.fr", "jean@.x.fr", "jean@x.fr.", "jean@-x.fr", "jean@x-", "j@x-.fr",
        "jean@x_y.fr", f"{'j' * 65}@x.fr", f"j@{'x.' * 130}fr", "Jean <jean@x.fr>", "<jean@x.fr>",
        "jean@[1.2.3.4]", '"je an"@x.fr', "josé@x.fr", "jean@x.fr, paul@x.fr",
    ],
)  # fmt: skip
def test_why_an_address_is_refused_is_said_in_french(email: str) -> None:
    with pytest.raises(AddressError) as refused:
        usable_address(email)
    why = str(refused.value)
    assert in_language(why, "fr") != why
