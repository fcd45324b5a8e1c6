"""The words of the pages where plan B is written, in English and French: data."""

from __future__ import annotations

from collections.abc import Mapping

ROADS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "r_edit": "Change its plan B",
        "r_intro": "Where posts go when their own page cannot carry them.",
        "r_title": "Plan B of {account}",
        "r_order": "Where its posts go instead, in this order",
        "r_place": "Choice {number}", "r_nowhere": "nobody", "r_lost": "not connected any more",
        "r_kinds": "How each kind of post goes",
        "r_at-once": "at once", "r_digest": "in one digest a day", "r_ask": "ask me first",
        "r_never": "not at all",
        "r_note": "What its readers are told there", "r_note_hint": "Empty: a sentence of ours.",
        "r_digest_hour": "Hour of the digest (0 to 23)",
        "r_worth_hours": "Hours for which a late post is still worth another road",
        "r_weekly_mails": "Mails a week that plan B may add to one list",
        "r_last_resort": "With all of these closed, publish on the built-in site",
        "r_save": "Save", "r_check": "Try it without saving", "r_reset": "Back to the default",
        "r_default": "This is the default: nobody has written one.",
        "r_saved": "Saved.", "r_restored": "The default holds again.",
        "r_fine": "This plan B leads somewhere. It is not saved yet.",
        "r_know": "You should know", "r_wrong": "Not saved",
        "r_alone": "No other account is connected: there is nowhere else to go.",
    },
    "fr": {
        "r_edit": "Modifier son plan B",
        "r_intro": "Où vont les publications quand leur page ne peut pas les porter.",
        "r_title": "Plan B de {account}",
        "r_order": "Où vont ses publications à la place, dans cet ordre",
        "r_place": "Choix {number}", "r_nowhere": "personne", "r_lost": "n’est plus connecté",
        "r_kinds": "Comment part chaque sorte de publication",
        "r_at-once": "tout de suite", "r_digest": "dans un résumé par jour",
        "r_ask": "me demander d’abord", "r_never": "pas du tout",
        "r_note": "Ce que ses lecteurs y liront", "r_note_hint": "Vide : une phrase de notre part.",
        "r_digest_hour": "Heure du résumé (de 0 à 23)",
        "r_worth_hours": "Heures pendant lesquelles une publication en retard vaut un autre chemin",
        "r_weekly_mails": "Messages par semaine que le plan B peut ajouter à une liste",
        "r_last_resort": "Si tous sont fermés, publier sur le site intégré",
        "r_save": "Enregistrer", "r_check": "Essayer sans enregistrer",
        "r_reset": "Revenir au plan par défaut",
        "r_default": "C’est le plan par défaut : personne n’en a écrit.",
        "r_saved": "Enregistré.", "r_restored": "Le plan par défaut vaut de nouveau.",
        "r_fine": "Ce plan B mène quelque part. Il n’est pas encore enregistré.",
        "r_know": "À savoir", "r_wrong": "Rien n’est enregistré",
        "r_alone": "Aucun autre compte n’est connecté : il n’y a pas d’ailleurs où aller.",
    },
}  # fmt: skip
