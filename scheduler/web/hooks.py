"""`/hooks/{account_id}`: where platforms call us back.

Nothing in a body counts before its signature holds, on the very bytes that came. An application at
a platform has one address for all its pages: every account whose secret signed the same bytes
gets its part of them.
"""

from __future__ import annotations

import asyncio
from typing import cast

import structlog
from aiohttp import web

from channels.receipts import Receives, ReceivesByAppointment, SignsOnce
from scheduler.care import taker_of
from scheduler.receipts import Once, ReplayedError, Taker
from scheduler.refusals import FieldError, Refusal, RefusedError, not_found
from scheduler.roster import Member
from scheduler.services import Services
from scheduler.web.keys import SERVICES

# Platforms wait five seconds and count what is slower as failed: it comes again.
ANSWER_WITHIN = 4.0
log = structlog.get_logger()


def setup_hooks(app: web.Application, services: Services) -> None:
    """Serve the addresses to enter at the platforms."""
    hooks = Hooks(taker_of(services))
    app.router.add_get("/hooks/{account_id}", hooks.shake_hands)
    app.router.add_post("/hooks/{account_id}", hooks.receive)


class Hooks:
    """The handlers."""

    def __init__(self, taker: Taker) -> None:
        self._taker = taker

    async def shake_hands(self, request: web.Request) -> web.Response:
        """The platform asks whether this address expects it."""
        member = await _addressed(request)
        answer = _receiver(member).challenge(dict(request.query), member.account)
        if answer is None:
            raise _forged("the handshake is not the one agreed")
        return web.Response(text=answer)

    async def receive(self, request: web.Request) -> web.Response:
        """Signed news: 200 once it is stored."""
        member = await _addressed(request)
        raw = await request.read()
        if isinstance(member.channel, ReceivesByAppointment):
            await member.channel.prepare(raw, member.account)
        if not _receiver(member).verified(request.headers, raw, member.account):
            log.warning("hook.forged", account=member.id, bytes=len(raw))
            raise _forged("the signature is not the platform's")
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                for one in await self._signed_alike(request, raw):
                    told = _receiver(one).receipts(raw, one.account)
                    await self._taker.take(one, told, _once(one, raw))
                if not await _acknowledged(member, raw):
                    raise RefusedError(Refusal.UNAVAILABLE, "the platform did not take our answer")
        except ReplayedError as error:
            log.warning("hook.replayed", account=member.id, bytes=len(raw))
            raise _forged("this signature came before, with something else") from error
        except TimeoutError as error:
            raise RefusedError(Refusal.UNAVAILABLE, "not stored in time; send it again") from error
        return web.Response(text="ok")

    async def _signed_alike(self, request: web.Request, raw: bytes) -> list[Member]:
        everyone = await request.app[SERVICES].roster.everyone()
        return [
            one
            for one in everyone.values()
            if isinstance(one.channel, Receives)
            and one.channel.verified(request.headers, raw, one.account)
        ]


async def _addressed(request: web.Request) -> Member:
    account_id = request.match_info["account_id"]
    everyone = await request.app[SERVICES].roster.everyone()
    member = everyone.get(account_id)
    if member is None or not isinstance(member.channel, Receives):
        raise not_found("receiver", account_id)
    return member


async def _acknowledged(member: Member, raw: bytes) -> bool:
    if not isinstance(member.channel, ReceivesByAppointment):
        return True
    return await member.channel.acknowledge(raw, member.account)


def _once(member: Member, raw: bytes) -> Once | None:
    word = member.channel.once(raw, member.account) if isinstance(member.channel, SignsOnce) else ""
    return Once(word, raw) if word else None


def _receiver(member: Member) -> Receives:
    return cast("Receives", member.channel)


def _forged(detail: str) -> RefusedError:
    remedy = "enter the platform's secret (and verify token) in the account's settings"
    return RefusedError(Refusal.FORBIDDEN, detail, [FieldError("signature", detail, remedy)])
