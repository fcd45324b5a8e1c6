"""Imports on both databases: nothing good lost, nobody revived, resumed after a kill."""

from __future__ import annotations

import asyncio
import csv
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from channels.translations import in_language
from scheduler.audience import exporting
from scheduler.audience.headings import MappingError
from scheduler.audience.importing import Importer, Order
from scheduler.audience.rows import BadRow, Person, read_rows
from scheduler.audience.shape import shape_of
from scheduler.audience.suppression import fingerprint
from scheduler.clock import Clock, micros
from scheduler.store import audience, contacts, lists
from scheduler.store.audience_tables import consents, imports, memberships, suppressions
from scheduler.store.audience_tables import contacts as people
from scheduler.store.db import Database

KEY = b"a key"
NOW = micros(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
async def letter(database: Database) -> str:
    async with database.write() as connection:
        return await lists.create(connection, {"name": "La lettre", "language": "fr"}, now=1)


def _file(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "people.csv"
    path.write_bytes(text.encode(encoding))
    return path


def _order(path: Path, list_id: str, **more: Any) -> Order:
    return Order(file=path, shape=shape_of(path), list_id=list_id, source="old shop", **more)


async def _run(database: Database, order: Order, **more: Any) -> dict[str, int]:
    return await Importer(database=database, clock=Clock(), key=KEY, **more).run(order)


async def _rows(database: Database, table: Any) -> list[dict[str, Any]]:
    async with database.read() as connection:
        found = await connection.execute(select(table))
        return [dict(row) for row in found.mappings()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_files_are_read_as_spreadsheets_write_them(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    lines = [
        ["Prénom", "Nom", "Courriel", "Langue", "Ville d'été", "Tags"],
        ["Amélie", "Dupré", " Amelie@Example.org ", "Français", "Nîmes", '"vip;presse"'],
    ]
    path = _file(tmp_path, "\r\n".join(delimiter.join(line) for line in lines), encoding)
    ((number, row),) = read_rows(path, shape_of(path), {}, now=NOW)
    assert number == 1
    assert row == Person(
        2, "amelie@example.org", "Amélie Dupré", "fr", {"ville_d_été": "Nîmes"},
        ["vip", "presse"], None, "",
    )  # fmt: skip


def test_bad_rows_are_told_by_line_and_reason(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "email,name,subscribed at\n"
        "a@x.org,A,2024-03-12\n"
        "nobody,B,\n"
        "\n"
        "c@x.org,C,31/12/2023 10:30\n"
        "d@x.org,D,soon\n"
        "e@x.org,E,,more\n"
        ",F,\n"
        "g@-x.org,G,\n"
        "h@x.org\n"
        "i@x.org,a\x00b,\n",
    )
    rows = [row for _, row in read_rows(path, shape_of(path), {}, now=NOW)]
    bad = {row.line: row.reason for row in rows if isinstance(row, BadRow)}
    assert sorted(bad) == [3, 6, 7, 8, 9, 11]
    assert "@-sign" in bad[3]
    assert "31/12/2026" in bad[6]
    assert "by 1" in bad[7]
    assert "no address" in bad[8]
    assert [row.email for row in rows if isinstance(row, Person)] == [
        "a@x.org",
        "c@x.org",
        "h@x.org",
    ]


def test_nobody_has_agreed_at_a_time_to_come(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "email,optin date\n"
        "today@x.org,2026-11-22\n"
        "tomorrow-elsewhere@x.org,2026-11-23 11:00\n"
        "later@x.org,2026-11-24\n"
        "far@x.org,31/12/2062\n",
    )
    rows = [row for _, row in read_rows(path, shape_of(path), {}, now=NOW)]
    bad = {row.line: row.reason for row in rows if isinstance(row, BadRow)}
    assert bad == {
        4: "the consent's date is still to come: 2026-11-24",
        5: "the consent's date is still to come: 31/12/2062",
    }
    assert in_language(bad[4], "fr").endswith("dans l’avenir\u00a0: 2026-11-24")


async def test_the_report_is_in_the_language_of_who_asks(
    database: Database, letter: str, tmp_path: Path
) -> None:
    path = _file(tmp_path, "email,optin date\nbad,\na@x.org,soon\nb@x.org,2999-01-01\n")
    counts = await _run(database, _order(path, letter, language="fr"))
    assert (counts["bad"], counts["added"]) == (3, 0)
    with (tmp_path / "people.csv.rejected.csv").open(encoding="utf-8", newline="") as report:
        told = list(csv.reader(report))
    assert told[0] == ["ligne", "raison", "contenu"]
    assert [line for line, *_ in told[1:]] == ["2", "3", "4"]
    assert "arobase" in told[1][1]
    assert told[2][1].endswith("écrivez 2026-12-31 ou 31/12/2026")
    assert "dans l’avenir" in told[3][1]


def test_a_line_without_an_end_is_one_bad_row_and_fills_no_memory(tmp_path: Path) -> None:
    path = _file(tmp_path, "email\n" + "x" * 3_000_000 + "\na@x.org\n")
    tracemalloc.start()
    rows = [row for _, row in read_rows(path, shape_of(path), {}, now=NOW)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row.email for row in rows if isinstance(row, Person)] == ["a@x.org"]
    assert peak < 12_000_000
    with pytest.raises(MappingError, match="too long for headings"):
        shape_of(_file(tmp_path, "x" * 3_000_000))


def test_an_unclosed_quote_costs_its_row_and_not_the_rest(tmp_path: Path) -> None:
    many = "".join(f"r{n}@x.org,N\n" for n in range(20_000))
    path = _file(tmp_path, f'email,name\na@x.org,"oops\n{many}')
    rows = [row for _, row in read_rows(path, shape_of(path), {}, now=NOW)]
    assert isinstance(rows[0], BadRow)
    assert sum(isinstance(row, Person) for row in rows) > 10_000


@pytest.mark.parametrize(
    ("text", "chosen", "words"),
    [
        ("", {}, "no headings"),
        ("nom,ville\nA,B\n", {}, "map one to email"),
        ("email,courriel\na@x.org,b@x.org\n", {}, "both hold email"),
        ("email\na@x.org\n", {"Mail": "email"}, "there is no column mail"),
    ],
)
def test_columns_that_cannot_be_used_say_what_to_do(
    tmp_path: Path, text: str, chosen: dict[str, str], words: str
) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(MappingError, match=words):
        list(read_rows(path, shape_of(path), chosen, now=NOW))


async def test_good_rows_become_readers_with_evidence(
    database: Database, letter: str, tmp_path: Path
) -> None:
    path = _file(
        tmp_path,
        "Courriel;Nom;Ville;Date d'inscription\nA@x.org;Ann;Nantes;12/03/2024\n"
        "a@x.org;Again;;\nbad;B;;\nb@x.org;;;\n",
    )
    counts = await _run(database, _order(path, letter, wording="Oui, la lettre"))
    assert {name: counts[name] for name in ("rows", "added", "new", "bad", "repeated")} == {
        "rows": 4, "added": 2, "new": 2, "bad": 1, "repeated": 1,
    }  # fmt: skip
    known = {row["email"]: row for row in await _rows(database, people)}
    assert known["a@x.org"]["name"] == "Ann"
    assert known["a@x.org"]["attributes"] == {"ville": "Nantes"}
    assert known["b@x.org"]["tags"] == []
    proof = {row["contact_id"]: row for row in await _rows(database, consents)}
    first = proof[known["a@x.org"]["id"]]
    assert first["action"] == "import"
    assert first["wording"] == "Oui, la lettre"
    assert len(first["wording_version"]) == 8
    assert (first["form"], first["source"]) == ("people.csv", "old shop")
    assert first["at"] == first["confirmed_at"] == 1_710_201_600_000_000
    report = (tmp_path / "people.csv.rejected.csv").read_text()
    assert [row[0] for row in csv.reader(report.splitlines())] == ["line", "4"]


async def test_a_second_import_changes_nobody_and_revives_nobody(
    database: Database, letter: str, tmp_path: Path
) -> None:
    path = _file(tmp_path, "email,name\n" + "".join(f"r{n}@x.org,N{n}\n" for n in range(50)))
    await _run(database, _order(path, letter))
    known = {row["email"]: row["id"] for row in await _rows(database, people)}
    now = Clock().micros()
    async with database.write() as connection:
        assert await contacts.erase(
            connection, database, contact_id=known["r1@x.org"], key=KEY, now=now
        )
        await audience.unsubscribe(
            connection, contact_id=known["r2@x.org"], list_id=letter, source="test", now=now
        )
        await connection.execute(
            update(people).where(people.c.id == known["r3@x.org"]).values(name="Renamed")
        )
    shouted = _file(tmp_path, "email,name\n" + "".join(f"R{n}@X.org,N\n" for n in range(50)))
    counts = await _run(database, _order(shouted, letter))
    assert (counts["barred"], counts["left"], counts["there"]) == (1, 1, 48)
    assert counts["added"] == counts["new"] == 0
    rows = await _rows(database, people)
    assert "r1@x.org" not in {row["email"] for row in rows}
    assert {row["name"] for row in rows if row["email"] == "r3@x.org"} == {"Renamed"}
    states = {row["contact_id"]: row["state"] for row in await _rows(database, memberships)}
    assert states[known["r2@x.org"]] == "unsubscribed"
    assert known["r1@x.org"] not in states
    barred = await _rows(database, suppressions)
    assert [row["hash"] for row in barred] == [fingerprint(KEY, "r1@x.org")]
    assert "r1@x.org" not in str(barred)


async def test_an_import_that_failed_in_the_middle_goes_on_from_there(
    database: Database, letter: str, tmp_path: Path
) -> None:
    rows = "".join("bad,X\n" if n % 10 == 9 else f"r{n}@x.org,N\n" for n in range(100))
    order = _order(_file(tmp_path, "email,name\n" + rows), letter)

    def stop(counts: Any) -> None:
        if counts["rows"] == 60:
            order.report.write_bytes(order.report.read_bytes() + b"told and never committed\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await _run(database, order, batch=20, told=stop)
    assert len(await _rows(database, people)) == 54
    async with database.write() as connection:  # what a second pass would have brought back
        await connection.execute(delete(memberships))
    counts = await _run(database, order, batch=20)
    assert (counts["rows"], counts["added"], counts["bad"]) == (100, 90, 10)
    assert len(await _rows(database, memberships)) == 36
    told = list(csv.reader(order.report.read_text().splitlines()))
    assert [row[0] for row in told[1:]] == [str(n + 2) for n in range(9, 100, 10)]
    (row,) = await _rows(database, imports)
    assert row["finished_at"] is not None


async def test_an_import_that_goes_on_under_another_name_tells_what_it_still_can(
    database: Database, letter: str, tmp_path: Path
) -> None:
    rows = "".join("bad\n" if n % 2 else f"r{n}@x.org\n" for n in range(100))
    order = _order(_file(tmp_path, f"email\n{rows}"), letter)

    def stop(counts: Any) -> None:
        if counts["rows"] == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await _run(database, order, batch=20, told=stop)
    renamed = replace(order, file=order.file.rename(tmp_path / "other.csv"))
    counts = await _run(database, renamed, batch=20)
    assert (counts["rows"], counts["bad"]) == (100, 50)
    told = list(csv.reader(renamed.report.read_text().splitlines()))
    assert told[0] == ["line", "reason", "row"]
    assert [row[0] for row in told[1:]] == [str(n + 2) for n in range(61, 100, 2)]


async def test_a_killed_import_loses_and_doubles_nobody(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url)
    async with database.write() as connection:
        letter = await lists.create(connection, {"name": "l", "language": "fr"}, now=1)
    path = _file(tmp_path, "email\n" + "".join(f"r{n}@x.org\n" for n in range(3000)))
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from scheduler.audience.importing import Importer, Order\n"
        "from scheduler.audience.shape import shape_of\n"
        "from scheduler.clock import Clock\n"
        "from scheduler.store.db import Database\n"
        "path = Path(sys.argv[2])\n"
        "order = Order(file=path, shape=shape_of(path), list_id=sys.argv[3], source='old shop')\n"
        "def told(counts):\n"
        "    print(counts['rows'], flush=True)\n"
        "    sys.stdin.readline()\n"
        "importer = Importer(database=Database(sys.argv[1]), clock=Clock(), key=b'a key',"
        " batch=10, told=told)\n"
        "asyncio.run(importer.run(order))\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, database_url, str(path), letter,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    for _ in range(7):
        assert await child.stdout.readline()
        child.stdin.write(b"go on\n")  # with one more batch, in which it is killed
    await child.stdin.drain()
    child.send_signal(signal.SIGKILL)
    await child.communicate()
    stored = len(await _rows(database, people))
    assert stored in {70, 80}
    counts = await _run(database, _order(path, letter))
    assert counts["added"] == counts["new"] == counts["rows"] == 3000
    assert len(await _rows(database, people)) == len(await _rows(database, memberships)) == 3000
    assert len(await _rows(database, consents)) == 3000
    await database.close()


async def test_an_export_holds_everything_and_no_formula(
    database: Database, letter: str, tmp_path: Path
) -> None:
    path = _file(tmp_path, "email,name,ville\na@x.org,=1+1,Nantes\nb@x.org,Bé,\n")
    await _run(database, _order(path, letter))
    found = [one async for one in exporting.people(database, list_id=letter)]
    assert {one["email"] for one in found} == {"a@x.org", "b@x.org"}
    first = next(one for one in found if one["email"] == "a@x.org")
    assert first["attributes"] == {"ville": "Nantes"}
    assert first["lists"][0]["state"] == "subscribed"
    assert first["consents"][0]["source"] == "old shop"
    line = exporting.csv_line(exporting.csv_fields(first))
    assert "'=1+1" in line
    assert letter in line
    assert [one async for one in exporting.people(database, list_id="other")] == []
