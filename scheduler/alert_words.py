"""What alerts say, in French and in English: data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# kind -> (what happened, what to do). `{account}` and `{post}` are names; causes are quoted apart.
ENGLISH: Final[Mapping[str, tuple[str, str]]] = {
    "delivery.held": (
        "“{post}” waits for you: it could not go out on {account}",
        "Publish it now, send it elsewhere, or cancel it.",
    ),
    "delivery.failed": (
        "“{post}” was not published on {account}",
        "Publish it again, change it, or send it elsewhere.",
    ),
    "delivery.unconfirmed": (
        "“{post}” may have been published on {account}, and nobody can tell",
        "Look at the page, then say whether it is there.",
    ),
    "delivery.belated": (
        "“{post}” was on its way to {account} when a change was accepted that came too late",
        "Look at the page; take it down or correct it there if it is not meant.",
    ),
    "delivery.rerouted": (
        "“{post}” takes another road than {account}",
        "Nothing to do; you may undo it while it has not left.",
    ),
    "recipients.cancelled": (
        "Readers who waited for “{post}” on {account} do not get it any more",
        "Nothing to do: it was cancelled. Publish it again to reach them.",
    ),
    "recipients.unreached": (
        "Some readers of “{post}” could not be written to on {account}",
        "Nothing to do: who agreed to another address gets it there.",
    ),
    "account.access-lost": (
        "{account} refuses us; its posts are held",
        "Reconnect the account.",
    ),
    "account.closed": (
        "The settings of {account} cannot be opened; its posts wait",
        "Put the key or the release back that it needs, or reconnect the account.",
    ),
    "account.vanished": (
        "{account} has vanished; its queue took plan B",
        "Look at the page; reconnect or archive the account.",
    ),
    "account.degraded": (
        "{account} is only partly visible",
        "Look at the page with a phone and with a computer, without being logged in.",
    ),
    "copy.failed": (
        "The encrypted copy of the contacts could not be made",
        "Make room, or make the directory writable; it is tried again every quarter of an hour.",
    ),
    "redis.lost": (
        "Redis does not answer; publishing goes on from SQL alone",
        "Start Redis again; nothing has to be repaired afterwards.",
    ),
    "account.platform-down": (
        "The platform of {account} does not answer",
        "Nothing to do: posts go out when it answers again.",
    ),
    "account.returned": (
        "{account} is back",
        "Nothing is published again by itself; you may publish one catch-up post.",
    ),
    "account.last-resort": (
        "Every road of {account} is closed: its posts are on your site only",
        "Reopen one of its fallbacks, or write it another plan B.",
    ),
    "account.expires": (
        "The access to {account} ends soon",
        "Reconnect the account before then.",
    ),
    "account.renewal-failed": (
        "The access to {account} can no longer be renewed",
        "Reconnect the account before its access ends.",
    ),
    "account.mailbox-broken": (
        "Bounces and complaints of {account} cannot be read from its mailbox",
        "Correct the mailbox in the account's settings; sending goes on meanwhile.",
    ),
    "route.incomplete": (
        "{account} has no plan B that works",
        "Name another account that can carry its posts.",
    ),
    "workers.none": (
        "Nothing is being published: no worker is alive",
        "Start a worker: estafette worker",
    ),
    "recurrence.refused": (
        "What comes round again cannot be planned",
        "Mend what the cause names, or end the recurrence and create it anew.",
    ),
    "recurrence.missed": (
        "What comes round again was missed: its time passed before it could be planned",
        "Publish by hand what still matters.",
    ),
    "hook.failed": (
        "A webhook no longer answers and was given up",
        "Look at its receiver, then add it again.",
    ),
}

FRENCH: Final[Mapping[str, tuple[str, str]]] = {
    "delivery.held": (
        "« {post} » vous attend : impossible de le publier sur {account}",
        "Publiez-le maintenant, envoyez-le ailleurs, ou annulez-le.",
    ),
    "delivery.failed": (
        "« {post} » n’a pas été publié sur {account}",
        "Publiez-le de nouveau, modifiez-le, ou envoyez-le ailleurs.",
    ),
    "delivery.unconfirmed": (
        "« {post} » est peut-être publié sur {account}, rien ne permet de le savoir",
        "Regardez la page, puis dites s’il y est.",
    ),
    "delivery.belated": (
        "« {post} » partait déjà vers {account} quand un changement, arrivé trop tard, fut accepté",
        "Regardez la page ; retirez-le ou corrigez-le là-bas s'il n'est pas voulu.",
    ),
    "delivery.rerouted": (
        "« {post} » prend un autre chemin que {account}",
        "Rien à faire ; vous pouvez annuler ce détour tant qu’il n’est pas parti.",
    ),
    "recipients.cancelled": (
        "Les lecteurs qui attendaient « {post} » par {account} ne le recevront plus",
        "Rien à faire : l’envoi a été annulé. Publiez à nouveau pour les joindre.",
    ),
    "recipients.unreached": (
        "Des lecteurs de « {post} » n’ont pas pu être joints par {account}",
        "Rien à faire : qui a accepté une autre adresse le reçoit là-bas.",
    ),
    "account.access-lost": (
        "{account} nous refuse l’accès ; ses publications sont retenues",
        "Reconnectez le compte.",
    ),
    "account.closed": (
        "Les réglages de {account} sont illisibles ; ses publications attendent",
        "Remettez la clé ou la version qu’il leur faut, ou reconnectez le compte.",
    ),
    "account.vanished": (
        "{account} a disparu ; sa file suit le plan B",
        "Regardez la page ; reconnectez ou archivez le compte.",
    ),
    "account.degraded": (
        "{account} n’est visible qu’en partie",
        "Regardez la page avec un téléphone et avec un ordinateur, sans être connecté.",
    ),
    "copy.failed": (
        "La copie chiffrée des contacts n’a pas pu être faite",
        "Libérez de la place ou rendez le dossier accessible ; nouvel essai tous les 15 minutes.",
    ),
    "redis.lost": (
        "Redis ne répond plus ; les publications continuent à partir de la base de données",
        "Relancez Redis ; il n’y aura rien à réparer ensuite.",
    ),
    "account.platform-down": (
        "La plateforme de {account} ne répond pas",
        "Rien à faire : les publications partiront quand elle répondra.",
    ),
    "account.returned": (
        "{account} est de retour",
        "Rien n’est republié tout seul ; vous pouvez publier un message de rattrapage.",
    ),
    "account.last-resort": (
        "Tous les chemins de {account} sont fermés : ses publications ne sont que sur votre site",
        "Rouvrez un de ses remplaçants, ou écrivez-lui un autre plan B.",
    ),
    "account.expires": (
        "L’accès à {account} prend bientôt fin",
        "Reconnectez le compte avant cette date.",
    ),
    "account.renewal-failed": (
        "L’accès à {account} ne peut plus être renouvelé",
        "Reconnectez le compte avant la fin de son accès.",
    ),
    "account.mailbox-broken": (
        "Impossible de relever la boîte des retours et des plaintes de {account}",
        "Corrigez la boîte dans les réglages du compte ; les envois continuent entre-temps.",
    ),
    "route.incomplete": (
        "{account} n’a pas de plan B qui marche",
        "Nommez un autre compte qui puisse porter ses publications.",
    ),
    "workers.none": (
        "Rien n’est publié : aucun processus de travail n’est en vie",
        "Lancez-en un : estafette worker",
    ),
    "recurrence.refused": (
        "Une publication récurrente ne peut pas être préparée",
        "Corrigez ce que dit la cause, ou terminez la récurrence et créez-la de nouveau.",
    ),
    "recurrence.missed": (
        "Une publication récurrente est passée avant d’avoir pu être préparée",
        "Publiez à la main ce qui compte encore.",
    ),
    "hook.failed": (
        "Un webhook ne répond plus, il est abandonné",
        "Regardez son destinataire, puis ajoutez-le de nouveau.",
    ),
}

LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "cause": "Cause",
        "action": "What to do",
        "posts": "Posts",
        "more": "and {count} more",
        "several": "{count} alerts",
        "nothing": "a post",
        "account": "an account",
        "colon": ": ",
    },
    "fr": {
        "cause": "Cause",
        "action": "À faire",
        "posts": "Publications",
        "more": "et {count} de plus",
        "several": "{count} alertes",
        "nothing": "une publication",
        "account": "un compte",
        "colon": " : ",
    },
}
