"""A platform whose limit is near gets a rest before it asks for one."""

from __future__ import annotations

from datetime import timedelta

from channels.facebook.practice.graph import ALLOWANCE, LE_PETIT_CAFE
from channels.facebook.sandbox import FacebookSandbox
from channels.sandbox.server import PracticeServer
from scheduler.clock import moment
from scheduler.settings import Settings
from tests.engine.conftest import opened, unhurried
from tests.support.clocks import SetClock

MINUTE = 60 * 1_000_000


async def test_near_its_limit_a_page_rests_and_nothing_is_lost(
    settings: Settings, practice: PracticeServer, clock: SetClock
) -> None:
    platform = practice.platforms["facebook"]
    assert isinstance(platform, FacebookSandbox)
    platform.calls[LE_PETIT_CAFE.id] = ALLOWANCE * 92 // 100
    async with opened(unhurried(settings), practice, clock) as engine:
        async with engine.worker():
            await engine.settled(await engine.post("facebook", title="First"), "delivered")
            page = await engine.account("facebook")
            assert (page.status, page.pause_reason) == ("healthy", "usage")
            assert 4 * MINUTE < page.paused_until - clock.micros() < 6 * MINUTE

            posts = [await engine.post("facebook", title=f"Later {n}") for n in range(3)]
            elsewhere = await engine.post("linkedin", title="Meanwhile")
            await engine.settled(elsewhere, "delivered")
            for post in posts:
                (row,) = await engine.until(post, lambda rows: rows[0].due_at >= page.paused_until)
                assert (row.state, row.tries) == ("scheduled", 0)
        assert len(engine.ledger("facebook")) == 1
        assert await engine.alerts() == []

        platform.calls.clear()
        clock.set(moment(page.paused_until) + timedelta(seconds=2))
        async with engine.worker():
            for post in posts:
                await engine.settled(post, "delivered")
        assert len(engine.ledger("facebook")) == 4
