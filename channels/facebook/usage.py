"""How much of its call allowance an account has used, from the headers of an answer. Pure.

Facebook sends them only after some volume, as percentages, and blocks at 100; calling while
blocked prolongs the block. So we slow down before: the nearer the limit, the longer the pause.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

BUSINESS = "X-Business-Use-Case-Usage"
FLAT = ("X-App-Usage", "X-Page-Usage")
_MEASURES = ("call_count", "total_time", "total_cputime")

# Percent or minutes: more is no answer, and no date.
_MOST = 31 * 24 * 60
# Percent used, and how long to stay silent from there on. The windows slide over an hour.
_PAUSES = ((100, timedelta(hours=1)), (90, timedelta(minutes=5)), (75, timedelta(minutes=1)))


def slow_until(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When to call again, None while there is plenty left."""
    regain, pause = _told(_said(headers))
    wait = regain or pause
    return now + wait if wait else None


def regain_at(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When the platform says it listens again, None if it does not say."""
    regain, _ = _told(_said(headers))
    return now + regain if regain else None


def _said(headers: Mapping[str, str]) -> tuple[str | None, ...]:
    return tuple(headers.get(name) for name in (*FLAT, BUSINESS))


@lru_cache(maxsize=256)  # a burst of answers repeats the same few
def _told(said: tuple[str | None, ...]) -> tuple[timedelta, timedelta]:
    """How long until it listens again, and how long we had better be silent; zero: not at all."""
    meters = list(_meters(said))
    minutes = [_figure(meter, "estimated_time_to_regain_access") for meter in meters]
    used = max((_used(meter) for meter in meters), default=0.0)
    pause = next((pause for percent, pause in _PAUSES if used >= percent), timedelta())
    return timedelta(minutes=max([0.0, *minutes])), pause


def _meters(said: tuple[str | None, ...]) -> Iterator[Mapping[str, Any]]:
    *flat, business = map(_parsed, said)
    yield from filter(None, flat)
    for meters in business.values():
        if isinstance(meters, list):
            yield from (meter for meter in meters if isinstance(meter, dict))


def _parsed(value: str | None) -> Mapping[str, Any]:
    if not value:
        return {}
    try:
        data = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _used(meter: Mapping[str, Any]) -> float:
    return max(_figure(meter, name) for name in _MEASURES)


def _figure(meter: Mapping[str, Any], name: str) -> float:
    value = meter.get(name)
    return float(min(value, _MOST)) if isinstance(value, int | float) else 0.0
