"""Other addresses of a contact: a Messenger id, a telephone number, a second e-mail address."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field
from typing_extensions import TypedDict

from scheduler.answers import Row, stamp, stamp_or_none
from scheduler.audience.address import AddressError, usable_address
from scheduler.audience.suppression import fingerprint
from scheduler.clock import micros
from scheduler.drafts import Strict, Text
from scheduler.refusals import Refusal, conflict, invalid, not_found
from scheduler.store import addresses, contacts
from scheduler.store.addresses import EMAIL, NO_ACCOUNT, PHONE
from scheduler.store.db import Connection
from scheduler.store.recipients import suppressed
from scheduler.store.tokens import Scope
from scheduler.web.api.shapes import ById
from scheduler.web.endpoint import Call, Endpoints
from scheduler.web.public import key_of

endpoints = Endpoints("addresses")

MOST = 50
_ONE = (Refusal.NOT_FOUND,)
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_IDENTITY = re.compile(r"[\w.:@+-]{1,200}")


class AddressPath(BaseModel):
    """Which address of whom."""

    id: Annotated[str, Field(min_length=1, max_length=36)]
    address: Annotated[str, Field(min_length=1, max_length=36, description="The address's id.")]


class AddressDraft(Strict):
    """Another address of somebody. `channel`: `email`, `phone`, or that of one of your accounts
    which writes to people one by one (`messenger`), which `account_id` then names."""

    channel: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
    address: Annotated[Text, Field(min_length=1, max_length=320)]
    account_id: Annotated[str | None, Field(max_length=36)] = None
    writable_until: Annotated[
        AwareDatetime | None,
        Field(description="Of an account: may be written to until then; null: once they write."),
    ] = None
    take_over: Annotated[
        bool,
        Field(description="The contact who has this address is the same person: take it, with the"
              " time until which they may be written to."),
    ] = False  # fmt: skip


class AddressAnswer(TypedDict):
    """One address. `account_id`: whose account writes to it, null for mail and telephone."""

    id: str
    channel: str
    account_id: str | None
    address: str
    writable_until: str | None
    created_at: str


class AddressList(TypedDict):
    """All other addresses of a contact, oldest first."""

    addresses: list[AddressAnswer]


@endpoints.get("/contacts/{id}/addresses", scope=Scope.READ, refusals=_ONE)
async def index(call: Call, path: ById) -> AddressList:
    """Other addresses of somebody: what their accounts elsewhere and telephones are called."""
    async with call.services.database.read() as connection:
        return await _all(connection, path.id)


@endpoints.post(
    "/contacts/{id}/addresses", scope=Scope.WRITE, status=201,
    refusals=(*_ONE, Refusal.CONFLICT),
)  # fmt: skip
async def add(call: Call, path: ById, body: AddressDraft) -> AddressList:
    """Note another address of somebody. Newsletters go to their first e-mail address only, and
    telephone numbers are kept for you to call."""
    services = call.services
    now = services.clock.micros()
    values = await _values(call, body, now)
    address = values["address"]
    key = {name: values[name] for name in ("channel", "account_id", "address")}
    async with services.database.write() as connection:
        await _known(connection, path.id)
        if await suppressed(connection, [fingerprint(key_of(services), address)]):
            raise conflict(
                "nobody may write to this address: it was erased, complained, or does not exist",
                "have them write to you, or sign up, themselves",
                "address",
            )
        holder = await addresses.holder(connection, **key)
        if holder == path.id:
            raise conflict("they have this address already", field="address")
        if holder is not None and not body.take_over:
            raise conflict(
                f"the contact {holder} has this address",
                "send take_over true if both are the same person",
                "address",
            )
        if holder is not None:
            if not await addresses.move(connection, path.id, **key):
                raise conflict(
                    f"it is the first address of the contact {holder}",
                    "erase one of the two contacts, or leave the address where it is",
                    "address",
                )
            return await _all(connection, path.id)
        if await addresses.count(connection, path.id) >= MOST:
            raise conflict(f"nobody has more than {MOST} addresses", "remove one first", "address")
        await addresses.add(connection, path.id, values, now=now)
        return await _all(connection, path.id)


@endpoints.delete("/contacts/{id}/addresses/{address}", scope=Scope.WRITE, refusals=_ONE)
async def remove(call: Call, path: AddressPath) -> None:
    """Forget one address of somebody."""
    async with call.services.database.write() as connection:
        if not await addresses.remove(connection, path.id, path.address):
            raise not_found("address", path.address)


async def _values(call: Call, body: AddressDraft, now: int) -> dict[str, Any]:
    """The row to be, checked. Error: RefusedError that names the field."""
    if body.channel in {EMAIL, PHONE}:
        for name in ("account_id", "writable_until"):
            if getattr(body, name) is not None:
                raise invalid(name, f"an address by {body.channel} has none", "leave it out")
        usable = _email(body.address) if body.channel == EMAIL else _phone(body.address)
        return {"channel": body.channel, "account_id": NO_ACCOUNT, "address": usable,
                "writable_until": None}  # fmt: skip
    everyone = await call.services.roster.everyone()
    able = {
        member.id: member.channel.channel
        for member in everyone.values()
        if member.channel.capabilities.addressed and member.channel.capabilities.address != EMAIL
    }
    if body.channel not in able.values():
        known = ", ".join(sorted({EMAIL, PHONE, *able.values()}))
        raise invalid(
            "channel",
            f"no account of yours writes to people on {body.channel!r}",
            f"one of: {known}",
        )
    if body.account_id is None or able.get(body.account_id) != body.channel:
        ids = ", ".join(sorted(one for one, channel in able.items() if channel == body.channel))
        raise invalid(
            "account_id", f"name the {body.channel} account that writes to this address",
            f"one of: {ids}",
        )  # fmt: skip
    address = body.address.strip()
    if _IDENTITY.fullmatch(address) is None:
        raise invalid(
            "address", f"this is no identity that {body.channel} gives",
            "letters, digits and . : @ + - _, without spaces",
        )  # fmt: skip
    until = now if body.writable_until is None else micros(body.writable_until)
    return {"channel": body.channel, "account_id": body.account_id, "address": address,
            "writable_until": until}  # fmt: skip


def _email(text: str) -> str:
    try:
        return usable_address(text)
    except AddressError as error:
        raise invalid("address", str(error), "check its spelling") from error


def _phone(text: str) -> str:
    """In the one form that holds everywhere (E.164)."""
    number = re.sub(r"\(0\)|[\s().\-/\u00a0\u202f]", "", text)
    if number.startswith("00"):
        number = f"+{number[2:]}"
    if _PHONE.fullmatch(number) is None:
        raise invalid(
            "address", "this is no international telephone number",
            "begin with + and the number of the country: +33 6 12 34 56 78",
        )  # fmt: skip
    return number


async def _known(connection: Connection, contact_id: str) -> None:
    if await contacts.get(connection, contact_id) is None:
        raise not_found("contact", contact_id)


async def _all(connection: Connection, contact_id: str) -> AddressList:
    await _known(connection, contact_id)
    rows = await addresses.of_contact(connection, contact_id)
    return {"addresses": [_answer(row) for row in rows]}


def _answer(row: Row) -> AddressAnswer:
    return {
        "id": row["id"],
        "channel": row["channel"],
        "account_id": row["account_id"] or None,
        "address": row["address"],
        "writable_until": stamp_or_none(row["writable_until"]),
        "created_at": stamp(row["created_at"]),
    }
