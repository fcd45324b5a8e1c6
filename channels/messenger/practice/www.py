"""What people see in the practice Messenger: their conversation with the page."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment

from channels.facebook.practice.graph import PracticePage
from channels.messenger.practice.people import Person
from channels.sandbox.ledger import Entry

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ page.name }} · Messenger practice</title>
<style>
  :root { color-scheme: light dark; --ground: #fff; --ink: #1c1e21; --theirs: #e4e6eb;
          --ours: #2457a6; --quiet: #606770; --link: #2457a6; }
  @media (prefers-color-scheme: dark) {
    :root { --ground: #18191a; --ink: #e4e6eb; --theirs: #3a3b3c; --quiet: #b0b3b8;
            --link: #8ab4f8; } }
  body { margin: 0; background: var(--ground); color: var(--ink);
         font: 1rem/1.5 system-ui, sans-serif; }
  .practice { background: #7a4b00; color: #fff; text-align: center; padding: .3rem 1rem;
              font-size: .85rem; margin: 0; }
  main { max-width: 34rem; margin: 0 auto; padding: 1rem; }
  h1 { font-size: 1.25rem; } .quiet { color: var(--quiet); font-size: .875rem; }
  a { color: var(--link); }
  ol { list-style: none; padding: 0; display: flex; flex-direction: column; gap: .6rem; }
  li { max-width: 85%; border-radius: 1rem; padding: .6rem .9rem; background: var(--theirs);
       white-space: pre-wrap; overflow-wrap: anywhere; align-self: flex-start; }
  li.me { align-self: flex-end; background: var(--ours); color: #fff; }
  .choices { display: flex; flex-wrap: wrap; gap: .4rem; margin: .5rem 0 0; white-space: normal; }
  .choices > * { border: 1px solid currentColor; border-radius: 1rem; padding: .1rem .7rem; }
  table { border-collapse: collapse; width: 100%; }
  td, th { text-align: left; padding: .4rem .6rem .4rem 0; }
</style>
</head>
<body>
<p class="practice">Practice platform: nothing here is on the internet.</p>
<main>
"""

_INBOX = (
    _HEAD
    + """<h1>{{ page.name }}: people who wrote</h1>
<table>
<tr><th>Person</th><th>May be written to</th></tr>
{% for person in people %}
<tr><td><a href="{{ www }}/{{ page.id }}/{{ person.psid }}">{{ person.name }}</a></td>
<td>{{ "yes" if person.window_open else "no, 24 hours have passed" }}</td></tr>
{% endfor %}
</table>
</main></body></html>
"""
)

_CONVERSATION = (
    _HEAD
    + """<p><a href="{{ www }}/{{ page.id }}">All people</a></p>
<h1>{{ page.name }} and {{ person.name }}</h1>
<ol>
{% for entry in exchanged %}
<li{% if entry.kind == "in" %} class="me"{% endif %}>{{ entry.text | urlize }}
  {%- set buttons = entry.payload.get("attachment", {}).get("payload", {}).get("buttons", []) %}
  {%- if buttons %}<p class="choices">{% for button in buttons -%}
  <a rel="nofollow" href="{{ button.url }}">{{ button.title }}</a>{% endfor %}</p>{% endif %}
  {%- if entry.payload.quick_replies %}<p class="choices">
  {%- for reply in entry.payload.quick_replies %}<span>{{ reply.title }}</span>{% endfor %}</p>
  {%- endif %}</li>
{% else %}
<li>No messages yet.</li>
{% endfor %}
</ol>
<p class="quiet">{{ "The page may write until 24 hours after the last message."
  if person.window_open else "The page may not write now: 24 hours have passed." }}</p>
</main></body></html>
"""
)

_environment = Environment(autoescape=True)
_inbox = _environment.from_string(_INBOX)
_conversation = _environment.from_string(_CONVERSATION)


def inbox_page(page: PracticePage, people: Sequence[Person], www: str) -> str:
    """Everybody, and who may be written to. `www`: where these pages are served."""
    return _inbox.render(page=page, people=people, www=www)


def conversation_page(
    page: PracticePage, person: Person, exchanged: Sequence[Entry], www: str
) -> str:
    """One conversation, oldest first, as that person sees it."""
    return _conversation.render(page=page, person=person, exchanged=exchanged, www=www)
