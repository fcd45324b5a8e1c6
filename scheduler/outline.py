"""Which of a post's words planning has to read. Pure.

Parsing long texts for each account is most of what planning costs, and an accepted post is planned
for its problems alone. Its words can be one in three ways: nothing is left of them, they do not
fit, or, in a mail, they and what is beside them look like a trap. Where none of it can be, a
stand-in is planned in their place.
"""

from __future__ import annotations

import re
from dataclasses import replace

from channels.base import Capabilities, Channel
from channels.posts import Post
from channels.words import utf16_length

_STAND_IN = "Text."
# In every unit a text is at most so much longer when it is rendered (escapes, bullets)…
_GROWS = 2
# …each address by counting as one of full length, and each of our own by its campaign tags.
_ADDRESS = 23
_TAGS = 250
# A link whose words may name another site than it leads to.
_NAMES_A_SITE = re.compile(r"\[[^\]]*\w\.[a-z]{2}", re.IGNORECASE)
# A mail so long may be cut by a mailbox provider.
_LONG_MAIL = 20_000


def outline(post: Post, channel: Channel) -> Post:
    """The post as far as this channel's problems can depend on it."""
    said = post.for_channel(channel.channel)
    if _words_matter(said, channel.capabilities):
        return post
    return replace(
        post,
        outlined=True,
        body=_stand_in(post.body),
        first_comment=_stand_in(post.first_comment),
        variants={
            name: variant
            if variant.body is None
            else replace(variant, body=_stand_in(variant.body))
            for name, variant in post.variants.items()
        },
    )


def _stand_in(text: str) -> str:
    return _STAND_IN if text.strip() else text


def _words_matter(said: Post, capabilities: Capabilities) -> bool:
    if "<" in said.body or "]:" in said.body or not re.search(r"\w", said.body):
        return True  # nothing may be left of it
    if capabilities.text_limit is not None:
        return _longest(said) > capabilities.text_limit
    return capabilities.addressed and (
        bool(said.media)
        or len(said.body) > _LONG_MAIL
        or _NAMES_A_SITE.search(said.body) is not None
    )


def _longest(said: Post) -> int:
    """No rendering of the post is longer than this, in any unit."""
    poll = (said.poll.question, *said.poll.options) if said.poll else ()
    actions = [text for one in said.actions for text in (one.label, one.url or "")]
    words = [said.title, said.body, said.summary, *said.tags, *poll, *actions]
    addresses = 2 + len(actions) + sum(said.body.count(mark) for mark in ("://", "www.", "@"))
    ours = 2 + len(actions)
    ours += sum(said.body.lower().count(host.lower()) for host in said.own_hosts if host)
    longest = _GROWS * sum(utf16_length(text) + 4 for text in words)
    return longest + _ADDRESS * addresses + _TAGS * ours
