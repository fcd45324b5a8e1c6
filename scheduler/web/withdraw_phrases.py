"""The words of taking a post down, in English and French: data."""

from __future__ import annotations

from collections.abc import Mapping

WITHDRAWALS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "withdraw": "Take down", "withdraw_all": "Take everything down", "withdrawn": "taken down",
        "w_title": "Take down what was published", "w_would": "This would be taken down",
        "w_others": "This would not", "w_done": "What became of it",
        "w_hint": "Whoever has read it has read it; what it was shared in may still show it.",
        "w_yes": "Yes, take it down", "w_again": "Try again", "w_back": "Back to the post",
        "f_possible": "published", "f_withdrawn": "taken down", "f_already": "taken down before",
        "f_waiting": "not published yet", "f_unsettled": "to be confirmed",
        "f_never": "not published there", "f_impossible": "stays",
        "f_out-of-reach": "stays: out of reach",
        "f_throttled": "still there: the platform asks to slow down",
        "f_unavailable": "still there: no answer", "f_access-lost": "still there: refuses us",
        "f_gone": "the whole page seems to be gone", "f_refused": "still there: refused",
        "f_unconfirmed": "nobody knows whether it is still there",
        "f_edited": "corrected", "correct": "Correct the words",
        "c_title": "Correct what was published", "c_headline": "Title",
        "c_hint": "Pictures and links stay. What still waits goes out in these words.",
        "c_only": "Only on", "c_own": "Left empty, a channel says what the post says.",
        "c_yes": "Correct it", "c_keeps": "keeps the old words",
        "e_delivery.edited": "Corrected", "e_delivery.edit_failed": "Not corrected",
        "e_delivery.withdrawn": "Taken down", "e_delivery.withdrawal_failed": "Not taken down",
    },
    "fr": {
        "withdraw": "Retirer", "withdraw_all": "Tout retirer", "withdrawn": "retiré",
        "w_title": "Retirer ce qui est publié", "w_would": "Ceci serait retiré",
        "w_others": "Ceci ne le serait pas", "w_done": "Ce qu’il en est",
        "w_hint": "Qui l’a lu l’a lu ; là où c’est partagé, cela peut rester visible.",
        "w_yes": "Oui, retirer", "w_again": "Réessayer", "w_back": "Retour à la publication",
        "f_possible": "publié", "f_withdrawn": "retiré", "f_already": "déjà retiré",
        "f_waiting": "pas encore publié", "f_unsettled": "à confirmer",
        "f_never": "pas publié là", "f_impossible": "reste",
        "f_out-of-reach": "reste : hors d’atteinte",
        "f_throttled": "toujours là : la plateforme demande de ralentir",
        "f_unavailable": "toujours là : pas de réponse",
        "f_access-lost": "toujours là : nous refuse l’accès",
        "f_gone": "la page entière semble avoir disparu", "f_refused": "toujours là : refusé",
        "f_unconfirmed": "personne ne sait si c’est encore là",
        "f_edited": "corrigé", "correct": "Corriger les mots",
        "c_title": "Corriger ce qui est publié", "c_headline": "Titre",
        "c_hint": "Images et liens restent. Ce qui attend encore partira avec ces mots.",
        "c_only": "Seulement sur",
        "c_own": "Laissé vide, un canal dit ce que dit la publication.",
        "c_yes": "Corriger", "c_keeps": "garde les anciens mots",
        "e_delivery.edited": "Corrigée", "e_delivery.edit_failed": "Pas corrigée",
        "e_delivery.withdrawn": "Retirée", "e_delivery.withdrawal_failed": "Pas retirée",
    },
}  # fmt: skip
