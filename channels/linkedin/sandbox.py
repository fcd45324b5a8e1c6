"""The practice LinkedIn: as strict as the real one, one page, one token.

Not in the real one: `/feed/update/{urn}`, the page that readers see.
"""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar
from urllib.parse import unquote

from aiohttp import web

from channels.linkedin.practice_login import Client, Login
from channels.linkedin.practice_pictures import Pictures
from channels.linkedin.practice_reading import (
    paged,
    sent,
    unreadable,
    wrong_edit,
    wrong_query,
)
from channels.linkedin.practice_rules import (
    EVERYWHERE,
    PUBLISHING,
    as_post,
    duplicate,
    error,
    forbidden,
    not_found,
    shown,
    wrong_headers,
    wrong_post,
)
from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Entry, Ledger
from channels.sandbox.server import (
    PracticeAccount,
    Sandbox,
    apply_transport_faults,
    spoil_answer,
)

ORGANIZATION = "2414183"
THEIRS = "7731920"  # a page that the practice person may only look at
NAMES = {ORGANIZATION: "Atelier Rosa", THEIRS: "Union des commerçants"}
AUTHOR = f"urn:li:organization:{ORGANIZATION}"
TOKEN = "practice-linkedin-token"  # noqa: S105 -- opens nothing real
REFRESH_TOKEN = "practice-linkedin-refresh"  # noqa: S105 -- opens nothing real
CLIENT = Client("practice-app", "practice-linkedin-app-secret", TOKEN, REFRESH_TOKEN)
VERSIONS = frozenset({"202601", "202603", "202604", "202606", "202607", "202609"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LinkedInSandbox(Sandbox):
    name: ClassVar[str] = "linkedin"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.pictures = Pictures(ledger, self.name, ORGANIZATION, TOKEN)
        # What tests set: keep so many characters; show no such pages.
        self.cuts_at: int | None = None
        self.hidden: set[str] = set()
        self.others: list[str] = []  # pages that are told before ours
        # Deleted ones too: they go on being called duplicates for a day or two.
        self._sent = {
            entry.payload["sent"]: entry.remote_id
            for entry in ledger.entries(self.name, ORGANIZATION, kind="post", deleted=True)
        }

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._gate])
        app.router.add_post("/rest/posts", self._create)
        app.router.add_get("/rest/posts", self._list)
        app.router.add_get("/rest/posts/{urn}", self._get)
        app.router.add_post("/rest/posts/{urn}", self._edit)
        app.router.add_delete("/rest/posts/{urn}", self._delete)
        app.add_routes(self.pictures.routes())
        app.router.add_get("/rest/organizationAcls", self._acls)
        app.router.add_get("/rest/organizations/{number}", self._organization)
        app.router.add_get("/rest/networkSizes/{urn}", self._network_size)
        app.router.add_route("*", "/rest/{rest:.*}", self._unknown)
        app.add_routes(Login(CLIENT, self._refresh).routes())
        app.router.add_get("/feed/update/{urn}", self._public_page)
        return app

    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        settings = {
            "organization_id": ORGANIZATION,
            "access_token": TOKEN,
            "refresh_token": REFRESH_TOKEN,
            **self.practice_app(base_url),
        }
        return [PracticeAccount("linkedin", "Atelier Rosa on LinkedIn", settings)]

    def practice_app(self, base_url: str) -> Mapping[str, str]:
        """What to connect accounts with, as `LinkedInApp` takes it."""
        return {
            "client_id": CLIENT.id,
            "client_secret": CLIENT.secret,
            "api_url": base_url,
            "oauth_url": f"{base_url}/oauth/v2",
            "public_url": base_url,
        }

    # --- What every call has to get past ---------------------------------------------------------

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.match_info.route.resource
        inner = "" if path is None else path.canonical.removeprefix("/linkedin")
        publishes = request.method == "POST" and inner == "/rest/posts"
        stopped = await apply_transport_faults(self, ORGANIZATION, write=publishes)
        if stopped is None and inner.startswith("/rest/"):
            stopped = (
                wrong_headers(request, TOKEN, VERSIONS)
                or wrong_query(request, inner)
                or self._fault(publishes=publishes)
            )
        if stopped is not None:
            return stopped
        answer = await handler(request)
        written = publishes and answer.status == 201
        return spoil_answer(self, answer, ORGANIZATION) if written else answer

    def _fault(self, *, publishes: bool) -> web.Response | None:
        """The first fault that is set, in LinkedIn's words."""
        faults = {**EVERYWHERE, **PUBLISHING} if publishes else EVERYWHERE
        hit = self.faults.strike if publishes else self.faults.holds
        return next((say() for name, say in faults.items() if hit(name, ORGANIZATION)), None)

    def _gone(self) -> bool:
        return any(
            self.faults.holds(name, ORGANIZATION)
            for name in (FaultName.PAGE_GONE, FaultName.UNPUBLISHED)
        )

    # --- Posts -----------------------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.StreamResponse:
        try:
            fields = json.loads(await request.read())
        except ValueError:
            return unreadable()
        refused = wrong_post(fields, AUTHOR, self.pictures.has)
        if refused is not None:
            return refused
        sent = json.dumps([fields.get("commentary"), fields.get("content")])
        if sent in self._sent:
            return duplicate(self._sent[sent])
        urn = f"urn:li:share:{7_000_000_000_000_000_000 + self.ledger.next_number()}"
        text = shown(fields.get("commentary", "")[: self.cuts_at])
        payload = {**fields, "commentary": text, "sent": sent}
        self.ledger.write(
            self.name, ORGANIZATION, kind="post", remote_id=urn, text=text, payload=payload
        )
        self._sent[sent] = urn
        return web.Response(status=201, headers={"x-restli-id": urn})

    def _post(self, request: web.Request) -> Entry | None:
        entry = self.ledger.get(self.name, unquote(request.match_info["urn"]))
        exists = entry is not None and entry.kind == "post" and entry.deleted_at is None
        return entry if exists else None

    async def _get(self, request: web.Request) -> web.StreamResponse:
        entry = self._post(request)
        if entry is None:
            return not_found("the post")
        return web.json_response(as_post(entry))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        if request.headers.get("X-RestLi-Method") != "FINDER" or query.get("q") != "author":
            return error(400, "Unknown finder", code="ILLEGAL_ARGUMENT")
        if query.get("author") != AUTHOR:
            return forbidden()
        count = min(int(query.get("count", "10")), 100)
        start = int(query.get("start", "0"))
        newest = self.ledger.entries(self.name, ORGANIZATION, kind="post", newest=start + count)
        return web.json_response(
            {"paging": {"start": start, "count": count, "links": []},
             "elements": [as_post(entry) for entry in newest[start:]]}
        )  # fmt: skip

    async def _edit(self, request: web.Request) -> web.StreamResponse:
        entry = self._post(request)
        if entry is None:
            return not_found("the post")
        if request.headers.get("X-RestLi-Method") != "PARTIAL_UPDATE":
            return error(400, "Unknown method", code="ILLEGAL_ARGUMENT")
        body = await sent(request)
        refused = wrong_edit(body)
        if refused is not None:
            return refused
        text = shown(body["patch"]["$set"]["commentary"])
        payload = {**entry.payload, "commentary": text}
        self.ledger.update(self.name, entry.remote_id, text=text, payload=payload)
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        self.ledger.delete(self.name, unquote(request.match_info["urn"]))
        return web.Response(status=204)

    # --- The page, the people, the token ---------------------------------------------------------

    async def _acls(self, request: web.Request) -> web.StreamResponse:
        if self.faults.holds(FaultName.PERMISSION_LOST, ORGANIZATION):
            return forbidden()
        if request.query.get("q") != "roleAssignee":
            return error(400, "Unknown finder", code="ILLEGAL_ARGUMENT")
        lost = self.faults.holds(FaultName.ROLE_LOST, ORGANIZATION) or self._gone()
        acl = {
            "role": "ADMINISTRATOR",
            "roleAssignee": "urn:li:person:rosa",
            "state": "APPROVED",
            "organization": AUTHOR,
        }
        looks_on = {**acl, "role": "ANALYST", "organization": f"urn:li:organization:{THEIRS}"}
        others = [{**acl, "organization": f"urn:li:organization:{one}"} for one in self.others]
        return paged(request, [*others, looks_on] if lost else [*others, acl, looks_on])

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        return error(404, f"No virtual resource found: {request.path}", code="RESOURCE_NOT_FOUND")

    async def _organization(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]
        if number not in NAMES.keys() - self.hidden or (number == ORGANIZATION and self._gone()):
            return not_found("the organization")
        return web.json_response({"id": int(number), "localizedName": NAMES[number]})

    async def _network_size(self, request: web.Request) -> web.StreamResponse:
        if dict(request.query) != {"edgeType": "COMPANY_FOLLOWED_BY_MEMBER"} or self._gone():
            return error(400, "Invalid edgeType", code="ILLEGAL_ARGUMENT")
        return web.json_response({"firstDegreeSize": 212})

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != REFRESH_TOKEN:
            return web.json_response(
                {"error": "invalid_grant", "error_description": "The refresh token is invalid"},
                status=400,
            )
        if self.faults.holds(FaultName.TOKEN_DEAD, ORGANIZATION):
            return web.json_response(
                {"error": "invalid_grant", "error_description": "The token has been revoked"},
                status=400,
            )
        # As for most apps: no refresh token in the answer.
        return web.json_response({"access_token": TOKEN, "expires_in": 5_184_000})

    async def _public_page(self, request: web.Request) -> web.StreamResponse:
        entry = self._post(request)
        if entry is None or self._gone():
            return web.Response(status=404, text="This post cannot be displayed")
        text = html.escape(entry.text)
        page = f'<!doctype html><meta charset="utf-8"><title>LinkedIn</title><pre>{text}</pre>'
        return web.Response(text=page, content_type="text/html")


SANDBOX = LinkedInSandbox
