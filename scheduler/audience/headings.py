"""What the columns of somebody's file mean, by their headings, in English and French."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    """What a column holds; every other column becomes an attribute of its own name."""

    EMAIL = "email"
    NAME = "name"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    LANGUAGE = "language"
    TAGS = "tags"
    CONSENT_AT = "consent_at"
    CONSENT_SOURCE = "consent_source"
    IGNORE = "ignore"


_SYNONYMS: Mapping[Meaning, str] = {
    Meaning.EMAIL: "email emails mail emailaddress mailaddress adresseemail adressemail courriel"
    " adressecourriel adresseelectronique adressedemessagerie subscriberemail contactemail"
    " email1value",
    Meaning.NAME: "name fullname displayname contactname nom nomcomplet nometprenom prenomnom"
    " prenometnom nomprenom",
    Meaning.FIRST_NAME: "firstname givenname forename prenom fname",
    Meaning.LAST_NAME: "lastname surname familyname nomdefamille lname",
    Meaning.LANGUAGE: "language lang locale langue langues",
    Meaning.TAGS: "tags tag labels etiquettes etiquette motscles groupes groups",
    Meaning.CONSENT_AT: "consentat consentdate optintime optindate subscribedat subscribedon"
    " signupdate dateinscription datedinscription inscritle dateconsentement dateduconsentement",
    Meaning.CONSENT_SOURCE: "consentsource source optinsource origine sourceconsentement"
    " sourceduconsentement provenance",
}
_MEANINGS = {word: meaning for meaning, words in _SYNONYMS.items() for word in words.split()}
_ATTRIBUTE_LENGTH = 64
_STANDING = frozenset({
    "status", "statut", "state", "etat", "subscriptionstatus", "statutabonnement",
    "statutinscription", "memberstatus", "emailstatus",
})  # fmt: skip
# The columns of our own export (`exporting.HEADINGS`): where somebody stands, and our records.
_OURS = frozenset({"subscribed", "unsubscribed", "pending", "consentat"})
_OUR_RECORDS = _OURS - {"consentat"} | {
    "createdat", "contactedat", "consentconfirmedat", "consentwording",
}  # fmt: skip


class MappingError(ValueError):
    """The columns cannot be used as they are; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where things are: column numbers by meaning, and attribute names by column number.
    `standing`: columns that may say that somebody left; `joined`: the one of our own export that
    is empty for whoever is on no list; `packed`: its attributes, as JSON."""

    by_meaning: Mapping[Meaning, int]
    attributes: Mapping[int, str]
    count: int
    standing: tuple[int, ...] = ()
    joined: int | None = None
    packed: int | None = None


def plain(text: str) -> str:
    """Small ASCII letters and digits: `Prénom` and `PRENOM ` are one."""
    decomposed = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "", decomposed)


def holds_addresses(heading: str) -> bool:
    """Whether a column of this name holds addresses, as far as its name tells."""
    return _MEANINGS.get(plain(heading)) is Meaning.EMAIL


def columns_of(headings: Sequence[str], chosen: Mapping[str, str]) -> Columns:
    """`chosen`: a heading's meaning by its owner's word (`{"Col A": "email"}`), or the name of an
    attribute. Error: MappingError."""
    wanted = {plain(heading): word for heading, word in chosen.items()}
    unknown = wanted.keys() - {plain(heading) for heading in headings}
    if unknown:
        raise MappingError(
            f"there is no column {', '.join(sorted(unknown))}; there are: {', '.join(headings)}"
        )
    found: dict[Meaning, int] = {}
    attributes: dict[int, str] = {}
    names = [plain(heading) for heading in headings]
    is_ours = _OURS.issubset(names)
    for index, heading in enumerate(headings):
        word = wanted.get(names[index], "")
        meaning = _chosen(word) if word else _MEANINGS.get(names[index])
        if meaning is None:
            name = _attribute(word or heading)
            if name and not (is_ours and not word and names[index] in _OUR_RECORDS):
                attributes[index] = name
        elif meaning is not Meaning.IGNORE:
            if meaning in found:
                raise MappingError(
                    f"the columns {headings[found[meaning]]!r} and {heading!r} both hold"
                    f" {meaning}: map one of them to ignore"
                )
            found[meaning] = index
    if Meaning.EMAIL not in found:
        raise MappingError(
            "no column is headed as addresses are (email, courriel, …); map one to email. There"
            f" are: {', '.join(headings)}"
        )
    if Meaning.NAME in found and Meaning.FIRST_NAME in found and Meaning.LAST_NAME not in found:
        found[Meaning.LAST_NAME] = found.pop(Meaning.NAME)  # "Prénom;Nom"
    packed = names.index("attributes") if is_ours and "attributes" in names else None
    if packed is not None:
        attributes.pop(packed, None)
    return Columns(
        found,
        attributes,
        len(headings),
        tuple(at for at, name in enumerate(names) if name in _STANDING and not wanted.get(name)),
        names.index("subscribed") if is_ours else None,
        packed,
    )


def _chosen(word: str) -> Meaning | None:
    return Meaning(word) if word in set(Meaning) else None


def _attribute(heading: str) -> str:
    """A name that `{{…}}` can hold."""
    return re.sub(r"\W+", "_", heading.strip().lower()).strip("_")[:_ATTRIBUTE_LENGTH]
