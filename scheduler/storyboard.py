"""What an author writes for a campaign: the bodies of `/api/v1/campaigns`, and of its templates."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scheduler.deliveries import LatePolicy
from scheduler.drafts import Language, MediaId, Name, Strict, Text, Words
from scheduler.opening import Hours
from scheduler.placeholders import RESERVED, FieldName, FieldValue
from scheduler.placement import Placement

MAX_POSTS = 100
Zone = Annotated[
    Text, Field(max_length=64, description="IANA zone of the anchor; empty: the service's.")
]
AnchorText = Annotated[
    Text,
    Field(
        max_length=40,
        examples=["2026-05-02T09:00"],
        description="Local time in `zone`; where the clocks repeat it, the first one.",
    ),
]
Fields = dict[FieldName, FieldValue]
_OWN = Field(max_length=50, description="Your own placeholders: `place` fills {{place}}.")


class StoryPost(Words):
    """One post of a campaign; its texts may hold placeholders such as {{date}}."""

    label: Annotated[Text, Field(max_length=100, description="For its owner alone.")] = ""
    when: Placement = Placement()
    late_policy: LatePolicy = LatePolicy.PUBLISH
    patience_hours: Annotated[
        float | None,
        Field(gt=0, le=8760, description="How late it may go out; default: the service's."),
    ] = None


class Story(Strict):
    """Posts around an anchor that is still to be chosen: from a template, or your own."""

    name: Name
    template: Annotated[Name | None, Field(description="See GET /api/v1/templates.")] = None
    language: Annotated[Language, Field(description="Of the template.")] = "en"
    posts: Annotated[tuple[StoryPost, ...], Field(max_length=MAX_POSTS)] = ()
    zone: Zone = ""
    fields: Annotated[Fields, _OWN] = Field(default_factory=dict)
    hours: Hours | None = None
    channels: Annotated[
        list[Name] | None, Field(max_length=100, description="Every account of these channels.")
    ] = None
    accounts: Annotated[
        list[MediaId] | None,
        Field(max_length=1000, description="Ids; with neither: every account not paused."),
    ] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.template is None) == (not self.posts):
            raise ValueError("needs either a template or posts of its own")
        taken = sorted(RESERVED & self.fields.keys())
        if taken:
            raise ValueError(f"fields: {taken[0]!r} is a placeholder of ours; rename yours")
        return self


class CampaignDraft(Story):
    """A campaign to be."""

    anchor: AnchorText
    past: Annotated[
        Literal["refuse", "skip"],
        Field(description="What to do with posts whose time is over already."),
    ] = "refuse"


class Shift(Strict):
    """What to change about a campaign: only the fields sent."""

    anchor: AnchorText | None = None
    zone: Zone | None = None
    fields: Annotated[Fields | None, _OWN] = None
    hours: Hours | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        taken = sorted(RESERVED & (self.fields or {}).keys())
        if taken:
            raise ValueError(f"fields: {taken[0]!r} is a placeholder of ours; rename yours")
        return self


class Move(Shift):
    """A change that was previewed."""

    token: Annotated[str, Field(max_length=64, description="Of the preview.")]
    correct: Annotated[
        bool, Field(description="Publish the corrections that the preview offers.")
    ] = False
