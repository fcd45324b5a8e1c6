"""Connecting pages in the browser: from a login to page tokens. Facebook and Messenger alike.

The login gives a user token of an hour or two, which is exchanged for one of about sixty days;
page tokens listed with that one have no date of expiry. Source: Meta's guides on the manual login
flow (March 2026) and on long-lived tokens.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, SecretStr
from yarl import URL

from channels.abilities import Candidate
from channels.base import ChannelSettings, Tools
from channels.exchange import NoAnswer, ask
from channels.facebook.errors import Circumstances, error_in, outcome
from channels.facebook.probe import read_token
from channels.facebook.table import ruling
from channels.outcome import (
    AccessLost,
    AccessReason,
    Evidence,
    Outcome,
    Problem,
    Severity,
    Throttled,
    Unavailable,
    Unconfirmed,
)

_PAGE_FIELDS = "id,name,access_token,tasks"
_TOKEN_PATH = "oauth/access_token"  # noqa: S105 -- an address
# Elsewhere these mean "try again"; here, a client id or secret that is not the app's.
_WRONG_CLIENT = frozenset({1, 101})
_LISTED = 100
_MAX_LISTS = 20
BEGIN_AGAIN = "Begin again: open the login once more."


class GraphApp(ChannelSettings):
    """Our app at Meta, which people authorise. `dialog_url`: where they log in. `verify_token`:
    agreed with Meta for the app's webhook. `live`: whether it was switched to live mode, which no
    API tells; before that only the app's own team sees what it publishes."""

    app_id: Annotated[str, Field(pattern=r"^\d+$")]
    app_secret: SecretStr
    verify_token: SecretStr | None = None
    version: Annotated[str, Field(pattern=r"^v\d{1,2}\.\d$")] = "v26.0"
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] = "https://graph.facebook.com"
    dialog_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] = "https://www.facebook.com"
    live: bool | None = None


def authorize_url(app: GraphApp, *, scopes: frozenset[str], redirect_uri: str, state: str) -> str:
    """The login dialog. It asks again for what was declined before."""
    dialog = URL(app.dialog_url.rstrip("/")) / app.version / "dialog" / "oauth"
    return str(
        dialog.with_query(
            client_id=app.app_id,
            redirect_uri=redirect_uri,
            state=state,
            response_type="code",
            scope=",".join(sorted({*scopes, "pages_show_list"})),
            auth_type="rerequest",
        )
    )


async def exchange(
    tools: Tools,
    app: GraphApp,
    *,
    code: str,
    redirect_uri: str,
    scopes: frozenset[str],
    tasks: frozenset[str],
) -> Sequence[Candidate] | AccessLost | Unavailable:
    """The person's pages, each with its token. `scopes` must all have been granted; a page is of
    use when the person has one of `tasks` on it."""
    login = _Login(tools, app)
    try:
        token = await login.long_lived_token(code, redirect_uri)
        await login.require(token, scopes)
        pages = await login.pages(token)
    except _StoppedError as stopped:
        return stopped.outcome
    return [_candidate(page, app, tasks) for page in pages]


class _StoppedError(Exception):
    """The login leads nowhere, for the reason in `outcome`."""

    def __init__(self, outcome: AccessLost | Unavailable) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


class _Login:
    """The calls of one login."""

    def __init__(self, tools: Tools, app: GraphApp) -> None:
        self._tools = tools
        self._app = app
        self._root = URL(app.base_url.rstrip("/")) / app.version
        self._secret = app.app_secret.get_secret_value()
        self._client = {"client_id": app.app_id, "client_secret": self._secret}

    async def long_lived_token(self, code: str, redirect_uri: str) -> str:
        short = await self._token({"redirect_uri": redirect_uri, "code": code})
        return await self._token({"grant_type": "fb_exchange_token", "fb_exchange_token": short})

    async def require(self, token: str, scopes: frozenset[str]) -> None:
        """Stop unless the person granted all of `scopes`: the dialog lets them decline some."""
        app_token = f"{self._app.app_id}|{self._secret}"
        query = {"input_token": token, "access_token": app_token}
        answer = await self._get("debug_token", query, token)
        data = answer.get("data")
        state = read_token(data) if isinstance(data, dict) else None
        if state is None or not state.valid:
            raise _lost(AccessReason.TOKEN, "Facebook calls its own token invalid", BEGIN_AGAIN)
        declined = scopes - (state.scopes or frozenset())
        if declined:
            said = f"not granted: {', '.join(sorted(declined))}"
            raise _lost(AccessReason.PERMISSION, said, "Log in again and leave everything ticked.")

    async def pages(self, token: str) -> list[Mapping[str, Any]]:
        proof = hmac.new(self._secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        query = {
            "fields": _PAGE_FIELDS,
            "limit": str(_LISTED),
            "access_token": token,
            "appsecret_proof": proof,
        }
        pages: list[Mapping[str, Any]] = []
        for _ in range(_MAX_LISTS):
            answer = await self._get("me/accounts", query, token)
            listed = answer.get("data")
            pages += [page for page in listed if _is_page(page)] if isinstance(listed, list) else []
            after = _after(answer)
            if after is None:
                break
            query["after"] = after
        if not pages:
            raise _lost(
                AccessReason.ROLE,
                "this person has no page, or ticked none",
                "Log in as somebody who has a role on the page, and tick the page.",
            )
        return pages

    async def _token(self, query: Mapping[str, str]) -> str:
        answer = await self._get(_TOKEN_PATH, {**self._client, **query}, *query.values())
        token = answer.get("access_token")
        if not isinstance(token, str):
            raise _lost(AccessReason.TOKEN, "Facebook answered without a token", BEGIN_AGAIN)
        return token

    async def _get(self, path: str, query: Mapping[str, str], *secrets: str) -> Mapping[str, Any]:
        answer = await ask(
            self._tools.http,
            "GET",
            self._root.joinpath(path).with_query(query),
            writes=False,
            secrets=(self._secret, *secrets),
        )
        if isinstance(answer, NoAnswer):
            raise _StoppedError(_stopping(answer))
        error = error_in(answer.data, answer.secrets)
        if error is not None and path == _TOKEN_PATH and error.code in _WRONG_CLIENT:
            raise _lost(
                AccessReason.MISCONFIGURED,
                f"Facebook refuses the app's id or secret ({error.label})",
                "Copy both again from the app's settings at Meta.",
            )
        if error is not None:
            given = Circumstances(
                writing=False,
                now=self._tools.now(),
                regain_at=None,
                evidence=answer.evidence(code=error.label, trace=error.trace),
            )
            raise _StoppedError(_stopping(outcome(error, ruling(error), given)))
        if answer.status >= 300 or not isinstance(answer.data, dict):
            # Without an excerpt: what could not be read may hold a token.
            evidence = Evidence(request=answer.request, status=answer.status)
            raise _StoppedError(
                Unavailable(reason="the answer is not Facebook's", evidence=evidence)
            )
        return answer.data


def _stopping(ended: Outcome) -> AccessLost | Unavailable:
    """The outcome of a failed read as the end of a login."""
    match ended:
        case AccessLost() | Unavailable():
            return ended
        case Throttled():
            return Unavailable(reason=ended.reason, until=ended.until, evidence=ended.evidence)
        case Unconfirmed():
            return Unavailable(reason=ended.detail, evidence=ended.evidence)
        case _:
            return AccessLost(
                reason=AccessReason.TOKEN,
                detail="Facebook refuses this login",
                remedy=f"{BEGIN_AGAIN} If it stays so, check the app's id, secret and redirect.",
                evidence=ended.evidence,
            )


def _lost(reason: AccessReason, detail: str, remedy: str) -> _StoppedError:
    return _StoppedError(AccessLost(reason=reason, detail=detail, remedy=remedy))


def _is_page(page: Any) -> bool:
    return isinstance(page, dict) and all(
        isinstance(page.get(name), str) for name in ("id", "name", "access_token")
    )


def _after(answer: Mapping[str, Any]) -> str | None:
    paging = answer.get("paging")
    if not isinstance(paging, dict) or "next" not in paging:
        return None
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return after if isinstance(after, str) else None


def _candidate(page: Mapping[str, Any], app: GraphApp, tasks: frozenset[str]) -> Candidate:
    theirs = tuple(str(task) for task in page.get("tasks") or ())
    word = app.verify_token
    agreed = {} if word is None else {"verify_token": word.get_secret_value()}
    return Candidate(
        remote_id=page["id"],
        name=page["name"],
        settings={
            "page_id": page["id"],
            "access_token": page["access_token"],
            "app_id": app.app_id,
            "app_secret": app.app_secret.get_secret_value(),
            "version": app.version,
            "base_url": app.base_url,
            **agreed,
        },
        tasks=theirs,
        problem=_mode(app.live) if tasks & set(theirs) else _no_task(page["name"], tasks),
    )


def _mode(live: bool | None) -> Problem | None:  # noqa: FBT001 -- what the owner said
    if live:
        return None
    if live is None:
        return Problem(
            code="app-mode-unknown",
            detail="As long as this app is in development mode, only its team sees what it"
            " publishes, and Facebook does not tell us.",
            remedy="Look at developers.facebook.com whether the app is live; if so, set live to"
            " true in ESTAFETTE_APPS.",
            severity=Severity.WARNING,
        )
    return Problem(
        code="app-not-live",
        detail="Facebook shows what this app publishes to the app's team only: it is in"
        " development mode.",
        remedy="Switch the app to live at developers.facebook.com, then set live to true in"
        " ESTAFETTE_APPS.",
    )


def _no_task(name: str, tasks: frozenset[str]) -> Problem:
    return Problem(
        code="role-missing",
        detail=f"This person may not do what is needed on “{name}”.",
        remedy=f"Let somebody who manages the page give them one of {', '.join(sorted(tasks))}.",
    )
