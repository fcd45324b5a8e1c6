"""The practice LinkedIn refuses what the real one refuses, and cuts what the real one cuts."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from PIL import Image
from yarl import URL

from channels.http import HttpClient, Reply
from channels.linkedin.sandbox import AUTHOR, TOKEN
from channels.sandbox.server import PracticeServer

HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "LinkedIn-Version": "202609",
    "X-Restli-Protocol-Version": "2.0.0",
}
BODY: Mapping[str, Any] = {
    "author": AUTHOR,
    "commentary": "Hello",
    "visibility": "PUBLIC",
    "distribution": {"feedDistribution": "MAIN_FEED"},
    "lifecycleState": "PUBLISHED",
    "isReshareDisabledByAuthor": False,
}
CARD = {"title": "Title", "source": "https://a.fr"}


async def post(
    http: HttpClient, server: PracticeServer, headers: Mapping[str, str], body: Any
) -> Reply:
    url = f"{server.url}/linkedin/rest/posts"
    return await http.request("POST", url, headers=headers, json_body=body)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"LinkedIn-Version": None}, 400),
        ({"LinkedIn-Version": "202610"}, 426),
        ({"Authorization": "Bearer other"}, 401),
        ({"X-Restli-Protocol-Version": "1.0.0"}, 400),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
async def test_headers_are_checked(
    http: HttpClient, server: PracticeServer, headers: Mapping[str, str | None], status: int
) -> None:
    sent = {name: value for name, value in {**HEADERS, **headers}.items() if value is not None}
    assert (await post(http, server, sent, BODY)).status == status


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"foo": 1}, 422, None),
        ({"visibility": 1}, 422, "INVALID_PARAMETER"),
        ({"visibility": None}, 422, "INVALID_PARAMETER"),
        ({"author": "urn:li:organization:1"}, 403, None),
        ({"commentary": "x" * 3001}, 422, "FIELD_LENGTH_TOO_LONG"),
        ({"commentary": ""}, 422, "MISSING_FIELD"),
        ({"content": {"media": {"id": "urn:li:image:C9"}}}, 422, "INVALID_PARAMETER"),
        ({"content": {"multiImage": {"images": [{"id": "x"}]}}}, 422, "INVALID_PARAMETER"),
        ({"content": {"article": {"source": "https://a.fr"}}}, 422, "MISSING_FIELD"),
        ({"content": {"article": {**CARD, "title": "t" * 400}}}, 422, "FIELD_LENGTH_TOO_LONG"),
        ({"content": {"poll": {"question": "?", "options": []}}}, 422, "INVALID_PARAMETER"),
        ({"content": {"video": {}}}, 422, None),
    ],
)  # fmt: skip
async def test_fields_are_checked(
    http: HttpClient,
    server: PracticeServer,
    changes: Mapping[str, Any],
    status: int,
    code: str | None,
) -> None:
    answer = await post(http, server, HEADERS, {**BODY, **changes})
    assert answer.status == status
    if code is not None:
        assert answer.json()["errorDetails"]["inputErrors"][0]["code"] == code


async def test_unescaped_character_cuts_the_text_without_an_error(
    http: HttpClient, server: PracticeServer
) -> None:
    answer = await post(http, server, HEADERS, {**BODY, "commentary": "Menu (midi) demain"})
    assert answer.status == 201
    urn = answer.headers["x-restli-id"].replace(":", "%3A")
    url = URL(f"{server.url}/linkedin/rest/posts/{urn}", encoded=True)
    assert (await http.request("GET", url, headers=HEADERS)).json()["commentary"] == "Menu "


async def test_deleted_post_is_still_a_duplicate(http: HttpClient, server: PracticeServer) -> None:
    first = await post(http, server, HEADERS, BODY)
    urn = first.headers["x-restli-id"]
    url = URL(f"{server.url}/linkedin/rest/posts/{urn.replace(':', '%3A')}", encoded=True)
    assert (await http.request("DELETE", url, headers=HEADERS)).status == 204
    again = await post(http, server, HEADERS, BODY)
    assert again.status == 422
    assert urn in again.json()["message"]
    assert (await http.request("GET", url, headers=HEADERS)).status == 404


async def test_raw_colon_in_a_path_is_a_syntax_error(
    http: HttpClient, server: PracticeServer
) -> None:
    url = f"{server.url}/linkedin/rest/posts/urn:li:share:1"
    assert (await http.request("GET", url, headers=HEADERS)).status == 400


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ((8, "PNG"), "AVAILABLE"),
        ((8, "BMP"), "PROCESSING_FAILED"),
        ((6013, "PNG"), "PROCESSING_FAILED"),  # 36,156,169 pixels
        (None, "PROCESSING_FAILED"),
    ],
)
async def test_a_picture_that_cannot_be_processed_is_refused_after_its_upload(
    http: HttpClient, server: PracticeServer, content: tuple[int, str] | None, status: str
) -> None:
    out = io.BytesIO(b"hello")
    if content is not None:
        Image.new("1", (content[0], content[0])).save(out, content[1])
    register = f"{server.url}/linkedin/rest/images?action=initializeUpload"
    body = {"initializeUploadRequest": {"owner": AUTHOR}}
    asked = await http.request("POST", register, headers=HEADERS, json_body=body)
    value = asked.json()["value"]
    bearer = {"Authorization": HEADERS["Authorization"]}
    url = value["uploadUrl"]
    async with (
        aiohttp.ClientSession() as session,
        session.put(url, data=io.BytesIO(out.getvalue()), headers=bearer) as answer,
    ):
        assert answer.status == 201
    urn = value["image"].replace(":", "%3A")
    looked = URL(f"{server.url}/linkedin/rest/images/{urn}", encoded=True)
    await http.request("GET", looked, headers=HEADERS)
    said = await http.request("GET", looked, headers=HEADERS)
    assert said.json()["status"] == status
