"""Whatever an adapter says to people can be read in French."""

from __future__ import annotations

import pytest

from channels.translations import catalogue, in_language
from tests.channels.spoken import templates


def test_every_detail_and_remedy_has_french_words() -> None:
    known = catalogue("fr")
    missing = {text: file for text, file in templates().items() if text not in known}
    assert missing == {}
    assert len(templates()) > 250


def test_every_translation_puts_in_as_much_and_says_something_else() -> None:
    for english, french in catalogue("fr").items():
        assert french, english
        assert french != english
        assert french.count("{}") == english.count("{}"), english
        assert (french[-1] == ".") == (english[-1] == "."), english


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("Reconnect the account.", "Reconnectez le compte."),
        ("the access token has expired Reconnect the account.",
         "le jeton d’accès a expiré Reconnectez le compte."),
        ("Facebook takes 10 pictures in one post.", "Facebook prend 10 images par publication."),
        ("12 pictures; this blog takes 20", "12 images\u202f; ce blog en prend 20"),
        ("gave up after 6 attempts: posting too fast",
         "abandon après 6 essais\u00a0: publications trop rapprochées"),
        ("LinkedIn may have published: Internal error",
         "LinkedIn a peut-être publié\u00a0: Internal error"),
        ("the site has moved to https://a.example/b Look at the page.",
         "le site a déménagé\u00a0: https://a.example/b Look at the page."),
        ("the access token has expired. Reconnect the account.",
         "le jeton d’accès a expiré. Reconnectez le compte."),
        ("ordinary posts are not rerouted from here",
         "les publications ordinaires ne sont pas déroutées d’ici"),
        ("Change the words. No other road: its plan B asks a person first",
         "Changez les mots. Pas d’autre chemin\u00a0: son plan B demande d’abord à une personne"),
        ("Something that only the platform says.", "Something that only the platform says."),
        ("", ""),
    ],
)  # fmt: skip
def test_sentences_are_known_alone_together_and_filled_in(english: str, french: str) -> None:
    assert in_language(english, "fr") == french
    assert in_language(english, "en") == english


def test_words_that_a_platform_chose_cannot_make_it_slow() -> None:
    text = "x " * 5000
    assert in_language(text, "fr") == text
    assert in_language(text[:1900], "fr") == text[:1900]
