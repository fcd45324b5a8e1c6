"""The words of the pages, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from babel import negotiate_locale

PHRASES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "accounts": "Accounts", "api": "API", "cancel": "Do not publish",
        "check": "Something is not running", "connect": "Connect another page",
        "decide": "Needs a decision",
        "deliverability": "Deliverability",
        "empty": "Nothing yet.", "healthy": "All is well", "pause": "Pause", "paused": "paused",
        "planned": "Planned", "preview": "Preview:", "preview_mail": "Preview",
        "published": "Latest",
        "repost": "Not there: send again",
        "resume": "Resume", "retry": "Try again", "seen": "It is there", "sign_in": "Sign in",
        "sign_out": "Sign out", "title": "Overview", "token": "API token",
        "token_hint": "Printed or made by:", "untitled": "Untitled",
        "wrong": "This token is unknown, expired or revoked.",
        "scheduled": "scheduled", "armed": "about to go", "sending": "being sent",
        "accepted": "accepted", "unconfirmed": "to be confirmed", "held": "held",
        "delivered": "published", "rerouted": "took another road", "failed": "failed",
        "cancelled": "cancelled",
    },
    "fr": {
        "accounts": "Comptes", "api": "API", "cancel": "Ne pas publier",
        "check": "Quelque chose ne tourne pas", "connect": "Connecter une autre page",
        "decide": "À décider",
        "deliverability": "Délivrabilité",
        "empty": "Rien pour l’instant.", "healthy": "Tout va bien", "pause": "Mettre en pause",
        "paused": "en pause", "preview": "Aperçu :", "preview_mail": "Aperçu", "planned": "Prévu",
        "published": "Dernières publications",
        "repost": "Pas en ligne : renvoyer", "resume": "Reprendre", "retry": "Réessayer",
        "seen": "C’est en ligne", "sign_in": "Se connecter", "sign_out": "Se déconnecter",
        "title": "Vue d’ensemble", "token": "Jeton d’API",
        "token_hint": "Affiché ou créé par\u00a0:", "untitled": "Sans titre",
        "wrong": "Ce jeton est inconnu, expiré ou révoqué.",
        "scheduled": "programmé", "armed": "sur le départ", "sending": "en cours d’envoi",
        "accepted": "accepté", "unconfirmed": "à confirmer", "held": "en attente",
        "delivered": "publié", "rerouted": "autre chemin pris", "failed": "échoué",
        "cancelled": "annulé",
    },
}  # fmt: skip


def language_of(accept: str, default: str) -> str:
    """`en` or `fr`, by an Accept-Language header; its order counts, not its weights."""
    wanted = [part.split(";", 1)[0].strip().replace("-", "_") for part in accept.split(",")]
    found = negotiate_locale([one for one in wanted if one], list(PHRASES))
    return default if found is None else found
