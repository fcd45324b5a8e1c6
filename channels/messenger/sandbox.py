"""A practice Messenger: people, their 24-hour windows, what they were sent, and the webhooks.

What no real platform has, for demos and tests, is in `channels.messenger.practice.visitors`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web

from channels.facebook.practice.graph import APP_ID, APP_SECRET, Call, GraphSandbox
from channels.facebook.practice.refusals import Refused, graph_time, wrong_parameter
from channels.messenger.practice.content import checked_content, words_of
from channels.messenger.practice.hooks import Hooks
from channels.messenger.practice.people import People, Person
from channels.messenger.practice.visitors import Visitors
from channels.sandbox.ledger import Entry, Ledger
from channels.sandbox.server import PracticeAccount

VERIFY_TOKEN = "practice-handshake"  # noqa: S105 -- opens nothing real
MESSAGING_TYPES = frozenset({"RESPONSE", "UPDATE", "MESSAGE_TAG", "UTILITY"})
DEAD_TAGS = frozenset({"CONFIRMED_EVENT_UPDATE", "ACCOUNT_UPDATE", "POST_PURCHASE_UPDATE"})
SUBSCRIBABLE = frozenset(
    {
        "messages",
        "messaging_postbacks",
        "message_echoes",
        "message_deliveries",
        "message_reads",
        "message_reactions",
    }
)
_LISTED = 25


class MessengerSandbox(GraphSandbox):
    """Ledger kinds: `message` (from the page), `in` (from a person), `person`."""

    name: ClassVar[str] = "messenger"
    usage_type: ClassVar[str] = "messenger"
    scopes: ClassVar[tuple[str, ...]] = (
        "pages_show_list",
        "pages_messaging",
        "pages_manage_metadata",
    )

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.people = People(ledger, self.name)
        self.hooks = Hooks()
        self._subscribed = True

    async def start(self, host: str) -> None:
        del host
        await self.hooks.start()

    async def stop(self) -> None:
        await self.hooks.stop()

    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        return [
            PracticeAccount(
                adapter="messenger",
                name=page.name,
                settings={
                    "page_id": page.id,
                    "access_token": page.token,
                    "app_id": APP_ID,
                    "app_secret": APP_SECRET,
                    "base_url": base_url,
                    "verify_token": VERIFY_TOKEN,
                },
                contacts=[
                    {"address": person.psid, "name": person.name, "language": person.language}
                    for person in self.people
                ],
            )
            for page in self.pages.values()
        ]

    def routes(self) -> list[web.RouteDef]:
        return [
            *Visitors(self, self.people, self.hooks).routes(),
            web.post("/{version}/{app}/subscriptions", self._subscribe),
            web.post("/{version}/{node}/messages", self.edge(self._send)),
            web.get("/{version}/{node}/conversations", self.edge(self._conversations)),
            web.get("/{version}/{node}/subscribed_apps", self.edge(self._subscribed_apps)),
            web.post("/{version}/{node}/subscribed_apps", self.edge(self._subscribe_page)),
            web.delete("/{version}/{node}/subscribed_apps", self.edge(self._unsubscribe_page)),
            web.get(r"/{version}/{node:\d+}", self.edge(self.read_page)),
        ]

    # --- the Send API ----------------------------------------------------------------------------

    async def _send(self, call: Call) -> Mapping[str, Any]:
        call.accept("recipient", "messaging_type", "message", "tag", "notification_type")
        page = self.own_page(call)
        person = self._recipient(_json(call, "recipient"))
        content = checked_content(_json(call, "message"))
        _check_type(call)
        if not person.window_open and call.values.get("tag") != "HUMAN_AGENT":
            raise Refused(
                10,
                "(#10) This message is sent outside of allowed window. Learn more about the new"
                " policy here: https://developers.facebook.com/docs/messenger-platform/policy-overview",
                subcode=2018278,
                status=403,
            )
        entry = self.ledger.write(
            self.name,
            page.id,
            kind="message",
            remote_id=f"m_{secrets.token_urlsafe(24)}",
            key=content.get("metadata", ""),
            text=words_of(content),
            payload={"psid": person.psid, **content},
        )
        self._tell_of(entry, person, content)
        return {"recipient_id": person.psid, "message_id": entry.remote_id}

    def _recipient(self, recipient: Mapping[str, Any]) -> Person:
        psid = recipient.get("id")
        if set(recipient) != {"id"} or not isinstance(psid, str):
            raise wrong_parameter("Param recipient must name one id")
        person = self.people.get(psid)
        if person is None:
            raise Refused(100, "(#100) No matching user found", subcode=2018001)
        if person.blocks_us:
            raise Refused(551, "(#551) This person isn't available right now.", subcode=1545041)
        return person

    def _tell_of(self, entry: Entry, person: Person, content: Mapping[str, Any]) -> None:
        """The echo, and the news that the message arrived."""
        now = int(entry.created_at * 1000)
        echo = {"mid": entry.remote_id, "is_echo": True, "app_id": int(APP_ID)}
        echo |= {name: content[name] for name in ("text", "metadata") if name in content}
        ours, theirs = {"id": entry.account}, {"id": person.psid}
        self.hooks.tell(
            entry.account,
            "message_echoes",
            {"sender": ours, "recipient": theirs, "timestamp": now, "message": echo},
        )
        arrived = {"mids": [entry.remote_id], "watermark": now}
        self.hooks.tell(
            entry.account,
            "message_deliveries",
            {"sender": theirs, "recipient": ours, "timestamp": now, "delivery": arrived},
        )

    async def _conversations(self, call: Call) -> Mapping[str, Any]:
        call.accept("platform", "user_id", "limit")
        page = self.own_page(call)
        psid = call.values.get("user_id", "")
        exchanged = [
            entry
            for kind in ("message", "in")
            for entry in self.ledger.entries(self.name, page.id, kind=kind)
            if entry.payload["psid"] == psid
        ]
        if not exchanged:
            return {"data": []}
        exchanged.sort(key=lambda entry: entry.seq, reverse=True)
        listed = [_listed(entry) for entry in exchanged[:_LISTED]]
        paging: dict[str, Any] = {"cursors": {"before": "", "after": ""}}
        if len(exchanged) > _LISTED:
            paging["next"] = f"{call.request.url.origin()}/next"
        node = {"id": f"t_{psid}", "messages": {"data": listed, "paging": paging}}
        return {"data": [call.selected(node, kind="type (UnifiedThread)")]}

    async def _subscribed_apps(self, call: Call) -> Mapping[str, Any]:
        call.accept()
        self.own_page(call)
        app = {"id": APP_ID, "name": "Estafette practice", "subscribed_fields": ["messages"]}
        return {"data": [app] if self._subscribed else []}

    async def _subscribe_page(self, call: Call) -> Mapping[str, Any]:
        call.accept("subscribed_fields")
        self.own_page(call)
        _known_fields(call.values.get("subscribed_fields", ""))
        self._subscribed = True
        return {"success": True}

    async def _unsubscribe_page(self, call: Call) -> Mapping[str, Any]:
        call.accept()
        self.own_page(call)
        self._subscribed = False
        return {"success": True}

    async def _subscribe(self, request: web.Request) -> web.StreamResponse:
        """`POST /{app}/subscriptions`, as the app: where the webhooks go."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            await self._subscribe_app(form)
        except Refused as refusal:
            return refusal.answer()
        return web.json_response({"success": True})

    async def _subscribe_app(self, form: Mapping[str, str]) -> None:
        if form.get("access_token") != f"{APP_ID}|{APP_SECRET}":
            raise Refused(190, "Invalid OAuth access token signature.", status=401)
        if form.get("object") != "page":
            raise wrong_parameter("Param object must be page")
        fields = _known_fields(form.get("fields", ""))
        callback = form.get("callback_url", "")
        if not await self.hooks.subscribe(callback, form.get("verify_token", ""), fields):
            raise Refused(2200, "(#2200) Callback verification failed: no answer to the challenge")


def _json(call: Call, name: str) -> Mapping[str, Any]:
    try:
        value = json.loads(call.values.get(name, ""))
    except ValueError as error:
        raise wrong_parameter(f"Param {name} must be a JSON object") from error
    if not isinstance(value, dict):
        raise wrong_parameter(f"Param {name} must be a JSON object")
    return value


def _check_type(call: Call) -> None:
    kind, tag = call.values.get("messaging_type"), call.values.get("tag")
    if kind not in MESSAGING_TYPES:
        raise wrong_parameter("Param messaging_type must be one of RESPONSE, UPDATE, …")
    if (kind == "MESSAGE_TAG") != (tag is not None) or tag in DEAD_TAGS:
        raise wrong_parameter("Param tag is not a valid message tag")


def _known_fields(value: str) -> frozenset[str]:
    fields = frozenset(value.split(","))
    if not fields <= SUBSCRIBABLE:
        raise wrong_parameter("Param subscribed_fields names an unknown field")
    return fields


def _listed(entry: Entry) -> dict[str, Any]:
    sender = entry.account if entry.kind == "message" else entry.payload["psid"]
    # A template comes back without words.
    return {
        "id": entry.remote_id,
        "message": "" if "attachment" in entry.payload else entry.text,
        "created_time": graph_time(entry.created_at),
        "from": {"id": sender},
    }


SANDBOX = MessengerSandbox
