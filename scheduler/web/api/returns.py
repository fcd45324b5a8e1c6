"""Mails that came back: bounces and complaints, handed over by the server that received them."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from scheduler.audience.returns import Kind, Returned, read
from scheduler.audience.suppression import fingerprint
from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.store import audience, contacts
from scheduler.store.recipients import suppress
from scheduler.store.tokens import Scope
from scheduler.web.endpoint import Call, Endpoints
from scheduler.web.public import key_of

endpoints = Endpoints("contacts")

_MAIL: dict[str, Any] = {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}}


class ReturnAnswer(TypedDict):
    """What the mail said; all null when it was no report about a mail of ours."""

    kind: str | None
    contact_id: str | None
    status: str | None


@endpoints.post("/returns", scope=Scope.WRITE, request_body=_MAIL, refusals=(Refusal.MEDIA_TYPE,))
async def take(call: Call) -> ReturnAnswer:
    """Read one returned mail and act on it: an address that does not exist is never written to
    again, nor is one whose owner complained. Answers and automatic replies are ignored."""
    if call.request.content_type != "message/rfc822":
        sent = call.request.content_type
        raise RefusedError(
            Refusal.MEDIA_TYPE,
            f"the body is {sent}",
            [FieldError("Content-Type", f"is {sent}", "send the whole mail as message/rfc822")],
        )
    returned = read(key_of(call.services), await call.request.read())
    if returned is None:
        return {"kind": None, "contact_id": None, "status": None}
    await _apply(call, returned)
    return {"kind": returned.kind, "contact_id": returned.contact_id, "status": returned.status}


async def _apply(call: Call, returned: Returned) -> None:
    if returned.kind not in {Kind.GONE, Kind.COMPLAINT}:
        return
    services = call.services
    now = services.clock.micros()
    async with services.database.write() as connection:
        person = await contacts.get(connection, returned.contact_id)
        if person is None or not person["email"]:
            return
        row = {
            "hash": fingerprint(key_of(services), person["email"]),
            "reason": returned.kind,
            "detail": returned.status,
            "at": now,
        }
        await suppress(services.database, connection, [row])
        if returned.kind is Kind.COMPLAINT:
            await audience.leave_everything(
                connection, contact_id=returned.contact_id, source="complaint", now=now
            )
