"""How the practice Graph API speaks: times, the documented error envelope, each fault in it."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from channels.sandbox.faults import Fault, FaultName


class Refused(Exception):  # noqa: N818 -- what the platform does, not a mistake of ours
    """An answer in the error envelope."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        subcode: int = 0,
        status: int = 400,
        kind: str = "OAuthException",
        transient: bool | None = None,
        title: str = "",
        text: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        error: dict[str, Any] = {"message": message, "type": kind, "code": code}
        optional = {
            "error_subcode": subcode or None,
            "is_transient": transient,
            "error_user_title": title or None,
            "error_user_msg": text or None,
        }
        error |= {name: value for name, value in optional.items() if value is not None}
        self.error = error

    def answer(self) -> web.Response:
        body = {"error": {**self.error, "fbtrace_id": "A" + secrets.token_urlsafe(16)}}
        return web.json_response(body, status=self.status, headers=self.headers)


def no_such_object(node: str, method: str) -> Refused:
    """The same answer for what is absent and for what is not permitted."""
    return Refused(
        100,
        f"Unsupported {method.lower()} request. Object with ID '{node}' does not exist, cannot be"
        " loaded due to missing permissions, or does not support this operation",
        subcode=33,
        kind="GraphMethodException",
    )


def graph_time(moment: float) -> str:
    """Unix seconds as the API writes times."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def wrong_parameter(said: str) -> Refused:
    return Refused(100, f"(#100) {said}")


def usage_headers(page_id: str, usage_type: str, percent: int, minutes: int = 0) -> dict[str, str]:
    meter = {
        "type": usage_type,
        "call_count": percent,
        "total_cputime": percent // 3,
        "total_time": percent // 3,
        "estimated_time_to_regain_access": minutes,
    }
    return {"X-Business-Use-Case-Usage": json.dumps({page_id: [meter]})}


def _page_gone(_fault: Fault, page_id: str, _usage_type: str) -> Refused:
    return no_such_object(page_id, "get")


def _token_dead(_fault: Fault, _page_id: str, _usage_type: str) -> Refused:
    return Refused(
        190,
        "Error validating access token: Session has expired on Friday, 20-Nov-26 09:00:00 PST.",
        subcode=463,
        status=401,
    )


def _role_lost(_fault: Fault, page_id: str, _usage_type: str) -> Refused:
    return Refused(
        190,
        "Error validating access token: The session is invalid because the user does not have"
        f" a role on the page {page_id}.",
        subcode=492,
        status=401,
    )


def _permission_lost(_fault: Fault, _page_id: str, usage_type: str) -> Refused:
    if usage_type == "messenger":
        return Refused(
            200,
            "(#200) Cannot message users who are not admins, developers or testers of the app"
            " until pages_messaging permission is reviewed and the app is live.",
            subcode=2018028,
            status=403,
        )
    return Refused(
        200,
        "(#200) If posting to a page, requires both pages_read_engagement and pages_manage_posts"
        " as an admin with sufficient administrative permission",
        status=403,
    )


def _throttled(fault: Fault, page_id: str, usage_type: str) -> Refused:
    code = 80006 if usage_type == "messenger" else 80001
    return Refused(
        code,
        f"(#{code}) There have been too many calls to this Page account. Wait a bit and try again.",
        headers=usage_headers(page_id, usage_type, 100, math.ceil(fault.seconds / 60)),
    )


def _rejected(_fault: Fault, _page_id: str, _usage_type: str) -> Refused:
    return Refused(
        100,
        "Invalid parameter",
        title="This can't be published",
        text="This content can't be published as it stands.",
    )


def _server_error(_fault: Fault, _page_id: str, _usage_type: str) -> Refused:
    return Refused(
        2,
        "An unexpected error has occurred. Please retry your request later.",
        status=500,
        transient=True,
    )


REFUSALS: Mapping[FaultName, Callable[[Fault, str, str], Refused]] = {
    FaultName.PAGE_GONE: _page_gone,
    FaultName.TOKEN_DEAD: _token_dead,
    FaultName.ROLE_LOST: _role_lost,
    FaultName.PERMISSION_LOST: _permission_lost,
    FaultName.THROTTLED: _throttled,
    FaultName.REJECTED: _rejected,
    FaultName.SERVER_ERROR: _server_error,
}
DEAD_TOKENS = (FaultName.TOKEN_DEAD, FaultName.ROLE_LOST)
ACCESS_FAULTS = (
    FaultName.TOKEN_DEAD,
    FaultName.ROLE_LOST,
    FaultName.PAGE_GONE,
    FaultName.PERMISSION_LOST,
    FaultName.THROTTLED,
)
