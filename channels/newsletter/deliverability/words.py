"""What the findings say, in English and in French: data. Each has what was found and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# code -> ((English found, English remedy), (French found, French remedy))
WORDS: Final[Mapping[str, tuple[tuple[str, str], tuple[str, str]]]] = {
    "dns-silent": (
        ("DNS does not answer ({what}), so nothing is known", "try again; look at the resolver"),
        ("le DNS ne répond pas ({what}) : rien n’est connu", "réessayez ; vérifiez le résolveur"),
    ),
    "spf-ok": (
        ("{domain} lets the relay send; {lookups} of 10 lookups", ""),
        ("{domain} autorise le relais ; {lookups} consultations sur 10", ""),
    ),
    "spf-missing": (
        ("{domain} has no SPF record", "publish the record"),
        ("{domain} n’a pas d’enregistrement SPF", "publiez l’enregistrement"),
    ),
    "spf-several": (
        ("{domain} has {count} SPF records: together they count for none", "keep one"),
        ("{domain} a {count} enregistrements SPF : ensemble, aucun ne vaut", "n’en gardez qu’un"),
    ),
    "spf-wrong": (
        ("the SPF record of {domain} cannot be understood at {what}", "correct this term"),
        ("l’enregistrement SPF de {domain} est illisible à {what}", "corrigez ce terme"),
    ),
    "spf-lookups": (
        ("the SPF record of {domain} takes {lookups} lookups; after 10 it counts for none",
         "leave out what no longer sends for you"),
        ("le SPF de {domain} demande {lookups} consultations ; au-delà de 10 il ne vaut rien",
         "ôtez ce qui n’envoie plus pour vous"),
    ),
    "spf-everyone": (
        ("the SPF record of {domain} lets everyone send (+all)", "end it in ~all or -all"),
        ("le SPF de {domain} autorise tout le monde (+all)", "terminez-le par ~all ou -all"),
    ),
    "spf-relay": (
        ("the SPF record of {domain} does not name the relay {relay}",
         "publish the record, or the term that your provider gives"),
        ("le SPF de {domain} ne nomme pas le relais {relay}",
         "publiez l’enregistrement, ou le terme que donne votre fournisseur"),
    ),
    "dkim-ok": (
        ("signed as {domain}; the published key is ours", ""),
        ("signé au nom de {domain} ; la clé publiée est la nôtre", ""),
    ),
    "dkim-none": (
        ("mails are not signed by us", ("make a key: estafette accounts dkim {account}; or let the"
         " relay sign, if it does so in your domain’s name")),
        ("nous ne signons pas les messages", ("créez une clé : estafette accounts dkim {account} ;"
         " ou laissez signer le relais, s’il le fait au nom de votre domaine")),
    ),
    "dkim-unpublished": (
        ("the key {what} is not published", "publish the record"),
        ("la clé {what} n’est pas publiée", "publiez l’enregistrement"),
    ),
    "dkim-differs": (
        ("the key published at {what} is another one: every signature fails",
         "publish ours in its place"),
        ("la clé publiée à {what} n’est pas la nôtre : toutes les signatures échouent",
         "publiez la nôtre à sa place"),
    ),
    "dkim-waiting": (
        ("the key {what} is published; mails are not signed with it yet",
         "turn it on: estafette accounts dkim {account}"),
        ("la clé {what} est publiée ; elle ne signe pas encore",
         "activez-la : estafette accounts dkim {account}"),
    ),
    "dkim-testing": (
        ("the key {what} is marked as a test (t=y)", "publish it without t=y"),
        ("la clé {what} est marquée comme essai (t=y)", "publiez-la sans t=y"),
    ),
    "dmarc-ok": (
        ("{domain} has a DMARC policy ({what}), and our mails are aligned with it", ""),
        ("{domain} a une politique DMARC ({what}), et nos messages s’y alignent", ""),
    ),
    "dmarc-missing": (
        ("{domain} has no DMARC policy; large providers want one", "publish the record"),
        ("{domain} n’a pas de politique DMARC ; les grands fournisseurs l’exigent",
         "publiez l’enregistrement"),
    ),
    "dmarc-wrong": (
        ("the DMARC record of {domain} is not valid", "keep one, beginning with v=DMARC1; p=…"),
        ("l’enregistrement DMARC de {domain} n’est pas valable",
         "n’en gardez qu’un, qui commence par v=DMARC1; p=…"),
    ),
    "dmarc-unaligned": (
        (
            "neither SPF nor DKIM passes in the name of {domain}: DMARC fails for every mail",
            (
                "sign in its name, or have bounces come back to an address of it that SPF lets the"
                " relay use"
            ),
        ),
        (
            "ni SPF ni DKIM ne valent au nom de {domain} : DMARC échoue pour chaque message",
            (
                "signez en son nom, ou faites revenir les retours à une de ses adresses dont le SPF"
                " autorise le relais"
            ),
        ),
    ),
    "ptr-ok": (
        ("{relay} ({address}) is called {what}, and that name leads back", ""),
        ("{relay} ({address}) s’appelle {what}, et ce nom y ramène", ""),
    ),
    "ptr-missing": (
        ("{relay} ({address}) has no name that leads back (PTR)",
         "have whoever owns the address give it its name; a provider does so for its own"),
        ("{relay} ({address}) n’a pas de nom qui y ramène (PTR)",
         "faites-le nommer par qui possède l’adresse ; un fournisseur le fait pour les siennes"),
    ),
    "ptr-inner": (
        ("{relay} ({address}) is in your own network: what counts is the server that sends on", ""),
        ("{relay} ({address}) est dans votre réseau : c’est le serveur suivant qui compte", ""),
    ),
    "helo-ok": (
        ("it greets as {what}, a name that leads to it", ""),
        ("il se présente comme {what}, un nom qui mène à lui", ""),
    ),
    "helo-differs": (
        ("it greets as {what}, a name that does not lead to it",
         "give the server a name that DNS knows"),
        ("il se présente comme {what}, un nom qui ne mène pas à lui",
         "donnez au serveur un nom que le DNS connaît"),
    ),
    "relay-silent": (
        ("{relay} does not answer: {what}", "look at its address and whether it runs"),
        ("{relay} ne répond pas : {what}", "vérifiez son adresse et s’il tourne"),
    ),
    "tls-ok": (
        ("{relay} speaks {what}, with a certificate that holds", ""),
        ("{relay} parle {what}, avec un certificat valable", ""),
    ),
    "tls-untrusted": (
        ("the certificate of {relay} does not hold: {what}",
         "renew it, or name its authority in ca_file"),
        ("le certificat de {relay} ne vaut pas : {what}",
         "renouvelez-le, ou nommez son autorité dans ca_file"),
    ),
    "tls-unused": (
        ("{relay} offers TLS and the account does not use it", "set tls to starttls"),
        ("{relay} propose TLS et le compte ne s’en sert pas", "mettez tls à starttls"),
    ),
    "tls-none": (
        ("{relay} offers no TLS: mails travel in the clear", "turn on STARTTLS at the relay"),
        ("{relay} ne propose pas TLS : les messages voyagent en clair",
         "activez STARTTLS sur le relais"),
    ),
    "form-ok": (
        ("a sample mail of {size} KB has text, HTML and one-click unsubscribe", ""),
        ("un message d’essai de {size} Ko a texte, HTML et désinscription en un clic", ""),
    ),
    "one-click-missing": (
        ("a mail has no one-click unsubscribe: it wants https, not {what}",
         "set ESTAFETTE_PUBLIC_URL to an https address"),
        ("un message n’a pas de désinscription en un clic : il faut https, et non {what}",
         "donnez à ESTAFETTE_PUBLIC_URL une adresse https"),
    ),
    "text-missing": (
        ("a mail has no text beside its HTML", "give the post a body"),
        ("un message n’a pas de texte à côté du HTML", "donnez un corps à la publication"),
    ),
    "clipped": (
        ("the HTML has {what}; Gmail hides what is beyond 102 KB",
         "send the beginning, and a link to the rest"),
        ("le HTML pèse {what} ; Gmail cache ce qui dépasse 102 Ko",
         "envoyez le début, et un lien vers la suite"),
    ),
    "only-image": (
        ("a mail is hardly more than a picture", "say in words what the picture says"),
        ("un message n’est guère plus qu’une image", "dites avec des mots ce que dit l’image"),
    ),
    "link-differs": (
        ("a link says one site and leads to another: {what}", "let it say where it leads"),
        ("un lien dit un site et mène à un autre : {what}", "faites-lui dire où il mène"),
    ),
}  # fmt: skip


def words(code: str, language: str, facts: Mapping[str, object]) -> tuple[str, str]:
    """What was found and what to do."""
    english, french = WORDS[code]
    found, remedy = french if language == "fr" else english
    return found.format_map(facts), remedy.format_map(facts)
