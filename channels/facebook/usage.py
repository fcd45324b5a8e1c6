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

# Percent used, and how long to stay silent from there on. The windows slide over an hour.
_PAUSES = ((100, timedelta(hours=1)), (90, timedelta(minutes=5)), (75, timedelta(minutes=1)))


def slow_until(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When to call again, None while there is plenty left."""
    if BUSINESS not in headers and not any(name in headers for name in FLAT):
        return None
    regain = regain_at(headers, now)
    if regain is not None:
        return regain
    used = max((_used(meter) for meter in _meters(headers)), default=0.0)
    return next((now + pause for percent, pause in _PAUSES if used >= percent), None)


def regain_at(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When the platform says it listens again, None if it does not say."""
    minutes = max(
        (_figure(meter, "estimated_time_to_regain_access") for meter in _meters(headers)),
        default=0.0,
    )
    return now + timedelta(minutes=minutes) if minutes > 0 else None


def _meters(headers: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    for name in FLAT:
        flat = _parsed(headers.get(name))
        if flat:
            yield flat
    for meters in _parsed(headers.get(BUSINESS)).values():
        if isinstance(meters, list):
            yield from (meter for meter in meters if isinstance(meter, dict))


@lru_cache(maxsize=256)  # a burst of answers repeats the same few
def _parsed(value: str | None) -> Mapping[str, Any]:
    if not value:
        return {}
    try:
        data = json.loads(value)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _used(meter: Mapping[str, Any]) -> float:
    return max(_figure(meter, name) for name in _MEASURES)


def _figure(meter: Mapping[str, Any], name: str) -> float:
    value = meter.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
