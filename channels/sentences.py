"""The sentences that we add to an author's words, in the reader's language. Pure."""

from __future__ import annotations

from channels.posts import Reroute

_PLACES = {
    "fr": {
        "facebook": "page Facebook",
        "linkedin": "page LinkedIn",
        "messenger": "messagerie Messenger",
        "newsletter": "lettre d’information",
        "blog": "site",
        "mastodon": "compte Mastodon",
        "bluesky": "compte Bluesky",
    },
    "en": {
        "facebook": "Facebook page",
        "linkedin": "LinkedIn page",
        "messenger": "Messenger inbox",
        "newsletter": "newsletter",
        "blog": "website",
        "mastodon": "Mastodon account",
        "bluesky": "Bluesky account",
    },
}


def _is_french(language: str) -> bool:
    return language.lower().split("-")[0] == "fr"


def place_named(channel: str, language: str) -> str:
    """What people call a page of this channel; its own name when we have no better one."""
    return _PLACES["fr" if _is_french(language) else "en"].get(channel, channel)


def reroute_note(reroute: Reroute, language: str) -> str:
    """One sentence that says why readers find this here; the owner's own words when given."""
    if reroute.note:
        return reroute.note
    if _is_french(language):
        place = _PLACES["fr"].get(reroute.from_channel, "canal habituel")
        name = f" «\u00a0{reroute.from_name}\u00a0»" if reroute.from_name else ""
        return (
            f"Notre {place}{name} est injoignable pour le moment\u202f; "
            "nous vous écrivons donc ici."
        )
    place = _PLACES["en"].get(reroute.from_channel, "usual channel")
    name = f" “{reroute.from_name}”" if reroute.from_name else ""
    return f"Our {place}{name} cannot be reached for now, so we are writing to you here."


def stand_in_note(from_channel: str, language: str) -> str:
    """One sentence that says to one reader why this reaches them here and not there."""
    if _is_french(language):
        place = _PLACES["fr"].get(from_channel, "canal habituel")
        return (
            f"Notre {place} ne nous permet pas de vous écrire aujourd’hui\u202f; "
            "nous vous écrivons donc ici."
        )
    place = _PLACES["en"].get(from_channel, "usual channel")
    return f"Our {place} does not let us write to you today, so we are writing to you here."


def read_more(url: str, language: str) -> str:
    return f"Lire la suite\u00a0: {url}" if _is_french(language) else f"Read more: {url}"
