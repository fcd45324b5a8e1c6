"""Somebody who has the form write to strangers: limits by visitor and by list, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from sqlalchemy import func, select

from scheduler.services import open_services
from scheduler.store.audience_tables import contacts, memberships, signups
from scheduler.web.app import create_app
from scheduler.web.visitor import network_of
from tests.web.conftest import Client
from tests.web.test_signup import FRENCH, House, house

__all__ = ["house"]
SOMEBODY, ANOTHER = "92.184.100.7", "92.184.100.8"
OWN_PROXY = ("127.0.0.1",)


async def _send(house: House, email: str, *, visitor: str, client: Any = None) -> ClientResponse:
    """A form of its own, sent by that visitor behind our proxy."""
    fields = {**await house.form(), "email": email}
    by: Client = client or house.client
    answer: ClientResponse = await by.post(
        f"/signup/{house.list_id}", data=fields, headers={"X-Forwarded-For": visitor}
    )
    return answer


async def _counted(house: House) -> int:
    async with house.services.database.read() as connection:
        found = await connection.execute(select(func.count()).select_from(signups))
        return int(found.scalar_one())


async def test_one_visitor_has_so_many_written_to_and_no_more(house: House) -> None:
    for email in ("a@x.org", "b@x.org"):
        assert (await _send(house, email, visitor=SOMEBODY)).status == 200
    refused = await _send(house, "c@x.org", visitor=SOMEBODY)
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    page = await refused.text()
    assert "Appuyez de nouveau" in page
    assert 'value="c@x.org"' in page  # what they wrote is not lost
    assert {row["email"] for row in await house.rows(contacts)} == {"a@x.org", "b@x.org"}
    assert await house.mailer.send_due() == 2
    english = await house.client.post(
        f"/signup/{house.list_id}",
        data={**await house.form(**{"Accept-Language": "en"}), "email": "c@x.org"},
        headers={"X-Forwarded-For": SOMEBODY, "Accept-Language": "en"},
    )
    assert english.status == 429
    assert "press the button again in" in " ".join((await english.text()).split())
    assert (await _send(house, "c@x.org", visitor=ANOTHER)).status == 200
    house.later(seconds=int(refused.headers["Retry-After"]) + 1)
    assert (await _send(house, "d@x.org", visitor=SOMEBODY)).status == 200


async def test_who_fills_in_the_form_twice_is_let_in_however_many_came(house: House) -> None:
    for email in ("a@x.org", "b@x.org"):
        assert (await _send(house, email, visitor=SOMEBODY)).status == 200
    for email in ("a@x.org", " B@X.org"):
        assert (await _send(house, email, visitor=SOMEBODY)).status == 200
    assert await _counted(house) == 2


async def test_a_list_takes_so_many_an_hour_from_everywhere(house: House) -> None:
    for n in range(5):
        answer = await _send(house, f"r{n}@x.org", visitor=f"92.184.100.{n}")
        assert answer.status == 200
        house.later(minutes=1)
    refused = await _send(house, "late@x.org", visitor=ANOTHER)
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) < 3600 - 4 * 60
    assert (await _send(house, "r3@x.org", visitor="92.184.100.3")).status == 200
    assert len(await house.rows(memberships)) == 5


async def test_processes_count_together(house: House) -> None:
    @asynccontextmanager
    async def beside() -> AsyncIterator[Client]:
        async with (
            open_services(house.services.settings, clock=house.clock) as services,
            TestClient(TestServer(create_app(services)), headers=FRENCH) as client,
        ):
            yield client

    async with beside() as other:
        answers = await asyncio.gather(
            *(
                _send(house, f"r{n}@x.org", visitor=SOMEBODY, client=(None, other)[n % 2])
                for n in range(8)
            )
        )
    assert sorted(answer.status for answer in answers) == [200] * 2 + [429] * 6
    assert len(await house.rows(memberships)) == 2


async def test_what_was_counted_names_nobody_and_is_forgotten(house: House) -> None:
    await _send(house, "a@x.org", visitor=SOMEBODY)
    (row,) = await house.rows(signups)
    assert SOMEBODY not in str(row)
    assert "a@x.org" not in str(row)
    await house.mailer.expire()
    assert await _counted(house) == 1
    house.later(hours=1, seconds=1)
    await house.mailer.expire()
    assert await _counted(house) == 0


@pytest.mark.parametrize(
    ("remote", "forwarded", "network"),
    [
        (SOMEBODY, None, SOMEBODY),
        ("127.0.0.1", SOMEBODY, SOMEBODY),
        (
            "127.0.0.1",
            f"1.2.3.4, {SOMEBODY}",
            SOMEBODY,
        ),  # made up by the visitor
        (SOMEBODY, "1.2.3.4", SOMEBODY),
        ("127.0.0.1", "2a01:cb19:1:2:aaaa::1", "2a01:cb19:1:2::/64"),
        ("127.0.0.1", "2a01:cb19:1:2:bbbb::9", "2a01:cb19:1:2::/64"),
        ("127.0.0.1", f"::ffff:{SOMEBODY}", SOMEBODY),
        ("127.0.0.1", "10.0.0.7", "10.0.0.7"),  # told by our own proxy
        ("10.0.0.1", SOMEBODY, ""),  # a proxy that we were not told of: all come from it
        ("127.0.0.1", None, ""),
        (None, None, ""),
    ],
)
def test_whose_network_it_is(remote: str | None, forwarded: str | None, network: str) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request: Any = make_mocked_request("POST", "/signup/l", headers=headers)
    assert network_of(request.clone(remote=remote), OWN_PROXY) == network
