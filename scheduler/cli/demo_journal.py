"""What the demo tells of the journal: what went out by another road, and how many in all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from scheduler.cli.demo_ledger import Cast, Told
from scheduler.cli.output import counted


class Telling:
    """What was read so far, and what to say of it. `told`: the story's posts by id; `say`: a line
    and its style."""

    def __init__(
        self, cast: Cast, told: Mapping[str, Told], say: Callable[[str, str], None]
    ) -> None:
        self._cast = cast
        self._told = told
        self._say = say
        self.seq = 0
        self.vanished = False
        self.moved: Counter[str] = Counter()
        self.gathered: dict[str, list[str]] = defaultdict(list)  # titles by digest
        self._instead: set[str] = set()
        self._published: Counter[str] = Counter()

    def happened(self, event: Mapping[str, Any]) -> None:
        """Read one event, and say it if it belongs to the story."""
        told = self._told.get(event["post_id"] or "")
        match event["kind"]:
            case "delivery.delivered":
                self._delivered(event, told)
            case "delivery.rerouted" if told is not None:
                self._rerouted(event["data"], told)
            case "delivery.held" if told is not None and "why" in event["data"]:
                self.moved["held"] += 1

    def day_in_words(self) -> str:
        """What was published since it was asked last, by channel."""
        words = ", ".join(f"{name} {count}" for name, count in sorted(self._published.items()))
        self._published.clear()
        return words

    def move_in_words(self) -> str:
        """Where plan B sent the page's queue."""
        return (
            f"{self.moved['alone']} essential at their own time, {self.moved['digest']} ordinary in"
            f" {len(self.gathered)} digests, {self.moved['carried']} carried there already,"
            f" {self.moved['held']} promotional held."
        )

    def _rerouted(self, data: Mapping[str, Any], told: Told) -> None:
        if "digest_id" in data:
            self.gathered[data["digest_id"]].append(told.line.title)
            self.moved["digest"] += 1
        elif "child_id" in data:
            self._instead.add(data["child_id"])
            self.moved["alone"] += 1
        else:
            self.moved["carried"] += 1

    def _delivered(self, event: Mapping[str, Any], told: Told | None) -> None:
        channel = self._cast.channel(event["account_id"])
        gathered = self.gathered.get(event["delivery_id"])
        if told is None and gathered is None:
            return
        self._published[channel] += 1
        if gathered is not None:
            titles = "; ".join(gathered)
            self._say(f"{channel}: one mail for {counted(len(gathered), 'post')}: {titles}", "cyan")
        elif told is not None and event["delivery_id"] in self._instead:
            self._say(f"{channel}, instead of the page: {told.line.title}", "cyan")
