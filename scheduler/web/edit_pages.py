"""The page where the words of what was published are corrected."""

from __future__ import annotations

from aiohttp import web
from pydantic import ValidationError

from scheduler.drafts import NewWords
from scheduler.refusals import RefusedError, not_found
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
        async with services.database.read() as connection:
            row = await posts.get(connection, post_id)
        if row is None:
            raise not_found("post", post_id)
        return self._frame.page(
            request, "edit.html", word=reader.word, id=post_id, title=row["title"],
            body=row["content"].get("body", ""), version=row["version"], done=[], wrong=None,
        )  # fmt: skip

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """Correct them; what is refused is said above the form, which keeps what was typed."""
        services, post_id = request.app[SERVICES], request.match_info["id"]
        reader, form = await form_of(request, Scope.WRITE)
        typed = {name: str(form.get(name, "")).replace("\r\n", "\n") for name in ("title", "body")}
        version = str(form.get("version", ""))
        status, done, wrong = 200, [], None
        try:
            words = _words({**typed, "version": version})
            done = await services.editor.edit(post_id, words, reader.caller.actor)
            version = ""  # again in the same words, whatever the version
        except RefusedError as refused:
            status, wrong = refused.refusal.status, refused
        if done and all(one.fate in {Fate.EDITED, Fate.WAITING} for one in done):
            return to(f"/posts/{post_id}")
        return self._frame.page(
            request, "edit.html", status=status, word=reader.word, id=post_id, **typed,
            version=version, done=done, wrong=wrong,
        )  # fmt: skip


def _words(sent: dict[str, str]) -> NewWords:
    """Error: RefusedError naming the field."""
    given = {name: value for name, value in sent.items() if name != "version" or value}
    try:
        return NewWords.model_validate(given)
    except ValidationError as error:
        raise problems.from_validation(error, NewWords) from error
