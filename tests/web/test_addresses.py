"""Other addresses of a contact, through the API."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from scheduler.audience.suppression import fingerprint
from scheduler.services import Services
from scheduler.store.audience_tables import suppressions
from scheduler.web.public import key_of
from tests.web.conftest import Client
from tests.web.support import ask, connect


async def _reader(client: Client, email: str = "ann@x.org") -> str:
    made = await ask(client, "POST", "/contacts", {"email": email}, status=201)
    return str(made["contact"]["id"])


async def _page(services: Services) -> str:
    return await connect(
        services, "Our page", "messenger", page_id="123456", access_token="s3cret-token",
        app_secret="s3cret-key", verify_token="s3cret-word",
    )  # fmt: skip


async def test_addresses_are_added_in_one_spelling_listed_and_removed(
    client: Client, services: Services
) -> None:
    page, ann = await _page(services), await _reader(client)
    path = f"/contacts/{ann}/addresses"
    until = "2027-03-01T10:00:00+01:00"
    for body in (
        {"channel": "phone", "address": "00 33 (0)6 12.34-56 78"},
        {"channel": "email", "address": " Ann@Work.Example"},
        {"channel": "messenger", "account_id": page, "address": "7654321", "writable_until": until},
    ):
        await ask(client, "POST", path, body, status=201)
    listed = (await ask(client, "GET", path))["addresses"]
    assert [(one["channel"], one["account_id"], one["address"]) for one in listed] == [
        ("phone", None, "+33612345678"),
        ("email", None, "ann@work.example"),
        ("messenger", page, "7654321"),
    ]
    assert listed[2]["writable_until"] == "2027-03-01T09:00:00Z"
    whole = (await ask(client, "GET", f"/contacts/{ann}"))["contact"]
    assert len(whole["addresses"]) == 3
    await ask(client, "DELETE", f"{path}/{listed[0]['id']}", status=204)
    await ask(client, "DELETE", f"{path}/{listed[0]['id']}", status=404)
    assert len((await ask(client, "GET", path))["addresses"]) == 2
    for method, wrong in (("GET", "/contacts/no/addresses"), ("DELETE", f"{path}/no")):
        await ask(client, method, wrong, status=404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"channel": "phone", "address": "06 12 34 56 78"}, "address"),
        ({"channel": "phone", "address": "+33 call me"}, "address"),
        ({"channel": "email", "address": "ann@"}, "address"),
        ({"channel": "email", "address": "a@x.org", "account_id": "x"}, "account_id"),
        ({"channel": "telegram", "address": "1"}, "channel"),
        ({"channel": "messenger", "address": "1"}, "account_id"),
        ({"channel": "messenger", "address": "1", "account_id": "no"}, "account_id"),
        ({"channel": "messenger", "address": "a b", "account_id": "page"}, "address"),
        ({"channel": "phone", "address": "+33612345678", "more": 1}, "more"),
    ],
)
async def test_what_cannot_be_written_to_is_refused_by_field(
    client: Client, services: Services, body: dict[str, Any], field: str
) -> None:
    page, ann = await _page(services), await _reader(client)
    if body.get("account_id") == "page":
        body = {**body, "account_id": page}
    said = await ask(client, "POST", f"/contacts/{ann}/addresses", body, status=422)
    assert field in str(said["errors"]), said
    assert (await ask(client, "GET", f"/contacts/{ann}/addresses"))["addresses"] == []


async def test_one_address_is_one_person_s_unless_both_are_the_same(
    client: Client, services: Services
) -> None:
    page = await _page(services)
    ann, bob = await _reader(client), await _reader(client, "bob@x.org")
    body = {"channel": "messenger", "account_id": page, "address": "42",
            "writable_until": "2030-01-01T00:00:00Z"}  # fmt: skip
    await ask(client, "POST", f"/contacts/{ann}/addresses", body, status=201)
    await ask(client, "POST", f"/contacts/{ann}/addresses", body, status=409)
    said = await ask(client, "POST", f"/contacts/{bob}/addresses", body, status=409)
    assert ann in str(said)
    taken = {**body, "writable_until": None, "take_over": True}
    (moved,) = (await ask(client, "POST", f"/contacts/{bob}/addresses", taken, status=201))[
        "addresses"
    ]
    assert moved["writable_until"] == "2030-01-01T00:00:00Z"
    assert (await ask(client, "GET", f"/contacts/{ann}/addresses"))["addresses"] == []
    first = {"channel": "email", "address": "ann@x.org", "take_over": True}
    await ask(client, "POST", f"/contacts/{bob}/addresses", first, status=409)


async def test_an_address_that_may_not_be_written_to_is_not_added_and_all_of_the_erased_stay_so(
    client: Client, services: Services
) -> None:
    ann = await _reader(client)
    row = {"hash": fingerprint(key_of(services), "old@x.org"), "reason": "complaint",
           "detail": "", "at": 1}  # fmt: skip
    async with services.database.write() as connection:
        await connection.execute(insert(suppressions).values(row))
    path = f"/contacts/{ann}/addresses"
    old = {"channel": "email", "address": "old@x.org"}
    await ask(client, "POST", path, old, status=409)
    await ask(client, "POST", path, {**old, "address": "ann@work.example"}, status=201)
    await ask(client, "DELETE", f"/contacts/{ann}", status=204)
    async with services.database.read() as connection:
        barred = set((await connection.execute(select(suppressions.c.hash))).scalars())
    for email in ("ann@x.org", "ann@work.example"):
        assert fingerprint(key_of(services), email) in barred
    await ask(client, "POST", "/contacts", {"email": "ann@work.example"}, status=409)
