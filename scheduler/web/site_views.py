"""What the blog's templates show: stored pages made ready for readers. Pure."""

from __future__ import annotations

import re
import uuid
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_date

from channels.posts import Media
from scheduler.store.pages import SITE_PATH, StoredPage

# Widths, in pixels, of a picture's variants: a phone, a phone with a dense screen, the column of
# text on a dense screen.
PICTURE_WIDTHS = (480, 960, 1600)
PREVIEW_WIDTH = 1600

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "all": "All articles",
        "back": "Back to all articles",
        "empty": "Nothing has been published here yet.",
        "feed": "Atom feed",
        "gone": "This article was taken down.",
        "missing": "This page does not exist.",
        "missing_hint": "The address may have been mistyped, or the page may have moved.",
        "newer": "Newer articles",
        "older": "Older articles",
        "page": "Page",
        "pages": "Pages",
        "pictures": "Pictures",
        "published": "Published on",
        "read": "Read the article",
        "skip": "Skip to the text",
        "tags": "Topics",
    },
    "fr": {
        "all": "Tous les articles",
        "back": "Retour à tous les articles",
        "empty": "Rien n’a encore été publié ici.",
        "feed": "Flux Atom",
        "gone": "Cet article a été retiré.",
        "missing": "Cette page n’existe pas.",
        "missing_hint": "L’adresse est peut-être mal écrite, ou la page a changé de place.",
        "newer": "Articles plus récents",
        "older": "Articles plus anciens",
        "page": "Page",
        "pages": "Pages",
        "pictures": "Photos",
        "published": "Publié le",
        "read": "Lire l’article",
        "skip": "Aller au texte",
        "tags": "Sujets",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteInfo:
    """Whose blog this is. `base_url` is how readers reach the service, without `/blog`; `zone`
    an IANA name, for dates."""

    name: str
    base_url: str
    description: str = ""
    author: str = ""
    language: str = "en"
    zone: str = "UTC"

    @property
    def home(self) -> str:
        return f"{self.base_url.rstrip('/')}{SITE_PATH}"

    @property
    def feed_id(self) -> str:
        return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, self.home)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture: the sizes a browser may choose from, and what to say instead of it."""

    src: str
    srcset: str
    alt: str
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One page in its own language."""

    id: str
    title: str
    html: str
    summary: str
    url: str
    path: str
    language: str
    tags: Sequence[str]
    pictures: Sequence[Picture]
    published: datetime
    updated: datetime
    date: str
    words: Mapping[str, str]


def words_of(language: str) -> Mapping[str, str]:
    """The interface in a page's language, English when we do not speak it."""
    return WORDS.get(language.lower().split("-")[0], WORDS["en"])


def article_of(stored: StoredPage, info: SiteInfo) -> Article:
    page = stored.page
    path = f"{SITE_PATH}/{page.slug}"
    return Article(
        id=f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, page.key)}",
        title=printable(page.title),
        html=printable(page.html),
        summary=printable(page.summary),
        url=f"{info.base_url.rstrip('/')}{path}",
        path=path,
        language=page.language,
        tags=page.tags,
        pictures=tuple(picture_of(media) for media in page.media if media.is_image),
        published=page.published_at,
        updated=stored.updated_at,
        date=long_date(page.published_at, page.language, info.zone),
        words=words_of(page.language),
    )


def picture_of(media: Media) -> Picture:
    if not media.sha256:
        return Picture(
            src=media.url or "", srcset="", alt=media.alt, width=media.width, height=media.height
        )
    widths = offered_widths(media.width)
    return Picture(
        src=picture_path(media.sha256, widths[-1]),
        srcset=", ".join(
            f"{picture_path(media.sha256, width)} {min(width, media.width or width)}w"
            for width in widths
        ),
        alt=media.alt,
        width=media.width,
        height=media.height,
    )


def offered_widths(width: int | None) -> Sequence[int]:
    """The widths worth offering of a picture that wide: up to the first that shows all it has,
    since no variant is wider than the picture itself."""
    if width is None:
        return PICTURE_WIDTHS
    whole = bisect_left(PICTURE_WIDTHS, width)
    return PICTURE_WIDTHS[: whole + 1]


def picture_path(sha256: str, width: int) -> str:
    return f"{SITE_PATH}/media/{sha256}/{width}.webp"


def preview_path(sha256: str) -> str:
    """The picture that other sites show beside a link here: JPEG, which all of them read."""
    return f"{SITE_PATH}/media/{sha256}/{PREVIEW_WIDTH}.jpg"


def preview_size(media: Media) -> tuple[int, int] | None:
    """Width and height of that picture; None when not known."""
    if not (media.width and media.height):
        return None
    width = min(PREVIEW_WIDTH, media.width)
    return width, round(media.height * width / media.width)


def long_date(moment: datetime, language: str, zone: str) -> str:
    """`2 mai 2026`, `2 May 2026`: the day it is where the site is at home."""
    local = moment.astimezone(ZoneInfo(zone))
    return format_date(local, format="long", locale=_locale(language))


def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language, sep="-")
    except (ValueError, UnknownLocaleError):
        return Locale("en")


def open_graph_locale(language: str) -> str:
    """`fr_FR`, `pt_BR`: Open Graph wants a territory, the likeliest where none is said. Empty when
    nobody knows one."""
    try:
        locale = Locale.parse(language, sep="-")
    except (ValueError, UnknownLocaleError):
        return ""
    likely: str = get_global("likely_subtags").get(locale.language, "")
    territory = locale.territory or likely.rpartition("_")[2]
    return f"{locale.language}_{territory}" if territory else ""


def printable(text: str) -> str:
    """Without the control characters that no XML document, and so no feed, may hold."""
    return _CONTROL.sub("", text)
