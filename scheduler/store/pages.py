"""Pages of the built-in blog. A key has one page for ever; a slug belongs to one key, from before
its page is there if others point to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.base import Page
from channels.posts import Media
from scheduler.clock import micros, moment
from scheduler.store.article_tables import pages, slugs
from scheduler.store.db import Database

SITE_PATH = "/blog"
# The most addresses one sitemap may hold (sitemaps.org).
SITEMAP_LIMIT = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPage:
    """A page as readers get it. `withdrawn`: it was taken down, and its address says so."""

    page: Page
    updated_at: datetime
    withdrawn: bool


class PageStore:
    """Implements `channels.base.SiteStore`, and reads pages for the site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(self, page: Page) -> str:
        """Store the page unless its key has one already; the path of the page that is there.

        A slug that another page has gets `-2`, `-3`, …
        """
        async with self._database.write() as connection:
            while True:
                taken = await _slug_of(connection, page.key)
                if taken is not None:
                    return _path(taken)
                slug = await self._kept(connection, page.key, page.slug)
                statement = (
                    self._database.insert(pages)
                    .values(_row(page, slug))
                    .on_conflict_do_nothing()
                    .returning(pages.c.slug)
                )
                # Nothing comes back when another transaction took the key or the slug first.
                if (await connection.execute(statement)).first() is not None:
                    return _path(slug)
                await connection.execute(delete(slugs).where(slugs.c.key == page.key))

    async def address(self, key: str, slug: str, *, keep: bool) -> str:
        """The path that this key's page has or will get; `keep`: nobody else may get it."""
        async with self._database.read() as connection:
            known = await _slug_of(connection, key) or await _kept_by(connection, key)
            if known is None and not keep:
                known = await _free_slug(connection, slug)
        if known is not None:
            return _path(known)
        async with self._database.write() as connection:
            return _path(await self._kept(connection, key, slug))

    async def _kept(self, connection: AsyncConnection, key: str, wanted: str) -> str:
        """The slug that is kept for this key; if there is none yet, the next free one now is."""
        while True:
            known = await _kept_by(connection, key)
            if known is not None:
                return known
            slug = await _free_slug(connection, wanted)
            now = micros(datetime.now(UTC))
            row = self._database.insert(slugs).values(key=key, slug=slug, at=now)
            # Nothing is kept when another transaction took the slug first: look again.
            await connection.execute(row.on_conflict_do_nothing())

    async def find(self, key: str) -> str | None:
        """The path of the page with this key, taken down or not: it was published."""
        async with self._database.read() as connection:
            slug = await _slug_of(connection, key)
        return None if slug is None else _path(slug)

    async def edit(self, key: str, *, title: str, html: str, summary: str) -> str | None:
        """Replace the words of the page with this key; its path, None if there is none."""
        statement = (
            update(pages)
            .where(pages.c.key == key)
            .values(title=title, html=html, summary=summary, updated_at=micros(datetime.now(UTC)))
            .returning(pages.c.slug)
        )
        async with self._database.write() as connection:
            slug = (await connection.execute(statement)).scalar_one_or_none()
        return None if slug is None else _path(slug)

    async def withdraw(self, key: str) -> bool:
        """Take the page down; False when there is none or it already was."""
        now = micros(datetime.now(UTC))
        statement = (
            update(pages)
            .where(pages.c.key == key, pages.c.withdrawn_at.is_(None))
            .values(withdrawn_at=now, updated_at=now)
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount > 0

    async def by_slug(self, slug: str) -> StoredPage | None:
        async with self._database.read() as connection:
            row = (
                (await connection.execute(select(pages).where(pages.c.slug == slug)))
                .mappings()
                .first()
            )
        return None if row is None else _stored(row)

    async def latest(self, limit: int = SITEMAP_LIMIT, offset: int = 0) -> list[StoredPage]:
        """Pages that are up, newest first."""
        statement = (
            select(pages)
            .where(pages.c.withdrawn_at.is_(None))
            .order_by(pages.c.published_at.desc(), pages.c.key)
            .limit(limit)
            .offset(offset)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [_stored(row) for row in rows]

    async def addresses(self) -> list[tuple[str, datetime]]:
        """Slug and last change of the pages that are up, newest first: for the sitemap."""
        statement = (
            select(pages.c.slug, pages.c.updated_at)
            .where(pages.c.withdrawn_at.is_(None))
            .order_by(pages.c.published_at.desc(), pages.c.key)
            .limit(SITEMAP_LIMIT)
        )
        async with self._database.read() as connection:
            return [
                (slug, moment(updated_at))
                for slug, updated_at in (await connection.execute(statement)).all()
            ]

    async def count(self) -> int:
        """How many pages are up."""
        statement = select(func.count()).select_from(pages).where(pages.c.withdrawn_at.is_(None))
        async with self._database.read() as connection:
            return int((await connection.execute(statement)).scalar_one())


async def _slug_of(connection: AsyncConnection, key: str) -> str | None:
    found = await connection.execute(select(pages.c.slug).where(pages.c.key == key))
    slug: str | None = found.scalar_one_or_none()
    return slug


async def _kept_by(connection: AsyncConnection, key: str) -> str | None:
    found = await connection.execute(select(slugs.c.slug).where(slugs.c.key == key))
    slug: str | None = found.scalar_one_or_none()
    return slug


async def _free_slug(connection: AsyncConnection, wanted: str) -> str:
    like = [
        select(table.c.slug).where(
            or_(table.c.slug == wanted, table.c.slug.startswith(f"{wanted}-", autoescape=True))
        )
        for table in (pages, slugs)
    ]
    taken = set((await connection.execute(union(*like))).scalars())
    number, slug = 1, wanted
    while slug in taken:
        number += 1
        slug = f"{wanted}-{number}"
    return slug


def _path(slug: str) -> str:
    return f"{SITE_PATH}/{slug}"


def _row(page: Page, slug: str) -> dict[str, Any]:
    return {
        "key": page.key,
        "account_id": page.account_id,
        "post_id": page.post_id,
        "slug": slug,
        "title": page.title,
        "html": page.html,
        "summary": page.summary,
        "language": page.language,
        "tags": list(page.tags),
        "media": [_media_row(media) for media in page.media],
        "published_at": micros(page.published_at),
        "updated_at": micros(page.published_at),
    }


def _media_row(media: Media) -> dict[str, Any]:
    # No path: the file is found by its hash, wherever a restored backup has put it.
    return {
        "id": media.id,
        "content_type": media.content_type,
        "alt": media.alt,
        "url": media.url,
        "width": media.width,
        "height": media.height,
        "size": media.size,
        "sha256": media.sha256,
    }


def _stored(row: Mapping[Any, Any]) -> StoredPage:
    page = Page(
        key=row["key"],
        account_id=row["account_id"],
        post_id=row["post_id"],
        slug=row["slug"],
        title=row["title"],
        html=row["html"],
        summary=row["summary"],
        language=row["language"],
        tags=tuple(row["tags"]),
        media=tuple(Media(**fields) for fields in row["media"]),
        published_at=moment(row["published_at"]),
    )
    return StoredPage(
        page=page,
        updated_at=moment(row["updated_at"]),
        withdrawn=row["withdrawn_at"] is not None,
    )
