"""The webhooks that the practice Messenger sends, signed as Meta signs them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any

import aiohttp

from channels.facebook.practice.graph import APP_SECRET


class Hooks:
    """One subscription: where to, and which fields. `pending`: what is on its way."""

    def __init__(self) -> None:
        self.callback: str | None = None
        self.fields: frozenset[str] = frozenset()
        self.pending: set[asyncio.Task[int | None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))

    async def stop(self) -> None:
        for task in self.pending:
            task.cancel()
        if self._session is not None:
            await self._session.close()

    async def subscribe(self, callback: str, verify_token: str, fields: frozenset[str]) -> bool:
        """Shake hands; the callback must repeat our challenge."""
        challenge = secrets.token_hex(8)
        query = {
            "hub.mode": "subscribe",
            "hub.verify_token": verify_token,
            "hub.challenge": challenge,
        }
        assert self._session is not None
        try:
            async with self._session.get(callback, params=query) as answer:
                agreed = answer.status == 200 and await answer.text() == challenge
        except (aiohttp.ClientError, TimeoutError):
            return False
        if agreed:
            self.callback, self.fields = callback, fields
        return agreed

    def tell(self, page_id: str, field: str, event: Mapping[str, Any]) -> None:
        """Send one event in the background, if anybody subscribed to it."""
        if self.callback is None or field not in self.fields:
            return
        task = asyncio.get_running_loop().create_task(self._post(self.callback, page_id, event))
        self.pending.add(task)
        task.add_done_callback(self.pending.discard)

    async def _post(self, callback: str, page_id: str, event: Mapping[str, Any]) -> int | None:
        entry = {"id": page_id, "time": event["timestamp"], "messaging": [event]}
        body = json.dumps({"object": "page", "entry": [entry]}).encode()
        signature = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        assert self._session is not None
        try:
            async with self._session.post(callback, data=body, headers=headers) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None
