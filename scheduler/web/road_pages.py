"""`/routes`: every account's plan B, and the form that changes one. What is refused, and what to
know of a plan, is what the API says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web
from pydantic import ValidationError

from channels.posts import Kind
from scheduler.refusals import FieldError, RefusedError, not_found
from scheduler.reroute import Mode
from scheduler.store.tokens import Scope
from scheduler.web import problems, session
from scheduler.web.api.routes import RouteAnswer, RouteDraft, listed, restore, save, warnings_of
from scheduler.web.keys import SERVICES
from scheduler.web.reading import Handler, form_of, to

MOST = 20  # fallbacks, as the API takes them
_NUMBERS = ("digest_hour", "worth_hours", "weekly_mails")

Shown = dict[str, Any]


class Frame(Protocol):
    """What shows a page, and refusals as one."""

    def told(self, handler: Handler) -> Handler: ...

    def page(
        self, request: web.Request, name: str, *, status: int = 200, **shown: Any
    ) -> web.Response: ...


def setup_roads(app: web.Application, frame: Frame) -> None:
    """Serve the pages."""
    pages = RoadPages(frame)
    app.router.add_get("/routes", frame.told(pages.index))
    app.router.add_get("/routes/{id}", frame.told(pages.show))
    app.router.add_post("/routes/{id}", frame.told(pages.change))


class RoadPages:
    """The handlers."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The road of each account."""
        services = request.app[SERVICES]
        reader = await session.current(request, services)
        if reader is None:
            return to("/login")
        ways = await listed(services)
        return self._frame.page(
            request, "routes.html", word=reader.word, names=_names(ways),
            channels={one["account_id"]: one["channel"] for one in ways},
            routes=[{**way, "warnings": _named(way["warnings"], ways)} for way in ways],
        )  # fmt: skip

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One account's plan B, ready to be changed."""
        reader = await session.current(request, request.app[SERVICES])
        if reader is None:
            return to("/login")
        ways = await listed(request.app[SERVICES])
        way = _way(request, ways)
        said = {"saved": "r_saved", "restored": "r_restored"}.get(request.query.get("done", ""), "")
        return self._form(request, reader, ways, way, said=said, warnings=way["warnings"])

    async def change(self, request: web.Request) -> web.StreamResponse:
        """Save it, try it, or go back to the default."""
        services = request.app[SERVICES]
        reader, form = await form_of(request, Scope.WRITE)
        ways = await listed(services)
        way = _way(request, ways)
        account_id, what = way["account_id"], str(form.get("do", "save"))
        if what == "reset":
            await restore(services, account_id, reader.caller.actor)
            return to(f"/routes/{account_id}?done=restored")
        sent: Shown = {
            "fallbacks": [str(one) for one in form.getall("fallback", []) if one],
            "kinds": {kind.value: str(form.get(kind.value, way["kinds"][kind])) for kind in Kind},
            "note": str(form.get("note", "")).strip(),
            "last_resort": "last_resort" in form,
            "day_seconds": way["day_seconds"],
            **{name: str(form.get(name, way[name])) for name in _NUMBERS},  # type: ignore[literal-required]
        }
        shown = {**way, **sent}
        try:
            draft = _draft(sent)
            if what == "check":
                warnings = await warnings_of(services, account_id, draft)
                said = "" if warnings else "r_fine"
                return self._form(request, reader, ways, shown, said=said, warnings=warnings)
            saved = await save(services, account_id, draft, reader.caller.actor)
        except RefusedError as refused:
            errors = [_placed(error) for error in refused.errors]
            return self._form(request, reader, ways, shown, errors=errors,
                              status=refused.refusal.status)  # fmt: skip
        if saved["warnings"]:  # those of the queue are known now and nowhere else
            ways = await listed(services)
            return self._form(
                request, reader, ways, saved, said="r_saved", warnings=saved["warnings"]
            )
        return to(f"/routes/{account_id}?done=saved")

    def _form(
        self,
        request: web.Request,
        reader: session.Session,
        ways: Sequence[RouteAnswer],
        way: Mapping[str, Any],
        *,
        said: str = "",
        warnings: Sequence[str] = (),
        errors: Sequence[FieldError] = (),
        status: int = 200,
    ) -> web.Response:
        others = [one for one in ways if one["account_id"] != way["account_id"]]
        places = min(MOST, max(len(others), len(way["fallbacks"])))
        empty = [""] * (places - len(way["fallbacks"]))
        return self._frame.page(
            request, "route.html", status=status, word=reader.word, way=way, others=others,
            known={one["account_id"] for one in others}, choices=[*way["fallbacks"], *empty],
            kinds=[kind.value for kind in Kind], modes=[mode.value for mode in _MODES],
            said=said, warnings=_named(warnings, ways), errors=errors,
        )  # fmt: skip


_MODES = (Mode.AT_ONCE, Mode.DIGEST, Mode.ASK, Mode.NEVER)


def _way(request: web.Request, ways: Sequence[RouteAnswer]) -> RouteAnswer:
    account_id = request.match_info["id"]
    found = next((one for one in ways if one["account_id"] == account_id), None)
    if found is None:
        raise not_found("account", account_id)
    return found


def _draft(sent: Mapping[str, Any]) -> RouteDraft:
    """Error: RefusedError naming the fields."""
    try:
        return RouteDraft.model_validate(sent)
    except ValidationError as error:
        raise problems.from_validation(error, RouteDraft) from error


def _placed(error: FieldError) -> FieldError:
    """The error at the choice that the reader sees, counted from 1."""
    head, _, rest = error.field.partition("[")
    if head != "fallbacks" or not rest:
        return error
    return FieldError(f"fallback{int(rest.rstrip(']')) + 1}", error.detail, error.remedy)


def _names(ways: Sequence[RouteAnswer]) -> dict[str, str]:
    return {one["account_id"]: one["account"] for one in ways}


def _named(warnings: Sequence[str], ways: Sequence[RouteAnswer]) -> list[str]:
    """Accounts by their names: people know no ids."""
    found = []
    for warning in warnings:
        said = warning
        for account_id, name in _names(ways).items():
            said = said.replace(account_id, name)
        found.append(said)
    return found
