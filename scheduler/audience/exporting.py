"""Everything we hold about contacts, as a stream: one JSON object a line, or CSV for a
spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from scheduler.answers import Row, stamp_or_none
from scheduler.store import contacts
from scheduler.store.audience import TO_BE_WRITTEN_TO, Action
from scheduler.store.db import Connection, Database

CHUNK = 1000
# Before a CSV file: without it spreadsheets take UTF-8 for their country's old encoding.
MARK = "\ufeff"
HEADINGS = (
    "email", "name", "language", "tags", "attributes", "subscribed", "unsubscribed", "pending",
    "created_at", "contacted_at", "consent_at", "consent_confirmed_at", "consent_source",
    "consent_wording",
)  # fmt: skip
_WRITTEN = (*TO_BE_WRITTEN_TO, Action.UNSUBSCRIBE)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def people(
    database: Database, *, list_id: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Each contact (of one list, or all) with lists, evidence and other addresses, as
    `whole` says it."""
    after: str | None = None
    while True:
        async with database.read() as connection:
            rows = await contacts.page(
                connection, list_id=list_id, state=None, after=after, limit=CHUNK
            )
            held = await contacts.belongings(connection, [row["id"] for row in rows])
        for row in rows:
            yield whole(row, held[row["id"]])
        if len(rows) < CHUNK:
            return
        after = rows[-1]["id"]


async def person(connection: Connection, contact_id: str) -> dict[str, Any] | None:
    """Everything about one person, None for nobody."""
    row = await contacts.get(connection, contact_id)
    if row is None:
        return None
    held = await contacts.belongings(connection, [contact_id])
    return whole(row, held[contact_id])


def whole(row: Row, held: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """A contact with what belongs to them; times as RFC 3339."""
    return {
        **_said(row),
        "lists": [_said(one, "contact_id") for one in held["memberships"]],
        "consents": [_said(one, "contact_id", "id") for one in held["consents"]],
        "addresses": [_said(one, "contact_id", "id") for one in held["addresses"]],
        "mails": [_said(one, "contact_id", "worker", "next_at") for one in held["recipients"]],
        "returns": [_said(one, "contact_id", "id") for one in held["returns"]],
        "traces": [_said(one, "contact_id", "link") for one in held["traces"]],
    }


def _said(row: Row, *but: str) -> dict[str, Any]:
    return {
        name: stamp_or_none(value) if _is_time(name) else value
        for name, value in row.items()
        if name not in but
    }


def _is_time(name: str) -> bool:
    return name.endswith("_at") or name in {"at", "since", "writable_until"}


def json_line(one: Mapping[str, Any]) -> str:
    return json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n"


def csv_line(fields: tuple[str, ...], delimiter: str = ",") -> str:
    """A line that no spreadsheet takes for a formula. Spreadsheets in French, say, part fields at
    semicolons."""
    text = io.StringIO()
    safe = [f"'{one}" if one.startswith(_FORMULA) else one for one in fields]
    csv.writer(text, delimiter=delimiter).writerow(safe)
    return text.getvalue()


def csv_fields(one: Mapping[str, Any]) -> tuple[str, ...]:
    """The values of `HEADINGS`; of several consents to be written to the last."""
    written = [proof for proof in one["consents"] if proof["action"] in _WRITTEN]
    proof = written[-1] if written else {}
    joined = {
        state: " ".join(sorted(lst["list_id"] for lst in one["lists"] if lst["state"] == state))
        for state in ("subscribed", "unsubscribed", "pending")
    }
    return (
        one["email"] or "",
        one["name"],
        one["language"],
        ", ".join(one["tags"]),
        json.dumps(one["attributes"], ensure_ascii=False) if one["attributes"] else "",
        *joined.values(),
        one["created_at"],
        one["contacted_at"] or "",
        proof.get("at") or "",
        proof.get("confirmed_at") or "",
        proof.get("source") or "",
        proof.get("wording") or "",
    )
