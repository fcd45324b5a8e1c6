"""The sentence that people agree to, and its version: another sentence is another version."""

from __future__ import annotations

from hashlib import blake2b

DEFAULT_WORDING = {
    "en": "I want to receive “{list}” by e-mail. I can unsubscribe in every mail, with one click.",
    "fr": "Je souhaite recevoir «\u00a0{list}\u00a0» par courriel. Je peux me désinscrire d’un"
    " clic, dans chaque message.",
}


def wording_of(own: str, list_name: str, language: str) -> str:
    """The list's own sentence, else the usual one; `language` is `en` or `fr`."""
    return own or DEFAULT_WORDING[language].format(list=list_name)


def version_of(wording: str) -> str:
    """Eight hexadecimal digits that change with a single letter."""
    return blake2b(wording.encode(), digest_size=4).hexdigest()
