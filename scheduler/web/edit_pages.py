"""The page where the words of what was published are corrected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from scheduler.drafts import NewWords
from scheduler.refusals import RefusedError, not_found
from scheduler.services import Services
from scheduler.store import posts
from scheduler.store.tokens import Scope
from scheduler.web import problems, session
from scheduler.web.keys import SERVICES
from scheduler.web.reading import form_of, to
from scheduler.web.road_pages import Frame
from scheduler.withdrawal import Fate


def setup_edits(app: web.Application, frame: Frame) -> None:
    """Serve the page and its form's target."""
    pages = EditPages(frame)
    app.router.add_get("/posts/{id}/edit", frame.told(pages.show))
    app.router.add_post("/posts/{id}/edit", frame.told(pages.edit))


class EditPages:
    """The handlers."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The words as they are, ready to be corrected."""
        services, post_id = request.app[SERVICES], request.match_info["id"]
        reader = await session.current(request, services)
        if reader is None:
            return to("/login")
        said, version = await _said(services, post_id)
        return self._frame.page(
            request, "edit.html", word=reader.word, id=post_id, said=said,
            channels=_channels(said), version=version, again="", done=[], wrong=None,
        )  # fmt: skip

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """Correct them; what is refused is said above the form, which keeps what was typed."""
        services, post_id = request.app[SERVICES], request.match_info["id"]
        reader, form = await form_of(request, Scope.WRITE)
        before, _ = await _said(services, post_id)
        typed = {name: str(form.get(name, "")).replace("\r\n", "\n") for name in before}
        version = str(form.get("version", ""))
        again = {one for one in str(form.get("again", "")).split() if one in before}
        changed = again | {name for name in before if typed[name] != before[name]}
        status, done, wrong = 200, [], None
        try:
            words = _words({name: typed[name] for name in changed}, version)
            done = await services.editor.edit(post_id, words, reader.caller.actor)
            version = ""  # again in the same words, whatever the version
        except RefusedError as refused:
            status, wrong = refused.refusal.status, refused
        if done and all(one.fate in {Fate.EDITED, Fate.WAITING} for one in done):
            return to(f"/posts/{post_id}")
        return self._frame.page(
            request, "edit.html", status=status, word=reader.word, id=post_id, said=typed,
            channels=_channels(typed), version=version, again=" ".join(sorted(changed)), done=done,
            wrong=wrong,
        )  # fmt: skip


async def _said(services: Services, post_id: str) -> tuple[dict[str, str], int]:
    """What the post says by the form's field (`body`, `body.facebook`), and its version. Error:
    RefusedError."""
    async with services.database.read() as connection:
        row = await posts.get(connection, post_id)
    if row is None:
        raise not_found("post", post_id)
    said = {"title": row["title"], "body": row["content"].get("body", "")}
    for channel, own in row["content"].get("variants", {}).items():
        said |= {f"{name}.{channel}": own.get(name, "") for name in ("title", "body")}
    return said, row["version"]


def _channels(said: Mapping[str, str]) -> list[str]:
    """Those with words of their own."""
    return [name.partition(".")[2] for name in said if name.startswith("body.")]


def _words(sent: Mapping[str, str], version: str) -> NewWords:
    """`sent`: by the form's field; a channel's words that are empty are the post's own. Error:
    RefusedError naming the field."""
    given: dict[str, Any] = {} if not version else {"version": version}
    for field, text in sent.items():
        name, _, channel = field.partition(".")
        if channel:
            given.setdefault("variants", {}).setdefault(channel, {})[name] = text or None
        else:
            given[name] = text
    try:
        return NewWords.model_validate(given)
    except ValidationError as error:
        raise problems.from_validation(error, NewWords) from error
