"""`/signup/{list}` and `/confirm/{token}`: how readers join, without JavaScript or a third party.

The form may stand in a frame of another site, or be a plain form of another site that posts here;
the latter lacks the stamp, so its reader presses the button once more, on our page. Robots fill in
the field that nobody sees, are faster than a person, or send a stamp that we did not make.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any

import structlog
from aiohttp import web

from scheduler.audience import tracking
from scheduler.audience.address import AccentError, AddressError, usable_address
from scheduler.audience.links import seal, unseal
from scheduler.audience.names import one_line
from scheduler.audience.signup import Application, SignUps
from scheduler.audience.tracking import Kind
from scheduler.audience.turnstile import CrowdedError, Turnstile
from scheduler.audience.wording import version_of, wording_of
from scheduler.decide import SECOND
from scheduler.services import Services
from scheduler.store import audience, lists, traces
from scheduler.store.audience import Action, Consent, Standing
from scheduler.web.docs import PAGE_POLICY
from scheduler.web.keys import SERVICES
from scheduler.web.public import Press, form_of, key_of, reader_language
from scheduler.web.reader_phrases import PHRASES
from scheduler.web.unsubscribe import masked
from scheduler.web.visitor import network_of, visitor

AT_LEAST = 2 * SECOND  # nobody fills in a form faster
AT_MOST = 24 * 3600 * SECOND
STAMP = "form"
_REMEMBERED = 10_000  # stamps of forms that were sent
# The page holds nothing that a frame could steal: no cookie, no session.
_FRAMED = {
    "Content-Security-Policy": PAGE_POLICY.replace("frame-ancestors 'none'", "frame-ancestors *")
}
log = structlog.get_logger()


def setup_signup(app: web.Application, services: Services, press: Press) -> None:
    """Serve the form and the confirmation."""
    key = key_of(services)
    settings = services.settings
    turnstile = Turnstile(
        key=key, per_visitor=settings.signups_per_visitor, per_list=settings.signups_per_list
    )
    desk = SignUps(database=services.database, clock=services.clock, key=key, turnstile=turnstile)
    handlers = _SignUp(services, desk, press)
    app.router.add_get("/signup/{list}", handlers.form)
    app.router.add_post("/signup/{list}", handlers.apply)
    app.router.add_get("/confirm/{token}", handlers.ask)
    app.router.add_post("/confirm/{token}", handlers.confirm)


class _SignUp:
    def __init__(self, services: Services, desk: SignUps, press: Press) -> None:
        self._services, self._desk, self._press = services, desk, press
        self._sent: OrderedDict[str, str] = OrderedDict()

    async def form(self, request: web.Request) -> web.Response:
        """The empty form."""
        found = await self._list(request)
        return self._closed(request) if found is None else self._form(request, found, {})

    async def apply(self, request: web.Request) -> web.Response:
        """A filled-in form. The answer is the same whether or not we know the address."""
        found = await self._list(request)
        if found is None:
            return self._closed(request)
        form = await form_of(request)
        language = reader_language(request, found["language"])
        wording = wording_of(found["wording"], found["name"], language)
        if form.get("website"):
            log.info("signup.trapped", list=found["id"])
            return self._mailed(request, language)
        wrong = _what_is_wrong(form, PHRASES[language], version_of(wording))
        if wrong:
            return self._form(request, found, form, wrong=wrong, status=422)
        email = usable_address(form["email"])
        if not self._believable(form.get("stamp", ""), found["id"], email):
            return self._form(request, found, form, wrong=PHRASES[language]["once_more"])
        proxies = self._services.settings.trusted_proxies
        application = Application(
            email=email,
            name=one_line(form.get("name", "")),
            language=language,
            list_id=found["id"],
            wording=wording,
            form=f"/signup/{found['id']}",
            source=_source(request, proxies),
            tracking=_ticked(form, found, language),
            network=network_of(request, proxies),
        )
        try:
            await self._desk.apply(application)
        except CrowdedError as error:
            log.warning("signup.crowded", list=found["id"], one_visitor=error.visitor)
            said = PHRASES[language]["crowded"].format(minutes=-(-error.wait // 60))
            crowded = self._form(request, found, form, wrong=said, status=429)
            crowded.headers["Retry-After"] = str(error.wait)
            return crowded
        return self._mailed(request, language)

    async def ask(self, request: web.Request) -> web.Response:
        """The page with the button: a mail scanner that opens links confirms nothing."""
        named = self._desk.named(request.match_info["token"])
        if named is None:
            return self._unknown(request)
        async with self._services.database.read() as connection:
            person = await audience.standing(connection, *named)
            wanted = await traces.wanted(connection, *named)
        if person is None or not await self._desk.waits(*named):
            return self._press.notice(
                request, "used", "used_text", language=reader_language(request)
            )
        language = reader_language(request, person["language"])
        words = PHRASES[language]
        agreed = wanted.offered & wanted.agreed if wanted is not None else ()
        return self._press.page(
            request,
            "ask.html",
            "confirm",
            language=language,
            text=words["confirm_ask"].format(
                list=person["list_name"], address=masked(person["email"])
            ),
            fields={"confirm": "yes"},
            also=[
                tracking.wording_of(kind, person["list_name"], language) for kind in sorted(agreed)
            ],
            button=words["confirm_button"],
            hint="",
        )

    async def confirm(self, request: web.Request) -> web.Response:
        """The second yes."""
        named = self._desk.named(request.match_info["token"])
        if named is None:
            return self._unknown(request)
        async with self._services.database.read() as connection:
            person = await audience.standing(connection, *named)
        language = reader_language(request, "" if person is None else person["language"])
        name = "" if person is None else person["list_name"]
        confirmed = await self._desk.confirm(*named, again=self._again(name, language))
        async with self._services.database.read() as connection:
            person = await audience.standing(connection, *named)
        if person is None or person["state"] != Standing.SUBSCRIBED:
            return self._press.notice(request, "used", "used_text", language=language)
        if confirmed:
            log.info("reader.joined", contact=named[0], list=named[1])
        return self._press.notice(
            request, "confirmed", "confirmed_text", language=language, list=person["list_name"]
        )

    def _again(self, list_name: str, language: str) -> Consent:
        wording = PHRASES[language]["stay_text"].format(list=list_name)
        now = self._services.clock.micros()
        return Consent(
            action=Action.RENEW, at=now, form="/confirm", source="link of a mail", wording=wording,
            wording_version=version_of(wording), confirmed_at=now,
        )  # fmt: skip

    async def _list(self, request: web.Request) -> Mapping[Any, Any] | None:
        """The list, if one can sign up for it."""
        async with request.app[SERVICES].database.read() as connection:
            found = await lists.get(connection, request.match_info["list"])
        return found if found is not None and found["open"] else None

    def _believable(self, stamp: str, list_id: str, email: str) -> bool:
        """Whether the form was ours, open for as long as a person needs, and not sent before for
        another address: it is good for one (a second press of the button is for the same)."""
        words = unseal(self._desk.key, STAMP, stamp)
        if words is None or len(words) != 3 or words[0] != list_id:
            return False
        if not AT_LEAST <= self._services.clock.micros() - int(words[1]) <= AT_MOST:
            return False
        first = self._sent.setdefault(stamp, email)
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)
        return first == email

    def _stamp(self, list_id: str) -> str:
        return seal(
            self._desk.key, STAMP, list_id, str(self._services.clock.micros()), token_hex(4)
        )

    def _form(
        self,
        request: web.Request,
        found: Mapping[Any, Any],
        form: Mapping[str, str],
        *,
        wrong: str = "",
        status: int = 200,
    ) -> web.Response:
        language = reader_language(request, found["language"])
        wording = wording_of(found["wording"], found["name"], language)
        return self._press.page(
            request,
            "signup.html",
            PHRASES[language]["sign_up"].format(list=found["name"]),
            language=language,
            status=status,
            headers=_FRAMED,
            description=found["description"],
            wrong=wrong,
            email=form.get("email", ""),
            name=form.get("name", ""),
            agreed=form.get("agree") == version_of(wording),
            wording=wording,
            version=version_of(wording),
            tracking=[
                {
                    "name": _box(kind),
                    "version": version_of(words),
                    "wording": words,
                    "agreed": form.get(_box(kind)) == version_of(words),
                }
                for kind, words in _offered(found, language).items()
            ],
            stamp=self._stamp(found["id"]),
        )

    def _mailed(self, request: web.Request, language: str) -> web.Response:
        return self._press.notice(
            request, "mailed", "mailed_text", language=language, headers=_FRAMED
        )

    def _closed(self, request: web.Request) -> web.Response:
        return self._press.notice(
            request, "closed", "closed_text", language=reader_language(request), status=404,
            headers=_FRAMED,
        )  # fmt: skip

    def _unknown(self, request: web.Request) -> web.Response:
        return self._press.notice(
            request, "unknown", "unknown_text", language=reader_language(request), status=404
        )


def _box(kind: Kind) -> str:
    return f"track-{kind}"


def _offered(found: Mapping[Any, Any], language: str) -> dict[Kind, str]:
    """What one may agree to beside, in which words."""
    kinds = sorted(tracking.kinds_in(found["tracking"]))
    return {kind: tracking.wording_of(kind, found["name"], language) for kind in kinds}


def _ticked(form: Mapping[str, str], found: Mapping[Any, Any], language: str) -> dict[Kind, str]:
    """What they agreed to, in the words that they saw."""
    offered = _offered(found, language).items()
    return {kind: words for kind, words in offered if form.get(_box(kind)) == version_of(words)}


def _what_is_wrong(form: Mapping[str, str], words: Mapping[str, str], version: str) -> str:
    """In words for the reader; empty when nothing is."""
    try:
        usable_address(form.get("email", ""))
    except AccentError:
        return words["address_accent"]
    except AddressError:
        return words["address_wrong"]
    return "" if form.get("agree") == version else words["agree_missing"]


def _source(request: web.Request, proxies: Sequence[str]) -> str:
    """Where the form was and who sent it, as far as the request tells."""
    page = request.headers.get("Referer") or request.headers.get("Origin") or "no page named"
    return f"{page[:500]} from {visitor(request, proxies)}".replace("\x00", "")
