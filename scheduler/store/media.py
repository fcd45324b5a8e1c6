"""Uploads: which pictures there are. The files are kept by `scheduler.media`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, insert, select

from scheduler.media import StoredMedia
from scheduler.store.db import Connection
from scheduler.store.tables import media

_DESCRIBED = ("id", "content_type", "alt", "width", "height", "size", "sha256")


async def add(connection: Connection, stored: StoredMedia, now: int) -> None:
    """`now`: microseconds since 1970."""
    row = {name: getattr(stored, name) for name in (*_DESCRIBED, "filename")}
    await connection.execute(insert(media), row | {"created_at": now})


async def get(connection: Connection, media_id: str) -> RowMapping | None:
    statement = select(media).where(media.c.id == media_id)
    return (await connection.execute(statement)).mappings().one_or_none()


async def described(connection: Connection, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Uploads as a post's content describes them (see `scheduler.content`), by id."""
    statement = select(*(media.c[name] for name in _DESCRIBED)).where(media.c.id.in_(ids))
    rows = (await connection.execute(statement)).mappings()
    return {row["id"]: dict(row) for row in rows}
