"""The part of the practice Graph API that Facebook and Messenger share: versions, tokens,
signatures, the error envelope, `debug_token`, usage headers and faults."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web

from channels.facebook.practice.login import ListedPage, Login
from channels.facebook.practice.refusals import (
    ACCESS_FAULTS,
    DEAD_TOKENS,
    REFUSALS,
    Refused,
    no_such_object,
    usage_headers,
    wrong_parameter,
)
from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import Sandbox, apply_transport_faults, spoil_answer

VERSIONS = frozenset({"v21.0", "v22.0", "v23.0", "v24.0", "v25.0", "v26.0"})
APP_ID = "482915370264118"
APP_SECRET = "c0ffee5ca1ab1e0ddba11deadbea7ed1"  # noqa: S105 -- opens nothing real
# 4,800 calls a day for each person who engaged with the page; this page has fifty of them.
ALLOWANCE = 4800 * 50
COMMON = frozenset({"access_token", "appsecret_proof", "fields"})


@dataclass(frozen=True, slots=True)
class PracticePage:
    """A page that exists on a practice platform."""

    id: str
    name: str
    token: str
    about: str = ""
    followers: int = 0


LE_PETIT_CAFE = PracticePage(
    id="104862915374021",
    name="Le Petit Café",
    token="EAAPracticePageToken104862915374021ZCk7",  # noqa: S106 -- opens nothing real
    about="Café, tartines, terrasse. 3 place du Marché.",
    followers=1840,
)


@dataclass(slots=True)
class Call:
    """One call, past version and token. `values` holds text parameters of query and form,
    `files` the uploads of a multipart form."""

    request: web.Request
    page: PracticePage
    values: dict[str, str]
    files: dict[str, web.FileField] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """The names in `fields`, without what is nested in braces."""
        flat = re.sub(r"\{[^{}]*\}", "", self.values.get("fields", ""))
        return [name.strip() for name in flat.split(",") if name.strip()]

    def accept(self, *allowed: str) -> None:
        """Refuse parameters that the edge does not document."""
        for name in (*self.values, *self.files):
            if name not in COMMON and name not in allowed:
                raise wrong_parameter(f"Param {name} is not supported on this edge")

    def selected(self, node: Mapping[str, Any], *, kind: str) -> dict[str, Any]:
        """The node's fields that were asked for (the id always)."""
        for name in self.fields:
            if name not in node:
                raise wrong_parameter(f"Tried accessing nonexisting field ({name}) on node {kind}")
        return {name: node[name] for name in ("id", *self.fields) if node[name] is not None}


Handler = Callable[[Call], Awaitable[Mapping[str, Any]]]


class GraphSandbox(Sandbox):
    """Subclasses declare their edges in `routes`."""

    scopes: ClassVar[tuple[str, ...]] = ("pages_show_list", "pages_read_engagement")
    usage_type: ClassVar[str] = "pages"

    def __init__(self, ledger: Ledger, pages: tuple[PracticePage, ...] = (LE_PETIT_CAFE,)) -> None:
        super().__init__(ledger)
        self.pages = {page.id: page for page in pages}
        self.calls: Counter[str] = Counter()
        self.login = Login(APP_ID, APP_SECRET, scopes=self.scopes, pages=self._listed())

    @abstractmethod
    def routes(self) -> list[web.RouteDef]: ...

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(self.login.routes())
        app.add_routes(self.routes())
        app.router.add_get("/{version}/debug_token", self._debug_token)
        app.router.add_route("*", "/{tail:.*}", self._unknown_path)
        return app

    def practice_app(self, base_url: str) -> Mapping[str, Any]:
        """What to connect accounts with, as `GraphApp` takes it."""
        return {
            "app_id": APP_ID,
            "app_secret": APP_SECRET,
            "base_url": base_url,
            "dialog_url": base_url,
            "live": True,
        }

    def _listed(self) -> list[ListedPage]:
        """The pages of the practice person: all tasks on ours, and one they may only look at."""
        tasks = ("MANAGE", "CREATE_CONTENT", "MODERATE", "MESSAGING", "ANALYZE")
        ours = [ListedPage(page.id, page.name, page.token, tasks) for page in self.pages.values()]
        return [*ours, ListedPage("108811559930042", "Les Amis du Marché", "EAAAmis", ("ANALYZE",))]

    def edge(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A Graph edge: everything that comes before and after what `handler` does."""

        async def handle(request: web.Request) -> web.StreamResponse:
            page_id = self._page_of(request.match_info.get("node", ""))
            write = request.method != "GET"
            spared = await apply_transport_faults(self, page_id, write=write)
            if spared is not None:
                return spared
            try:
                call = await self._admitted(request, page_id, write=write)
                data = await handler(call)
            except Refused as refusal:
                return refusal.answer()
            answer = web.json_response(data, headers=self._usage_headers(page_id))
            return spoil_answer(self, answer, page_id) if write else answer

        return handle

    def _page_of(self, node: str) -> str:
        """The page that a node belongs to, for its faults."""
        owner = node.split("_", 1)[0]
        return owner if owner in self.pages else next(iter(self.pages))

    async def _admitted(self, request: web.Request, page_id: str, *, write: bool) -> Call:
        self._refuse_version(request)
        self._hit_by(FaultName.SERVER_ERROR, page_id, write=write)
        values: dict[str, str] = dict(request.query)
        files: dict[str, web.FileField] = {}
        if request.method == "POST":
            for name, value in await self._form(request):
                if isinstance(value, web.FileField):
                    files[name] = value
                else:
                    values[name] = str(value)
        page = self._token_owner(request, values)
        for fault in ACCESS_FAULTS:
            self._hit_by(fault, page_id, write=write)
        if write:
            self._hit_by(FaultName.REJECTED, page_id, write=True)
        self.calls[page_id] += 1
        return Call(request, page, values, files)

    async def _form(self, request: web.Request) -> list[tuple[str, Any]]:
        if request.content_type == "application/json":
            try:
                data = json.loads(await request.read())
            except ValueError as error:
                raise wrong_parameter("The body is not valid JSON") from error
            if not isinstance(data, dict):
                raise wrong_parameter("The body is not a JSON object")
            return [
                (name, value if isinstance(value, str) else json.dumps(value))
                for name, value in data.items()
            ]
        return list((await request.post()).items())

    def _refuse_version(self, request: web.Request) -> None:
        if request.match_info["version"] not in VERSIONS:
            raise Refused(2500, f"Unknown path components: {request.path}")

    def _token_owner(self, request: web.Request, values: Mapping[str, str]) -> PracticePage:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        token = bearer if scheme in {"Bearer", "OAuth"} else values.get("access_token", "")
        if not token:
            raise Refused(104, "An access token is required to request this resource.")
        for page in self.pages.values():
            if hmac.compare_digest(page.token, token):
                _check_proof(token, values.get("appsecret_proof"))
                return page
        raise Refused(190, "Invalid OAuth access token - Cannot parse access token", status=401)

    def _hit_by(self, name: FaultName, page_id: str, *, write: bool) -> None:
        strike = self.faults.strike if write else self.faults.holds
        fault = strike(name, page_id)
        if fault is not None and name in REFUSALS:
            raise REFUSALS[name](fault, page_id, self.usage_type)

    def _usage_headers(self, page_id: str) -> dict[str, str]:
        """Sent only after some volume, as on the real platform."""
        percent = self.calls[page_id] * 100 // ALLOWANCE
        return usage_headers(page_id, self.usage_type, percent) if percent else {}

    def own_page(self, call: Call) -> PracticePage:
        """The page in the path, which must be the token's own."""
        node = call.request.match_info["node"]
        if node != call.page.id:
            raise no_such_object(node, call.request.method)
        return call.page

    async def read_page(self, call: Call) -> Mapping[str, Any]:
        call.accept()
        page = self.own_page(call)
        node = {
            "id": page.id,
            "name": page.name,
            "about": page.about,
            "link": f"{self.www(call.request)}/{page.id}",
            "followers_count": page.followers,
            "is_published": self.faults.holds(FaultName.UNPUBLISHED, page.id) is None,
            "is_permanently_closed": False,
            "has_transitioned_to_new_page_experience": True,
            "verification_status": "not_verified",
        }
        return call.selected(node, kind="type (Page)")

    def www(self, request: web.Request) -> str:
        """Where this platform's public pages are."""
        return f"{request.url.origin()}/{self.name}/www"

    async def _debug_token(self, request: web.Request) -> web.StreamResponse:
        page = next(iter(self.pages.values()))
        try:
            self._refuse_version(request)
            self._hit_by(FaultName.SERVER_ERROR, page.id, write=False)
            asker = request.query.get("access_token", "")
            if asker != f"{APP_ID}|{APP_SECRET}":
                page = self._token_owner(request, request.query)
                self._hit_by(FaultName.TOKEN_DEAD, page.id, write=False)
            return web.json_response({"data": self._token_state(request.query["input_token"])})
        except KeyError:
            return wrong_parameter("The parameter input_token is required").answer()
        except Refused as refusal:
            return refusal.answer()

    def _token_state(self, token: str) -> dict[str, Any]:
        person = self.login.state_of(token)
        if person is not None:
            return person
        page = next((page for page in self.pages.values() if page.token == token), None)
        if page is None:
            error = {"code": 190, "message": "Invalid OAuth access token."}
            return {"error": error, "is_valid": False, "scopes": []}
        dead = next((name for name in DEAD_TOKENS if self.faults.holds(name, page.id)), None)
        scopes = [] if self.faults.holds(FaultName.PERMISSION_LOST, page.id) else list(self.scopes)
        state: dict[str, Any] = {
            "app_id": APP_ID,
            "type": "PAGE",
            "application": "Estafette practice",
            "data_access_expires_at": 0,
            "expires_at": 0,
            "is_valid": dead is None,
            "issued_at": 1_760_000_000,
            "profile_id": page.id,
            "scopes": scopes,
            "granular_scopes": [{"scope": scope, "target_ids": [page.id]} for scope in scopes],
            "user_id": "10229871364520817",
        }
        if dead is not None:
            refused = REFUSALS[dead](Fault(dead), page.id, self.usage_type).error
            state["error"] = {
                "code": refused["code"],
                "subcode": refused["error_subcode"],
                "message": refused["message"],
            }
        return state

    async def _unknown_path(self, request: web.Request) -> web.StreamResponse:
        return Refused(2500, f"Unknown path components: {request.path}").answer()


def _check_proof(token: str, proof: str | None) -> None:
    expected = hmac.new(APP_SECRET.encode(), token.encode(), hashlib.sha256).hexdigest()
    if proof is not None and not hmac.compare_digest(expected, proof):
        raise Refused(
            100,
            "Invalid appsecret_proof provided in the API argument",
            kind="GraphMethodException",
        )
