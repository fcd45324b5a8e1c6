"""The table of what each channel carries, from the adapters' own data.

`python -m channels.capability_table` writes it into `channels/README.md`; a test fails while the
two differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from channels.abilities import Edits, Refreshes, Withdraws
from channels.base import Broadcasts, Capabilities, Channel, Tools
from channels.http import HttpClient
from channels.registry import Registry

README = Path(__file__).with_name("README.md")
BEGIN = "<!-- capabilities: written by python -m channels.capability_table -->"
END = "<!-- end of capabilities -->"

_UNITS: Mapping[str, str] = {
    "characters": "characters",
    "utf16": "UTF-16 units",
    "graphemes": "graphemes",
    "bytes": "bytes",
}
_HEAD = (
    "channel", "text", "pictures", "video", "poll", "buttons", "first comment",
    "same key twice", "found again", "edit", "withdraw", "renews itself",
)  # fmt: skip


def table() -> str:
    """Markdown, one row for each adapter of the registry, in its order."""
    tools = Tools(http=HttpClient(private_ok=False), now=lambda: datetime.now(UTC))
    rows = [_HEAD, ("---",) * len(_HEAD), *map(_row, Registry(tools).values())]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(channel: Channel) -> tuple[str, ...]:
    can = channel.capabilities
    return (
        f"`{channel.name}`",
        _text(can),
        _pictures(can),
        _yes(is_so=can.video),
        _yes(is_so=can.polls),
        _yes(is_so=can.actions),
        _yes(is_so=can.first_comment),
        _same_key(can),
        "person by person" if isinstance(channel, Broadcasts) else _yes(is_so=can.findable),
        _yes(is_so=isinstance(channel, Edits)),
        _yes(is_so=isinstance(channel, Withdraws)),
        _yes(is_so=isinstance(channel, Refreshes)),
    )


def _text(can: Capabilities) -> str:
    limit = (
        "any length" if can.text_limit is None else f"{can.text_limit:,} {_UNITS[can.text_unit]}"
    )
    return f"{limit}, HTML" if can.html else limit


def _pictures(can: Capabilities) -> str:
    if not can.max_images:
        return "–"
    kinds = ", ".join(sorted(kind.removeprefix("image/") for kind in can.image_types))
    return f"{can.max_images}: {kinds}{''.join(_limits(can))}"


def _limits(can: Capabilities) -> Iterator[str]:
    if can.image_max_bytes:
        yield f"; {can.image_max_bytes / 1_000_000:.3g} MB"
    if can.image_max_pixels:
        yield f"; {can.image_max_pixels / 1_000_000:.3g} megapixels"


def _same_key(can: Capabilities) -> str:
    if not can.idempotent:
        return "perhaps two posts"
    if can.idempotent_for is None:
        return "one post"
    return f"one post, for {can.idempotent_for // timedelta(minutes=1)} minutes"


def _yes(*, is_so: bool) -> str:
    return "yes" if is_so else "–"


def updated(text: str) -> str:
    """`text` with the table of today between its two markers. Error: ValueError without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{README.name} has lost the markers of the capability table")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
