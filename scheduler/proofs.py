"""Proofs before a mailing: what one reader would get, shown, or sent to one's own address.

A test is marked as one, counts nowhere, changes no list, and its unsubscribe link leads nowhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import uuid_utils

from channels.abilities import Proof, Proofs
from channels.base import Broadcasts, Recipient
from channels.outcome import Delivered, Outcome, Problem, RecipientOutcome, Unreachable
from channels.posts import Message, Post
from scheduler.attempt import detail_of
from scheduler.audience.links import audience_key
from scheduler.audience.suppression import fingerprint
from scheduler.campaigns import filled_rows
from scheduler.content import to_post
from scheduler.decide import SECOND
from scheduler.drafts import Draft
from scheduler.plan import Planned, choose, make_plan
from scheduler.pointers import foreseen, standing
from scheduler.refusals import FieldError, Refusal, RefusedError, conflict, invalid, not_found
from scheduler.roster import Member
from scheduler.services import Services
from scheduler.store import campaigns, contacts, posts
from scheduler.store.recipients import suppressed

MARK = "[test] "
TESTS, WITHIN = 10, 600 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One account's mail, and what its author should know of it."""

    member: Member
    proof: Proof
    problems: tuple[Problem, ...]


@dataclass(slots=True, kw_only=True)
class Proofreader:
    """Makes proofs. One per process."""

    services: Services
    _sent: dict[str, deque[int]] = field(default_factory=dict)

    async def show(
        self, words: Draft | str, *, account_id: str | None, contact_id: str | None
    ) -> Shown:
        """`words`: a draft, or the id of a post. Error: RefusedError."""
        planned, problems = await self._planned(words, account_id)
        member = planned.member
        assert isinstance(member.channel, Proofs)  # chosen so
        recipient = await self._reader(contact_id, "reader@example.org")
        made = await member.channel.proof(planned.message, member.account, recipient)
        if isinstance(made, Problem):
            raise invalid(made.field or "post", made.detail, made.remedy)
        return Shown(member=member, proof=made, problems=problems)

    async def test(
        self,
        words: Draft | str,
        *,
        account_id: str | None,
        contact_id: str | None,
        address: str,
        actor: str,
    ) -> tuple[Member, Outcome | RecipientOutcome]:
        """Write to `address` as if it were the contact's; what the relay said. Error:
        RefusedError."""
        planned, _ = await self._planned(words, account_id)
        member = planned.member
        async with self.services.database.read() as connection:
            if await suppressed(connection, [fingerprint(self._key, address)]):
                raise conflict(
                    "nobody may write to this address: it was erased, complained, or is not there",
                    "take another address",
                    "to",
                )
        recipient = await self._reader(contact_id, address)
        self._take_turn(actor)
        assert isinstance(member.channel, Broadcasts)  # chosen so
        message = _marked(planned.message)
        courier = await member.channel.open(message, member.account)
        if isinstance(courier, Outcome):
            return member, courier
        try:
            key = f"test/{uuid_utils.uuid7()}"
            return member, await courier.send(recipient._replace(address=address), key=key)
        finally:
            await courier.close()

    @property
    def _key(self) -> bytes:
        settings = self.services.settings
        return audience_key(settings.audience_key.get_secret_value(), settings.data_dir)

    def _take_turn(self, actor: str) -> None:
        now = self.services.clock.micros()
        turns = self._sent.setdefault(actor, deque())
        while turns and turns[0] <= now - WITHIN:
            turns.popleft()
        if len(turns) >= TESTS:
            detail = f"{TESTS} tests within ten minutes are enough"
            wait = (turns[0] + WITHIN - now) // SECOND + 1
            raise RefusedError(
                Refusal.TOO_MANY, detail, [FieldError("to", detail, f"wait {wait} seconds")]
            )
        turns.append(now)

    async def _planned(
        self, words: Draft | str, account_id: str | None
    ) -> tuple[Planned, tuple[Problem, ...]]:
        members = await self._members(account_id)
        post = await (self._drafted(words) if isinstance(words, Draft) else self._stored(words))
        plan = make_plan(post, members[:1], {}, self.services.clock.micros())
        if not plan.deliveries:
            first = plan.blocking[0].problem
            raise invalid(first.field or "post", first.detail, first.remedy)
        return plan.deliveries[0], tuple(found.problem for found in plan.problems)

    async def _members(self, account_id: str | None) -> list[Member]:
        """The accounts that write mails, or the one that is named."""
        everyone = await self.services.roster.everyone()
        writing = [one for one in everyone.values() if isinstance(one.channel, Proofs)]
        if account_id is None:
            if not writing:
                raise invalid("account", "no account writes mails", "connect a newsletter")
            return writing
        found = [one for one in writing if one.id == account_id]
        if not found:
            raise invalid("account", f"no account {account_id!r} writes mails", "see the accounts")
        return found

    async def _drafted(self, draft: Draft) -> Post:
        settings = self.services.settings
        row = await self.services.intake.row(draft)
        post = to_post(row, settings.data_dir / "media")
        now = self.services.clock.micros()
        chosen = choose(draft, await self.services.roster.everyone(), now)
        article = await foreseen(post, chosen, now)
        return replace(post, own_hosts=settings.own_hosts, blog_url=article)

    async def _stored(self, post_id: str) -> Post:
        settings = self.services.settings
        async with self.services.database.read() as connection:
            row = await posts.get(connection, post_id)
            if row is None:
                raise not_found("post", post_id)
            frames: Mapping[str, Any] = {}
            if row["campaign_id"] is not None:
                campaign = await campaigns.get(connection, row["campaign_id"])
                frames = {} if campaign is None else {row["campaign_id"]: campaign}
        (filled,) = filled_rows([row], frames, row["due_at"])
        post = to_post(filled, settings.data_dir / "media")
        services = self.services
        article = await standing(services.database, services.roster, post, services.clock.micros())
        return replace(post, own_hosts=settings.own_hosts, blog_url=article)

    async def _reader(self, contact_id: str | None, address: str) -> Recipient:
        link = f"{self.services.settings.effective_public_url}/u/test"
        if contact_id is None:
            return Recipient(id="test", address=address, unsubscribe_url=link)
        async with self.services.database.read() as connection:
            known = await contacts.get(connection, contact_id)
        if known is None:
            raise invalid("contact", f"there is no contact {contact_id!r}", "see the contacts")
        return Recipient(
            id="test",
            address=known["email"] or address,
            name=known["name"],
            language=known["language"],
            attributes=known["attributes"],
            unsubscribe_url=link,
        )


def _marked(message: Message) -> Message:
    return replace(message, title=f"{MARK}{message.title}")


def said(outcome: Outcome | RecipientOutcome) -> str:
    """In words; empty when the relay took it."""
    if isinstance(outcome, Delivered):
        return ""
    words = outcome.detail if isinstance(outcome, Unreachable) else detail_of(outcome)
    return words or type(outcome).__name__
