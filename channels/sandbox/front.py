"""The front page of the practice platforms: what was published on each, and how to connect it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from html import escape

from channels.sandbox.ledger import Entry

_NEWEST = 5
_LONGEST = 160
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Practice platforms</title>
<meta name="viewport" content="width=device-width">
<style>:root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui;max-width:50rem;margin:2rem
auto;padding:0 1rem}}pre{{overflow:auto;padding:.5rem;border:1px solid}}</style></head><body>
<h1>Practice platforms</h1>
<p>Nothing here is on the internet. Each answers like the real one, and keeps what it was sent.</p>
{platforms}</body></html>
"""


def front_page(
    published: Mapping[str, Sequence[Entry]], commands: Mapping[str, Sequence[str]]
) -> str:
    """By platform: what readers can see, oldest first, and what connects its accounts."""
    return _PAGE.format(
        platforms="".join(
            _platform(name, entries, commands[name]) for name, entries in published.items()
        )
    )


def command(adapter: str, name: str, settings: Mapping[str, object]) -> str:
    """What connects an account on the command line. The credentials open nothing real."""
    given = [
        f"--set={field}={value if isinstance(value, str) else json.dumps(value)}"
        for field, value in settings.items()
    ]
    return shlex.join(["estafette", "accounts", "connect", adapter, name, *given])


def _platform(name: str, entries: Sequence[Entry], commands: Sequence[str]) -> str:
    newest = "".join(f"<li>{_entry(one)}</li>" for one in reversed(entries[-_NEWEST:]))
    shown = f"<ul>{newest}</ul>" if newest else "<p>Nothing yet.</p>"
    how = "".join(f"<pre>{escape(one)}</pre>" for one in commands)
    connect = f"<details><summary>Connect it</summary>{how}</details>"
    return f"<h2>{escape(name)} ({len(entries)})</h2>{shown}{connect}"


def _entry(entry: Entry) -> str:
    words = entry.text if len(entry.text) <= _LONGEST else f"{entry.text[:_LONGEST]}…"
    return escape(words) or escape(entry.remote_id)
