"""The newsletter's other figures: a relay far away, an unsubscription, a signature, memory.

`python -m tests.bench.apart DATABASE LOGBOOKS PORT CONNECTIONS` is one run in a process of its own,
whose memory is watched.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uuid_utils
import uvloop
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import text, update

from channels.newsletter.compose import Letter
from channels.newsletter.settings import Dkim
from channels.outcome import Delivered
from scheduler.clock import Clock
from scheduler.deliveries import Delivery, State
from scheduler.store.audience_tables import memberships
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from tests.bench.mailing import desk_of, newsletter, readers
from tests.channels.newsletter.support import reader
from tests.support.audience import ACCOUNT, DELIVERY, seed, take_over
from tests.support.relay import CountingRelay

FAR = 0.020
AWAY_COUNT = 10_000
SIGNATURES = 300


def extras(port: int, connections: int) -> None:
    """What is measured beside the rates."""
    with far_away(port, FAR) as distant, tempfile.TemporaryDirectory(prefix="bench-") as directory:
        took = uvloop.run(_run(distant, AWAY_COUNT, connections, Path(directory)))
    _say(f"{AWAY_COUNT:,} mails to a relay {FAR * 1000:.0f} ms away: {took:.1f} s (goal: 30)")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        late = [uvloop.run(_unsubscription(Path(directory), number)) for number in range(5)]
    said = ", ".join(f"{one * 1000:.0f}" for one in sorted(late))
    _say(f"last mail after everyone unsubscribed in mid-run: {said} ms (goal: 1,000)")
    _say(f"an RSA-2048 DKIM signature: {_signature() * 1e6:.0f} us CPU a mail, not counted above")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def far_away(port: int, round_trip: float) -> Iterator[int]:
    """A port behind which `port` is so many seconds away."""
    command = [sys.executable, "-m", "tests.bench.distance", str(port), str(round_trip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.kill()


async def _run(port: int, count: int, connections: int, directory: Path) -> float:
    database = Database(f"sqlite+aiosqlite:///{directory / 'bench.db'}")
    await migrate(database)
    delivery = await seed(database, readers(count), now=Clock().micros())
    channel, account, message = newsletter(port)
    began = time.perf_counter()
    outcome = await desk_of(database, directory, connections).run(
        delivery, message, account, channel
    )
    took = time.perf_counter() - began
    await database.close()
    if not isinstance(outcome, Delivered):
        sys.exit(f"not everyone was reached: {outcome}")
    return took


async def _unsubscription(directory: Path, number: int) -> float:
    """Seconds between the commit of an unsubscription of all and the last mail that came in."""
    relay = CountingRelay()
    await relay.start()
    database = Database(f"sqlite+aiosqlite:///{directory / f'{number}.db'}")
    await migrate(database)
    delivery = await seed(database, readers(10_000), now=Clock().micros())
    channel, account, message = newsletter(relay.port)
    run = asyncio.create_task(
        desk_of(database, directory, 10).run(delivery, message, account, channel)
    )
    while relay.received.total() < 1000 + 300 * number:  # noqa: ASYNC110 -- mails make no event
        await asyncio.sleep(0.001)
    async with database.write() as connection:
        await connection.execute(update(memberships).values(state="unsubscribed"))
    committed = time.monotonic()
    await run
    await database.close()
    await relay.stop()
    return max(relay.last_at - committed, 0.0)


def _signature() -> float:
    """CPU seconds that signing adds to a mail."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    _, account, message = newsletter(1)
    dkim = Dkim.model_validate(
        {"selector": "s", "domain": "librairie.example.org", "private_key": pem}
    )
    signed = account.settings.model_copy(update={"dkim": dkim})
    spent = []
    for settings in (account.settings, signed):
        letter = Letter(message, settings, date=Clock().now(), pictures={})
        began = time.process_time()
        for number in range(SIGNATURES):
            letter.to(reader(), key=str(number))
        spent.append((time.process_time() - began) / SIGNATURES)
    return spent[1] - spent[0]


# --- Memory --------------------------------------------------------------------------------------

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"


async def _people(url: str, count: int) -> None:
    """So many subscribers, made inside the database."""
    database = Database(url)
    await migrate(database)
    await seed(database, [], now=Clock().micros())
    async with database.write() as connection:
        await connection.execute(
            text(
                "INSERT INTO contacts (id, email, name, language, attributes, tags, created_at,"
                " updated_at) " + _NUMBERS + " SELECT"
                " printf('018f0000-0000-7000-8000-%012d', i), 'lecteur' || i || '@example.org',"
                " 'Amélie ' || i, 'fr', '{}', '[]', 0, 0 FROM n"
            ),
            {"count": count},
        )
        await connection.execute(
            text(
                "INSERT INTO memberships (list_id, contact_id, state, since)"
                " SELECT :list, id, 'subscribed', 0 FROM contacts"
            ),
            {"list": ACCOUNT},
        )
    await database.close()


def memory(port: int, count: int, connections: int = 10) -> None:
    """Say how much a run's process grows while it writes to so many."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        url = f"sqlite+aiosqlite:///{directory}/bench.db"
        asyncio.run(_people(url, count))
        arguments = [url, directory, str(port), str(connections)]
        subprocess.run([sys.executable, "-m", "tests.bench.apart", *arguments], check=True)


def _resident(field: str = "VmRSS") -> float:
    """MB, of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


async def _watched(url: str, directory: Path, port: int, connections: int) -> None:
    database = Database(url)
    token = str(uuid_utils.uuid7())
    await take_over(database, token)
    now = Clock().micros()
    delivery = Delivery(
        id=DELIVERY, post_id="post-1", account_id=ACCOUNT, state=State.SENDING, due_at=now,
        planned_at=now, token=token,
    )  # fmt: skip
    channel, account, message = newsletter(port)
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    began, cpu = time.perf_counter(), time.process_time()
    desk = replace(desk_of(database, directory, connections))
    outcome: Any = await desk.run(delivery, message, account, channel)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    grown = _resident("VmHWM") - before
    await database.close()
    if not isinstance(outcome, Delivered):
        sys.exit(f"not everyone was reached: {outcome}")
    _say(
        f"{outcome.note} in {took:.0f} s, {cpu:.0f} s CPU: {before:.0f} MB resident before,"
        f" {grown:.0f} MB more at the most (goal: 64)"
    )


if __name__ == "__main__":
    uvloop.run(_watched(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
