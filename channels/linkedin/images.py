"""Pictures: register, upload the bytes, wait until LinkedIn has processed them.

Nothing here is visible to readers, so a lost answer is no doubt, only a failure: the post waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from yarl import URL

from channels.exchange import Answer, ask
from channels.http import HttpClient
from channels.linkedin.api import LinkedInSettings, call, encoded, fetch, succeeded
from channels.linkedin.errors import evidence
from channels.outcome import Evidence, Problem, Rejected, Unavailable
from channels.posts import Media
from channels.steps import Stopped, picture_bytes

# Seconds between looks at a picture that is being processed; about half a minute in all.
PATIENCE = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
UPLOAD_TIMEOUT = 120.0


async def upload_all(
    http: HttpClient, settings: LinkedInSettings, media: Sequence[Media], now: datetime
) -> list[str]:
    """The image URNs, in order. Error: `Stopped`, when one of them cannot be had."""
    return [
        await _upload(http, settings, picture, f"media[{place}]", now)
        for place, picture in enumerate(media)
    ]


async def _upload(
    http: HttpClient, settings: LinkedInSettings, picture: Media, field: str, now: datetime
) -> str:
    content = await picture_bytes(picture, field)
    upload_url, urn = await _register(http, settings, now)
    answer = await ask(
        http,
        "PUT",
        upload_url,
        writes=False,
        secrets=settings.secrets,
        headers=_upload_headers(settings, upload_url, picture.content_type),
        data=content,
        timeout=UPLOAD_TIMEOUT,
    )
    succeeded(answer, now)
    await _available(http, settings, urn, field, now)
    return urn


async def _register(http: HttpClient, settings: LinkedInSettings, now: datetime) -> tuple[URL, str]:
    body = {"initializeUploadRequest": {"owner": settings.author}}
    path = "images?action=initializeUpload"
    answer = succeeded(await call(http, settings, "POST", path, json_body=body), now)
    value = answer.fields.get("value")
    if not isinstance(value, dict) or not {"uploadUrl", "image"} <= value.keys():
        raise _unavailable("LinkedIn's answer names no upload address", evidence(answer))
    return URL(str(value["uploadUrl"]), encoded=True), str(value["image"])


def _upload_headers(
    settings: LinkedInSettings, upload_url: URL, content_type: str
) -> dict[str, str]:
    """The token goes along only where it belongs: to LinkedIn, or to the API's own host."""
    headers = {"Content-Type": content_type}
    host = upload_url.host or ""
    if host == URL(settings.api_url).host or f".{host}".endswith(".linkedin.com"):
        headers["Authorization"] = f"Bearer {settings.access_token.get_secret_value()}"
    return headers


async def _available(
    http: HttpClient, settings: LinkedInSettings, urn: str, field: str, now: datetime
) -> None:
    answer: Answer | None = None
    for pause in (*PATIENCE, 0.0):
        answer = await fetch(http, settings, f"images/{encoded(urn)}", now)
        status = answer.fields.get("status")
        if status == "AVAILABLE":
            return
        if status == "PROCESSING_FAILED":
            raise _refused("image-refused", "LinkedIn cannot use this picture.", field)
        await asyncio.sleep(pause)
    proof = evidence(answer) if answer else Evidence()
    raise _unavailable("LinkedIn is still processing the picture", proof)


def _refused(code: str, detail: str, field: str) -> Stopped:
    remedy = "Use a JPEG, PNG or GIF picture of less than 36 megapixels."
    return Stopped(Rejected(problem=Problem(code=code, detail=detail, field=field, remedy=remedy)))


def _unavailable(reason: str, proof: Evidence) -> Stopped:
    return Stopped(Unavailable(reason=reason, evidence=proof))
