"""Encrypted copies: whole or not there, caught up, alerted about, and restored to the same."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyrage import x25519
from sqlalchemy import delete, insert, select, text
from sqlalchemy.exc import DBAPIError

from scheduler.audience import sealing
from scheduler.audience.restoring import restore
from scheduler.audience.sealing import Lock, SealError, lines_of, read, write
from scheduler.clock import Clock
from scheduler.copies import DUTY, FACT, Copyist, last_due, made_in
from scheduler.settings import Settings
from scheduler.store import contacts, copies, duties
from scheduler.store.alert_tables import alerts
from scheduler.store.audience_tables import contacts as people
from scheduler.store.audience_tables import lists, memberships, suppressions
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from tests.support.audience import seed
from tests.support.clocks import SetClock

KEY = b"the key of the audience"
NOW = 1_800_000_000_000_000
READERS: list[dict[str, Any]] = [
    {"id": f"r{n:05}", "email": f"r{n}@x.org", "name": f"Zoé “{n}”", "tags": ["a", "b"],
     "attributes": {"ville": "Nîmes"}}
    for n in range(2500)
]  # fmt: skip


async def _everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for name in copies.TABLES:
        rows = [row async for some in copies.rows(database, name) for row in some]
        found[name] = [
            {column: value for column, value in row.items() if (name, column) != ("consents", "id")}
            for row in rows
        ]
    return found


async def _audience(database: Database) -> None:
    """Many readers, one of them erased, with proof of how they came."""
    await seed(database, READERS, now=NOW)
    async with database.write() as connection:
        await connection.execute(
            copies.TABLES["consents"].insert(),
            [
                {"contact_id": one["id"], "list_id": "account-1", "action": "import", "at": NOW,
                 "wording": "Oui, la lettre", "source": "foire", "confirmed_at": NOW - 1}
                for one in READERS
            ],
        )  # fmt: skip
        await contacts.erase(connection, database, contact_id="r00007", key=KEY, now=NOW)
        await connection.execute(delete(memberships).where(memberships.c.contact_id == "r00009"))


@pytest.fixture
async def other(tmp_path: Path) -> Any:
    """An installation of its own, empty."""
    (tmp_path / "other").mkdir()
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/other/estafette.db")
    await migrate(database)
    yield database
    await database.close()


@pytest.mark.parametrize("way", ["key", "words"])
async def test_a_copy_restores_the_same_people_proof_and_never_again_list(
    database: Database, other: Database, tmp_path: Path, way: str
) -> None:
    await _audience(database)
    owner = x25519.Identity.generate()
    lock = Lock(recipients=(str(owner.to_public()),)) if way == "key" else Lock(words="six words")
    sealed, plain = tmp_path / "copy.age", tmp_path / "copy.gz"
    counts = await write(database, KEY, lock, sealed)
    assert (counts["contacts"], counts["suppressions"]) == (2499, 1)
    assert sealed.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert b"x.org" not in sealed.read_bytes()
    assert sealed.stat().st_mode & 0o777 == 0o600
    opened = {"identities": f"# key\n{owner}\n"} if way == "key" else {"words": "six words"}
    with plain.open("wb") as out:
        read(sealed, out, **opened)
    with plain.open("rb") as lines:
        back = await restore(other, lines_of(lines), data_dir=tmp_path / "other", configured_key="")
    assert back == {**counts, "left_out": 0}
    assert await _everything(other) == await _everything(database)
    key_file = tmp_path / "other" / "audience.key"
    assert key_file.read_bytes() == KEY
    assert key_file.stat().st_mode & 0o777 == 0o600
    with plain.open("rb") as lines, pytest.raises(SealError, match="contacts already"):
        await restore(other, lines_of(lines), data_dir=tmp_path / "other", configured_key="")


async def test_who_was_erased_since_the_copy_stays_away(database: Database, tmp_path: Path) -> None:
    await _audience(database)
    lines = [line async for line in sealing._lines(database, KEY, {})]
    told = b"".join(lines).splitlines()
    (tmp_path / "audience.key").write_bytes(KEY)
    async with database.write() as connection:
        await contacts.erase(connection, database, contact_id="r00011", key=KEY, now=NOW)
        for name in ("consents", "memberships", "contacts"):
            await connection.execute(delete(copies.TABLES[name]))
    back = await restore(database, map(json.loads, told), data_dir=tmp_path, configured_key="")
    assert back["left_out"] == 1
    async with database.read() as connection:
        emails = set((await connection.execute(select(people.c.email))).scalars())
        assert len((await connection.execute(select(suppressions.c.hash))).all()) == 2
    assert len(emails) == 2498
    assert not {"r7@x.org", "r11@x.org"} & emails


async def test_a_copy_made_while_people_come_and_go_is_restored(
    database: Database, other: Database, tmp_path: Path
) -> None:
    await _audience(database)
    told: list[bytes] = []
    come = False
    async for line in sealing._lines(database, KEY, {}):
        told.append(line)
        if b'"table":"contacts"' in line and not come:
            come = True
            async with database.write() as connection:
                late, _ = await contacts.meet(
                    connection, database, {"email": "late@x.org"}, now=NOW
                )
                for list_id in ("account-1", "later"):
                    if list_id == "later":
                        await connection.execute(
                            insert(lists).values(
                                id="later", name="Later", language="fr", created_at=NOW
                            )
                        )
                    await connection.execute(
                        insert(memberships).values(
                            list_id=list_id, contact_id=late, state="subscribed", since=NOW
                        )
                    )
                await connection.execute(
                    insert(memberships).values(
                        list_id="later", contact_id="r00000", state="subscribed", since=NOW
                    )
                )
                await contacts.erase(connection, database, contact_id="r00001", key=KEY, now=NOW)
    lines = map(json.loads, b"".join(told).splitlines())
    back = await restore(other, lines, data_dir=tmp_path / "other", configured_key="")
    assert back["suppressions"] == 2
    async with other.read() as connection:
        emails = set((await connection.execute(select(people.c.email))).scalars())
        ids = set((await connection.execute(select(memberships.c.list_id))).scalars())
        assert len((await connection.execute(select(suppressions.c.hash))).all()) == 2
    assert "late@x.org" not in emails
    assert ids == {"account-1"}


async def test_half_a_copy_or_another_key_restores_nothing(
    database: Database, tmp_path: Path
) -> None:
    await _audience(database)
    lines = [line async for line in sealing._lines(database, KEY, {})]
    told = b"".join(lines).splitlines()
    async with database.write() as connection:
        for name in ("consents", "memberships", "contacts"):
            await connection.execute(delete(copies.TABLES[name]))
    with pytest.raises(SealError, match="not whole"):
        await restore(database, map(json.loads, told[:-1]), data_dir=tmp_path, configured_key="")
    with pytest.raises(SealError, match="another audience key"):
        await restore(database, map(json.loads, told), data_dir=tmp_path, configured_key="another")
    async with database.read() as connection:
        assert not await copies.anybody(connection)


async def test_what_is_damaged_or_locked_for_others_does_not_open(
    database: Database, tmp_path: Path
) -> None:
    await seed(database, READERS[:3], now=NOW)
    owner, stranger = x25519.Identity.generate(), x25519.Identity.generate()
    sealed = tmp_path / "copy.age"
    await write(database, KEY, Lock(recipients=(str(owner.to_public()),)), sealed)
    with (tmp_path / "out").open("wb") as out:
        with pytest.raises(SealError, match="does not open"):
            read(sealed, out, identities=str(stranger))
        with pytest.raises(SealError, match="no key in the identity"):
            read(sealed, out, identities="# nothing\n")
        sealed.write_bytes(sealed.read_bytes()[:-20])
        with pytest.raises(SealError, match="does not open"):
            read(sealed, out, identities=str(owner))
    with (tmp_path / "no.gz").open("wb") as out:
        out.write(gzip.compress(b'{"copy": "some')[:-8])
    with (tmp_path / "no.gz").open("rb") as lines, pytest.raises(SealError, match="damaged"):
        list(lines_of(lines))
    for lock in (Lock(), Lock(recipients=("age1nobody",)), Lock(recipients=("a",), words="b")):
        with pytest.raises(SealError):
            lock.ready()


def test_the_hour_is_the_zone_s() -> None:
    def due(text: str) -> str:
        found = last_due(datetime.fromisoformat(text), 4, "Europe/Paris")
        return found.astimezone(UTC).isoformat()

    assert due("2027-01-15T03:00:00+00:00") == "2027-01-15T03:00:00+00:00"
    assert due("2027-01-15T02:59:59+00:00") == "2027-01-14T03:00:00+00:00"
    assert due("2027-07-15T02:00:00+00:00") == "2027-07-15T02:00:00+00:00"


def _settings(tmp_path: Path, **more: Any) -> Settings:
    owner = str(x25519.Identity.generate().to_public())
    wanted = {"copies_dir": tmp_path / "copies", "copies_recipients": owner, **more}
    return Settings(data_dir=tmp_path, zone="UTC", **wanted)


async def _open_alerts(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(select(alerts.c.fact).where(
            alerts.c.fact.is_not(None)))).scalars())  # fmt: skip


async def test_a_copy_a_day_caught_up_once_and_only_so_many_kept(
    database: Database, tmp_path: Path
) -> None:
    await seed(database, READERS[:3], now=NOW)
    settings = _settings(tmp_path, copies_keep=2)
    start = datetime(2027, 1, 15, 3, 0, tzinfo=UTC)
    clock = SetClock(start)
    copyist = Copyist(database=database, clock=clock, settings=settings, key=KEY)
    directory = tmp_path / "copies"
    assert await copyist.look() is None
    assert await _open_alerts(database) == [FACT]  # the directory is not there
    directory.mkdir()
    assert await copyist.look() is None  # not again at once
    clock.set(start + timedelta(minutes=16))
    assert await copyist.look() is not None
    assert await _open_alerts(database) == []
    assert await copyist.look() is None
    clock.set(start + timedelta(hours=1))  # four o'clock
    assert await copyist.look() is not None
    clock.set(start + timedelta(days=5, hours=2))  # nobody was there: one copy, not five
    again = Copyist(database=database, clock=clock, settings=settings, key=KEY)
    newest = await again.look()
    assert await again.look() is None
    assert len(made_in(directory)) == 2
    assert made_in(directory)[-1] == newest
    assert sorted(directory.iterdir()) == made_in(directory)
    assert await duties.last_ran(database, DUTY) is not None


async def test_a_copy_that_fails_half_way_leaves_nothing_behind(
    database: Database, tmp_path: Path
) -> None:
    await seed(database, READERS, now=NOW)
    (tmp_path / "copies").mkdir()
    copyist = Copyist(database=database, clock=Clock(), settings=_settings(tmp_path), key=KEY)
    async with database.write() as connection:
        await connection.execute(text("DROP TABLE consents"))
    with pytest.raises(DBAPIError):
        await copyist.make(tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    receiving, sending = os.pipe()
    with os.fdopen(sending, "wb") as pipe:
        pipe.write(b"x" * 60_000)
    lock = Lock(recipients=_settings(tmp_path).copies_recipients)
    with pytest.raises((OSError, SealError), match="space"):
        sealing._lock(receiving, Path("/dev/full").open("wb"), lock)  # noqa: SIM115 -- it closes it


def test_settings_want_one_way_to_open_the_copies(tmp_path: Path) -> None:
    ways: list[dict[str, Any]] = [{}, {"copies_recipients": "age1x", "copies_passphrase": "words"}]
    for wanted in ways:
        with pytest.raises(ValueError, match="one of them"):
            Settings(data_dir=tmp_path, copies_dir=tmp_path, **wanted)
