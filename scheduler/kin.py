"""What a road is chosen from, read for many posts in as many trips as for one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.deliveries import Delivery
from scheduler.store import campaigns, digests, posts
from scheduler.store.db import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    """Of a post: its row, the campaigns that it is told by, its deliveries, and those of digests
    that say what it says."""

    row: Mapping[Any, Any]
    told: Mapping[str, Mapping[str, Any]]
    siblings: list[Delivery] = field(default_factory=list)
    carriers: list[Delivery] = field(default_factory=list)


async def kin_of(connection: Connection, post_ids: Collection[str]) -> dict[str, Kin]:
    """By the ids of posts that exist."""
    wanted = sorted(post_ids)
    rows = await posts.known(connection, wanted)
    told = await campaigns.told_by(connection, rows)
    found = {row["id"]: Kin(row=row, told=told) for row in rows}
    for delivery in await campaigns.deliveries_of(connection, wanted):
        found[delivery.post_id].siblings.append(delivery)
    for post_id, digest in await digests.carriers_of(connection, wanted):
        found[post_id].carriers.append(digest)
    return found
