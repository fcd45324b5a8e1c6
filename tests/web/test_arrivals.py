"""Mails that arrived, as providers tell: counted with their mailing, apart from the accepted."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import insert, select

from channels.base import letter_number
from channels.http import HttpClient
from channels.newsletter.adapter import Newsletter
from channels.newsletter.feedback.ses import Certificates
from scheduler.services import Services
from scheduler.store.audience_tables import recipients
from tests.channels.newsletter.test_feedback import sns_host
from tests.support import feedback
from tests.support.feedback import TOKEN
from tests.web.conftest import Client
from tests.web.support import ask, post, put
from tests.web.test_feedback import ANN, event, meet, told_by

DOMAIN = "shop.example.org"


class Mailed:
    """A newsletter that some provider speaks of, and its mailings to Ann, oldest first."""

    def __init__(self, client: Client, services: Services, account_id: str) -> None:
        self.client, self.services, self.account_id = client, services, account_id
        self.reader = ""
        self.deliveries: list[str] = []

    async def write(self, state: str = "accepted") -> str:
        """One more mailing; its delivery."""
        self.reader = self.reader or await meet(self.services)
        number = len(self.deliveries)
        made = await post(self.client, accounts=[self.account_id], title=f"Letter {number}")
        delivery_id = str(made["deliveries"][0]["id"])
        now = self.services.clock.micros()
        await put(self.services, delivery_id, state="delivered", due_at=now)
        async with self.services.database.write() as connection:
            await connection.execute(
                insert(recipients).values(
                    delivery_id=delivery_id,
                    contact_id=self.reader,
                    address=ANN,
                    state=state,
                    updated_at=now,
                )
            )
        self.deliveries.append(delivery_id)
        return delivery_id

    def named(self, delivery_id: str) -> str:
        return f"{letter_number(f'{delivery_id}/{self.reader}')}@{DOMAIN}"

    async def hook(self, raw: bytes, **headers: str) -> None:
        answer = await self.client.post(f"/hooks/{self.account_id}", data=raw, headers=headers)
        assert answer.status == 200, await answer.text()

    async def mailgun(self, event_id: str, about: str, name: str = "delivered") -> None:
        body = {
            "event": name, "id": event_id, "recipient": ANN, "severity": "permanent",
            "timestamp": 1_770_146_798.5, "message": {"headers": {"message-id": about}},
        }  # fmt: skip
        await self.hook(feedback.mailgun({"event-data": body}))

    async def brevo(self, second: int) -> None:
        body = {**event("brevo", "arrived"), "ts_event": second}
        await self.hook(json.dumps(body).encode(), Authorization=f"Bearer {TOKEN}")

    async def arrived(self) -> list[int | None]:
        """The figure of each mailing."""
        found = [await self.figures(one) for one in self.deliveries]
        return [one["arrived"] for one in found]

    async def figures(self, delivery_id: str) -> dict[str, Any]:
        return await ask(self.client, "GET", f"/deliveries/{delivery_id}/mailing")

    async def row(self, delivery_id: str) -> Any:
        async with self.services.database.read() as connection:
            statement = select(recipients).where(recipients.c.delivery_id == delivery_id)
            return (await connection.execute(statement)).one()


async def mailed(client: Client, services: Services, provider: str, count: int) -> Mailed:
    mails = Mailed(client, services, await told_by(services, provider))
    for _ in range(count):
        await mails.write()
    return mails


async def test_a_mail_that_arrived_is_counted_once_with_the_mailing_that_it_names(
    client: Client, services: Services
) -> None:
    mails = await mailed(client, services, "mailgun", 2)
    first, _ = mails.deliveries
    assert await mails.arrived() == [None, None]
    for _ in range(2):
        await mails.mailgun("e1", mails.named(first))
    await mails.mailgun("e2", f"<a-confirmation@{DOMAIN}>")  # another mail of ours, no mailing's
    assert await mails.arrived() == [1, None]
    said = await mails.figures(first)
    assert (said["accepted"], said["delivered"], said["arrived"]) == (1, 1, 1)
    (one,) = (await ask(client, "GET", f"/deliveries/{first}/recipients"))["recipients"]
    assert (one["state"], one["arrived_at"]) == ("accepted", "2026-02-03T19:26:38.500000Z")


async def test_a_mail_that_came_back_after_it_arrived_is_at_no_mailbox(
    client: Client, services: Services
) -> None:
    mails = await mailed(client, services, "mailgun", 2)
    first, second = mails.deliveries
    for number, one in enumerate((first, second)):
        await mails.mailgun(f"e{number}", mails.named(one))
    await mails.mailgun("e3", mails.named(first), "failed")
    await mails.mailgun("e4", mails.named(second), "complained")
    await mails.mailgun("e5", mails.named(second))
    assert await mails.arrived() == [0, 1]
    assert (await mails.figures(first))["bounced"] == 1
    assert (await mails.figures(second))["complained"] == 1


async def test_a_provider_with_message_ids_of_its_own_speaks_of_the_last_mails(
    client: Client, services: Services
) -> None:
    mails = await mailed(client, services, "brevo", 2)
    await mails.brevo(1)
    assert await mails.arrived() == [None, 1]
    await mails.brevo(2)
    await mails.brevo(3)
    assert await mails.arrived() == [1, 1]


async def test_sns_tells_it_too_and_a_forger_does_not(client: Client, services: Services) -> None:
    mails = await mailed(client, services, "amazon-ses", 1)
    channel = services.registry["newsletter"]
    assert isinstance(channel, Newsletter)
    body = event("amazon-ses", "arrived")
    async with sns_host() as host, HttpClient(private_ok=True) as http:
        channel.certificates = Certificates(http, origin=re.escape(host.origin))
        forged = host.sns.notification(body, host.origin).replace(b"ann@", b"ANN@")
        answer = await client.post(f"/hooks/{mails.account_id}", data=forged)
        assert answer.status == 403
        assert await mails.arrived() == [None]
        await mails.hook(host.sns.notification(body, host.origin))
    assert await mails.arrived() == [1]


@pytest.mark.parametrize("state", ["uncertain", "pending"])
async def test_what_arrived_is_in_doubt_no_more_and_not_sent_again(
    client: Client, services: Services, state: str
) -> None:
    mails = await mailed(client, services, "mailgun", 0)
    delivery_id = await mails.write(state)
    await mails.mailgun("e1", mails.named(delivery_id))
    assert (await mails.row(delivery_id)).state == "accepted"
    assert (await mails.figures(delivery_id))["uncertain"] == 0


async def test_what_arrived_while_it_was_being_written_down_is_left_to_the_run(
    client: Client, services: Services
) -> None:
    mails = await mailed(client, services, "mailgun", 0)
    delivery_id = await mails.write("sending")
    await mails.mailgun("e1", mails.named(delivery_id))
    row = await mails.row(delivery_id)
    assert (row.state, row.arrived_at is not None) == ("sending", True)
