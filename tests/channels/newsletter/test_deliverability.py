"""Whether mails arrive: looked at with a real name server and a real relay, both on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from channels.base import Account
from channels.inspection import Advice, Grade
from channels.newsletter.adapter import Newsletter
from channels.newsletter.compose import Letter
from channels.newsletter.deliverability import letter, providers, relay, spf
from channels.newsletter.deliverability.dns import DnsError, Resolver, split
from channels.newsletter.deliverability.inspect import Inspection
from channels.newsletter.deliverability.signing import next_step
from channels.newsletter.deliverability.words import WORDS, words
from channels.newsletter.dkim import dns_record, new_key
from channels.newsletter.settings import Dkim, NewsletterSettings
from channels.outcome import Severity, Unavailable
from channels.posts import Media
from channels.translations import in_language
from tests.channels.newsletter.support import NOW, account, adapter, post, practice, reader
from tests.support.dns import NameServer, Zone, reverse, text

DOMAIN = "librairie.example.org"
PATIENCE = 60.0  # seconds
UNSUBSCRIBE = f"https://{DOMAIN}/u/abc"
KEY = new_key()
OURS = Dkim(selector="s1", domain=DOMAIN, private_key=SecretStr(KEY))
RECORD = dns_record(OURS)
WELL: Zone = {
    (DOMAIN, "TXT"): [text("v=spf1 ip4:127.0.0.1 -all"), text("google-site-verification=x")],
    (RECORD.name, "TXT"): [text(RECORD.value)],
    (f"_dmarc.{DOMAIN}", "TXT"): [text("v=DMARC1; p=none; rua=mailto:x@example.org")],
    (reverse("127.0.0.1"), "PTR"): ["mx.example.org."],
    ("mx.example.org", "A"): ["127.0.0.1"],
    (DOMAIN, "MX"): ["10 mx.example.org."],
}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy answers late, and is not silent."""
    defaults = Resolver.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "patience", PATIENCE)
    monkeypatch.setattr(relay, "PATIENCE", PATIENCE)


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with NameServer(WELL) as server:
        yield server


async def look(
    names: NameServer,
    language: str = "en",
    unsubscribe_url: str = UNSUBSCRIBE,
    patience: float = PATIENCE,
    **changes: Any,
) -> dict[str, Advice]:
    """What is found about a newsletter at the practice relay, by code."""
    async with practice() as (_, there):
        relays = [relay.model_dump() for relay in there.settings.relays]
        changed = {"relays": relays, "dkim": _plain(OURS), **changes}
        found = await Inspection(
            account=account(**changed),
            resolver=Resolver(names.address, patience=patience),
            now=NOW,
            unsubscribe_url=unsubscribe_url,
            language=language,
        ).everything()
    return {one.code: one for one in found}


def _plain(dkim: Dkim) -> dict[str, Any]:
    return {**dkim.model_dump(), "private_key": dkim.private_key.get_secret_value()}


async def test_a_newsletter_that_is_set_up_well_has_nothing_to_mend(names: NameServer) -> None:
    found = await look(names)
    assert [code for code in found if code.startswith(("spf", "dkim", "dmarc", "ptr", "form"))] == [
        "spf-ok", "dkim-ok", "dmarc-ok", "ptr-ok", "form-ok",
    ]  # fmt: skip
    assert all(one.record is None for one in found.values())
    assert found["tls-none"].grade is Grade.WARNING, "the practice relay speaks in the clear"


@pytest.mark.parametrize(
    ("where", "records", "code", "grade"),
    [
        ((DOMAIN, "TXT"), [], "spf-missing", Grade.ERROR),
        ((DOMAIN, "TXT"), ["v=spf1 -all", "v=spf1 a -all"], "spf-several", Grade.ERROR),
        ((DOMAIN, "TXT"), ["v=spf1 ip4:127.0.0.1 includes:x -all"], "spf-wrong", Grade.ERROR),
        ((DOMAIN, "TXT"), ["v=spf1 ip4:127.0.0.1 +all"], "spf-everyone", Grade.ERROR),
        ((DOMAIN, "TXT"), ["v=spf1 ip4:192.0.2.1 -all"], "spf-relay", Grade.WARNING),
        ((DOMAIN, "TXT"), ["v=spf1 -ip4:127.0.0.1 ~all"], "spf-relay", Grade.WARNING),
        ((RECORD.name, "TXT"), [], "dkim-unpublished", Grade.ERROR),
        ((RECORD.name, "TXT"), ["v=DKIM1; p="], "dkim-unpublished", Grade.ERROR),
        ((RECORD.name, "TXT"), ["v=DKIM1; k=rsa; p=AAAA"], "dkim-differs", Grade.ERROR),
        ((RECORD.name, "TXT"), [RECORD.value.replace("k=", "t=y; k=")], "dkim-testing",
         Grade.WARNING),
        ((f"_dmarc.{DOMAIN}", "TXT"), [], "dmarc-missing", Grade.ERROR),
        ((f"_dmarc.{DOMAIN}", "TXT"), ["v=DMARC1; rua=mailto:x@y.org"], "dmarc-wrong", Grade.ERROR),
        ((reverse("127.0.0.1"), "PTR"), [], "ptr-inner", Grade.OK),
        ((reverse("127.0.0.1"), "PTR"), ["elsewhere.example."], "ptr-inner", Grade.OK),
    ],
)  # fmt: skip
async def test_what_is_amiss_is_named_with_the_record_to_publish(
    names: NameServer, where: tuple[str, str], records: list[str], code: str, grade: Grade
) -> None:
    names.zone[where] = [text(one) if where[1] == "TXT" else one for one in records]
    found = (await look(names))[code]
    assert found.grade is grade
    if grade is Grade.OK:
        return
    assert found.remedy
    if code in {"spf-missing", "spf-relay", "dkim-unpublished", "dkim-differs", "dmarc-missing"}:
        assert found.record is not None
        names.zone[found.record.name, found.record.type] = [text(found.record.value)]
        assert code not in await look(names), "published as it was given, it is well"


async def test_a_policy_is_found_above_and_fails_when_nothing_is_aligned(names: NameServer) -> None:
    names.zone[f"_dmarc.{DOMAIN}", "TXT"] = []
    names.zone["_dmarc.example.org", "TXT"] = [text("v=DMARC1; p=reject")]
    assert "dmarc-ok" in await look(names)
    names.zone[RECORD.name, "TXT"] = []
    assert "dmarc-ok" in await look(names), "SPF is aligned still"
    names.zone[DOMAIN, "TXT"] = [text("v=spf1 -all")]
    found = await look(names)
    assert found["dmarc-unaligned"].grade is Grade.ERROR
    assert "dmarc-unaligned" not in await look(names, dkim=None), "the relay may sign itself"


async def test_dns_that_is_silent_is_not_taken_for_an_answer(names: NameServer) -> None:
    names.silent = {DOMAIN, RECORD.name}
    found = await look(names, patience=0.3)
    assert found["dns-silent"].grade is Grade.WARNING
    assert not {"spf-missing", "dkim-unpublished", "dmarc-unaligned"} & found.keys()
    with pytest.raises(DnsError):
        await Resolver(names.address, patience=0.1).texts(DOMAIN)


async def test_a_key_that_waits_signs_nothing_and_is_put_to_use_once_published(
    names: NameServer,
) -> None:
    there = account().settings
    made = await next_step(there, names.address, "new")
    assert not isinstance(made, Unavailable)
    assert (made.active, made.record.name) == (False, f"new._domainkey.{DOMAIN}")
    waiting = there.model_copy(update=dict(made.changed))
    assert waiting.dkim is not None
    assert "dkim-unpublished" in await look(names, dkim=_plain(waiting.dkim))
    asked = await next_step(waiting, names.address, "ignored")
    assert not isinstance(asked, Unavailable)
    assert (asked.active, asked.changed, asked.record) == (False, {}, made.record)

    names.zone[made.record.name, "TXT"] = [text(made.record.value)]
    assert "dkim-waiting" in await look(names, dkim=_plain(waiting.dkim))
    assert not _signed(waiting)
    used = await next_step(waiting, names.address, "ignored")
    assert not isinstance(used, Unavailable)
    signing = waiting.model_copy(update=dict(used.changed))
    assert signing.dkim is not None
    assert used.active
    assert signing.dkim.sign
    assert signing.dkim.private_key == waiting.dkim.private_key
    assert "dkim-ok" in await look(names, dkim=_plain(signing.dkim))
    assert _signed(signing)
    load_pem_private_key(signing.dkim.private_key.get_secret_value().encode(), password=None)
    assert "BEGIN" not in repr((made, used))


def _signed(settings: NewsletterSettings) -> bool:
    there = Account(id="a", name="a", settings=settings)
    letter = Letter(adapter().render(post(), there), settings, date=NOW, pictures={})
    return b"DKIM-Signature:" in letter.to(reader(), key="k").content


async def test_a_key_that_does_not_sign_yet_aligns_nothing(names: NameServer) -> None:
    names.zone[DOMAIN, "TXT"] = [text("v=spf1 -all")]
    assert "dmarc-ok" in await look(names), "DKIM carries it alone"
    waiting = OURS.model_copy(update={"sign": False})
    assert "dmarc-unaligned" in await look(names, dkim=_plain(waiting))


async def test_a_relay_that_is_not_there_is_said_and_the_rest_is_looked_at(
    names: NameServer,
) -> None:
    relays = [{"host": "127.0.0.1", "port": 1, "tls": "none"}]
    found = await look(names, relays=relays)
    assert found["relay-silent"].grade is Grade.ERROR
    assert {"spf-ok", "form-ok"} <= found.keys()


async def test_without_https_there_is_no_one_click(names: NameServer) -> None:
    found = await look(names, unsubscribe_url="http://127.0.0.1:8080/u/x")
    assert found["one-click-missing"].area == "form"


async def test_findings_are_said_in_french(names: NameServer) -> None:
    names.zone[DOMAIN, "TXT"] = []
    found = await look(names, "fr")
    assert "n’a pas d’enregistrement SPF" in found["spf-missing"].detail
    assert found["spf-missing"].remedy == "publiez l’enregistrement"


def test_every_finding_has_its_words_in_both_languages() -> None:
    facts = dict.fromkeys(
        ("domain", "lookups", "count", "what", "relay", "account", "address", "size"), "x"
    )
    for code in WORDS:
        english, french = words(code, "en", facts), words(code, "fr", facts)
        assert english[0] != french[0]
        assert bool(english[1]) == bool(french[1])


# --- SPF ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "passes", "lookups"),
    [
        ("v=spf1 -all", False, 0),
        ("v=spf1", False, 0),
        ("V=SPF1 IP4:127.0.0.0/8 -ALL", True, 0),
        ("v=spf1 ip4:127.0.0.0/33 -all", False, 0),
        ("v=spf1 a:mx.example.org -all", True, 1),
        ("v=spf1 a:near.example.org/24 -all", True, 1),
        ("v=spf1 a:near.example.org -all", False, 1),
        ("v=spf1 mx -all", True, 1),
        ("v=spf1 include:inner.example.org -all", True, 1),
        ("v=spf1 include:outer.example.org -all", False, 2),
        ("v=spf1 redirect=inner.example.org", True, 1),
        ("v=spf1 redirect=inner.example.org -all", False, 0),
        ("v=spf1 ?all redirect=inner.example.org", False, 0),
        ("v=spf1 exists:%{i}.x.example ptr -all", False, 2),
        ("v=spf1 ~ip4:127.0.0.1 ip4:127.0.0.1 -all", False, 0),
        ("v=spf1 -all ip4:127.0.0.1", False, 0),
        ("v=spf1 ip6:::1 -all", False, 0),
    ],
)
async def test_a_record_is_followed_as_receivers_do(
    names: NameServer, record: str, *, passes: bool, lookups: int
) -> None:
    names.zone |= {
        ("d.example.org", "TXT"): [text(record)],
        ("d.example.org", "MX"): ["10 mx.example.org."],
        ("near.example.org", "A"): ["127.0.0.99"],
        ("inner.example.org", "TXT"): [text("v=spf1 ip4:127.0.0.1 -all")],
        ("outer.example.org", "TXT"): [text("v=spf1 -include:inner.example.org -all")],
    }
    found = await spf.examine(Resolver(names.address), "d.example.org", ["127.0.0.1"])
    assert (found.passes, found.lookups) == (passes, lookups)


async def test_too_many_lookups_are_counted_and_a_loop_ends(names: NameServer) -> None:
    for number in range(12):
        names.zone[f"s{number}.example.org", "TXT"] = [
            text(f"v=spf1 include:s{number + 1}.example.org ip4:127.0.0.1 ~all")
        ]
    names.zone["s12.example.org", "TXT"] = [text("v=spf1 ip4:127.0.0.1 ~all")]
    names.zone[DOMAIN, "TXT"] = names.zone["s0.example.org", "TXT"]
    assert "12 lookups" in (await look(names))["spf-lookups"].detail
    names.zone["s12.example.org", "TXT"] = names.zone["s0.example.org", "TXT"]
    found = await spf.examine(Resolver(names.address), DOMAIN, ["127.0.0.1"])
    assert found.lookups > spf.MOST_LOOKUPS
    assert sum(names.asked.values()) < 200


def test_a_providers_term_is_proposed_beside_what_is_there() -> None:
    assert providers.spf_domain("smtp-relay.brevo.com") == "spf.brevo.com"
    assert providers.spf_domain("evilbrevo.com") is None
    assert spf.with_term("v=spf1 mx -all", "include:x.org") == "v=spf1 include:x.org mx -all"
    assert spf.with_term("", "a:mx.org") == "v=spf1 a:mx.org ~all"


# --- The mail's form ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ("<a href='https://evil.example/x'>www.shop.example.org</a>", "link-differs"),
        ("<a href='https://evil.example/x'>https://shop.example.org/new</a>", "link-differs"),
        ("<A HREF='https://evil.example/x'><b>shop</b>.example\n<i>.org</i></A>", None),
        ("<A HREF='https://evil.example/x'><b>shop</b>.example<i>.org</i></A>", "link-differs"),
        ("<a href='https://evil.example/x'>shop&#46;example&#46;org</a>", "link-differs"),
        ("<IMG src='cid:1'>", "only-image"),
        ("<a href='https://www.shop.example.org/x'>shop.example.org</a>", None),
        ("<a href='https://evil.example/x'>Our shop. It is open</a>", None),
        ("<a href='mailto:x@shop.example.org'>x@shop.example.org</a>", None),
        ("<img src='cid:1'>", "only-image"),
        ("<img src='cid:1'><style>" + "a {color: red}" * 50 + "</style>", "only-image"),
        ("<img src='cid:1'><p>" + "words " * 20, None),
    ],
)
def test_traps_of_form(html: str, code: str | None) -> None:
    assert [fault.code for fault in letter.html_faults(html)] == ([] if code is None else [code])


def test_an_author_is_told_of_traps_before_the_mail_goes() -> None:
    newsletter: Newsletter = adapter()
    there = account()
    picture = Media(id="m", content_type="image/png", alt="A", url="https://x.org/a.png", size=9)

    def codes(**changes: Any) -> dict[str, Severity]:
        message = newsletter.render(post(**changes), there)
        return {one.code: one.severity for one in newsletter.check(message, there)}

    assert codes(body="", media=(picture,)) == {"only-image": Severity.WARNING}
    body = "See [shop.example.org](https://tracker.example/1) for " + "more words " * 10
    assert codes(body=body, media=(picture,)) == {"link-differs": Severity.WARNING}
    assert codes() == {}


@pytest.mark.parametrize(
    ("server", "there"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
    ],
)
def test_a_resolver_is_named_by_its_address(server: str, there: tuple[str, int]) -> None:
    assert split(server) == there


def test_the_traps_that_an_author_is_told_of_are_told_in_french_too() -> None:
    newsletter = adapter()
    there = account()
    picture = Media(id="m", content_type="image/png", alt="A", url="https://x.org/a.png", size=9)
    body = "[shop.example.org](https://tracker.example/1)"
    message = newsletter.render(post(body=body, media=(picture,)), there)
    for problem in newsletter.check(message, there):
        for said in (problem.detail, problem.remedy):
            assert in_language(said, "fr") != said, said
