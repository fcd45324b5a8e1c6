"""Posts: accept, read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from scheduler.answers import AcceptedAnswer, PostDetail, attempts_by_delivery, post_answer
from scheduler.drafts import Draft
from scheduler.metrics import POSTS_ACCEPTED
from scheduler.refusals import Refusal, not_found
from scheduler.store import posts
from scheduler.store.tokens import Scope
from scheduler.web.endpoint import Answer, Call, Endpoints

endpoints = Endpoints("posts")


class PostPath(BaseModel):
    """Which post."""

    id: Annotated[str, Field(max_length=36)]


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


@endpoints.post("/posts", scope=Scope.WRITE, status=201, refusals=(Refusal.KEY_REUSED,))
async def create(call: Call, body: Draft, headers: Keyed) -> Answer[AcceptedAnswer]:
    """Accept a post: 201 means that it and its deliveries are stored."""
    accepted = await call.services.intake.accept(body, call.caller, headers.key)
    location = {"Location": f"/api/v1/posts/{accepted.answer['id']}"}
    if accepted.replayed:
        location["Idempotency-Replayed"] = "true"
    else:
        POSTS_ACCEPTED.inc()
    return Answer(accepted.answer, headers=location)


@endpoints.get("/posts/{id}", scope=Scope.READ, refusals=(Refusal.NOT_FOUND,))
async def read(call: Call, path: PostPath) -> PostDetail:
    """A post with its deliveries and everything that was tried."""
    async with call.services.database.read() as connection:
        row = await posts.get(connection, path.id)
        if row is None:
            raise not_found("post", path.id)
        deliveries = await posts.deliveries_of(connection, [path.id])
        tried = await posts.attempts_of(connection, [one["id"] for one in deliveries])
    return {**post_answer(row, deliveries), "attempts": attempts_by_delivery(tried)}
