"""What a reader does with a mailing, noted with their name: only for who agreed to just that.

Each kind has a consent of its own, beside that to be written to, and can be taken back alone; what
was noted is erased then. What a list offers and what somebody agreed to are stored as the names of
kinds with a space in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from scheduler.audience.links import seal, unseal


class Kind(StrEnum):
    """`CLICKS`: which links they follow. `OPENS`: when they open a mail, by a picture in it."""

    CLICKS = "clicks"
    OPENS = "opens"


BY, OPENED = "by", "opened"
BY_QUERY = "p"
_WORDING = {
    "en": {
        Kind.CLICKS: "Also note, with my name, which links of “{list}” I follow. I can take this"
        " back at any time; what was noted is erased then.",
        Kind.OPENS: "Also note, with my name, when I open “{list}”, by means of a picture in the"
        " mail. I can take this back at any time; what was noted is erased then.",
    },
    "fr": {
        Kind.CLICKS: "J’accepte aussi que soient notés, à mon nom, les liens de"
        " «\u00a0{list}\u00a0» que je suis. Je peux revenir sur ce choix à tout moment\u00a0;"
        " ce qui a été noté est alors effacé.",
        Kind.OPENS: "J’accepte aussi que soit noté, à mon nom, quand j’ouvre"
        " «\u00a0{list}\u00a0», au moyen d’une image dans le message. Je peux revenir sur ce"
        " choix à tout moment\u00a0; ce qui a été noté est alors effacé.",
    },
}


def wording_of(kind: Kind, list_name: str, language: str) -> str:
    """What people agree to; `language` is `en` or `fr`."""
    return _WORDING[language][kind].format(list=list_name)


def kinds_in(stored: str) -> frozenset[Kind]:
    """Kinds as they are stored; one that this release does not know counts for nothing."""
    return frozenset(Kind(name) for name in stored.split() if name in set(Kind))


def stored_as(kinds: Iterable[Kind]) -> str:
    """The other way round."""
    return " ".join(sorted(kinds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """Makes and reads what names a reader in the links and the picture of a mail. `public_url`:
    of this service; `key`: of personal links."""

    public_url: str
    key: bytes

    def query(self, contact_id: str) -> str:
        """What is added to a link that leads by us."""
        return f"?{BY_QUERY}={seal(self.key, BY, contact_id)}"

    def picture(self, delivery_id: str, contact_id: str) -> str:
        """The address of a picture that nobody sees."""
        return f"{self.public_url}/o/{seal(self.key, OPENED, delivery_id, contact_id)}"

    def follower(self, named: str) -> str | None:
        """The contact whom a link's query names, None if we did not make it."""
        found = unseal(self.key, BY, named) if named else None
        return None if found is None or len(found) != 1 else found[0]

    def opened(self, token: str) -> tuple[str, str] | None:
        """The delivery and the contact of a picture, None if we did not make it."""
        found = unseal(self.key, OPENED, token)
        return None if found is None or len(found) != 2 else (found[0], found[1])
