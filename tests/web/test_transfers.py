"""Files of contacts over HTTP: in, resumed, and out."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import time
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import func, select

from scheduler.services import Services
from scheduler.store.audience_tables import consents, contacts, memberships
from scheduler.web.api.uploads import KEPT
from scheduler.web.app import create_app
from tests.web.conftest import Client
from tests.web.support import ask

CSV = {"Content-Type": "text/csv"}


async def _list(client: Client) -> str:
    return str((await ask(client, "POST", "/lists", {"name": "La lettre"}, status=201))["id"])


def _path(list_id: str, **more: str) -> dict[str, str]:
    return {"list": list_id, "source": "foire", **more}


async def _send(client: Client, list_id: str, data: Any, **more: str) -> list[dict[str, Any]]:
    answer = await client.post(
        "/api/v1/contacts/import", params=_path(list_id, **more), data=data, headers=CSV
    )
    assert answer.status == 200, await answer.text()
    return [json.loads(line) for line in (await answer.text()).splitlines()]


async def _count(services: Services, table: Any) -> int:
    async with services.database.read() as connection:
        found = await connection.execute(select(func.count()).select_from(table))
        return int(found.scalar_one())


async def test_a_file_is_read_and_what_is_wrong_is_told_by_line(
    client: Client, services: Services
) -> None:
    list_id = await _list(client)
    text = "Courriel;Prénom;Ville\na@x.org;Amélie;Nîmes\nbad;B;\nb@x.org;;\n".encode("cp1252")
    seen = await client.post("/api/v1/contacts/import/preview", data=text, headers=CSV)
    shown = await seen.json()
    assert (shown["encoding"], shown["delimiter"]) == ("cp1252", ";")
    assert shown["rows"][0]["attributes"] == {"ville": "Nîmes"}
    assert shown["rows"][1]["line"] == 3
    assert await _count(services, contacts) == 0
    last = (await _send(client, list_id, text, name="foire.csv", wording="Oui"))[-1]
    assert (last["done"], last["rows"], last["added"], last["bad"]) == (True, 3, 2, 1)
    (row,) = last["rejected"]
    assert row["line"] == "3"
    async with services.database.read() as connection:
        proof = (await connection.execute(select(consents))).mappings().first()
    assert proof is not None
    assert (proof["form"], proof["wording"], proof["source"]) == ("foire.csv", "Oui", "foire")
    assert list((services.settings.data_dir / "imports").iterdir()) == []


async def test_why_rows_are_not_taken_is_said_in_french_to_who_asks_for_it(client: Client) -> None:
    list_id = await _list(client)
    data = b"email,inscrit le\nbad,\na@x.org,2999-12-31\nb@x.org,2024-01-01,more\n"
    headers = {**CSV, "Accept-Language": "fr-FR,fr;q=0.9"}
    seen = await client.post("/api/v1/contacts/import/preview", data=data, headers=headers)
    shown = [row["reason"] for row in (await seen.json())["rows"]]
    answer = await client.post(
        "/api/v1/contacts/import", params=_path(list_id), data=data, headers=headers
    )
    last = json.loads((await answer.text()).splitlines()[-1])
    assert [row["reason"] for row in last["rejected"]] == shown
    assert "arobase" in shown[0]
    assert shown[1].endswith("dans l’avenir\u00a0: 2999-12-31")
    assert shown[2].startswith("plus de champs que de titres, de 1")
    wrong = await client.post(
        "/api/v1/contacts/import", params=_path(list_id), data=b"nom\nA\n", headers=headers
    )
    assert "aucune colonne" in (await wrong.json())["errors"][0]["detail"]


async def test_an_import_that_was_broken_off_goes_on_with_the_same_file(
    client: Client, services: Services
) -> None:
    list_id = await _list(client)
    rows = "".join("bad\n" if n % 1000 == 7 else f"r{n}@x.org\n" for n in range(6000))
    data = f"email\n{rows}".encode()
    answer = await client.post(
        "/api/v1/contacts/import", params=_path(list_id), data=data, headers=CSV
    )
    assert json.loads(await answer.content.readline())["rows"] == 1000
    answer.close()  # whoever asked is gone
    async with asyncio.timeout(60):
        while True:  # the server notices when it writes
            again = await client.post(
                "/api/v1/contacts/import", params=_path(list_id), data=data, headers=CSV
            )
            if again.status == 200:
                break
            assert again.status == 409
    last = [json.loads(line) for line in (await again.text()).splitlines()][-1]
    assert last["done"]
    assert await _count(services, contacts) == await _count(services, memberships) == 5994
    assert await _count(services, consents) == 5994
    assert last["rows"] == 6000


@pytest.mark.parametrize(
    ("data", "more", "field"),
    [
        (b"", {}, "body"),
        (b"nom\nA\n", {}, "map"),
        (b"Col\na@x.org\n", {"map": "nothing"}, "map"),
        (b"email\na@x.org\n", {"list": "nowhere"}, "list"),
        (b"email\na@x.org\n", {"name": "../../etc"}, "name"),
        (b"email\na@x.org\n", {"name": ".."}, "name"),
        (b"email\na@x.org\n", {"name": " "}, "name"),
        (b"email\na@x.org\n", {"source": "a\0b"}, "source"),
        (b"email," * 200_000, {}, "body"),
    ],
)
async def test_what_cannot_be_read_is_refused_and_leaves_nothing(
    client: Client, services: Services, data: bytes, more: dict[str, str], field: str
) -> None:
    list_id = await _list(client)
    params = {**_path(list_id), **more}
    answer = await client.post(
        "/api/v1/contacts/import", params=params, data=io.BytesIO(data), headers=CSV
    )
    said = await answer.json()
    assert answer.status == 422, said
    assert said["errors"][0]["field"] == field
    home = services.settings.data_dir / "imports"
    assert not home.exists() or list(home.iterdir()) == []


@pytest.mark.parametrize("list_id", ["nowhere", "a\0b"])
async def test_a_list_that_is_not_there_is_no_empty_file(client: Client, list_id: str) -> None:
    answer = await client.get("/api/v1/contacts/export", params={"list": list_id})
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["field"] == "list"


async def test_what_a_kill_left_behind_goes_and_what_is_new_stays(
    client: Client, services: Services
) -> None:
    home = services.settings.data_dir / "imports"
    for name, age in (("tmp-killed", KEPT + 60), ("of-yesterday", 86_400)):
        (home / name).mkdir(parents=True)
        (home / name / "people.csv").write_text("email\na@x.org\n")
        long_ago = time.time() - age
        os.utime(home / name, (long_ago, long_ago))
    async with TestClient(TestServer(create_app(services))):
        assert [one.name for one in home.iterdir()] == ["of-yesterday"]


async def test_a_form_is_no_file(client: Client) -> None:
    list_id = await _list(client)
    answer = await client.post(
        "/api/v1/contacts/import", params=_path(list_id), data={"file": "email"}
    )
    assert answer.status == 415


async def test_everybody_goes_out_as_lines_and_as_a_table(client: Client) -> None:
    list_id = await _list(client)
    await _send(client, list_id, "email,name\n" + "".join(f"r{n}@x.org,N{n}\n" for n in range(450)))
    lines = await client.get("/api/v1/contacts/export")
    people = [json.loads(line) for line in (await lines.text()).splitlines()]
    assert len({one["email"] for one in people}) == 450
    assert people[0]["consents"][0]["source"] == "foire"
    table = await client.get("/api/v1/contacts/export", params={"format": "csv", "list": list_id})
    assert table.content_type == "text/csv"
    text = await table.text()
    assert text.startswith("\ufeffemail,")  # else spreadsheets read it as an older encoding
    rows = list(csv.DictReader(text[1:].splitlines()))
    assert len(rows) == 450
    assert rows[0]["subscribed"] == list_id
    parted = {"format": "csv", "delimiter": ";"}
    table = await client.get("/api/v1/contacts/export", params=parted)
    assert (await table.text()).startswith("\ufeffemail;name;")
    none = await client.get("/api/v1/contacts/export", params={"list": await _list(client)})
    assert (none.status, await none.text()) == (200, "")
