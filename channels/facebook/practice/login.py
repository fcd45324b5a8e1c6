"""The login of the practice platforms: the dialog a person sees, and the tokens behind it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from jinja2 import Environment
from yarl import URL

from channels.facebook.practice.refusals import Refused, wrong_parameter

SHORT_SECONDS = 5_400
LONG_SECONDS = 5_183_944
CODE_SECONDS = 600.0

_DIALOG = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in to the practice platform</title>
<style>
  :root { color-scheme: light dark; }
  body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; }
  .practice { background: #7a4b00; color: #fff; text-align: center; padding: .3rem 1rem;
              margin: 0; }
  main { max-width: 30rem; margin: 0 auto; padding: 1rem; }
  fieldset { border: 1px solid; border-radius: .4rem; margin-bottom: 1rem; }
  label { display: block; padding: .2rem 0; }
  button { font: inherit; padding: .4rem 1rem; }
</style>
</head>
<body>
<p class="practice">Practice platform: nothing here is on the internet.</p>
<main>
<h1>Connect Estafette</h1>
<form method="post">
<fieldset><legend>It may</legend>
{% for scope in scopes %}
<label><input type="checkbox" name="scope" value="{{ scope }}" checked> {{ scope }}</label>
{% endfor %}
</fieldset>
<fieldset><legend>On these pages</legend>
{% for page in pages %}
<label><input type="checkbox" name="page" value="{{ page.id }}" checked> {{ page.name }}</label>
{% endfor %}
</fieldset>
<button name="answer" value="yes">Continue</button>
<button name="answer" value="no">Not now</button>
</form>
</main>
</body>
</html>
""")


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page as `/me/accounts` lists it, with what this person may do there."""

    id: str
    name: str
    token: str
    tasks: tuple[str, ...]


@dataclass(slots=True)
class _Granted:
    """What one person granted once. `redirect_uri` and `code_until` are the code's."""

    scopes: tuple[str, ...]
    pages: tuple[str, ...]
    redirect_uri: str
    code_until: float
    issued_at: float
    long_lived: bool = False


class Login:
    """The dialog and the token endpoints of one practice platform and its one app."""

    def __init__(
        self, app_id: str, app_secret: str, *, scopes: Sequence[str], pages: Sequence[ListedPage]
    ) -> None:
        self._app_id = app_id
        self._app_secret = app_secret
        self._scopes = tuple(scopes)
        self._pages = tuple(pages)
        self._codes: dict[str, _Granted] = {}
        self._tokens: dict[str, _Granted] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/{version}/dialog/oauth", self._show),
            web.post("/{version}/dialog/oauth", self._answer),
            web.get("/{version}/oauth/access_token", self._enveloped(self._access_token)),
            web.get("/{version}/me/accounts", self._enveloped(self._accounts)),
        ]

    def state_of(self, token: str) -> dict[str, Any] | None:
        """What `debug_token` says of a user token, None if it is none of ours."""
        granted = self._tokens.get(token)
        if granted is None:
            return None
        lives = LONG_SECONDS if granted.long_lived else SHORT_SECONDS
        return {
            "app_id": self._app_id,
            "type": "USER",
            "expires_at": int(granted.issued_at + lives),
            "is_valid": True,
            "issued_at": int(granted.issued_at),
            "scopes": list(granted.scopes),
            "user_id": "10229871364520817",
        }

    async def _show(self, request: web.Request) -> web.Response:
        asked = self._asked(request.query)
        text = _DIALOG.render(scopes=asked, pages=self._pages)
        return web.Response(text=text, content_type="text/html")

    async def _answer(self, request: web.Request) -> web.Response:
        asked = self._asked(request.query)
        form = await request.post()
        back = {"state": request.query.get("state", "")}
        if form.get("answer") != "yes":
            back |= {
                "error": "access_denied",
                "error_code": "200",
                "error_description": "Permissions error",
                "error_reason": "user_denied",
            }
            raise _redirect(request.query["redirect_uri"], back)
        code = secrets.token_urlsafe(40)
        now = time.time()
        self._codes[code] = _Granted(
            scopes=tuple(scope for scope in asked if scope in form.getall("scope", [])),
            pages=tuple(str(page) for page in form.getall("page", [])),
            redirect_uri=request.query["redirect_uri"],
            code_until=now + CODE_SECONDS,
            issued_at=now,
        )
        raise _redirect(request.query["redirect_uri"], {"code": code, **back})

    def _asked(self, query: Mapping[str, str]) -> list[str]:
        """The permissions asked for; a dialog that is called wrongly shows an error page."""
        scopes = [scope for scope in query.get("scope", "").split(",") if scope]
        unknown = sorted(set(scopes) - set(self._scopes))
        if query.get("client_id") != self._app_id:
            raise web.HTTPBadRequest(text="Invalid App ID: this app does not exist")
        if not query.get("redirect_uri", "").startswith(("http://", "https://")):
            raise web.HTTPBadRequest(text="URL blocked: the redirect URI is not allowed")
        if unknown:
            raise web.HTTPBadRequest(text=f"Invalid Scopes: {', '.join(unknown)}")
        return scopes

    def _enveloped(
        self, handler: Callable[[Mapping[str, str]], dict[str, Any]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                return web.json_response(handler(request.query))
            except Refused as refusal:
                return refusal.answer()

        return handle

    def _access_token(self, query: Mapping[str, str]) -> dict[str, Any]:
        client = (query.get("client_id"), query.get("client_secret"))
        if client != (self._app_id, self._app_secret):
            raise Refused(1, "Error validating client secret.", status=400)
        if query.get("grant_type") == "fb_exchange_token":
            short = self._of_token(query.get("fb_exchange_token", ""))
            return self._issued(short, long_lived=True)
        granted = self._codes.pop(query.get("code", ""), None)
        if granted is None or granted.code_until < time.time():
            raise Refused(100, "This authorization code has expired.", subcode=36007)
        if granted.redirect_uri != query.get("redirect_uri"):
            raise Refused(
                100,
                "Error validating verification code. Please make sure your redirect_uri is"
                " identical to the one you used in the OAuth dialog request",
                subcode=36008,
            )
        return self._issued(granted, long_lived=False)

    def _issued(self, granted: _Granted, *, long_lived: bool) -> dict[str, Any]:
        token = f"EAAUser{secrets.token_hex(40)}"
        self._tokens[token] = _Granted(
            granted.scopes, granted.pages, "", 0.0, time.time(), long_lived=long_lived
        )
        lives = LONG_SECONDS if long_lived else SHORT_SECONDS
        return {"access_token": token, "token_type": "bearer", "expires_in": lives}

    def _accounts(self, query: Mapping[str, str]) -> dict[str, Any]:
        token = query.get("access_token", "")
        granted = self._of_token(token)
        proof = hmac.new(self._app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        if query.get("appsecret_proof", proof) != proof:
            raise wrong_parameter("Invalid appsecret_proof provided in the API argument")
        if "pages_show_list" not in granted.scopes:
            raise Refused(200, "(#200) Requires pages_show_list permission", status=403)
        shown = [page for page in self._pages if page.id in granted.pages]
        nodes = [
            {"id": page.id, "name": page.name, "access_token": page.token, "tasks": page.tasks}
            for page in shown
        ]
        return {"data": nodes, "paging": {"cursors": {"before": "MAZDZD", "after": "MAZDZD"}}}

    def _of_token(self, token: str) -> _Granted:
        granted = self._tokens.get(token)
        if granted is None:
            raise Refused(190, "Invalid OAuth access token.", status=401)
        return granted


def _redirect(where: str, query: Mapping[str, str]) -> web.HTTPFound:
    return web.HTTPFound(URL(where).update_query(query))
