"""Whatever the journal and the alerts say of a post can be read in French and in English."""

from __future__ import annotations

import pytest

from channels.outcome import AccessReason
from channels.posts import Kind
from channels.translations import catalogue, in_language
from scheduler.alert_words import ENGLISH, FRENCH
from scheduler.deliveries import HoldReason, State
from scheduler.limits import PAUSES, SHUT
from scheduler.plan import BY_HAND
from scheduler.store.recipients import RecipientState
from scheduler.web.desk_phrases import DESK
from scheduler.web.phrases import PHRASES
from scheduler.web.withdraw_phrases import WITHDRAWALS
from tests.support import told

SAY = {one: {**PHRASES[one], **DESK[one], **WITHDRAWALS[one]} for one in PHRASES}
# What is put into these comes from a list.
_LISTED = {"{} posts are not rerouted from here": [kind.value for kind in Kind]}


def known() -> set[str]:
    """The sentences that have French words, a number put in like anything else."""
    return {text.replace("{n}", "{}") for text in catalogue("fr")}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_kind_of_event_on_a_timeline_has_words(language: str) -> None:
    kinds = told.kinds_of_posts()
    assert len(kinds) > 20
    assert {one: file for one, file in kinds.items() if f"e_{one}" not in SAY[language]} == {}


@pytest.mark.parametrize("words", [ENGLISH, FRENCH])
def test_every_kind_of_alert_has_words(words: dict[str, tuple[str, str]]) -> None:
    kinds = told.kinds_of_alerts()
    assert len(kinds) > 20
    kinds.pop("delivery.cancelled")  # what a person or its author did
    assert {one: file for one, file in kinds.items() if one not in words} == {}
    assert set(words) - set(kinds) == set()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_state_and_reason_to_wait_has_words(language: str) -> None:
    assert {one for one in State if one not in SAY[language]} == set()
    assert {one for one in HoldReason if f"h_{one}" not in SAY[language]} == set()


def test_every_cause_that_the_engine_writes_has_french_words() -> None:
    causes = told.causes()
    assert len(causes) > 90
    said = {
        text.replace("{}", value, 1): file
        for text, file in causes.items()
        for value in _LISTED.get(text, ["{}"])
    }
    missing = {text: file for text, file in said.items() if text not in known()}
    assert missing == {}, "say it in channels/locale/fr.po"


def test_every_reason_of_a_pause_is_told_in_words() -> None:
    reasons = {"usage", "throttled", "breaker", "suspected", "vanished", "access-lost"}
    assert set(PAUSES) == {*reasons, *AccessReason}
    for words in (*PAUSES.values(), *SHUT.values(), BY_HAND):
        assert in_language(words, "fr") != words


@pytest.mark.parametrize("state", State)
def test_every_state_in_a_sentence_has_a_french_word(state: str) -> None:
    assert state == "sending" or in_language(state, "fr") != state


@pytest.mark.parametrize("state", [*RecipientState, State.HELD, State.FAILED])
def test_every_fate_of_a_reader_is_counted_in_words(state: str) -> None:
    assert in_language(f"3 {state}", "fr").startswith("3 ")
    assert in_language(f"3 {state}", "fr") != f"3 {state}"


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("its article was not there in time: it goes out without a link to it",
         "son article n’était pas là à temps\u00a0: elle part sans lien vers lui"),
        ("3 could not be written to: 2 by Mail, 1 have it by another delivery",
         "impossible d’écrire à 3\u00a0: 2 par Mail, 1 par un autre envoi"),
        ("x; no other road: A: paused: by hand; B: it refuses us",
         ("x\u202f; pas d’autre chemin\u00a0: A\u00a0: en pause\u00a0: à la main\u202f; "
          "B\u00a0: il nous refuse l’accès")),
        ("40 selected: 30 accepted, 10 refused", "40 destinataires\u00a0: 30 pris, 10 refusés"),
        ("It was accepted, by Friday", "It was accepted, by Friday"),
    ],
)  # fmt: skip
def test_lists_and_numbers_are_read(english: str, french: str) -> None:
    assert in_language(english, "fr") == french
