"""The public pages of the practice Facebook, as a visitor sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from jinja2 import Environment

from channels.facebook.practice.graph import PracticePage
from channels.sandbox.ledger import Entry

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ page.name }}</title>
<style>
  :root { color-scheme: light dark; --ground: #f0f2f5; --sheet: #fff; --ink: #1c1e21;
          --quiet: #606770; --accent: #2457a6; }
  @media (prefers-color-scheme: dark) {
    :root { --ground: #18191a; --sheet: #242526; --ink: #e4e6eb; --quiet: #b0b3b8;
            --accent: #8ab4f8; } }
  body { margin: 0; background: var(--ground); color: var(--ink);
         font: 1rem/1.5 system-ui, sans-serif; }
  .practice { background: #7a4b00; color: #fff; text-align: center; padding: .3rem 1rem;
              font-size: .85rem; margin: 0; }
  main { max-width: 40rem; margin: 0 auto; padding: 1rem; }
  header, article { background: var(--sheet); border-radius: .6rem; padding: 1rem 1.25rem;
                    margin-bottom: 1rem; }
  h1 { margin: 0; font-size: 1.5rem; }
  a { color: var(--accent); }
  .quiet { color: var(--quiet); font-size: .875rem; margin: 0; }
  .text { white-space: pre-wrap; overflow-wrap: anywhere; }
  .card { display: block; border: 1px solid var(--quiet); border-radius: .4rem;
          padding: .6rem .8rem; overflow-wrap: anywhere; }
  .album { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .4rem; }
  figure { margin: 0; } img { width: 100%; border-radius: .3rem; }
  .comments { list-style: none; padding: 0; border-top: 1px solid var(--quiet); }
  .comments li { margin-top: .6rem; white-space: pre-wrap; }
</style>
</head>
<body>
<p class="practice">Practice platform: nothing here is on the internet.</p>
<main>
<header><h1><a href="{{ www }}/{{ page.id }}">{{ page.name }}</a></h1>
<p class="quiet">{{ page.about }}</p></header>
{% for post in posts %}
<article>
  <p class="quiet"><a href="{{ www }}/{{ page.id }}/posts/{{ post.remote_id }}">
    {{- post.created_at | moment }}</a>{% if post.payload.edited %} · edited{% endif %}</p>
  {% if post.text %}<p class="text">{{ post.text | urlize(rel="nofollow") }}</p>{% endif %}
  {% if post.payload.link %}
  <a class="card" rel="nofollow" href="{{ post.payload.link }}">{{ post.payload.link }}</a>
  {% endif %}
  {% if post.payload.photos %}<div class="album">
    {% for photo in post.payload.photos %}
    <figure><img src="{{ photo.url or www ~ '/pictures/' ~ photo.id }}" alt="{{ photo.alt }}">
    </figure>
    {% endfor %}
  </div>{% endif %}
  {% if post.payload.video %}
  <p><a class="card" rel="nofollow" href="{{ post.payload.video.url }}">
    ▶ {{ post.payload.video.title or "Video" }}</a></p>
  {% endif %}
  {% if comments %}<ul class="comments">
    {% for comment in comments %}
    <li><strong>{{ page.name }}</strong> {{ comment.text | urlize(rel="nofollow") }}</li>
    {% endfor %}
  </ul>{% endif %}
</article>
{% else %}
<p class="quiet">No posts yet.</p>
{% endfor %}
</main>
</body>
</html>
"""


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%d %B %Y, %H:%M:%S} UTC"


_environment = Environment(autoescape=True)
_environment.filters["moment"] = _moment
_template = _environment.from_string(_PAGE)


def account_page(page: PracticePage, posts: Sequence[Entry], www: str) -> str:
    """The page with its newest posts. `www`: where the public pages are served."""
    return _template.render(page=page, posts=posts, comments=(), www=www)


def post_page(page: PracticePage, post: Entry, comments: Sequence[Entry], www: str) -> str:
    """One post with its comments."""
    return _template.render(page=page, posts=[post], comments=comments, www=www)
