"""A post's texts as they are stored: one JSON object a post, and back into `channels.posts.Post`.

Shape: `title, body, summary, link, language, tags[], media[{id, content_type, alt, url, width,
height, size, sha256}], poll{question, options[], days}, actions[{label, url}], first_comment,
variants{channel: {title, body, link, media[]}}, campaign_tags, to (a segment)`; absent means empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from channels.posts import Action, Kind, Media, Poll, Post, Variant
from scheduler.clock import moment
from scheduler.drafts import Draft, Words
from scheduler.refusals import FieldError, Refusal, RefusedError
from scheduler.when import When


def media_path(media_dir: Path, sha256: str) -> Path:
    """Where a file with this content is kept (see `scheduler.media`)."""
    return media_dir / sha256[:2] / sha256 / "original"


def to_media(stored: Sequence[Mapping[str, Any]], media_dir: Path) -> tuple[Media, ...]:
    return tuple(
        Media(
            id=item["id"],
            content_type=item["content_type"],
            alt=item.get("alt", ""),
            path=media_path(media_dir, item["sha256"]) if item.get("sha256") else None,
            url=item.get("url"),
            width=item.get("width"),
            height=item.get("height"),
            size=item.get("size"),
            sha256=item.get("sha256", ""),
        )
        for item in stored
    )


def to_post(row: Mapping[str, Any], media_dir: Path) -> Post:
    """The post of a row of `posts` (columns id, kind, title, content, due_at)."""
    content: Mapping[str, Any] = row["content"]
    poll = content.get("poll")
    return Post(
        id=row["id"],
        title=row["title"],
        kind=Kind(row["kind"]),
        body=content.get("body", ""),
        summary=content.get("summary", ""),
        link=content.get("link"),
        media=to_media(content.get("media", ()), media_dir),
        language=content.get("language", "en"),
        tags=tuple(content.get("tags", ())),
        poll=None
        if poll is None
        else Poll(
            question=poll["question"], options=tuple(poll["options"]), days=poll.get("days", 3)
        ),
        actions=tuple(
            Action(label=action["label"], url=action.get("url"))
            for action in content.get("actions", ())
        ),
        first_comment=content.get("first_comment", ""),
        variants={
            channel: Variant(
                title=variant.get("title"),
                body=variant.get("body"),
                link=variant.get("link"),
                media=to_media(variant["media"], media_dir) if variant.get("media") else None,
            )
            for channel, variant in content.get("variants", {}).items()
        },
        campaign_tags=content.get("campaign_tags", True),
        due_at=moment(row["due_at"]),
    )


def media_ids(words: Words) -> list[str]:
    """Every upload that a post or one of its variants names."""
    named = [name for variant in words.variants.values() for name in variant.media or ()]
    return [*words.media, *named]


def to_content(words: Words, media: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The words as `scheduler.content` stores them. Error: RefusedError naming unknown media."""
    content = words.model_dump(
        mode="json",
        include=set(Words.model_fields) - {"title", "kind", "media", "variants"},
        exclude_defaults=True,
    )
    content["body"] = words.body
    content["language"] = words.language
    if words.media:
        content["media"] = _attached(words.media, media, "media")
    if words.variants:
        content["variants"] = {
            channel: variant.model_dump(exclude_none=True)
            | (
                {}
                if variant.media is None
                else {"media": _attached(variant.media, media, f"variants.{channel}.media")}
            )
            for channel, variant in words.variants.items()
        }
    return content


def _attached(
    ids: Sequence[str], media: Mapping[str, Mapping[str, Any]], field: str
) -> list[Mapping[str, Any]]:
    missing = [
        FieldError(f"{field}[{index}]", f"there is no upload {name!r}", "POST /api/v1/media first")
        for index, name in enumerate(ids)
        if name not in media
    ]
    if missing:
        raise RefusedError(Refusal.INVALID, "the post names media that were not uploaded", missing)
    return [media[name] for name in ids]


def columns_of(draft: Draft, media: Mapping[str, Mapping[str, Any]], when: When) -> dict[str, Any]:
    """What a draft says, as columns of `posts`; `draft_of` reads them. Error: RefusedError."""
    return {
        "kind": draft.kind.value,
        "title": draft.title,
        "content": to_content(draft, media),
        "due_at": when.due_at,
        "zone": when.zone,
        "late_policy": draft.late_policy.value,
        "deadline_at": when.deadline_at,
    }


def draft_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A stored post as its author could send it again: the fields of `Draft` but the accounts."""
    content = dict(row["content"])
    content["media"] = [item["id"] for item in content.get("media", ())]
    content["variants"] = {
        channel: variant
        | ({"media": [item["id"] for item in variant["media"]]} if "media" in variant else {})
        for channel, variant in content.get("variants", {}).items()
    }
    return content | {
        "title": row["title"],
        "kind": row["kind"],
        "at": moment(row["due_at"]).isoformat(),
        "zone": row["zone"],
        "late_policy": row["late_policy"],
        "deadline": None if row["deadline_at"] is None else moment(row["deadline_at"]).isoformat(),
    }
