"""Campaigns: create from a template or posts of your own, read, preview a move, move, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from scheduler.answers import post_answer, translated
from scheduler.campaign_answers import (
    CampaignAnswer,
    CampaignList,
    MovedCampaign,
    MovePreview,
    NewCampaign,
    campaign_answer,
    summary,
)
from scheduler.mover import Mover
from scheduler.refusals import Refusal, not_found
from scheduler.services import Services
from scheduler.store import campaigns, posts
from scheduler.store.tokens import Scope
from scheduler.storyboard import CampaignDraft, Move, Shift
from scheduler.templates import Template, templates
from scheduler.web.api.posts import Keyed
from scheduler.web.api.segments import refuse_unknown_segments, within
from scheduler.web.api.shapes import ById, Page, Query, cursor
from scheduler.web.endpoint import Answer, Call, Endpoints

endpoints = Endpoints("campaigns")

_ONE = (Refusal.NOT_FOUND,)
_CHANGES = (Refusal.NOT_FOUND, Refusal.CONFLICT)


class CampaignsQuery(Page):
    """Which campaigns."""

    recurrence: Annotated[str | None, Field(max_length=36)] = None


class TemplatesQuery(Query):
    """Which templates."""

    language: Annotated[str | None, Field(max_length=16)] = None


class FieldAnswer(TypedDict):
    """What the owner fills in once, for all posts of a template."""

    name: str
    label: str
    example: str


class TemplatePostAnswer(TypedDict):
    """One post of a template, placeholders not yet filled."""

    label: str
    when: dict[str, Any]
    kind: str
    late_policy: str
    title: str
    body: str


class TemplateAnswer(TypedDict):
    """A campaign ready to use. `hours`: it needs opening hours."""

    name: str
    language: str
    title: str
    summary: str
    hours: bool
    fields: list[FieldAnswer]
    posts: list[TemplatePostAnswer]


class TemplateList(TypedDict):
    """Every template of this release."""

    templates: list[TemplateAnswer]


@endpoints.get("/templates", scope=Scope.READ)
async def index_templates(_: Call, query: TemplatesQuery) -> TemplateList:
    """The campaigns ready to use, in each language they are written in."""
    chosen = [one for one in templates().values() if query.language in {None, one.language}]
    return {"templates": [_template(one) for one in chosen]}


@endpoints.post("/campaigns", scope=Scope.WRITE, status=201, refusals=(Refusal.KEY_REUSED,))
async def create(call: Call, body: CampaignDraft, headers: Keyed) -> Answer[NewCampaign]:
    """Create a campaign: 201 means that it and all its posts are stored."""
    await refuse_unknown_segments(call.services, within(body.posts))
    created = await call.services.campaigner.create(body, call.caller, headers.key)
    found = {"Location": f"/api/v1/campaigns/{created.answer['id']}"}
    if created.replayed:
        found["Idempotency-Replayed"] = "true"
    return Answer(_told(created.answer, call.language), headers=found)


@endpoints.post("/campaigns/preview", scope=Scope.READ)
async def preview(call: Call, body: CampaignDraft) -> NewCampaign:
    """What creating it would store, every post as it would read; nothing is saved."""
    await refuse_unknown_segments(call.services, within(body.posts))
    planned = await call.services.campaigner.plan(body, call.caller.actor)
    return _told(planned.answer, call.language)


@endpoints.get("/campaigns", scope=Scope.READ)
async def index(call: Call, query: CampaignsQuery) -> CampaignList:
    """Campaigns, newest first, without their posts."""
    async with call.services.database.read() as connection:
        rows = await campaigns.page(
            connection, after=query.after, limit=query.limit + 1, recurrence=query.recurrence
        )
    shown = rows[: query.limit]
    last = shown[-1] if len(rows) > query.limit else None
    return {
        "campaigns": [summary(row) for row in shown],
        "next": None if last is None else cursor(last["created_at"], last["id"]),
    }


@endpoints.get("/campaigns/{id}", scope=Scope.READ, refusals=_ONE)
async def read(call: Call, path: ById) -> CampaignAnswer:
    """A campaign with its posts, each as it would read when it is due."""
    return await detail(call.services, path.id)


@endpoints.post("/campaigns/{id}/move/preview", scope=Scope.READ, refusals=_CHANGES)
async def preview_move(call: Call, path: ById, body: Shift) -> MovePreview:
    """What moving the anchor, or changing fields or hours, would do to each post."""
    return await Mover(call.services.campaigner).preview(path.id, body)


@endpoints.post("/campaigns/{id}/move", scope=Scope.WRITE, refusals=_CHANGES)
async def move(call: Call, path: ById, body: Move) -> MovedCampaign:
    """Do what was previewed, all at once; refused when it would do anything else by now."""
    return await Mover(call.services.campaigner).move(path.id, body, call.caller.actor)


@endpoints.post("/campaigns/{id}/cancel", scope=Scope.WRITE, refusals=_CHANGES)
async def cancel(call: Call, path: ById) -> CampaignAnswer:
    """Cancel the campaign and every delivery of it that has not gone out."""
    await call.services.campaigner.cancel(path.id, call.caller.actor)
    return await detail(call.services, path.id)


async def detail(services: Services, campaign_id: str) -> CampaignAnswer:
    """A campaign as `read` answers it. Error: RefusedError when there is none."""
    async with services.database.read() as connection:
        campaign = await campaigns.get(connection, campaign_id)
        if campaign is None:
            raise not_found("campaign", campaign_id)
        rows = await campaigns.posts_of(connection, campaign_id)
        legs = await posts.deliveries_of(connection, [row["id"] for row in rows])
    by_post: dict[str, list[Mapping[Any, Any]]] = {row["id"]: [] for row in rows}
    for leg in legs:
        by_post[leg["post_id"]].append(leg)
    return campaign_answer(campaign, [(row, post_answer(row, by_post[row["id"]])) for row in rows])


def _template(one: Template) -> TemplateAnswer:
    return {
        "name": one.name,
        "language": one.language,
        "title": one.title,
        "summary": one.summary,
        "hours": one.hours,
        "fields": [
            {"name": field.name, "label": field.label, "example": field.example}
            for field in one.fields
        ],
        "posts": [
            {
                "label": post.label,
                "when": post.when.model_dump(),
                "kind": post.kind.value,
                "late_policy": post.late_policy.value,
                "title": post.title,
                "body": post.body,
            }
            for post in one.posts
        ],
    }


def _told(answer: NewCampaign, language: str) -> NewCampaign:
    """The words of its problems in this language; its posts are in their own."""
    return {**answer, "problems": translated(answer["problems"], language)}
