"""LinkedIn's `little` text: what stands in `commentary`.

A reserved character that is not escaped gives no error: LinkedIn answers 201 and silently cuts the
text there. Source: Microsoft Learn, "little Text Format" (2023 to 2026); the cut: several reports,
among them ComposioHQ/composio#2710 (February 2026).
"""

from __future__ import annotations

import re

RESERVED = "\\|{}@[]()<>#*_~"

_RESERVED = re.compile(f"[{re.escape(RESERVED)}]")
# A sign and letters or digits, one letter at least; not inside a word or an address.
_HASHTAG = re.compile(r"(?<![^\s(«\"'’])#(?=[^\W_]*[^\W\d_])([^\W_]+)")
_TEMPLATE = re.compile(r"\{hashtag\|\\?#\|((?:\\.|[^}\\])*)\}")
_MENTION = re.compile(r"@\[((?:\\.|[^\]\\])*)\]\(urn:li:(?:organization|person):[^)\s]+\)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPACE = re.compile(r"\s+")


def escape(text: str) -> str:
    """`text` as commentary: reserved characters escaped, `#word` as a working hashtag."""
    parts = _HASHTAG.split(text)
    for place, part in enumerate(parts):
        parts[place] = rf"{{hashtag|\#|{part}}}" if place % 2 else _RESERVED.sub(r"\\\g<0>", part)
    return "".join(parts)


def length(text: str) -> int:
    """Characters of the escaped text. Whether escapes count in the limit of 3,000 is not
    documented, so they do here."""
    return len(escape(text))


def plain(commentary: str) -> str:
    """Commentary read back, as readers see it."""
    text = _TEMPLATE.sub(r"#\1", commentary)
    text = _MENTION.sub(r"\1", text)
    return _ESCAPED.sub(r"\1", text)


def same(shown: str, sent: str) -> bool:
    """Whether two texts say the same, blanks aside."""
    return _words(shown) == _words(sent)


def cut_short(shown: str, sent: str) -> bool:
    """Whether `shown` is the beginning of `sent` and misses its end."""
    start, whole = _words(shown), _words(sent)
    return start != whole and whole.startswith(start)


def _words(text: str) -> str:
    return _SPACE.sub(" ", text).strip()
