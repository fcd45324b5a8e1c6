"""What a start of `estafette run` loads: only what idle work needs, as memory is for keeps."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT, environment

pytestmark = pytest.mark.timeout(240)  # two starts of the whole program

# Each costs a megabyte or more and serves work that many never ask for, or ask for rarely.
RARE = {
    "PIL": "pictures that are uploaded or sent",
    "alembic": "migrations, in a process of their own",
    "arq": "Redis",
    "asyncpg": "PostgreSQL",
    "cryptography.x509": "the feedback of one mail provider",
    "dns": "looking at a sender's domain",
    "icalendar": "the calendar of what is planned",
    "imapclient": "mailboxes that bounces come back to",
    "mako": "new migrations",
    "opentelemetry": "traces, when they are asked for",
    "pygments.lexers.python": "nothing of ours",
    "pyrage": "encrypted copies, when they are asked for",
    "redis": "Redis",
    "rich.progress": "commands that count",
    "sqlalchemy.dialects.postgresql": "PostgreSQL",
}
_IMPORTED = re.compile(r"^import time:[ \d]+\|[ \d]+\| +(\S+)$", re.MULTILINE)


async def loaded(data_dir: Path) -> set[str]:
    """The names of all modules that the program has loaded when it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "importtime", "-m", "scheduler",
        "run", "--no-practice", "--port", "0",
        cwd=ROOT, env=environment(data_dir, ESTAFETTE_REDIS_URL="none"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())
    while b"Ctrl-C stops" not in (line := await process.stdout.readline()):
        assert line, (await errors)[-2000:]
    process.send_signal(signal.SIGINT)
    await process.wait()
    return set(_IMPORTED.findall((await errors).decode()))


async def test_an_idle_start_loads_nothing_that_only_rare_work_needs(tmp_path: Path) -> None:
    for start in ("the first, which makes the database", "a later one"):
        names = await loaded(tmp_path)
        assert {"scheduler.worker", "scheduler.web.app"} <= names
        assert {name: RARE[name] for name in RARE if name in names} == {}, start
