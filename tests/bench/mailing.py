"""What the newsletter's benchmarks share: the sink, the letter, its readers, and a meter."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uuid_utils

from channels.base import Account, Tools
from channels.http import HttpClient
from channels.newsletter.adapter import Newsletter
from channels.newsletter.settings import NewsletterSettings
from channels.posts import Message, Post
from scheduler.audience.links import UnsubscribeLinks
from scheduler.broadcast import Broadcaster
from scheduler.clock import Clock
from scheduler.store.db import Database
from scheduler.verdicts import Pace
from tests.support.audience import ACCOUNT

SBIN = ("/usr/sbin", "/usr/libexec/postfix")
PARAGRAPH = (
    "Après trois mois de travaux, la librairie rouvre ses portes : l’équipe vous attend dès neuf "
    "heures, un café à la main, avec les nouveautés de l’hiver et les coups de cœur de chacun.\n\n"
)


@dataclass(frozen=True, slots=True)
class Result:
    """One turn of one sender. CPU in microseconds a mail: of the sender, of its main thread (ours:
    Python; the rest is SQLite's), and of the sink."""

    sender: str
    rate: float
    cpu_us: float
    main_us: float
    sink_us: float


class Meter:
    """CPU and time between its making and `result`."""

    def __init__(self, sink_pid: int) -> None:
        self._sink_pid = sink_pid
        self._began = self._now()

    def _now(self) -> tuple[float, float, float, float, float]:
        return (
            time.perf_counter(),
            _spent(resource.RUSAGE_SELF),
            _spent(resource.RUSAGE_THREAD),
            _spent(resource.RUSAGE_CHILDREN),
            cpu_of(self._sink_pid),
        )

    def result(self, sender: str, count: int, *, child: bool = False) -> Result:
        wall, own, main, children, sink = (
            now - then for now, then in zip(self._now(), self._began, strict=True)
        )
        used = children if child else own
        each = 1e6 / count
        return Result(sender, count / wall, used * each, main * each, sink * each)


def _spent(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def cpu_of(pid: int) -> float:
    """CPU seconds that another process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tool(name: str) -> str:
    """Postfix's tool of that name. Error: SystemExit that says how to get it."""
    found = shutil.which(name) or next(
        (f"{folder}/{name}" for folder in SBIN if Path(folder, name).exists()), None
    )
    if found is None:
        sys.exit(f"{name} not found: install postfix (Debian, Ubuntu: apt install postfix)")
    return found


@contextmanager
def sink() -> Iterator[tuple[int, int]]:
    """smtp-sink on a free port: the port, and its process."""
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
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def newsletter(port: int) -> tuple[Newsletter, Account[NewsletterSettings], Message]:
    settings = NewsletterSettings.model_validate(
        {
            "from_address": "lettre@librairie.example.org",
            "envelope_from": "retours@librairie.example.org",
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


def readers(count: int) -> list[dict[str, str]]:
    return [
        {"id": str(uuid_utils.uuid7()), "email": f"lecteur{n}@example.org", "name": f"Amélie {n}"}
        for n in range(count)
    ]


def desk_of(database: Database, directory: Path, connections: int) -> Broadcaster:
    return Broadcaster(
        database=database,
        clock=Clock(),
        logbooks=directory / "logbooks",
        key=b"bench",
        link=UnsubscribeLinks("https://librairie.example.org", b"bench").link,
        pace=Pace(connections=connections),
    )
