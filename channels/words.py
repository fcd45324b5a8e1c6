"""One Markdown body, and what each channel can carry of it.

Everything here is pure. Line breaks inside a paragraph are kept, in plain text and in HTML alike:
people who type opening hours one below the other mean them so.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from itertools import takewhile
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import nh3
import regex
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from channels.posts import Post

ELLIPSIS = "…"

_GRAPHEME = regex.compile(r"\X")
# Punctuation that French sets after a space: a line, or a cut text, never starts with it.
_HANGING = "!?:;»%…"
_BREAK = re.compile(rf"(?<!«)[ \t\n]+(?![\s{_HANGING}]|$)")
_SENTENCE_END = re.compile(
    r"[.!?…؟۔]+(?:[ \u00a0\u202f]?»|[\"'”’)\]])*(?=\s)|[。！？]+|\n(?=\n)"  # noqa: RUF001 -- CJK stops
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(«\"'’])(?:\w|Mmes?|Mlles?|MM|Dr|Mr|Mrs|Ms|St|Ste|No|art|cf|ex|tél|env|vs|vol)\.$",
    re.IGNORECASE,
)
_UNDECOMPOSED = str.maketrans(
    {"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
)

Rewrite = Callable[[str], str]
Measure = Callable[[str], int]


# --- Markdown ------------------------------------------------------------------------------------


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"linkify": True, "breaks": True})
    return parser.enable(["linkify", "table", "strikethrough"])


# The channels of one post read the same body one after the other: it is parsed once for all.
@lru_cache(maxsize=128)
def _tokens(markdown: str) -> tuple[Token, ...]:
    return tuple(_parser().parse(markdown))


@lru_cache(maxsize=128)
def _tree(markdown: str) -> SyntaxTreeNode:
    return SyntaxTreeNode(_tokens(markdown))


def to_html(markdown: str, *, rewrite: Rewrite | None = None) -> str:
    """Sanitised HTML: no script, style, frame or event handler survives. `rewrite` maps the
    address of each link (campaign tags)."""
    parser = _parser()
    tokens = _tokens(markdown)
    if rewrite is not None:
        tokens = tuple(_rewritten(token, rewrite) for token in tokens)
    return nh3.clean(parser.renderer.render(tokens, parser.options, {})).strip()


def _rewritten(token: Token, rewrite: Rewrite) -> Token:
    """A copy with its links rewritten: the tokens parsed belong to every reader."""
    if token.children:
        return token.copy(children=[_rewritten(child, rewrite) for child in token.children])
    href = token.attrGet("href")
    if token.type == "link_open" and href:
        return token.copy(attrs={**token.attrs, "href": rewrite(str(href))})
    return token


def to_plain(markdown: str, *, rewrite: Rewrite | None = None) -> str:
    """Readable plain text: `[label](url)` becomes `label (url)`, or the bare address when both say
    the same; list items keep a bullet or their number; the other markers go."""
    text = _blocks(_tree(markdown).children, rewrite or str)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def lead(markdown: str) -> str:
    """The first paragraphs on one line, up to a heading, a list or a table: what a summary may be
    made of. All of the text when it begins with one of these."""
    nodes = _tree(markdown).children
    first = list(takewhile(lambda node: node.type == "paragraph", nodes))
    return " ".join(_blocks(first or nodes, str).split())


def _blocks(nodes: Iterable[SyntaxTreeNode], rewrite: Rewrite, gap: str = "\n\n") -> str:
    return gap.join(filter(None, (_block(node, rewrite) for node in nodes)))


def _block(node: SyntaxTreeNode, rewrite: Rewrite) -> str:
    match node.type:
        case "paragraph" | "heading" | "th" | "td" | "inline":
            return _inline(node.children, rewrite).strip()
        case "bullet_list" | "ordered_list":
            return _list(node, rewrite)
        case "fence" | "code_block":
            return node.content.rstrip()
        case "table" | "thead" | "tbody" | "tr":
            return _blocks(node.children, rewrite, " | " if node.type == "tr" else "\n")
        case "html_block":
            return nh3.clean(node.content, tags=set()).strip()
        case _:
            return _blocks(node.children, rewrite)


def _list(node: SyntaxTreeNode, rewrite: Rewrite) -> str:
    start = int(node.attrs.get("start", 1))
    ordered = node.type == "ordered_list"
    items = []
    for number, item in enumerate(node.children, start):
        marker = f"{number}. " if ordered else "• "
        body = _blocks(item.children, rewrite, "\n")
        items.append(marker + body.replace("\n", "\n" + " " * len(marker)))
    return "\n".join(items)


def _inline(nodes: Iterable[SyntaxTreeNode], rewrite: Rewrite) -> str:
    return "".join(_span(node, rewrite) for node in nodes)


def _span(node: SyntaxTreeNode, rewrite: Rewrite) -> str:
    match node.type:
        case "text" | "code_inline" | "text_special":
            return node.content
        case "softbreak" | "hardbreak":
            return "\n"
        case "html_inline":
            return "\n" if node.content.lower().startswith("<br") else ""
        case "link":
            return _link(node, rewrite)
        case _:  # emphasis, strikethrough, an image's alternative text
            return _inline(node.children, rewrite)


def _link(node: SyntaxTreeNode, rewrite: Rewrite) -> str:
    label = _inline(node.children, rewrite).strip()
    href = str(node.attrs.get("href", ""))
    url = rewrite(href).removeprefix("mailto:").removeprefix("tel:")
    if not href or url == label:
        return label
    if not label or _bare(label) == _bare(href):
        # As the author typed it, unless the address now carries more than that.
        return label if label and rewrite(href) == href and node.markup == "linkify" else url
    return f"{label} ({url})"


def _bare(url: str) -> str:
    return re.sub(r"^(https?://|mailto:|tel:)", "", url).rstrip("/").lower()


# --- Length --------------------------------------------------------------------------------------


def utf16_length(text: str) -> int:
    """UTF-16 code units, as JavaScript counts: most emoji are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def grapheme_length(text: str) -> int:
    """What a reader sees as characters: a family emoji is one."""
    return sum(1 for _ in _GRAPHEME.finditer(text))


def byte_length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def shorten(text: str, limit: int, *, measure: Measure = len, more: str = "") -> str:
    """`text` unchanged if it fits in `limit` by `measure`; else cut and followed by `more`.

    Cut at the end of a sentence if that keeps at least half of the room, else between two words
    and marked with an ellipsis, in the last resort between two graphemes. `more` (a link, its own
    separator included) counts within the limit and is left out when it would not fit itself.
    """
    if measure(text) <= limit:
        return text
    if measure(ELLIPSIS + more) > limit:
        more = ""

    def longest(places: list[int], mark: str) -> int:
        """The last of the ascending `places` where a cut fits; -1 if none does."""
        at = bisect_left(
            places, True, key=lambda end: measure(text[:end].rstrip() + mark + more) > limit
        )
        return places[at - 1] if at else -1

    words = _word_ends(text)
    sentence = longest(_sentence_ends(text), "")
    word = longest(words, ELLIPSIS)
    if sentence > 0 and sentence * 2 >= word:
        return text[:sentence].rstrip() + more
    cut = word if word > 0 else longest([m.end() for m in _GRAPHEME.finditer(text)], ELLIPSIS)
    if cut < 0:
        return more if measure(more) <= limit else ""
    return text[:cut].rstrip() + ELLIPSIS + more


def _word_ends(text: str) -> list[int]:
    return [match.start() for match in _BREAK.finditer(text) if match.start()]


def _sentence_ends(text: str) -> list[int]:
    return [
        match.end()
        for match in _SENTENCE_END.finditer(text)
        if not _continues(
            text[max(0, match.end() - 12) : match.end()], text[match.end() : match.end() + 4]
        )
    ]


def _continues(before: str, after: str) -> bool:
    """Whether the full stop belongs to an abbreviation, or the sentence goes on behind it."""
    rest = after.lstrip()
    return rest.startswith(tuple(_HANGING)) or (
        rest[:1].islower() or _ABBREVIATION.search(before) is not None
    )


# --- Links ---------------------------------------------------------------------------------------


def tagged(url: str, *, source: str, medium: str, campaign: str) -> str:
    """`url` with the UTM parameters it does not have yet; its own query and fragment stay as they
    are. Anything but http(s) is returned unchanged."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        return url
    present = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    wanted = {"utm_source": source, "utm_medium": medium, "utm_campaign": campaign}
    added = [
        f"{name}={quote(value, safe='')}"
        for name, value in wanted.items()
        if value and name not in present
    ]
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, *added]))))


def own_link(url: str, own_hosts: Iterable[str]) -> bool:
    """Whether `url` leads to one of our own sites (`www.` and sub-domains included)."""
    host = urlsplit(url).hostname or ""
    own = {name.lower().removeprefix("www.") for name in own_hosts if name}
    return any(host == name or host.endswith("." + name) for name in own)


def campaign_rewrite(post: Post, *, source: str, medium: str = "social") -> Rewrite:
    """Maps a link to the one to publish: tagged when it is ours and the post does not refuse it.

    Ours are `post.own_hosts` and the host of the post's page on the blog.
    """
    own = {*post.own_hosts, (urlsplit(post.blog_url or "").hostname or "")}
    campaign = slugify(post.title) or post.id

    def rewrite(url: str) -> str:
        if not post.campaign_tags or not own_link(url, own):
            return url
        return tagged(url, source=source, medium=medium, campaign=campaign)

    return rewrite


def slugify(title: str, *, limit: int = 80) -> str:
    """ASCII words joined by hyphens; empty when nothing Latin is left, so have another name."""
    plain = unicodedata.normalize("NFKD", title.lower().translate(_UNDECOMPOSED))
    words = re.findall(r"[a-z0-9]+", plain.encode("ascii", "ignore").decode())
    slug = ""
    for word in words:
        longer = f"{slug}-{word}" if slug else word[:limit]
        if len(longer) > limit:
            break
        slug = longer
    return slug
