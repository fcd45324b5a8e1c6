"""Ghost for the conformance suite; its other tests are in `tests/channels/blog`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from channels.sandbox.ledger import Entry
from channels.sandbox.server import Sandbox
from tests.channels.conformance import Bench


class GhostBench(Bench):
    name: ClassVar[str] = "blog.ghost"
    platform: ClassVar[str | None] = "ghost"
    exempt: ClassVar[Mapping[str, str]] = {
        "campaign_tags_only_on_our_own_links": "a link within one site is no campaign",
    }

    def published(self, platform: Sandbox) -> list[Entry]:
        return [
            post for post in super().published(platform) if post.payload["status"] == "published"
        ]

    def shown(self, entry: Entry) -> str:
        return str(entry.payload["html"])


BENCH = GhostBench()
