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
    " adressecourriel adresseelectronique adressedemessagerie subscriberemail contactemail",
    Meaning.NAME: "name fullname displayname contactname nom nomcomplet nometprenom prenomnom"
    " prenometnom nomprenom",
    Meaning.FIRST_NAME: "firstname givenname forename prenom fname",
    Meaning.LAST_NAME: "lastname surname familyname nomdefamille lname",
    Meaning.LANGUAGE: "language lang locale langue langues",
    Meaning.TAGS: "tags tag labels etiquettes etiquette motscles groupes groups",
    Meaning.CONSENT_AT: "consentat consentdate optintime optindate subscribedat subscribedon"
    " signupdate dateinscription datedinscription inscritle dateconsentement dateduconsentement"
    " confirmtime",
    Meaning.CONSENT_SOURCE: "consentsource source optinsource origine sourceconsentement"
    " sourceduconsentement provenance",
}
_MEANINGS = {word: meaning for meaning, words in _SYNONYMS.items() for word in words.split()}
_ATTRIBUTE_LENGTH = 64


class MappingError(ValueError):
    """The columns cannot be used as they are; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where things are: column numbers by meaning, and attribute names by column number."""

    by_meaning: Mapping[Meaning, int]
    attributes: Mapping[int, str]
    count: int


def plain(text: str) -> str:
    """Small ASCII letters and digits: `Prénom` and `PRENOM ` are one."""
    decomposed = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "", decomposed)


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
    for index, heading in enumerate(headings):
        word = wanted.get(plain(heading), "")
        meaning = _chosen(word) if word else _MEANINGS.get(plain(heading))
        if meaning is None:
            name = _attribute(word or heading)
            if name:
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
    return Columns(found, attributes, len(headings))


def _chosen(word: str) -> Meaning | None:
    return Meaning(word) if word in set(Meaning) else None


def _attribute(heading: str) -> str:
    """A name that `{{…}}` can hold."""
    return re.sub(r"\W+", "_", heading.strip().lower()).strip("_")[:_ATTRIBUTE_LENGTH]
