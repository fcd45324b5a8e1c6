"""Mails that came back: bounces and complaints, handed over by the server that received them."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from scheduler.audience.returns import read, slot_of
from scheduler.care import returns_of
from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.store.tokens import Scope
from scheduler.web.endpoint import Call, Endpoints

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
    again, nor is one whose owner complained, or that refused mails on too many days. Answers,
    automatic replies and what was read before are ignored."""
    if call.request.content_type != "message/rfc822":
        sent = call.request.content_type
        raise RefusedError(
            Refusal.MEDIA_TYPE,
            f"the body is {sent}",
            [FieldError("Content-Type", f"is {sent}", "send the whole mail as message/rfc822")],
        )
    mail = await call.request.read()
    services = call.services
    applied = returns_of(services)
    returned = read(applied.key, mail)
    if returned is None:
        return {"kind": None, "contact_id": None, "status": None}
    async with services.database.write() as connection:
        await applied.apply(
            connection, returned, slot=slot_of(mail, returned), source="api",
            now=services.clock.micros(),
        )  # fmt: skip
    return {"kind": returned.kind, "contact_id": returned.contact_id, "status": returned.status}
