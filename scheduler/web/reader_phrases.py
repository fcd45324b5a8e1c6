"""The words of readers' pages."""

from __future__ import annotations

from collections.abc import Mapping

PHRASES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "leave": "Unsubscribe",
        "leave_ask": "Shall we stop sending “{list}” to {address}?",
        "leave_hint": "Nothing changes until you press the button.",
        "left": "You are unsubscribed",
        "left_text": "We no longer send you “{list}”. This holds from now on.",
        "not_on": "You are not on this list",
        "not_on_text": "We do not write to this address from this list.",
        "unknown": "This link leads nowhere",
        "unknown_text": "It may have been cut in two by your mail program. Open it again from the"
        " mail, or answer the mail with the word “unsubscribe”. Nothing was changed.",
    },
    "fr": {
        "leave": "Se désinscrire",
        "leave_ask": "Faut-il cesser d’envoyer « {list} » à {address} ?",
        "leave_hint": "Rien ne change tant que vous n’appuyez pas sur le bouton.",
        "left": "Vous êtes désinscrit(e)",
        "left_text": "Nous ne vous envoyons plus « {list} ». C’est effectif dès maintenant.",
        "not_on": "Vous n’êtes pas dans cette liste",
        "not_on_text": "Cette liste n’écrit pas à cette adresse.",
        "unknown": "Ce lien ne mène nulle part",
        "unknown_text": "Votre messagerie l’a peut-être coupé en deux. Rouvrez-le depuis le"
        " message, ou répondez au message avec le mot « désinscription ». Rien n’a été modifié.",
    },
}
