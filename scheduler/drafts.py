"""What an author writes: the body of `POST /api/v1/posts`, of the preview and of an import."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from channels.posts import Kind
from scheduler.deliveries import LatePolicy

MAX_BODY = 100_000  # characters: a long article is 20,000
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("holds a NUL character, which no database stores")
    return text


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and " " not in text
    except ValueError:
        usable = False
    if not usable or "\x00" in text:
        raise ValueError("is no web address: it starts with https:// or http://")
    return text


def _language_tag(text: str) -> str:
    if not _LANGUAGE.fullmatch(text):
        raise ValueError("is no language tag: write en, fr or pt-BR")
    return text


Text = Annotated[str, AfterValidator(_storable)]
WebAddress = Annotated[str, Field(max_length=2048), AfterValidator(_web_address)]
Language = Annotated[str, Field(max_length=16), AfterValidator(_language_tag)]
Name = Annotated[Text, Field(min_length=1, max_length=100)]
MediaId = Annotated[Text, Field(min_length=1, max_length=36)]
Moment = Annotated[
    Text,
    Field(
        max_length=40,
        examples=["2026-12-01T09:00:00+01:00", "2026-12-01T09:00"],
        description="RFC 3339, or a local time that `zone` places.",
    ),
]


class Strict(BaseModel):
    """Refuses what it does not know, so that a misspelt field is an error and not a loss."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DraftPoll(Strict):
    """A question with its answers."""

    question: Annotated[Text, Field(min_length=1, max_length=300)]
    options: Annotated[list[Name], Field(min_length=2, max_length=4)]
    days: Annotated[int, Field(ge=1, le=14)] = 3


class DraftAction(Strict):
    """A button or quick reply."""

    label: Annotated[Text, Field(min_length=1, max_length=80)]
    url: WebAddress | None = None


class DraftVariant(Strict):
    """What to say differently on one channel; a field left out keeps the post's own."""

    title: Annotated[Text, Field(max_length=300)] | None = None
    body: Annotated[Text, Field(max_length=MAX_BODY)] | None = None
    link: WebAddress | None = None
    media: Annotated[list[MediaId], Field(max_length=20)] | None = None


class Words(Strict):
    """What is to be said, without when and where."""

    title: Annotated[Text, Field(max_length=300)] = ""
    body: Annotated[Text, Field(max_length=MAX_BODY, description="Markdown.")] = ""
    summary: Annotated[Text, Field(max_length=1000)] = ""
    link: WebAddress | None = None
    media: Annotated[list[MediaId], Field(max_length=20, description="Ids of uploads.")] = []
    kind: Kind = Kind.ORDINARY
    language: Language = "en"
    tags: Annotated[list[Name], Field(max_length=30)] = []
    poll: DraftPoll | None = None
    actions: Annotated[list[DraftAction], Field(max_length=13)] = []
    first_comment: Annotated[Text, Field(max_length=8000)] = ""
    variants: Annotated[
        dict[str, DraftVariant], Field(max_length=30, description="By channel name.")
    ] = {}
    campaign_tags: Annotated[bool, Field(description="UTM parameters on our own links.")] = True
    to: Annotated[
        MediaId | None,
        Field(description="A segment's id: of the contacts of a list, only these are written to."),
    ] = None

    @property
    def is_empty(self) -> bool:
        return not (self.title.strip() or self.body.strip() or self.link or self.media or self.poll)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.is_empty:
            raise ValueError("the post says nothing: give it a title, body, link, media or poll")
        return self


class Draft(Words):
    """A post to be: words, moment, places."""

    at: Moment | Literal["now"] = "now"
    zone: Annotated[
        Text, Field(max_length=64, description="IANA zone of local times; empty: the service's.")
    ] = ""
    fold: Annotated[
        Literal[0, 1] | None,
        Field(description="Which of the two, for a local time that a clock change repeats."),
    ] = None
    channels: Annotated[
        list[Name] | None, Field(max_length=100, description="Every account of these channels.")
    ] = None
    accounts: Annotated[
        list[MediaId] | None,
        Field(max_length=1000, description="Ids; with neither: every account not paused."),
    ] = None
    late_policy: LatePolicy = LatePolicy.PUBLISH
    deadline: Annotated[
        Moment | None, Field(description="No later than this; default: a day after `at`.")
    ] = None


class NewVariant(Strict):
    """The new words on one channel; null gives back the post's own."""

    title: Annotated[Text, Field(max_length=300)] | None = None
    body: Annotated[Text, Field(max_length=MAX_BODY)] | None = None


class NewWords(Strict):
    """The new words of what was published: only the fields sent. Pictures and links stay."""

    title: Annotated[Text, Field(max_length=300)] | None = None
    body: Annotated[Text, Field(max_length=MAX_BODY)] | None = None
    summary: Annotated[Text, Field(max_length=1000)] | None = None
    variants: Annotated[
        dict[str, NewVariant] | None,
        Field(max_length=30, description="By channel name; the other channels keep theirs."),
    ] = None
    version: Annotated[
        int | None, Field(description="Refused if the post has another version by now.")
    ] = None

    def revision(self, variants: Mapping[str, DraftVariant] | None) -> Revision:
        """The same, as a change of the post. `variants`: all of them, None to leave them."""
        sent = self.model_dump(include=self.model_fields_set - {"variants"})
        if variants is not None:
            sent["variants"] = {name: one.model_dump() for name, one in variants.items()}
        return Revision.model_validate(sent)


class Revision(Strict):
    """What to change of a post: only the fields sent. Where it goes is changed by cancelling or
    redirecting its deliveries."""

    title: Annotated[Text, Field(max_length=300)] | None = None
    body: Annotated[Text, Field(max_length=MAX_BODY)] | None = None
    summary: Annotated[Text, Field(max_length=1000)] | None = None
    link: WebAddress | None = None
    media: Annotated[list[MediaId], Field(max_length=20)] | None = None
    kind: Kind | None = None
    language: Language | None = None
    tags: Annotated[list[Name], Field(max_length=30)] | None = None
    poll: DraftPoll | None = None
    actions: Annotated[list[DraftAction], Field(max_length=13)] | None = None
    first_comment: Annotated[Text, Field(max_length=8000)] | None = None
    variants: Annotated[dict[str, DraftVariant], Field(max_length=30)] | None = None
    campaign_tags: bool | None = None
    to: MediaId | None = None
    at: Moment | Literal["now"] | None = None
    zone: Annotated[Text, Field(max_length=64)] | None = None
    fold: Literal[0, 1] | None = None
    late_policy: LatePolicy | None = None
    deadline: Moment | None = None
    version: Annotated[
        int | None, Field(description="Refused if the post has another version by now.")
    ] = None

    @property
    def changed(self) -> set[str]:
        """The fields of the post that were sent."""
        return self.model_fields_set - {"version"}

    def applied_to(self, current: dict[str, Any]) -> Draft:
        """`current` (the fields of a `Draft`) with what was sent; null gives back the default.
        Error: pydantic.ValidationError when nothing is left to say."""
        sent = self.model_dump(mode="json", include=self.changed)
        merged = {name: value for name, value in (current | sent).items() if value is not None}
        return Draft.model_validate(merged)
