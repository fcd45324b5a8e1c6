"""What one run breaks, when and how: derived from its seed alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from channels.sandbox.faults import FaultName

CHANNELS = ("facebook", "linkedin")

# How often, compared with each other. Each is at least one kill -9.
KILLS = {
    "sqlite": {"worker0": 4, "worker1": 2, "api": 2, "redis": 2, "everything": 1},
    "postgresql": {
        "worker0": 4, "worker1": 2, "api": 2, "redis": 2, "everything": 1, "postgres": 2,
        "backend": 1,
    },
}  # fmt: skip
OTHERS = {"fault": 8, "flush": 2, "restore": 2, "disk": 2, "term": 2, "rolling": 1, "freeze": 1}
CALM = "calm"  # do nothing, for as long as a step may last
KILL_SHARE = 0.6

# As `Fault` takes them; `times` ends each by itself.
FAULTS: tuple[Mapping[str, str | float], ...] = (
    {"name": FaultName.SLOW, "seconds": 0.5, "times": 10},
    {"name": FaultName.SLOW, "seconds": 1.9, "times": 5},
    {"name": FaultName.SERVER_ERROR, "times": 10},
    {"name": FaultName.THROTTLED, "seconds": 1, "times": 1},
    {"name": FaultName.CUT, "times": 5},
    {"name": FaultName.MALFORMED, "times": 3},
    {"name": FaultName.HANG, "times": 2},
    {"name": FaultName.ANSWER_LOST, "times": 3},
)


# LinkedIn throttles until midnight: no run waits that long for what it accepted.
TOO_LONG = {("linkedin", FaultName.THROTTLED)}


@dataclass(frozen=True)
class Step:
    """After `gap` seconds, do `what`; `seconds`: for how long, where it lasts. `fault`: of a
    platform, with its `channel`. `draw`: a seed for what only the moment offers a choice of."""

    gap: float
    what: str
    kill: bool
    seconds: float
    channel: str
    fault: Mapping[str, str | float]
    draw: int


def script(seed: int, kind: str, *, kills: int, only: str = "") -> Iterator[Step]:
    """Steps until so many kills were among them; with `only`, so many steps of that."""
    rng = Random(seed)
    count = 0
    while count < kills:
        kill = not only and rng.random() < KILL_SHARE
        weights = KILLS[kind] if kill else {only: 1} if only else OTHERS
        what = rng.choices(list(weights), list(weights.values()))[0]
        step = Step(
            gap=rng.uniform(0.3, 1.2), what=what, kill=kill, seconds=rng.uniform(0.5, 3),
            channel=rng.choice(CHANNELS), fault=rng.choice(FAULTS), draw=rng.getrandbits(32),
        )  # fmt: skip
        count += kill or bool(only)
        yield step
