"""LinkedIn for the conformance suite."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from channels.linkedin import little_text
from channels.sandbox.ledger import Entry
from tests.channels.conformance import Bench


class LinkedInBench(Bench):
    name: ClassVar[str] = "linkedin"
    platform: ClassVar[str | None] = "linkedin"
    # A used-up quota comes back at midnight UTC, and LinkedIn names no hour.
    throttled_for: ClassVar[tuple[timedelta, timedelta]] = (timedelta(0), timedelta(days=1))

    def shown(self, entry: Entry) -> str:
        return little_text.plain(entry.text)


BENCH = LinkedInBench()
