"""The built-in blog for the conformance suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from channels.base import SiteStore
from channels.sandbox.server import PracticeAccount
from scheduler.store.db import Database
from scheduler.store.migrate import migrate
from scheduler.store.pages import PageStore
from tests.channels.conformance import Bench

_OURS = "it is our own store: no platform, no network, no credential"


class BlogBench(Bench):
    name: ClassVar[str] = "blog"
    exempt: ClassVar[Mapping[str, str]] = {
        "campaign_tags_only_on_our_own_links": "a link within one site is no campaign",
        **dict.fromkeys(
            [
                "absent_is_said_only_when_proven",
                "article_stands_where_it_was_said_to",
                "cancelled_send_leaves_nothing_hanging",
                "delivered_leads_readers_to_it",
                "edit_changes_what_readers_see",
                "lost_answer_is_a_doubt_and_then_found",
                "no_answer_in_time_is_a_doubt",
                "no_secret_in_what_is_kept",
                "older_post_with_the_same_words_is_not_taken_for_ours",
                "picture_that_cannot_be_read_is_never_left_out",
                "probe_survives_spoiled_answers",
                "probe_tells_the_four_apart",
                "refusal_is_read_for_what_it_is",
                "refused_connection_is_certainly_not_written",
                "same_key_twice_leaves_one",
                "spoiled_answer_is_a_doubt",
                "throttle_lasts_as_long_as_the_platform_says",
                "withdraw_takes_it_from_readers_once_and_for_all",
                "write_is_sent_once",
            ],
            _OURS,
        ),
    }

    def settings(self, practice: PracticeAccount | None) -> Mapping[str, Any]:
        assert practice is None
        return {"base_url": "https://shop.example"}

    @asynccontextmanager
    async def site(self, folder: Path) -> AsyncIterator[SiteStore | None]:
        database = Database(f"sqlite+aiosqlite:///{folder / 'site.db'}")
        await migrate(database)
        yield PageStore(database)
        await database.close()


BENCH = BlogBench()
