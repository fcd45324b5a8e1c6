"""How fast a newsletter leaves: Estafette beside postfix's smtp-source and beside aiosmtplib.

All send French mails of about 10 KB to postfix's smtp-sink on this machine, over the same number of
connections that stay open, in turns. smtp-source (C, one fixed text, no bookkeeping) is the limit.
Then, apart: a relay that is 20 ms away, what an unsubscription in mid-run takes, what a signature
costs, and with `--recipients 1000000` how much memory a large list needs.
`python -m tests.bench.newsletter --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import aiosmtplib
import uvloop

from channels.newsletter.compose import Letter
from channels.outcome import Delivered
from scheduler.clock import Clock
from scheduler.garbage import rarely_collected
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from tests.bench.apart import extras, memory
from tests.bench.mailing import Meter, Result, desk_of, newsletter, readers, sink, tool
from tests.channels.newsletter.support import reader
from tests.support.audience import seed


def source_rate(port: int, pid: int, count: int, connections: int, size: int) -> Result:
    command = [
        tool("smtp-source"), "-d", "-s", str(connections), "-m", str(count), "-l", str(size),
        "-f", "lettre@librairie.example.org", "-t", "lecteur@example.org", f"127.0.0.1:{port}",
    ]  # fmt: skip
    meter = Meter(pid)
    subprocess.run(command, check=True)
    return meter.result("smtp-source", count, child=True)


async def our_rate(port: int, pid: int, count: int, connections: int, directory: Path) -> Result:
    """The whole way: claimed from SQL, journal on, settled in SQL."""
    database = Database(f"sqlite+aiosqlite:///{directory / 'bench.db'}")
    await migrate(database)
    delivery = await seed(database, readers(count), now=Clock().micros())
    channel, account, message = newsletter(port)
    with rarely_collected():  # as in a worker
        meter = Meter(pid)
        outcome = await desk_of(database, directory, connections).run(
            delivery, message, account, channel
        )
        result = meter.result("estafette", count)
    await database.close()
    if not isinstance(outcome, Delivered) or outcome.note != f"{count} selected: {count} accepted":
        sys.exit(f"not everyone was reached: {outcome}")
    return result


async def aiosmtplib_rate(port: int, pid: int, count: int, connections: int) -> Result:
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

    meter = Meter(pid)
    await asyncio.gather(*(carry() for _ in range(connections)))
    return meter.result("aiosmtplib", count)


def mail_size(port: int) -> int:
    _, account, message = newsletter(port)
    letter = Letter(message, account.settings, date=Clock().now(), pictures={})
    return len(letter.to(reader(), key="k").content)


def turn(port: int, pid: int, count: int, connections: int, size: int) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        return [
            source_rate(port, pid, count, connections, size),
            uvloop.run(our_rate(port, pid, count, connections, Path(directory))),
            uvloop.run(aiosmtplib_rate(port, pid, count // 4, connections)),
        ]


def report(results: list[Result]) -> None:
    """Medians; the ratios are those of each turn, whose senders met the same weather."""
    sys.stdout.write(
        "              mails/s  of source  of aiosmtplib   us CPU/mail: all   Python   sink\n"
    )
    by_sender = {
        sender: [one for one in results if one.sender == sender]
        for sender in ("smtp-source", "estafette", "aiosmtplib")
    }

    def ratio(mine: list[Result], other: str) -> float:
        pairs = zip(mine, by_sender[other], strict=True)
        return statistics.median(one.rate / its.rate for one, its in pairs)

    for sender, mine in by_sender.items():
        rate, cpu, main, at_sink = (
            statistics.median(getattr(one, name) for one in mine)
            for name in ("rate", "cpu_us", "main_us", "sink_us")
        )
        python = "      -" if sender == "smtp-source" else f"{main:7.1f}"
        sys.stdout.write(
            f"{sender:12} {rate:8,.0f} {ratio(mine, 'smtp-source'):10.2f}"
            f" {ratio(mine, 'aiosmtplib'):14.2f} {cpu:18.1f}  {python} {at_sink:6.1f}\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=re.split(r"\n\n", __doc__ or "")[0])
    parser.add_argument("--count", type=int, default=20_000, help="mails per turn")
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--recipients", type=int, default=0, help="measure memory for so many")
    options = parser.parse_args()
    with sink() as (port, pid):
        size = mail_size(port)
        sys.stdout.write(
            f"{options.count:,} mails of {size:,} bytes, {options.connections} connections\n"
        )
        results: list[Result] = []
        for _ in range(options.turns):
            results += turn(port, pid, options.count, options.connections, size)
        if results:
            report(results)
        extras(port, options.connections)
        if options.recipients:
            memory(port, options.recipients)


if __name__ == "__main__":
    main()
