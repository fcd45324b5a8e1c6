"""Returned mails through the API: who cannot or will not be written to is not written to."""

from __future__ import annotations

import pytest

from scheduler.audience.returns import tag_of
from scheduler.services import Services
from scheduler.web.public import key_of
from tests.audience.test_returns import _bounce, _complaint
from tests.web.conftest import Client
from tests.web.support import ask

MAIL = {"Content-Type": "message/rfc822"}


@pytest.mark.parametrize("complains", [False, True])
async def test_a_returned_mail_bars_its_reader(
    client: Client, services: Services, *, complains: bool
) -> None:
    list_id = (await ask(client, "POST", "/lists", {"name": "L"}, status=201))["id"]
    body = {"email": "ann@x.org", "lists": [list_id], "consent": {"source": "till"}}
    made = await ask(client, "POST", "/contacts", body, status=201)
    contact_id = made["contact"]["id"]
    tag = tag_of(key_of(services), contact_id)
    mail = _complaint(tag=tag) if complains else _bounce("5.1.1", tag=tag)
    answer = await client.post("/api/v1/returns", data=mail, headers=MAIL)
    said = await answer.json()
    assert answer.status == 200, said
    assert said["kind"] == ("complaint" if complains else "no-such-address")
    await ask(client, "POST", "/contacts", body, status=409)
    whole = (await ask(client, "GET", f"/contacts/{contact_id}"))["contact"]
    assert whole["lists"][0]["state"] == ("unsubscribed" if complains else "subscribed")


async def test_another_mail_changes_nothing(client: Client) -> None:
    answer = await client.post("/api/v1/returns", data=b"Subject: hi\r\n\r\nhello", headers=MAIL)
    assert (await answer.json())["kind"] is None
    wrong = await client.post("/api/v1/returns", json={})
    assert wrong.status == 415
