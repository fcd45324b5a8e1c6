"""The page of a mailing in its list's archive: it shows nobody's data."""

from __future__ import annotations

from channels.abilities import Archives
from channels.posts import Media, Message

_WAYS = {
    "en": ("All letters", "Sign up"),
    "fr": ("Toutes nos lettres", "S’inscrire"),
}


def archive_path(list_id: str) -> str:
    """Where a list's pages are."""
    return f"/letters/{list_id}"


def page_of(message: Message, list_id: str, channel: Archives) -> dict[str, str]:
    """The page of this message: `title`, `language`, `html`."""
    language = "fr" if message.language.lower().startswith("fr") else "en"
    every, sign_up = _WAYS[language]
    ways = ((every, archive_path(list_id)), (sign_up, f"/signup/{list_id}"))
    return {
        "title": channel.heading(message),
        "language": message.language,
        "html": channel.page(message, picture=_picture, ways=ways),
    }


def _picture(media: Media) -> str:
    return f"/blog/media/{media.sha256}/960.webp" if media.sha256 else ""
