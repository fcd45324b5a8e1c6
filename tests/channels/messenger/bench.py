"""Messenger for the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from channels.base import Recipient
from channels.sandbox.server import PracticeAccount
from tests.channels.conformance import Bench

_KNOCK = "opening knocks first, so that nothing was written when the answer is spoiled"


class MessengerBench(Bench):
    name: ClassVar[str] = "messenger"
    platform: ClassVar[str | None] = "messenger"
    kind: ClassVar[str] = "message"
    requests: ClassVar[int] = 2  # a knock for the broadcast, then one for each person
    exempt: ClassVar[Mapping[str, str]] = {
        "delivered_leads_readers_to_it": "a message has no address",
        "spoiled_answer_is_a_doubt": _KNOCK,
        "no_answer_in_time_is_a_doubt": _KNOCK,
    }

    def reader(self, practice: PracticeAccount | None) -> Recipient:
        assert practice is not None
        contact = practice.contacts[0]
        return Recipient(id="reader-1", address=contact["address"], name=contact["name"])


BENCH = MessengerBench()
