"""`LinkedIn-Version`: mandatory, monthly, and dead about a year later. Pure.

Observed ends: 202511 on 16 November 2026, 202601 on 15 January 2027, 202603 on 16 March 2027.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NEWEST_KNOWN = "202609"


def ends_at(version: str) -> datetime:
    """When LinkedIn stops serving `version` (`YYYYMM`): the 15th of the same month a year on."""
    return datetime(int(version[:4]) + 1, int(version[4:]), 15, tzinfo=UTC)


def warns_at(version: str) -> datetime:
    """Ten months into its life: from then on a probe says that it has to be changed."""
    return ends_at(version) - timedelta(days=61)


def warning(version: str, now: datetime) -> str:
    """What the owner should know about the version, empty as long as all is well."""
    if now < warns_at(version):
        return ""
    end = ends_at(version)
    verb = "was due to end" if end <= now else "ends"
    return f"LinkedIn version {version} {verb} about {end:%d %B %Y}"
