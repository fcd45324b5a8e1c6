"""LinkedIn for the conformance suite."""

from __future__ import annotations

from typing import ClassVar

from channels.linkedin import little_text
from channels.sandbox.ledger import Entry
from tests.channels.conformance import Bench


class LinkedInBench(Bench):
    name: ClassVar[str] = "linkedin"
    platform: ClassVar[str | None] = "linkedin"

    def shown(self, entry: Entry) -> str:
        return little_text.plain(entry.text)


BENCH = LinkedInBench()
