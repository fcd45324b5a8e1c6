"""How many rows a second an import of contacts takes, and how much memory.

    python -m tests.bench.contacts [--rows 1000000] [--database-url postgresql+asyncpg://…]

A French file as spreadsheets write them (semicolons, cp1252, a bad row in a thousand), into an
empty database: each row is validated, and makes a contact, a membership and a row of evidence.
Then the same file again, for people who are all there. The goal is 20,000 rows a second. Memory is
the process's largest, less what it had before the first row.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path

from scheduler.audience.importing import Importer, Order
from scheduler.audience.rows import shape_of
from scheduler.clock import Clock
from scheduler.store import lists
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


async def _measure(path: Path, url: str) -> None:
    database = Database(url)
    await migrate(database)
    now = Clock().micros()
    async with database.write() as connection:
        list_id = await lists.create(connection, {"name": "Bench", "language": "fr"}, now=now)
    before = _memory()
    for turn in ("new people", "known people"):
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
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database-url", default="", help="default: SQLite, in a new directory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "contacts.csv"
        write(path, arguments.rows)
        url = arguments.database_url or f"sqlite+aiosqlite:///{directory}/bench.db"
        asyncio.run(_measure(path, url))


if __name__ == "__main__":
    main()
