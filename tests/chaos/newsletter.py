"""Kill a mailing again and again with SIGKILL, then compare what the relay got with the books.

Nobody skipped, nobody written to twice, at most one uncertain recipient per open connection and
kill. `python -m tests.chaos.newsletter --help`.

The relay answers slowly, so that the mailing is not over before its kills are: with the default 50
it takes some minutes on each database. A mailing that ends before fails the run: give it more
readers (`--count`) or a slower relay (`--slow`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import uuid_utils

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.newsletter.adapter import Newsletter
from channels.newsletter.settings import NewsletterSettings
from channels.outcome import Delivered
from channels.posts import Post
from scheduler.broadcast import Broadcaster
from scheduler.clock import Clock
from scheduler.deliveries import Delivery, State
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from scheduler.store.recipients import UNCHOSEN
from scheduler.verdicts import Pace
from tests.support.audience import ACCOUNT, DELIVERY, seed, states, take_over
from tests.support.relay import CountingRelay
from tests.support.servers import postgres_server

FAILED = 1


async def carry_on(url: str, directory: Path, port: int, connections: int, uncertain: str) -> None:
    """One worker's life: take the delivery over and run it to the end, or to the kill."""
    database = Database(url)
    token = str(uuid_utils.uuid7())
    await take_over(database, token)
    clock = Clock()
    channel = Newsletter(Tools(http=HttpClient(private_ok=True), now=clock.now))
    settings = NewsletterSettings.model_validate(
        {
            "from_address": "lettre@librairie.example.org",
            "publisher": "Librairie des Quais",
            "relays": [{"host": "127.0.0.1", "port": port, "tls": "none"}],
            "uncertain": uncertain,
        }
    )
    account = Account(id=ACCOUNT, name="La lettre", settings=settings)
    post = Post(id="post-1", title="Nous rouvrons", body="Bonjour {{name|à tous}} !")
    desk = Broadcaster(
        database=database,
        clock=clock,
        logbooks=directory / "logbooks",
        key=b"chaos",
        link=lambda contact, account: f"https://example.org/u/{account}/{contact}",
        pace=Pace(
            connections=connections,
            selection=100,
            chunk=200,
            defer_us=50_000,
            defer_cap_us=200_000,
        ),
    )
    due_at = clock.micros()
    delivery = Delivery(
        id=DELIVERY, post_id="post-1", account_id=ACCOUNT, state=State.SENDING, due_at=due_at,
        planned_at=due_at, token=token,
    )  # fmt: skip
    message = channel.render(post, account)
    sys.stdout.write("running\n")
    sys.stdout.flush()
    outcome = await desk.run(delivery, message, account, channel)
    await database.close()
    sys.exit(0 if isinstance(outcome, Delivered) else FAILED)


async def born(arguments: list[str]) -> asyncio.subprocess.Process:
    """A worker that runs, or is about to. `arguments`: database, directory, port, connections,
    what to do about doubt."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.newsletter", "--child", *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdout is not None
    await worker.stdout.readline()
    return worker


async def _life(arguments: list[str], delay: float | None) -> bool:
    """Start a worker; kill it `delay` seconds after it runs. Whether it came to the end."""
    worker = await born(arguments)
    try:
        async with asyncio.timeout(delay):
            return await worker.wait() == 0
    except TimeoutError:
        worker.kill()
        await worker.wait()
        return False


def judged(
    expected: set[str], relay: CountingRelay, books: Counter[str], *, kills: int, connections: int
) -> list[str]:
    """What is wrong, in words; empty when every promise was kept. A relay that keeps Message-IDs
    stands for the choice to write again in doubt: then a second mail has to have the first's."""
    wrong = []
    got = relay.received
    doubled = [address for address, count in got.items() if count > 1]
    if relay.keep_ids:
        others = [who for who in doubled if len(set(relay.message_ids[who])) > 1]
        if others:
            wrong.append(f"{len(others)} got a second mail with another Message-ID: {others[:5]}")
        again = got.total() - len(got)
        if again > kills * connections:
            wrong.append(f"{again} written to again after {kills} kills on {connections}")
        if books["uncertain"]:
            wrong.append(f"{books['uncertain']} left in doubt")
    elif doubled:
        wrong.append(f"{len(doubled)} written to twice: {doubled[:5]}")
    missing = len(expected - set(got))
    uncertain = books["uncertain"]
    if missing > uncertain:
        wrong.append(f"{missing} got nothing, only {uncertain} are uncertain")
    if uncertain > kills * connections:
        wrong.append(f"{uncertain} uncertain after {kills} kills on {connections} connections")
    if books["accepted"] + uncertain != len(expected):
        wrong.append(f"not accounted for: {dict(books)}")
    return wrong


@contextmanager
def _store(kind: str, directory: Path) -> Iterator[str]:
    """The URL of an empty database that survives kills."""
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{directory / 'chaos.db'}"
        return
    with postgres_server(directory, durable=True) as server:
        server.run("CREATE DATABASE chaos")
        yield server.url("chaos")


async def chaos(options: argparse.Namespace, directory: Path, url: str) -> int:
    again = options.uncertain == "resend"
    relay = CountingRelay(
        refuse=options.refuse, seed=options.seed, keep_ids=again, slow_by=options.slow
    )
    await relay.start()
    database = Database(url)
    await migrate(database)
    readers = [{"id": f"c{n}", "email": f"r{n}@example.org"} for n in range(options.count)]
    await seed(database, readers, now=Clock().micros())
    rng, kills, early, done = Random(options.seed), 0, 0, False
    arguments = [url, str(directory), str(relay.port), str(options.connections), options.uncertain]
    while kills < options.kills and not done:
        done = await _life(arguments, rng.uniform(0.0, options.longest))
        kills += not done
        early += UNCHOSEN in await states(database)
        sys.stdout.write(f"\r{kills} kills, {relay.received.total():,} mails")
        sys.stdout.flush()
    short = options.kills - kills
    relay.slow_by = 0.0
    if not done and not await _life(arguments, None):
        sys.stdout.write("\nthe last worker did not finish\n")
        return FAILED
    books = Counter((await states(database)).values())
    await database.close()
    await relay.stop()
    expected = {reader["email"] for reader in readers}
    wrong = judged(expected, relay, books, kills=kills, connections=options.connections)
    if short:
        wrong.append(f"it was over {short} kills too early: more readers, or a slower relay")
    sys.stdout.write(
        f"\n{len(expected):,} selected, {kills} kills ({early} while they were chosen): "
        f"{dict(books)}, "
        f"{relay.received.total():,} mails at the relay\n"
    )
    well = "nobody skipped, nobody written to twice"
    if again:
        count = relay.received.total() - len(relay.received)
        well = f"nobody skipped, {count} written to again, each with the same Message-ID"
    sys.stdout.write("\n".join(wrong or [well]) + "\n")
    return FAILED if wrong else 0


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        _, _, url, directory, port, connections, uncertain = sys.argv
        asyncio.run(carry_on(url, Path(directory), int(port), int(connections), uncertain))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="recipients")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--slow", type=float, default=0.05, help="seconds before each answer")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--refuse", type=float, default=0.0, help="share of 4xx, 0 to 1")
    parser.add_argument("--longest", type=float, default=1.5, help="seconds before a kill")
    parser.add_argument("--uncertain", choices=("hold", "resend"), default="hold")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    for kind in options.database or ["sqlite", "postgresql"]:
        sys.stdout.write(f"{kind}: seed {options.seed}\n")
        with (
            tempfile.TemporaryDirectory(prefix="e-", dir="/tmp") as name,
            _store(kind, Path(name)) as url,
        ):
            failed |= asyncio.run(chaos(options, Path(name), url))
    sys.exit(failed)


if __name__ == "__main__":
    main()
