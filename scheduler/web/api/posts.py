"""Posts: accept, preview, read, list, change, cancel, publish now, take down, correct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field
from typing_extensions import TypedDict

from channels.posts import Message
from scheduler.answers import (
    AcceptedAnswer,
    EditedAnswer,
    PostAnswer,
    PostDetail,
    ProblemAnswer,
    WithdrawnAnswer,
    attempts_by_delivery,
    edited_answer,
    post_answer,
    stamp,
    stamp_or_none,
    translated,
    withdrawn_answer,
)
from scheduler.clock import micros
from scheduler.deliveries import State
from scheduler.drafts import Draft, NewWords, Revision
from scheduler.metrics import POSTS_ACCEPTED
from scheduler.plan import Planned
from scheduler.records import problems_of
from scheduler.refusals import FieldError, Refusal, RefusedError, not_found
from scheduler.services import Services
from scheduler.store import posts, routes
from scheduler.store.posts import PostFilter
from scheduler.store.tokens import Scope
from scheduler.web.api.segments import refuse_unknown_segments
from scheduler.web.api.shapes import ById, Page, cursor
from scheduler.web.endpoint import Answer, Call, Endpoints

endpoints = Endpoints("posts")

_CHANGES = (Refusal.NOT_FOUND, Refusal.CONFLICT)


class Keyed(BaseModel):
    """A request that may be repeated without harm."""

    key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="The same key with the same body gets the same answer, and one post.",
        ),
    ] = None


class PostsQuery(Page):
    """Which posts."""

    state: Annotated[State | None, Field(description="Posts with a delivery in this state.")] = None
    channel: Annotated[str | None, Field(max_length=32)] = None
    account: Annotated[str | None, Field(max_length=36)] = None
    campaign: Annotated[str | None, Field(max_length=36)] = None
    since: Annotated[AwareDatetime | None, Field(description="Due at or after.")] = None
    until: Annotated[AwareDatetime | None, Field(description="Due before.")] = None
    order: Literal["newest", "oldest"] = "newest"


class PostList(TypedDict):
    """A page of posts. `next`: the cursor of the page after, null at the end."""

    posts: list[PostAnswer]
    next: str | None


class MediaPreview(TypedDict):
    """A picture of a message."""

    id: str
    content_type: str
    alt: str


class MessagePreview(TypedDict):
    """Exactly what one account would publish."""

    account_id: str
    account: str
    channel: str
    part: str
    title: str
    text: str
    html: str
    summary: str
    link: str | None
    tags: list[str]
    media: list[MediaPreview]
    options: dict[str, Any]
    fallbacks: list[str]


class PlanAnswer(TypedDict):
    """What accepting the post would do. `publishable`: whether it would be accepted."""

    due_at: str
    deadline: str | None
    zone: str
    publishable: bool
    deliveries: list[MessagePreview]
    problems: list[ProblemAnswer]


@endpoints.post("/posts", scope=Scope.WRITE, status=201, refusals=(Refusal.KEY_REUSED,))
async def create(call: Call, body: Draft, headers: Keyed) -> Answer[AcceptedAnswer]:
    """Accept a post: 201 means that it and its deliveries are stored. The words of its problems are
    French when `Accept-Language` asks for it."""
    await refuse_unknown_segments(call.services, [("", body)])
    _refuse_unknown_channels(call.services, body)
    accepted = await call.services.intake.accept(body, call.caller, headers.key)
    location = {"Location": f"/api/v1/posts/{accepted.answer['id']}"}
    if accepted.replayed:
        location["Idempotency-Replayed"] = "true"
    else:
        POSTS_ACCEPTED.inc()
    told = translated(accepted.answer["problems"], call.language)
    return Answer({**accepted.answer, "problems": told}, headers=location)


@endpoints.post("/posts/preview", scope=Scope.READ)
async def preview(call: Call, body: Draft) -> PlanAnswer:
    """The plan of a post and its problems, without saving anything. Their words are French when
    `Accept-Language` asks for it. `xxxxxxxxxxxx` ends the address of an article on WordPress or
    Ghost until the post is accepted, which chooses it."""
    await refuse_unknown_segments(call.services, [("", body)])
    _refuse_unknown_channels(call.services, body)
    async with call.services.database.read() as connection:
        ways = await routes.effective(connection)
    row, plan = await call.services.intake.plan(body, ways)
    return {
        "due_at": stamp(row["due_at"]),
        "deadline": stamp_or_none(row["deadline_at"]),
        "zone": row["zone"],
        "publishable": bool(plan.deliveries) and not plan.blocking,
        "deliveries": [_message(planned, planned.message) for planned in plan.deliveries],
        "problems": translated(problems_of(plan), call.language),
    }


@endpoints.get("/posts", scope=Scope.READ)
async def index(call: Call, query: PostsQuery) -> PostList:
    """Posts by due time, with their deliveries; with a state, by when those in it are due."""
    wanted = PostFilter(
        state=query.state,
        channel=query.channel,
        account=query.account,
        campaign=query.campaign,
        due_from=None if query.since is None else micros(query.since),
        due_before=None if query.until is None else micros(query.until),
    )
    async with call.services.database.read() as connection:
        rows = await posts.page(
            connection,
            wanted,
            after=query.after,
            limit=query.limit + 1,
            newest_first=query.order == "newest",
        )
        shown = rows[: query.limit]
        legs = await posts.deliveries_of(connection, [row["id"] for row in shown])
    by_post: dict[str, list[Mapping[Any, Any]]] = {}
    for leg in legs:
        by_post.setdefault(leg["post_id"], []).append(leg)
    last = shown[-1] if len(rows) > query.limit else None
    return {
        "posts": [post_answer(row, by_post.get(row["id"], [])) for row in shown],
        "next": None if last is None else cursor(last["listed_at"], last["id"]),
    }


@endpoints.get("/posts/{id}", scope=Scope.READ, refusals=(Refusal.NOT_FOUND,))
async def read(call: Call, path: ById) -> PostDetail:
    """A post with its deliveries and everything that was tried."""
    return await detail(call.services, path.id)


@endpoints.patch("/posts/{id}", scope=Scope.WRITE, refusals=_CHANGES)
async def change(call: Call, path: ById, body: Revision) -> AcceptedAnswer:
    """Change what has not gone out yet: words, time, deadline. Only the fields sent change. The
    words of its problems are French when `Accept-Language` asks for it."""
    await refuse_unknown_segments(call.services, [("", body)])
    _refuse_unknown_channels(call.services, body)
    problems = await call.services.reviser.revise(path.id, body, call.caller.actor)
    async with call.services.database.read() as connection:
        row = await posts.get(connection, path.id)
        assert row is not None  # posts are never deleted
        legs = await posts.deliveries_of(connection, [path.id])
    return {**post_answer(row, legs), "problems": translated(problems, call.language)}


@endpoints.post("/posts/{id}/cancel", scope=Scope.WRITE, refusals=_CHANGES)
async def cancel(call: Call, path: ById) -> PostDetail:
    """Cancel every delivery that has not gone out; refused when none is left."""
    await call.services.desk.cancel_post(path.id, call.caller.actor)
    return await detail(call.services, path.id)


@endpoints.post("/posts/{id}/publish", scope=Scope.WRITE, refusals=_CHANGES)
async def publish(call: Call, path: ById) -> PostDetail:
    """Publish now what is scheduled for later."""
    await call.services.desk.publish_now(path.id, call.caller.actor)
    return await detail(call.services, path.id)


@endpoints.post("/posts/{id}/withdraw", scope=Scope.WRITE, refusals=_CHANGES)
async def withdraw(call: Call, path: ById) -> WithdrawnAnswer:
    """Take down everything of a post that was published, where its channel can; what became of
    each, in French when `Accept-Language` asks for it. Refused when there is nothing to ask a
    platform for. What waits is left: cancel it. May be repeated without harm."""
    done = await call.services.withdrawer.post(path.id, call.caller.actor)
    return withdrawn_answer(path.id, done, call.language)


@endpoints.post("/posts/{id}/edit", scope=Scope.WRITE, refusals=_CHANGES)
async def edit(call: Call, path: ById, body: NewWords) -> EditedAnswer:
    """Correct the words of what was published, where its channel can, and of what still waits;
    what became of each, in French when `Accept-Language` asks for it. Pictures and links stay.
    `variants` correct what single channels say. Refused, with nothing changed, when no channel can,
    when a channel named alone cannot, or when a delivery is in doubt. May be repeated without
    harm."""
    done = await call.services.editor.edit(path.id, body, call.caller.actor)
    return edited_answer(path.id, done, call.language)


async def detail(services: Services, post_id: str) -> PostDetail:
    """A post as `read` answers it. Error: RefusedError when there is none."""
    async with services.database.read() as connection:
        row = await posts.get(connection, post_id)
        if row is None:
            raise not_found("post", post_id)
        legs = await posts.deliveries_of(connection, [post_id])
        tried = await posts.attempts_of(connection, [leg["id"] for leg in legs])
    return {**post_answer(row, legs), "attempts": attempts_by_delivery(tried)}


def _refuse_unknown_channels(services: Services, words: Draft | Revision) -> None:
    """A misspelt channel would keep its words to itself. Error: RefusedError."""
    known = {name.partition(".")[0] for name in services.registry}
    wrong = sorted(set(words.variants or {}) - known)
    if wrong:
        remedy = f"name one of {', '.join(sorted(known))}"
        errors = [
            FieldError(f"variants.{one}", "there is no such channel", remedy) for one in wrong
        ]
        raise RefusedError(Refusal.INVALID, "nobody would read these words", errors)


def _message(planned: Planned, message: Message) -> MessagePreview:
    return {
        "account_id": planned.member.id,
        "account": planned.member.account.name,
        "channel": planned.member.channel.channel,
        "part": planned.part.value,
        "title": message.title,
        "text": message.text,
        "html": message.html,
        "summary": message.summary,
        "link": message.link,
        "tags": list(message.tags),
        "media": [
            {"id": item.id, "content_type": item.content_type, "alt": item.alt}
            for item in message.media
        ],
        "options": dict(message.options),
        "fallbacks": list(planned.fallbacks),
    }
