"""The people's side of the practice Messenger: who they are, what they see, what they write.

No real platform has this API; it is for demos and tests. `GET /people`; `POST /people`
`{"psid", "name", "language", "hours_ago", "blocks_us"}`; `POST /people/{psid}/messages`
`{"text", "payload"}`: that person writes to the page. `/www/{page}` and `/www/{page}/{psid}` are
the inbox and one conversation, for the browser.
"""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from channels.facebook.practice.graph import GraphSandbox
from channels.messenger.practice.hooks import Hooks
from channels.messenger.practice.people import People, Person
from channels.messenger.practice.www import conversation_page, inbox_page


class NewPerson(BaseModel):
    """Somebody to add. `hours_ago`: when they last wrote, None if never."""

    model_config = ConfigDict(extra="forbid")

    psid: Annotated[str, Field(pattern=r"^\d{1,20}$")]
    name: str = "Somebody"
    language: str = "en"
    hours_ago: Annotated[float, Field(ge=0)] | None = None
    blocks_us: bool = False


class Said(BaseModel):
    """What a person writes; with `payload`, the quick reply that they tap."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1)]
    payload: str = ""


M = TypeVar("M", bound=BaseModel)


def _read(model: type[M], body: bytes) -> M:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from error


class Visitors:
    """Everything that people do and see, beside the API."""

    def __init__(self, platform: GraphSandbox, people: People, hooks: Hooks) -> None:
        self._platform = platform
        self._people = people
        self._hooks = hooks

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/people", self._list_people),
            web.post("/people", self._add_person),
            web.post("/people/{psid}/messages", self._person_writes),
            web.get("/www/{page}", self._visit_inbox),
            web.get("/www/{page}/{psid}", self._visit_conversation),
        ]

    async def _list_people(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(
            [
                {
                    "psid": person.psid,
                    "name": person.name,
                    "language": person.language,
                    "window_open": person.window_open,
                }
                for person in self._people
            ]
        )

    async def _add_person(self, request: web.Request) -> web.Response:
        given = _read(NewPerson, await request.read())
        hours = given.hours_ago
        person = Person(
            psid=given.psid,
            name=given.name,
            language=given.language,
            wrote_at=None if hours is None else time.time() - hours * 3600,
            blocks_us=given.blocks_us,
        )
        try:
            self._people.add(next(iter(self._platform.pages)), person)
        except ValueError as error:
            raise web.HTTPConflict(text=str(error)) from error
        return web.json_response({"psid": person.psid}, status=201)

    async def _person_writes(self, request: web.Request) -> web.Response:
        person = self._people.get(request.match_info["psid"])
        if person is None:
            raise web.HTTPNotFound(text="nobody has this id")
        given = _read(Said, await request.read())
        page_id = next(iter(self._platform.pages))
        entry = self._platform.ledger.write(
            self._platform.name,
            page_id,
            kind="in",
            remote_id=f"m_{secrets.token_urlsafe(24)}",
            text=given.text,
            payload={"psid": person.psid},
        )
        person.wrote_at = entry.created_at
        message: dict[str, Any] = {"mid": entry.remote_id, "text": entry.text}
        if given.payload:
            message["quick_reply"] = {"payload": given.payload}
        event = {
            "sender": {"id": person.psid},
            "recipient": {"id": page_id},
            "timestamp": int(entry.created_at * 1000),
            "message": message,
        }
        self._hooks.tell(page_id, "messages", event)
        return web.json_response({"message_id": entry.remote_id}, status=201)

    async def _visit_inbox(self, request: web.Request) -> web.Response:
        page = self._platform.pages.get(request.match_info["page"])
        if page is None:
            raise web.HTTPNotFound
        text = inbox_page(page, list(self._people), self._platform.www(request))
        return web.Response(text=text, content_type="text/html")

    async def _visit_conversation(self, request: web.Request) -> web.Response:
        page = self._platform.pages.get(request.match_info["page"])
        person = self._people.get(request.match_info["psid"])
        if page is None or person is None:
            raise web.HTTPNotFound
        exchanged = [
            entry
            for entry in self._platform.ledger.entries(self._platform.name, page.id)
            if entry.kind in {"message", "in"} and entry.payload["psid"] == person.psid
        ]
        text = conversation_page(page, person, exchanged, self._platform.www(request))
        return web.Response(text=text, content_type="text/html")
