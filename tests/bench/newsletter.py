"""How fast a newsletter leaves: Estafette beside postfix's smtp-source and beside aiosmtplib.

All send personalised French mails of about 10 KB to postfix's smtp-sink on this machine, over the
same number of connections, in turns. smtp-source (C, one fixed text, no bookkeeping) is the limit.
`python -m tests.bench.newsletter --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib
import uvloop

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.newsletter.adapter import Newsletter
from channels.newsletter.compose import Letter
from channels.newsletter.settings import NewsletterSettings
from channels.outcome import Delivered
from channels.posts import Message, Post
from scheduler.broadcast import Broadcaster
from scheduler.clock import Clock
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from scheduler.verdicts import Pace
from tests.channels.newsletter.support import reader
from tests.support.audience import ACCOUNT, seed

SBIN = ("/usr/sbin", "/usr/libexec/postfix")
PARAGRAPH = (
    "Après trois mois de travaux, la librairie rouvre ses portes : l’équipe vous attend dès neuf "
    "heures, un café à la main, avec les nouveautés de l’hiver et les coups de cœur de chacun.\n\n"
)


@dataclass(frozen=True, slots=True)
class Result:
    """One turn of one sender. `cpu_us`: of this process, per mail; None for other programs."""

    sender: str
    rate: float
    cpu_us: float | None


def tool(name: str) -> str:
    """Postfix's tool of that name. Error: SystemExit that says how to get it."""
    found = shutil.which(name) or next(
        (f"{folder}/{name}" for folder in SBIN if Path(folder, name).exists()), None
    )
    if found is None:
        sys.exit(f"{name} not found: install postfix (Debian, Ubuntu: apt install postfix)")
    return found


@contextmanager
def sink() -> Iterator[int]:
    """smtp-sink on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen([tool("smtp-sink"), "-u", "nobody", f"127.0.0.1:{port}", "1000"])
    try:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


def newsletter(port: int) -> tuple[Newsletter, Account[NewsletterSettings], Message]:
    settings = NewsletterSettings.model_validate(
        {
            "from_address": "lettre@librairie.example.org",
            "from_name": "Librairie des Quais",
            "list_id": "lettre.librairie.example.org",
            "publisher": "Librairie des Quais\n12 quai des Brumes, 44000 Nantes",
            "relays": [{"host": "127.0.0.1", "port": port, "tls": "none"}],
        }
    )
    account = Account(id=ACCOUNT, name="La lettre", settings=settings)
    channel = Newsletter(Tools(http=HttpClient(private_ok=True), now=Clock().now))
    body = "Bonjour {{name|chers amis}},\n\n" + PARAGRAPH * 11
    post = Post(id="post-1", title="Nous rouvrons mardi", body=body, language="fr")
    return channel, account, channel.render(post, account)


def source_rate(port: int, count: int, connections: int, size: int) -> Result:
    command = [
        tool("smtp-source"), "-s", str(connections), "-m", str(count), "-l", str(size),
        "-f", "lettre@librairie.example.org", "-t", "lecteur@example.org", f"127.0.0.1:{port}",
    ]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return Result("smtp-source", count / (time.perf_counter() - began), None)


async def our_rate(port: int, count: int, connections: int, directory: Path) -> Result:
    """The whole way: claimed from SQL, journal on, settled in SQL."""
    database = Database(f"sqlite+aiosqlite:///{directory / 'bench.db'}")
    await migrate(database)
    clock = Clock()
    people = [
        {"id": f"contact-{n}", "email": f"lecteur{n}@example.org", "name": f"Amélie {n}"}
        for n in range(count)
    ]
    delivery = await seed(database, people, now=clock.micros())
    del people
    channel, account, message = newsletter(port)
    desk = Broadcaster(
        database=database,
        clock=clock,
        logbooks=directory / "logbooks",
        key=b"bench",
        link=lambda contact, account: f"https://librairie.example.org/u/{account}/{contact}",
        pace=Pace(connections=connections),
    )
    cpu, began = time.process_time(), time.perf_counter()
    outcome = await desk.run(delivery, message, account, channel)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    await database.close()
    if not isinstance(outcome, Delivered) or outcome.note != f"{count} selected: {count} accepted":
        sys.exit(f"not everyone was reached: {outcome}")
    return Result("estafette", count / took, used / count * 1e6)


async def aiosmtplib_rate(port: int, count: int, connections: int) -> Result:
    """Ready bytes, no bookkeeping: aiosmtplib at its best."""
    _, account, message = newsletter(port)
    letter = Letter(message, account.settings, date=Clock().now(), pictures={})
    numbers = iter(range(count))

    async def carry() -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False)
        async with client:
            for number in numbers:
                mail = letter.to(reader(f"lecteur{number}@example.org"), key=str(number))
                await client.sendmail(mail.sender.decode(), [mail.recipient.decode()], mail.content)

    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(carry() for _ in range(connections)))
    took, used = time.perf_counter() - began, time.process_time() - cpu
    return Result("aiosmtplib", count / took, used / count * 1e6)


def mail_size(port: int) -> int:
    _, account, message = newsletter(port)
    letter = Letter(message, account.settings, date=Clock().now(), pictures={})
    return len(letter.to(reader(), key="k").content)


def turn(port: int, count: int, connections: int, size: int) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        return [
            source_rate(port, count, connections, size),
            uvloop.run(our_rate(port, count, connections, Path(directory))),
            uvloop.run(aiosmtplib_rate(port, count // 4, connections)),
        ]


def report(results: list[Result]) -> None:
    limit = statistics.median(r.rate for r in results if r.sender == "smtp-source")
    for sender in ("smtp-source", "estafette", "aiosmtplib"):
        mine = [r for r in results if r.sender == sender]
        rate = statistics.median(r.rate for r in mine)
        cpu = [r.cpu_us for r in mine if r.cpu_us is not None]
        used = f"{statistics.median(cpu):8.1f}" if cpu else "       -"
        sys.stdout.write(
            f"{sender:12} {rate:10,.0f} mails/s {rate / limit:6.2f} {used} us CPU/mail\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__ or "")[0])
    parser.add_argument("--count", type=int, default=20_000, help="mails per turn")
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    with sink() as port:
        size = mail_size(port)
        sys.stdout.write(
            f"{options.count:,} mails of {size:,} bytes, {options.connections} connections\n"
        )
        results: list[Result] = []
        for _ in range(options.turns):
            results += turn(port, options.count, options.connections, size)
        report(results)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(f"most memory resident: {memory / 1024:.0f} MB\n")


if __name__ == "__main__":
    main()
