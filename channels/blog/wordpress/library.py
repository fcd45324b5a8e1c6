"""What a WordPress post refers to by number: pictures, categories, tags. Found, or made."""

from __future__ import annotations

import asyncio
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from channels.base import Account
from channels.blog.gone import lost_picture
from channels.blog.wordpress.errors import code_of, read_refusal
from channels.blog.wordpress.site import Sites, WordPressSettings
from channels.outcome import Unavailable
from channels.posts import Media
from channels.steps import Stopped

_SUFFIX = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}
_KNOWN_TERMS = 2000
# WordPress ignores a number that means nothing any more: a deleted category must not be lost long.
_TERM_AGE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a post shows it. `id` is 0 when it stays where it is, outside the library."""

    id: int
    url: str
    alt: str


class Library:
    """The media and terms of the sites of one process."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._terms: dict[tuple[str, str, str], tuple[int, datetime]] = {}

    async def picture(self, account: Account[WordPressSettings], media: Media) -> Picture:
        """The picture in the site's library, uploaded unless it is there. Error: `Stopped`."""
        if media.path is None:
            if media.url is None:
                raise Stopped(lost_picture(media))
            return Picture(0, media.url, media.alt)
        try:
            content = await asyncio.to_thread(media.path.read_bytes)
        except OSError:
            raise Stopped(lost_picture(media)) from None
        slug = _slug(content, media.alt)
        fields = {"_fields": "id,source_url"}
        found = await self._sites.expect(
            account, "GET", "/wp/v2/media", params={"slug": slug, **fields}
        )
        if isinstance(found, list) and found:
            return _picture(found[0], media)
        name = f"{slug}.{_SUFFIX.get(media.content_type, 'bin')}"
        made = await self._sites.expect(
            account,
            "POST",
            "/wp/v2/media",
            params={"slug": slug, "alt_text": media.alt, "title": media.alt or slug, **fields},
            headers={
                "Content-Type": media.content_type,
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-MD5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            },
            data=content,
        )
        return _picture(made, media)

    async def terms(
        self, account: Account[WordPressSettings], taxonomy: str, names: Sequence[str]
    ) -> list[int]:
        """The numbers of these categories or tags, made if missing. Error: `Stopped`."""
        return [await self._term(account, taxonomy, name) for name in dict.fromkeys(names)]

    async def _term(self, account: Account[WordPressSettings], taxonomy: str, name: str) -> int:
        key = (account.settings.url, taxonomy, name.casefold())
        number, asked_at = self._terms.get(key, (0, None))
        if asked_at is None or self._sites.now() - asked_at > _TERM_AGE:
            found = await self._search(account, taxonomy, name)
            number = found or await self._make(account, taxonomy, name)
            if len(self._terms) >= _KNOWN_TERMS:
                self._terms.clear()
            self._terms[key] = (number, self._sites.now())
        return number

    async def _search(
        self, account: Account[WordPressSettings], taxonomy: str, name: str
    ) -> int | None:
        """WordPress finds parts of names too, and escapes what it answers."""
        found = await self._sites.expect(
            account,
            "GET",
            f"/wp/v2/{taxonomy}",
            params={"search": name, "per_page": "100", "_fields": "id,name"},
        )
        for term in found if isinstance(found, list) else ():
            if html.unescape(str(term.get("name"))).casefold() == name.casefold():
                return int(term["id"])
        return None

    async def _make(self, account: Account[WordPressSettings], taxonomy: str, name: str) -> int:
        answer = await self._sites.call(
            account,
            "POST",
            f"/wp/v2/{taxonomy}",
            params={"_fields": "id"},
            json_body={"name": name},
        )
        if answer.status == 201 and isinstance(answer.fields.get("id"), int):
            return int(answer.fields["id"])
        data = answer.fields.get("data")
        if code_of(answer) == "term_exists" and isinstance(data, dict) and data.get("term_id"):
            return int(data["term_id"])
        raise Stopped(read_refusal(answer, self._sites.now(), writes=False))


def _slug(content: bytes, alt: str) -> str:
    """Ours alone: the same picture with the same words is uploaded once."""
    return "estafette-" + hashlib.sha256(content + b"\0" + alt.encode()).hexdigest()[:24]


def _picture(fields: Any, media: Media) -> Picture:
    if not isinstance(fields, dict) or not isinstance(fields.get("id"), int):
        raise Stopped(Unavailable(reason="WordPress did not say where the picture went"))
    return Picture(fields["id"], str(fields.get("source_url", "")), media.alt)
