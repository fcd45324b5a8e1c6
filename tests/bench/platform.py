"""The practice platforms in a process of their own: `python -m tests.bench.platform DIRECTORY`.

Prints its URL on the first line and ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvloop

from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer


async def serve(directory: Path) -> None:
    ledger = Ledger(directory / "practice.db")
    async with PracticeServer(ledger) as server:
        known = {account.adapter: dict(account.settings) for account in server.accounts()}
        print(json.dumps({"url": server.url, "accounts": known}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    ledger.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
