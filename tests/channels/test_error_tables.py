"""Every documented refusal, row by row, has a reply in `tests/wire` that a test reads.

What each has to become is in the channels' own wire tests, which replay every file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

WIRE = Path(__file__).parent.parent / "wire"

# Graph errors: (code, subcode), None for none.
GRAPH: Mapping[str, list[tuple[int, int | None]]] = {
    "facebook": [
        (1, None), (2, None), (4, None), (17, None), (32, None), (341, None), (613, None),
        (613, 1996), (80001, None), (80002, None), (102, None), (190, None), (190, 458),
        (190, 459), (190, 460), (190, 463), (190, 464), (190, 467), (190, 492), (10, None),
        (200, None), (283, None), (3, None), (100, 33), (803, None), (100, None), (368, None),
        (506, None), (1609005, None), (1500, None), (200, 1609008), (1366046, None),
        (100, 1363030), (324, 2069019), (1390008, None), (100, 1346003), (1404102, None),
        (1366051, None), (1404006, None), (100, 1404078), (4854002, None), (1404112, None),
    ],
    "messenger": [
        (10, 2018278), (10, 2534022), (100, None), (551, None), (551, 1545041), (200, 1545041),
        (100, 2018001), (100, 33), (10, 2018108), (10, 1893015), (10, 2018065), (10, 1893063),
        (2, None), (1, 1357046), (1, 99), (200, 2018028), (4, None), (613, None), (613, 2018338),
        (613, 2534040), (80006, None), (190, None), (368, None), (2022, None), (100, 2018300),
        (100, 2534037),
    ],
}  # fmt: skip

# Others: HTTP status, and what the body says (empty: any).
HTTP: Mapping[str, list[tuple[int, str]]] = {
    "linkedin": [
        (401, "65601"), (401, "65602"), (401, "INVALID_ACCESS_TOKEN"),
        (401, "empty"), (403, "100"), (403, "/author"), (403, "forbidden"),
        (404, "organization"), (404, "entity"), (409, "urn:li:"), (422, "DUPLICATE_POST"),
        (422, "MISSING_FIELD"), (400, "INVALID_PARAMETER"), (422, "FIELD_LENGTH_TOO_LONG"),
        (422, "CONTENT_BLOCKED"), (426, "NONEXISTENT_VERSION"), (426, "VERSION_DEPRECATED"),
        (429, "throttle limit"), (500, ""), (502, "<"),
    ],
    "wordpress": [
        (401, "incorrect_password"), (401, "invalid_username"), (401, "rest_not_logged_in"),
        (501, "application_passwords_disabled"), (501, "application_passwords_disabled_for_user"),
        (401, "rest_cannot_create"), (403, "rest_cannot_publish"), (403, "rest_cannot_edit"),
        (403, "rest_forbidden"), (404, "rest_no_route"), (404, "<"),
        (404, "rest_post_invalid_id"), (410, "rest_already_trashed"), (400, "rest_invalid_param"),
        (400, "rest_upload_no_data"), (413, ""), (429, ""), (403, "<"), (406, "<"), (503, ""),
        (500, "db_insert_error"), (500, "database connection"), (502, ""), (200, "<"),
        (400, "term_exists"), (412, ""),
    ],
    "ghost": [
        (401, "UNKNOWN_ADMIN_API_KEY"), (401, "INVALID_JWT"), (401, "INVALID_AUTH_HEADER"),
        (401, "INVALID_API_KEY_TYPE"), (400, "INVALID_JWT"), (400, "MISSING_ADMIN_API_KID"),
        (403, "NoPermissionError"), (403, "HostLimitError"), (404, "NotFoundError"), (404, "<"),
        (409, "UPDATE_COLLISION"), (422, "ValidationError"), (413, ""), (415, ""),
        (429, "TooManyRequestsError"), (503, "MaintenanceError"), (502, ""), (504, ""), (500, ""),
    ],
    "mastodon": [(401, ""), (403, "scope"), (403, "disabled"), (422, ""), (429, ""), (500, "")],
    "bluesky": [
        (400, "ExpiredToken"), (400, "InvalidToken"), (401, "AccountTakedown"),
        (401, "AuthFactorTokenRequired"), (400, "InvalidRequest"), (429, ""), (500, ""),
    ],
}  # fmt: skip

# Answers of mail servers: reply code, enhanced code or words, and what it becomes.
SMTP: list[tuple[int, str, str]] = [
    (421, "", "Unavailable"), (450, "", "Unavailable"), (451, "4.4", "Unavailable"),
    (451, "4.3", "Unavailable"), (421, "4.7.28", "Throttled"), (450, "4.2.1", "Throttled"),
    (421, "4.7.0", "Throttled"), (452, "4.2.2", "Unreachable"), (552, "5.2.2", "Unreachable"),
    (452, "4.5.3", "Unavailable"), (550, "5.1.1", "Unreachable"), (550, "5.1.2", "Unreachable"),
    (553, "5.1.3", "Unreachable"), (551, "5.1.6", "Unreachable"), (550, "5.1.10", "Unreachable"),
    (550, "5.2.1", "Unreachable"), (554, "dd ", "Unreachable"), (552, "5.3.4", "Rejected"),
    (550, "5.7.1", "Rejected"), (554, "5.7.1", "Rejected"), (550, "5.7.26", "AccessLost"),
    (421, "4.7.26", "AccessLost"), (550, "5.7.27", "AccessLost"), (550, "5.7.30", "AccessLost"),
    (550, "5.7.31", "AccessLost"), (550, "5.7.40", "AccessLost"), (550, "5.7.32", "AccessLost"),
    (550, "5.7.515", "AccessLost"), (554, "blocked", "Throttled"), (421, "", "Throttled"),
    (554, "No SMTP", "Throttled"), (530, "", "AccessLost"), (534, "", "AccessLost"),
    (535, "", "AccessLost"), (538, "", "AccessLost"), (503, "", "Rejected"),
]  # fmt: skip


def _replies(channel: str) -> Iterator[Mapping[str, Any]]:
    for path in sorted((WIRE / channel).glob("*.json")):
        reply: Mapping[str, Any] = json.loads(path.read_text())
        if "status" in reply:
            yield reply


@pytest.mark.parametrize("channel", GRAPH)
def test_every_row_of_the_graph_tables_has_its_reply(channel: str) -> None:
    found = set()
    for reply in _replies(channel):
        body = reply.get("body")
        error = body.get("error") if isinstance(body, dict) else None
        if isinstance(error, dict):
            found.add((error.get("code"), error.get("error_subcode")))
    assert [row for row in GRAPH[channel] if row not in found] == []


@pytest.mark.parametrize("channel", HTTP)
def test_every_row_of_the_other_tables_has_its_reply(channel: str) -> None:
    told = [(reply["status"], json.dumps(reply, ensure_ascii=False)) for reply in _replies(channel)]
    missing = [
        (status, words)
        for status, words in HTTP[channel]
        if not any(status == seen and words.lower() in text.lower() for seen, text in told)
    ]
    assert missing == []


def test_every_row_of_the_mail_table_has_its_reply_and_becomes_what_it_says() -> None:
    """The outcomes are checked, reply by reply, in `newsletter/test_replies.py`; a connection lost
    before and behind the final dot in `newsletter/test_smtp.py`."""
    told = json.loads((WIRE / "newsletter" / "replies.json").read_text())["replies"]
    assert all(reply["source"] for reply in told)
    missing = [
        (code, words, outcome)
        for code, words, outcome in SMTP
        if not any(
            (reply["code"], reply["outcome"]) == (code, outcome) and words in reply["text"]
            for reply in told
        )
    ]
    assert missing == []


@pytest.mark.parametrize("channel", [*GRAPH, *HTTP])
def test_every_reply_names_its_source_and_date(channel: str) -> None:
    for reply in _replies(channel):
        assert reply["source"]
        assert reply["date"]
