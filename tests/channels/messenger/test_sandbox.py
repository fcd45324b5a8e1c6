"""The practice Messenger's people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from channels.http import HttpClient
from channels.messenger.sandbox import MessengerSandbox
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import PracticeServer


async def test_people_and_what_they_wrote_outlive_a_restart(
    server: PracticeServer, http: HttpClient, tmp_path: Path
) -> None:
    people = f"{server.url}/messenger/people"
    fatou = {"psid": "42", "name": "Fatou", "language": "fr", "hours_ago": 30}
    assert (await http.request("POST", people, json_body=fatou)).status == 201
    before = {person["psid"]: person for person in (await http.request("GET", people)).json()}
    assert not before["42"]["window_open"]
    said = await http.request("POST", f"{people}/42/messages", json_body={"text": "Hello?"})
    assert said.status == 201

    restarted = MessengerSandbox(Ledger(tmp_path / "ledger.db"))
    person = restarted.people.get("42")
    assert person is not None
    assert (person.name, person.language) == ("Fatou", "fr")
    assert person.window_open
    restarted.ledger.close()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("people", {}, 422),
        ("people", {"psid": "not a number"}, 422),
        ("people", {"psid": "42", "hours_ago": -1}, 422),
        ("people", {"psid": "42", "colour": "red"}, 422),
        ("people", {"psid": "7301946285510001"}, 409),
        ("people/7301946285510001/messages", {}, 422),
        ("people/7301946285510001/messages", {"text": ""}, 422),
        ("people/99/messages", {"text": "Hello"}, 404),
    ],
)
async def test_a_wrong_person_is_refused(
    server: PracticeServer, http: HttpClient, path: str, body: dict[str, Any], status: int
) -> None:
    reply = await http.request("POST", f"{server.url}/messenger/{path}", json_body=body)
    assert reply.status == status
    assert reply.text


async def test_the_inbox_shows_who_may_be_written_to(
    server: PracticeServer, http: HttpClient
) -> None:
    inbox = await http.request("GET", f"{server.url}/messenger/www/104862915374021")
    assert inbox.text.count(">yes<") == 4
    assert inbox.text.count(">no, 24 hours have passed<") == 1
    assert (await http.request("GET", f"{server.url}/messenger/www/1")).status == 404
    nobody = f"{server.url}/messenger/www/104862915374021/1"
    assert (await http.request("GET", nobody)).status == 404
