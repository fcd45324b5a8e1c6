"""Proofs of a newsletter: as one reader would get it, shown or sent to one's own address."""

from __future__ import annotations

from typing import Annotated, Self

from aiohttp import web
from pydantic import Field, model_validator
from typing_extensions import TypedDict

from channels.translations import in_language
from scheduler.answers import ProblemAnswer, problem_answer, translated
from scheduler.drafts import Draft, MediaId, Strict
from scheduler.proofs import Proofreader, said
from scheduler.refusals import Refusal
from scheduler.store.tokens import Scope
from scheduler.web.api.contacts import Email
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("posts")
PROOFREADER: web.AppKey[Proofreader] = web.AppKey("proofreader", Proofreader)
_REFUSALS = (Refusal.NOT_FOUND,)


class ProofDraft(Strict):
    """What to show: a post to be (`post`) or one that is stored (`post_id`)."""

    post: Draft | None = None
    post_id: MediaId | None = None
    account: Annotated[MediaId | None, Field(description="Default: the first newsletter.")] = None
    contact: Annotated[
        MediaId | None, Field(description="Whose name and attributes; default: nobody's.")
    ] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.post is None) == (self.post_id is None):
            raise ValueError("give post or post_id, one of them")
        return self

    @property
    def words(self) -> Draft | str:
        """The draft, or the id."""
        return self.post if self.post is not None else self.post_id or ""


class TestDraft(ProofDraft):
    """A test to send: marked as one, counted nowhere; at most ten within ten minutes."""

    to: Annotated[Email, Field(description="Your own address.")]


class ProofAnswer(TypedDict):
    """A mail as it would arrive. `size`: bytes as sent; `html` holds its pictures."""

    account_id: str
    account: str
    subject: str
    sender: str
    recipient: str
    html: str
    text: str
    size: int
    problems: list[ProblemAnswer]


class TestAnswer(TypedDict):
    """What became of a test: `sent`, or what the relay said."""

    account_id: str
    account: str
    sent: bool
    detail: str


@endpoints.post("/posts/preview/mail", scope=Scope.READ, refusals=_REFUSALS)
async def show(call: Call, body: ProofDraft) -> ProofAnswer:
    """The newsletter exactly as one reader's mail program would get it; nothing is sent."""
    shown = await call.request.app[PROOFREADER].show(
        body.words, account_id=body.account, contact_id=body.contact
    )
    member, made = shown.member, shown.proof
    return {
        "account_id": member.id,
        "account": member.account.name,
        "subject": made.subject,
        "sender": made.sender,
        "recipient": made.recipient,
        "html": made.html,
        "text": made.text,
        "size": made.size,
        "problems": translated(
            [problem_answer(member.id, member.account.name, one) for one in shown.problems],
            call.language,
        ),
    }


@endpoints.post(
    "/posts/test-mail",
    scope=Scope.WRITE,
    refusals=(*_REFUSALS, Refusal.CONFLICT, Refusal.TOO_MANY),
)
async def send(call: Call, body: TestDraft) -> TestAnswer:
    """Send it to your own address, marked [test]; no list and no count changes."""
    member, outcome = await call.request.app[PROOFREADER].test(
        body.words,
        account_id=body.account,
        contact_id=body.contact,
        address=body.to,
        actor=call.caller.actor,
    )
    detail = in_language(said(outcome), call.language)
    return {
        "account_id": member.id,
        "account": member.account.name,
        "sent": not detail,
        "detail": detail,
    }
