"""The words of the pages on which accounts are connected."""

from __future__ import annotations

from collections.abc import Mapping

PHRASES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Connect a page",
        "back": "Back to the overview",
        "begin": "Log in: {place}",
        "none": "No application is set up: ESTAFETTE_APPS says at which platforms people log in.",
        "which": "Which pages shall be connected?",
        "may": "You may there:",
        "connect": "Connect",
        "done": "Connected",
        "refused": "Not connected",
        "again": "Begin again",
    },
    "fr": {
        "title": "Connecter une page",
        "back": "Retour à la vue d’ensemble",
        "begin": "Se connecter\u00a0: {place}",
        "none": "Aucune application n’est configurée : ESTAFETTE_APPS dit sur quelles plateformes"
        " on se connecte.",
        "which": "Quelles pages connecter ?",
        "may": "Vous y avez le droit de :",
        "connect": "Connecter",
        "done": "Connecté",
        "refused": "Non connecté",
        "again": "Recommencer",
    },
}
