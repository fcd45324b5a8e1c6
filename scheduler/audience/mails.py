"""The mails about a subscription itself, written by an account's own adapter and relays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog

from channels.base import Broadcasts, Recipient
from channels.outcome import Delivered, Outcome, RecipientOutcome, Unconfirmed, Unreachable
from channels.posts import Post
from scheduler.audience.links import UnsubscribeLinks, audience_key, seal
from scheduler.audience.signup import (
    CONFIRM,
    HOUR,
    PREFERENCES,
    PREFERENCES_OPEN_FOR,
    preferences_token,
)
from scheduler.audience.turnstile import WINDOW
from scheduler.clock import Clock
from scheduler.decide import SECOND
from scheduler.roster import Member, Roster
from scheduler.services import Services
from scheduler.store import audience, service_mails, signups
from scheduler.store.db import Database

log = structlog.get_logger()

CHUNK = 20
CLAIMED_FOR = 10 * 60 * SECOND
MOST_TRIES = 8
CONFIRM_WITHIN = 7 * 24 * HOUR
_BACKOFF = 60 * SECOND

_PATHS = {CONFIRM: "/confirm", PREFERENCES: "/preferences"}
_DAYS = {
    CONFIRM: CONFIRM_WITHIN // (24 * HOUR),
    PREFERENCES: PREFERENCES_OPEN_FOR // (24 * HOUR),
}
_WORDS = {
    ("en", CONFIRM): (
        "Please confirm: {list}",
        (
            "Somebody, you we hope, asked for “{list}” at this address.\n\n**[Confirm]({url})**\n\n"
            "If it was not you, do nothing: without your confirmation we write no more, and forget"
            " this address in {days} days."
        ),
    ),
    ("fr", CONFIRM): (
        "Merci de confirmer\u00a0: {list}",
        (
            "Quelqu’un, vous sans doute, a demandé à recevoir «\u00a0{list}\u00a0» à cette"
            " adresse.\n\n**[Confirmer]({url})**\n\nSi ce n’était pas vous, ne faites rien\u00a0:"
            " sans confirmation, nous n’écrirons plus et oublierons cette adresse dans {days}"
            " jours."
        ),
    ),
    ("en", PREFERENCES): (
        "Your subscription and your data",
        (
            "You asked for the page where you choose what we send you, see what we know of you and"
            " have it erased.\n\n**[Open the page]({url})**\n\nKeep this link to yourself. It works"
            " for {days} days."
        ),
    ),
    ("fr", PREFERENCES): (
        "Votre inscription et vos données",
        (
            "Vous avez demandé la page où choisir ce que vous recevez, voir ce que nous savons de"
            " vous et le faire effacer.\n\n**[Ouvrir la page]({url})**\n\nGardez ce lien pour vous."
            " Il est valable {days} jours."
        ),
    ),
}

_WHY = {
    ("en", CONFIRM): "You get this one mail because somebody typed this address into our form.",
    ("fr", CONFIRM): "Vous recevez ce seul message parce que quelqu’un a saisi cette adresse dans"
    " notre formulaire.",
    ("en", PREFERENCES): "You get this mail because you asked for it on our page.",
    ("fr", PREFERENCES): "Vous recevez ce message parce que vous l’avez demandé sur notre page.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """Sends what is asked for in `store.service_mails`. A kill between the relay's answer and our
    note of it sends a mail twice, which harms nobody."""

    database: Database
    clock: Clock
    roster: Roster
    public_url: str
    key: bytes

    async def send_due(self) -> int:
        """Write the mails that are due; how many were taken up."""
        now = self.clock.micros()
        rows = await service_mails.claim(
            self.database, now=now, until=now + CLAIMED_FOR, limit=CHUNK
        )
        if rows:
            members = await self.roster.everyone()
            for row in rows:
                await self._settle(row, await self._send(row, _carrier(members, row["list_id"])))
        return len(rows)

    async def expire(self) -> int:
        """Forget sign-ups that nobody confirmed in time, how many; and who was counted."""
        now = self.clock.micros()
        async with self.database.write() as connection:
            await signups.forget(connection, before=now - WINDOW)
            return await audience.expire(connection, before=now - CONFIRM_WITHIN)

    async def _send(self, row: Any, member: Member | None) -> RecipientOutcome | str:
        """What the relay said, or why nobody was asked."""
        if member is None:
            return "no account sends mail: connect one"
        channel = member.channel
        assert isinstance(channel, Broadcasts)
        title, body = _WORDS[row["language"], row["kind"]]
        url = f"{self.public_url}{_PATHS[row['kind']]}/{self._token(row)}"
        post = Post(
            id=f"{row['kind']}-{row['contact_id']}",
            title=title.format(list=row["list_name"]),
            body=body.format(list=row["list_name"], url=url, days=_DAYS[row["kind"]]),
            language=row["language"],
            campaign_tags=False,
            why=_WHY[row["language"], row["kind"]],
        )
        courier = await channel.open(channel.render(post, member.account), member.account)
        if isinstance(courier, Outcome):
            return courier
        try:
            return await courier.send(
                Recipient(
                    id=row["contact_id"],
                    address=row["email"],
                    # Whoever filled in the form is not yet known to be them: it is no way to have
                    # us write somebody's words to anybody.
                    name="" if row["kind"] == CONFIRM else row["name"],
                    language=row["language"],
                    unsubscribe_url=UnsubscribeLinks(self.public_url, self.key).link(
                        row["contact_id"], row["list_id"]
                    ),
                ),
                key=f"{row['kind']}/{row['contact_id']}/{row['list_id']}/{row['tries']}",
            )
        finally:
            await courier.close()

    def _token(self, row: Any) -> str:
        if row["kind"] == PREFERENCES:
            return preferences_token(
                self.key, row["contact_id"], row["list_id"], now=self.clock.micros()
            )
        return seal(self.key, row["kind"], row["contact_id"], row["list_id"])

    async def _settle(self, row: Any, outcome: RecipientOutcome | str) -> None:
        now = self.clock.micros()
        async with self.database.write() as connection:
            match outcome:
                case Delivered() | Unconfirmed():
                    await service_mails.sent(connection, row, now=now)
                    return
                case Unreachable(permanent=True):
                    await service_mails.drop(connection, row)
                    return
                case _:
                    said = outcome if isinstance(outcome, str) else repr(outcome)
            if row["tries"] >= MOST_TRIES:
                await service_mails.drop(connection, row)
            else:
                next_at = now + _BACKOFF * 2 ** row["tries"]
                await service_mails.later(connection, row, next_at=next_at, detail=said)
        log.warning("service-mail.later", kind=row["kind"], contact=row["contact_id"], why=said)


def mailer_of(services: Services) -> Mailer:
    """The mailer of one worker."""
    settings = services.settings
    return Mailer(
        database=services.database,
        clock=services.clock,
        roster=services.roster,
        public_url=settings.effective_public_url,
        key=audience_key(settings.audience_key.get_secret_value(), settings.data_dir),
    )


def _carrier(members: dict[str, Member], list_id: str) -> Member | None:
    """The account of this list, else the first that writes to mail addresses."""
    mailers = [one for one in members.values() if one.channel.capabilities.address == "email"]
    return next((one for one in mailers if one.id == list_id), mailers[0] if mailers else None)
