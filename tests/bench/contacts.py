"""How many rows a second an import of contacts takes, and how much memory.

    python -m tests.bench.contacts [--rows 1000000] [--database-url postgresql+asyncpg://…]

A French file as spreadsheets write them (semicolons, cp1252, a bad row in a thousand), into an
empty database: each row is validated, and makes a contact, a membership and a row of evidence.
Then the same file again, for people who are all there; and a third time, after one in a thousand
had themselves erased and as many unsubscribed, of whom none may come back. The goal is 20,000 rows
a second. Memory is the process's largest, less what it had before the first row.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import select

from scheduler.audience.importing import Importer, Order
from scheduler.audience.shape import shape_of
from scheduler.clock import Clock
from scheduler.store import audience, lists
from scheduler.store.audience_tables import contacts, memberships
from scheduler.store.contacts import erase
from scheduler.store.db import Database
from scheduler.store.migrate import migrate

GOAL = 20_000
_TOWNS = ("Nantes", "Saint-Étienne", "Besançon", "Orléans", "Angoulême")
_NAMES = ("Amélie", "Benoît", "Chloé", "Désiré", "Éloïse", "François", "Gaëlle")


def write(path: Path, rows: int) -> None:
    """A file of so many rows."""
    with path.open("w", encoding="cp1252", newline="") as file:
        file.write("Courriel;Prénom;Nom;Langue;Ville;Date d'inscription\r\n")
        for number in range(rows):
            name = _NAMES[number % len(_NAMES)]
            address = "nobody" if number % 1000 == 999 else f"lecteur.{number}@courrier.example.fr"
            town = _TOWNS[number % len(_TOWNS)]
            file.write(f"{address};{name};Dupont-{number % 977};français;{town};12/03/2024\r\n")


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _measure(path: Path, url: str) -> int:
    """How many came back who may not."""
    database = Database(url)
    await migrate(database)
    now = Clock().micros()
    async with database.write() as connection:
        list_id = await lists.create(connection, {"name": "Bench", "language": "fr"}, now=now)
    before = _memory()
    gone: set[str] = set()
    for turn in ("new people", "known people", "after erasures"):
        if turn == "after erasures":
            gone = await _let_go(database, list_id)
        importer = Importer(database=database, clock=Clock(), key=b"bench")
        start, spent = time.perf_counter(), time.process_time()
        order = Order(file=path, shape=shape_of(path), list_id=list_id, source="bench")
        counts = await importer.run(order)
        took, cpu = time.perf_counter() - start, time.process_time() - spent
        rate = counts["rows"] / took
        print(
            f"{turn}: {counts['rows']} rows in {took:.1f} s: {rate:,.0f} rows/s"
            f" (goal {GOAL:,}); {cpu / counts['rows'] * 1e6:.0f} µs of CPU a row;"
            f" {_memory() - before:.0f} MB; {counts}"
        )
    revived = await _among(database, list_id, gone)
    print(f"{len(gone)} erased or unsubscribed, {revived} of them back on the list")
    await database.close()
    return revived


async def _let_go(database: Database, list_id: str) -> set[str]:
    """Erase one reader in a thousand, unsubscribe the next one; their addresses."""
    now = Clock().micros()
    async with database.read() as connection:
        rows = await connection.execute(select(contacts.c.id, contacts.c.email).order_by("id"))
        people = [(row.id, row.email) for row in rows]
    erased, left = people[::1000], people[1::1000]
    async with database.write() as connection:
        for contact_id, _ in erased:
            await erase(connection, database, contact_id=contact_id, key=b"bench", now=now)
        for contact_id, _ in left:
            await audience.unsubscribe(
                connection, contact_id=contact_id, list_id=list_id, source="bench", now=now
            )
    return {email for _, email in erased + left}


async def _among(database: Database, list_id: str, emails: set[str]) -> int:
    """How many of these addresses are subscribed."""
    statement = (
        select(contacts.c.email)
        .join(memberships, memberships.c.contact_id == contacts.c.id)
        .where(memberships.c.list_id == list_id, memberships.c.state == "subscribed")
    )
    async with database.read() as connection:
        return len(emails & set((await connection.execute(statement)).scalars()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database-url", default="", help="default: SQLite, in a new directory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "contacts.csv"
        write(path, arguments.rows)
        url = arguments.database_url or f"sqlite+aiosqlite:///{directory}/bench.db"
        revived = asyncio.run(_measure(path, url))
    sys.exit(1 if revived else 0)


if __name__ == "__main__":
    main()
