"""Facebook for the conformance suite."""

from __future__ import annotations

from typing import ClassVar

from tests.channels.conformance import Bench


class FacebookBench(Bench):
    name: ClassVar[str] = "facebook"
    platform: ClassVar[str | None] = "facebook"


BENCH = FacebookBench()
