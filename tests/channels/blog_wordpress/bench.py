"""WordPress for the conformance suite; its other tests are in `tests/channels/blog`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from channels.sandbox.ledger import Entry
from channels.sandbox.server import PracticeAccount
from tests.channels.conformance import Bench

_LOOKED_UP = "the REST API's address is looked up first: until it is known, nothing is written"
_OWN_SITE = "a link within one site is no campaign"


class WordPressBench(Bench):
    """Without categories, so that a text is one request after the look-up."""

    name: ClassVar[str] = "blog.wordpress"
    platform: ClassVar[str | None] = "wordpress"
    requests: ClassVar[int] = 2
    exempt: ClassVar[Mapping[str, str]] = {
        "campaign_tags_only_on_our_own_links": _OWN_SITE,
        "spoiled_answer_is_a_doubt": _LOOKED_UP,
        "no_answer_in_time_is_a_doubt": _LOOKED_UP,
    }

    def settings(self, practice: PracticeAccount | None) -> Mapping[str, Any]:
        assert practice is not None
        return {name: value for name, value in practice.settings.items() if name != "categories"}

    def shown(self, entry: Entry) -> str:
        return str(entry.payload["content"])


BENCH = WordPressBench()
