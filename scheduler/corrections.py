"""What to say where something went out that is no longer so. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.campaigns import Effect, Row, frame_at, is_wrong, sent_at, speaks_of
from scheduler.clock import moment
from scheduler.content import to_post
from scheduler.deliveries import Delivery, State
from scheduler.opening import locale_of
from scheduler.placeholders import Frame, fill_text, known_names, names_in

_CERTAIN = frozenset({State.DELIVERED, State.ACCEPTED, State.SENDING})


@dataclass(frozen=True, slots=True)
class _Words:
    """`{told}` stands for the day that was said; placeholders for what holds now."""

    date_title: str
    date_body: str
    other_title: str
    other_body: str


_WORDS: Mapping[str, _Words] = {
    "fr": _Words(
        "Changement de date\u00a0: {{day}}",
        "Nous vous avions annoncé le {told}. Ce sera finalement le {{date}} à {{time}}.\n\n"
        "Merci de faire passer le mot\u00a0!",
        "Rectificatif",
        "Certaines informations ont changé. Voici celles qui sont justes\u00a0:\n\n{body}",
    ),
    "en": _Words(
        "Change of date: {{day}}",
        "We had told you {told}. It will now be {{date}} at {{time}}.\n\nPlease pass it on!",
        "Correction",
        "Some things have changed. This is what holds now:\n\n{body}",
    ),
}
_TOLD = {"fr": "{{day}} à {{time}}", "en": "{{day}} at {{time}}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A post to be, for accounts whose last word is wrong. Title and body hold placeholders."""

    language: str
    title: str
    body: str
    accounts: tuple[str, ...]
    post_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    row: Row
    delivery: Delivery


def corrections_of(
    campaign: Row, effects: Sequence[Effect], wanted: Frame, accounts: Collection[str]
) -> list[Correction]:
    """One for each language and thing said wrongly. The last word of each account decides: what
    was put right already is not corrected again, and what speaks of a field that is gone is left to
    its author. `accounts`: ids of those still connected."""
    last: dict[str, _Said] = {}
    for effect in effects:
        for delivery in effect.out:
            known = last.get(delivery.account_id)
            if (
                delivery.state in _CERTAIN
                and delivery.account_id in accounts
                and speaks_of(campaign, effect.row, delivery)
                and (known is None or sent_at(known.delivery) < sent_at(delivery))
            ):
                last[delivery.account_id] = _Said(effect.row, delivery)
    wrong = [said for said in last.values() if is_wrong(campaign, said.row, said.delivery, wanted)]
    worded = [(_words(campaign, said, wanted), said) for said in wrong]
    fillable = set(known_names(wanted))
    return _by_words(
        [(words, said) for words, said in worded if fillable.issuperset(names_in("".join(words)))]
    )


def _by_words(found: Sequence[tuple[tuple[str, str, str], _Said]]) -> list[Correction]:
    groups: dict[tuple[str, str, str], list[_Said]] = {}
    for words, said in found:
        groups.setdefault(words, []).append(said)
    return [
        Correction(
            language=language,
            title=title,
            body=body,
            accounts=tuple(sorted({said.delivery.account_id for said in group})),
            post_ids=tuple(sorted({said.row["id"] for said in group})),
        )
        for (language, title, body), group in sorted(groups.items())
    ]


def _words(campaign: Row, said: _Said, wanted: Frame) -> tuple[str, str, str]:
    """(language, title, body) of the correction of one post."""
    post = to_post(said.row, Path())
    spoken = locale_of(post.language).language
    words = _WORDS.get(spoken)
    if words is None:  # in a language that we do not write, its own words say it best
        return post.language, post.title, post.body
    at = sent_at(said.delivery)
    told = frame_at(campaign, at)
    if told.anchor == wanted.anchor:
        return post.language, words.other_title, words.other_body.replace("{body}", post.body)
    day = fill_text(_TOLD[spoken], told, moment(at), post.language)
    return post.language, words.date_title, words.date_body.replace("{told}", day)
