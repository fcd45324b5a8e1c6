"""A post in Facebook's words: plain text, working links, hashtags, the note of a reroute. Pure."""

from __future__ import annotations

from channels.compose import compose, hashtags
from channels.posts import Message, Part, Post
from channels.words import campaign_rewrite, utf16_length

TEXT_LIMIT = 63_206  # UTF-16 units, as far as known: the API pages do not state it
COMMENT_LIMIT = 8_000
MAX_PHOTOS = 10
PHOTO_MAX_BYTES = 4_000_000
PNG_ADVISED_BYTES = 1_000_000
_GAP = "\n\n"
PHOTO_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff"})


def rendered(post: Post, part: Part) -> Message:
    """What will be sent. A link goes into Facebook's own preview card, except beside pictures,
    where Facebook takes none: then it is a line of the text."""
    rewrite = campaign_rewrite(post, source="facebook")
    comment = part is Part.FIRST_COMMENT
    closing = "" if comment else hashtags(post.tags)
    room = COMMENT_LIMIT if comment else TEXT_LIMIT - utf16_length(closing) - len(_GAP)
    words = compose(
        post,
        limit=room,
        measure=utf16_length,
        rewrite=rewrite,
        part=part,
        link=bool(post.media),
    )
    card = post.link if not comment and not post.media else None
    return Message(
        post_id=post.id,
        text=_GAP.join(filter(None, [words.text, closing])),
        title=post.title,
        link=rewrite(card) if card else None,
        media=() if comment else post.media,
        language=post.language,
        tags=post.tags,
        part=part,
        options={"shortened": room} if words.shortened else {},
    )
