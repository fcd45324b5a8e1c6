"""A post as a mail: the text part, the HTML part and the subject that everyone gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import css_inline
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from channels.base import Account
from channels.newsletter.compose import UNSUBSCRIBE, content_id
from channels.newsletter.holes import impersonal, plain_subject, shortened
from channels.newsletter.settings import NewsletterSettings
from channels.posts import Media, Message, Part, Post
from channels.sentences import reroute_note
from channels.words import campaign_rewrite, shorten, to_html, to_plain

PREHEADER_LENGTH = 110

_WORDS: Mapping[str, Mapping[str, str]] = {
    "fr": {
        "browser": "Voir dans le navigateur",
        "video": "Regarder la vidéo",
        "more": "En savoir plus",
        "answer": "Répondez à ce message pour donner votre avis.",
        "why": "Vous recevez ce message parce que vous êtes inscrit à notre lettre.",
        "unsubscribe": "Se désinscrire",
        "picture": "Image",
        "colon": " : ",
    },
    "en": {
        "browser": "View in browser",
        "video": "Watch the video",
        "more": "Read more",
        "answer": "Reply to this mail to have your say.",
        "why": "You get this mail because you signed up for our newsletter.",
        "unsubscribe": "Unsubscribe",
        "picture": "Picture",
        "colon": ": ",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What both parts of the mail say."""

    title: str
    preheader: str
    plain: str
    html: str
    note: str
    link: str | None


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, auto_reload=False)


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


def words(language: str) -> Mapping[str, str]:
    return _WORDS["fr" if language.lower().partition("-")[0] == "fr" else "en"]


def render(post: Post, account: Account[NewsletterSettings], part: Part) -> Message:
    """The mail as it will leave, `{{unsubscribe_url}}` and the like still in place."""
    post = post.for_channel("newsletter")
    rewrite = campaign_rewrite(post, source="newsletter", medium="email")
    link = rewrite(post.link) if post.link else None
    plain = to_plain(post.body, rewrite=rewrite)
    neutral = impersonal(plain)
    said = _Said(
        title=_subject(post.title) or shorten(plain_subject(neutral), 70),
        preheader=shortened(" ".join((post.summary or neutral).split()), PREHEADER_LENGTH),
        plain=plain,
        html=to_html(post.body, rewrite=rewrite),
        note=reroute_note(post.rerouted, post.language) if post.rerouted else "",
        link=link,
    )
    return Message(
        post_id=post.id,
        title=said.title,
        text=_text(post, account.settings, said),
        html=_html(post, account, said),
        summary=said.preheader,
        link=link,
        media=post.media,
        language=post.language,
        tags=post.tags,
        part=part,
    )


def _subject(title: str) -> str:
    """Empty when somebody without values would get an empty one."""
    return plain_subject(title) if plain_subject(impersonal(title)) else ""


def public_url(media: Media) -> str | None:
    """Where a reader's mail program can fetch it, None if it must travel inside the mail."""
    return media.url if media.url and media.url.startswith(("http://", "https://")) else None


def _html(post: Post, account: Account[NewsletterSettings], said: _Said) -> str:
    say = words(post.language)
    buttons = [{"label": a.label, "url": a.url} for a in post.actions if a.url]
    if said.link:
        buttons.append({"label": say["more"], "url": said.link})
    page = _templates().get_template("mail.html.jinja").render(
        language=post.language,
        title=said.title if post.title else "",
        preheader=said.preheader,
        sender=account.settings.from_name or account.name,
        blog_url=post.blog_url,
        note=said.note,
        pictures=[
            {"src": public_url(m) or f"cid:{content_id(m)}", "alt": m.alt}
            for m in post.media
            if m.is_image
        ],
        videos=[{"url": public_url(m), "alt": m.alt} for m in post.media if not m.is_image],
        body=Markup(said.html),  # noqa: S704 -- to_html sanitises
        poll=post.poll,
        buttons=buttons,
        unsubscribe=f"{{{{{UNSUBSCRIBE}}}}}",
        publisher=account.settings.publisher.splitlines(),
        words=say,
        why=post.why or say["why"],
    )  # fmt: skip
    return page if post.outlined else _inliner().inline(page)


def _text(post: Post, settings: NewsletterSettings, said: _Said) -> str:
    say = words(post.language)
    colon = say["colon"]
    blocks = [said.note, said.plain]
    if post.poll is not None:
        options = "\n".join(f"• {option}" for option in post.poll.options)
        blocks.append(f"{post.poll.question}\n{options}\n{say['answer']}")
    blocks += [f"[{say['picture']}{colon}{m.alt}]" for m in post.media if m.is_image and m.alt]
    blocks += [f"{say['video']}{colon}{public_url(m)}" for m in post.media if not m.is_image]
    blocks += [f"{action.label}{colon}{action.url}" for action in post.actions if action.url]
    if said.link:
        blocks.append(f"{say['more']}{colon}{said.link}")
    if post.blog_url:
        blocks.append(f"{say['browser']}{colon}{post.blog_url}")
    why = post.why or say["why"]
    foot = f"{why}\n{say['unsubscribe']}{colon}{{{{{UNSUBSCRIBE}}}}}\n\n{settings.publisher}"
    return "\n\n".join(filter(None, blocks)) + f"\n\n-- \n{foot}\n"
