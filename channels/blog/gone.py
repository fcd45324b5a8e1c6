"""What is no longer there: an article, a picture."""

from __future__ import annotations

from channels.outcome import Evidence, Problem, Rejected
from channels.posts import Media


def page_gone(evidence: Evidence) -> Rejected:
    """What was published is no longer there to be changed."""
    return Rejected(
        problem=Problem(
            code="post-gone",
            detail="the blog no longer has this article",
            remedy="publish it as a new post",
        ),
        evidence=evidence,
    )


def lost_picture(media: Media) -> Rejected:
    """A picture that cannot be read never turns into a post without it."""
    return Rejected(
        problem=Problem(
            code="media-missing",
            field="media",
            detail=f"the picture {media.alt or media.id!r} is no longer on this machine",
            remedy="upload the picture again",
        )
    )
