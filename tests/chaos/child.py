"""A process to kill: `python -m tests.chaos.child worker` works, `… api` accepts posts.

Settings come from the environment, as in production. Prints `ready` and its address.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import uvloop
from aiohttp import web

from scheduler.clock import Clock
from scheduler.ending import LAST_MOMENT, LastMoment
from scheduler.logs import configure
from scheduler.mailing import mailing
from scheduler.queue import ArqDoorbell
from scheduler.services import open_services
from scheduler.settings import Settings
from scheduler.web.app import create_app
from scheduler.worker import Worker


async def main(role: str) -> None:
    settings = Settings()
    configure("error", "json")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    last = LastMoment(loop, settings.grace + LAST_MOMENT)

    def told() -> None:
        stop.set()
        last.begin()

    loop.add_signal_handler(signal.SIGTERM, told)
    url = None if settings.redis_url in {"", "none"} else settings.redis_url
    bell: Any = None
    if url is not None:
        bell = ArqDoorbell(url, settings, Clock(), arm_ahead=settings.arm_ahead)
    async with open_services(settings, doorbell=bell) as services:
        if role == "worker":
            async with Worker(services, redis_url=url, broadcast=mailing(services)).running():
                print("ready", flush=True)
                await stop.wait()
            return
        runner = web.AppRunner(create_app(services), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", settings.port).start()
        print("ready", runner.addresses[0][1], flush=True)
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
