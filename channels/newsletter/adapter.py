"""The newsletter: a post becomes one mail, and each contact gets it from one of our relays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from channels.abilities import Bookmark, Haul, Keep, Proof
from channels.base import Account, Capabilities, ChannelSettings, Courier, Recipient, Tools
from channels.inspection import Advice, SigningKey
from channels.newsletter.archive import linked, page_of
from channels.newsletter.carrying import media_problems, words_problems
from channels.newsletter.compose import Letter
from channels.newsletter.courier import MailCourier
from channels.newsletter.feedback import desk, mailgun, ses
from channels.newsletter.feedback.ses import Certificates
from channels.newsletter.feedback.settings import AmazonSes, Mailgun
from channels.newsletter.headers import UnsafeHeaderError
from channels.newsletter.holes import impersonal
from channels.newsletter.mailbox_login import MailboxKeys
from channels.newsletter.proof import proof_of
from channels.newsletter.relay import Road, look
from channels.newsletter.render import public_url, render
from channels.newsletter.settings import NewsletterSettings
from channels.outcome import (
    AccessLost,
    Health,
    Outcome,
    Problem,
    Rejected,
    Unavailable,
)
from channels.posts import Media, Message, Part, Post
from channels.receipts import Receipt
from channels.streams import Rates


class Newsletter:
    """Mail by SMTP to the contacts of a list."""

    name: ClassVar[str] = "newsletter"
    channel: ClassVar[str] = "newsletter"
    capabilities: ClassVar[Capabilities] = Capabilities(
        text_limit=None,
        title=True,
        html=True,
        max_images=20,
        image_types=frozenset({"image/jpeg", "image/png", "image/gif"}),
        image_max_bytes=5 * 1024 * 1024,
        video=False,
        polls=False,
        actions=True,
        addressed=True,
        address="email",
        findable=False,
    )
    settings_type: ClassVar[type[ChannelSettings]] = NewsletterSettings

    def __init__(self, tools: Tools) -> None:
        self._now = tools.now
        self._dns_server = tools.dns_server
        self.certificates = Certificates(tools.http)
        self._mailboxes = MailboxKeys(tools.http, tools.now)

    def render(self, post: Post, account: Account[Any], part: Part = Part.POST) -> Message:
        return render(post, account, part)

    def check(self, message: Message, account: Account[Any]) -> Sequence[Problem]:
        del account
        return [*words_problems(message), *media_problems(message, self.capabilities)]

    async def open(self, message: Message, account: Account[Any]) -> Courier | Outcome:
        settings: NewsletterSettings = account.settings
        try:
            pictures = await asyncio.to_thread(_read_pictures, message.media)
            letter = Letter(message, settings, date=self._now(), pictures=pictures)
        except (OSError, UnsafeHeaderError) as error:
            return Rejected(problem=_unwritable(error))
        road = Road(settings)
        fault = await road.open()
        return MailCourier(letter, road) if fault is None else fault

    def heading(self, message: Message) -> str:
        return impersonal(message.title)

    def page(
        self,
        message: Message,
        *,
        picture: Callable[[Media], str],
        ways: tuple[tuple[str, str], ...],
    ) -> str:
        return page_of(message, picture=picture, ways=ways)

    def linked(
        self,
        message: Message,
        *,
        page_url: str | None,
        redirect: Callable[[str], str] | None,
        by_person: bool = False,
        opens: bool = False,
    ) -> Message:
        return linked(
            message, page_url=page_url, redirect=redirect, by_person=by_person, opens=opens
        )

    async def proof(
        self, message: Message, account: Account[Any], recipient: Recipient
    ) -> Proof | Problem:
        try:
            pictures = await asyncio.to_thread(_read_pictures, message.media)
            return proof_of(
                message, account.settings, recipient, date=self._now(), pictures=pictures
            )
        except (OSError, UnsafeHeaderError) as error:
            return _unwritable(error)

    def rates(self, account: Account[Any]) -> Rates:
        settings: NewsletterSettings = account.settings
        roads = {one.label: one.per_minute for one in settings.relays if one.per_minute}
        return Rates(
            roads=roads,
            domains=settings.domain_limits,
            first=settings.relays[0].label,
            resend=settings.uncertain == "resend",
        )

    async def probe(self, account: Account[Any]) -> Health:
        return await look(account.settings)

    async def inspect(
        self, account: Account[Any], *, unsubscribe_url: str, language: str
    ) -> Sequence[Advice]:
        from channels.newsletter.deliverability.dns import Resolver
        from channels.newsletter.deliverability.inspect import Inspection

        return await Inspection(
            account=account,
            resolver=Resolver(self._dns_server),
            now=self._now(),
            unsubscribe_url=unsubscribe_url,
            language=language,
        ).everything()

    async def signing(self, account: Account[Any], *, selector: str) -> SigningKey | Unavailable:
        from channels.newsletter.deliverability.signing import next_step

        return await next_step(account.settings, self._dns_server, selector)

    def challenge(self, query: Mapping[str, str], account: Account[Any]) -> str | None:
        del query, account
        return None  # providers ask by POST, where they ask

    async def prepare(self, raw_body: bytes, account: Account[Any]) -> None:
        feedback = account.settings.feedback
        if isinstance(feedback, AmazonSes) and ses.is_ours(feedback, raw_body):
            await self.certificates.fetch(ses.certificate_url(raw_body))

    def verified(self, headers: Mapping[str, str], raw_body: bytes, account: Account[Any]) -> bool:
        feedback = account.settings.feedback
        return desk.verified(feedback, headers, raw_body, self.certificates, self._now())

    async def acknowledge(self, raw_body: bytes, account: Account[Any]) -> bool:
        if not isinstance(account.settings.feedback, AmazonSes):
            return True
        url = ses.handshake_url(raw_body)
        return not url or await self.certificates.visit(url)

    def once(self, raw_body: bytes, account: Account[Any]) -> str:
        return mailgun.once(raw_body) if isinstance(account.settings.feedback, Mailgun) else ""

    def receipts(self, raw_body: bytes, account: Account[Any]) -> Sequence[Receipt]:
        return desk.receipts(account.settings.feedback, raw_body, account.settings.domain)

    def collects(self, account: Account[Any]) -> bool:
        return account.settings.returns is not None

    async def collect(
        self, account: Account[Any], *, since: Bookmark | None, handled: Sequence[int], keep: Keep
    ) -> Haul | AccessLost | Unavailable:
        from channels.newsletter.mailbox import visit

        box = account.settings.returns
        return await self._mailboxes.visit(
            box, lambda token: visit(box, since, handled, token), keep
        )

    async def precheck(
        self, account: Account[Any], *, keep: Keep
    ) -> AccessLost | Unavailable | None:
        from channels.newsletter.mailbox import check

        box = account.settings.returns
        if box is None:
            return None
        return await self._mailboxes.visit(box, lambda token: check(box, token), keep)


def _unwritable(error: OSError | UnsafeHeaderError) -> Problem:
    if isinstance(error, UnsafeHeaderError):
        return Problem(code="unsafe-header", detail=str(error), field="title")
    return Problem(
        code="picture-missing",
        detail=f"a picture cannot be read: {error.strerror or error}",
        field="media",
        remedy="Upload the picture again.",
    )


def _read_pictures(media: Sequence[Media]) -> Mapping[str, bytes]:
    """The pictures that travel inside the mail, by media id."""
    return {
        m.id: m.path.read_bytes()
        for m in media
        if m.is_image and public_url(m) is None and m.path is not None
    }


ADAPTER = Newsletter
