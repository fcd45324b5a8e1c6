"""Practice platforms are as strict as the real ones: for each, one request that is taken, and what
is refused when one thing of it is wrong. What is refused leaves nothing behind."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import jwt
import pytest
from PIL import Image
from standardwebhooks.webhooks import Webhook
from yarl import URL

from channels.blog.ghost.sandbox_rules import KEY_ID, KEY_SECRET
from channels.blog.wordpress.sandbox import PASSWORD
from channels.blog.wordpress.sandbox_api import USERNAME
from channels.bluesky import sandbox as bluesky
from channels.facebook.practice.graph import LE_PETIT_CAFE
from channels.linkedin import sandbox as linkedin
from channels.mastodon import sandbox as mastodon
from channels.sandbox.server import PracticeServer
from channels.webhook.sandbox import SECRET

PAGE = LE_PETIT_CAFE.id
BEARER = {"Authorization": f"Bearer {LE_PETIT_CAFE.token}"}
PERSON = "7301946285510001"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request. `body`: a dict is JSON or, in `form`, a form; `files` makes it multipart."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] | None = None
    files: Mapping[str, tuple[str, bytes, str]] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Case:
    """What is wrong, and how that is answered: the status, and words of the answer."""

    what: str
    changes: Mapping[str, Any]
    status: int
    says: str


def picture(width: int = 8, kind: str = "PNG", padded_to: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, width)).save(out, kind)
    return out.getvalue().ljust(padded_to, b"\0")


# --- the requests that are taken -----------------------------------------------------------------

FACEBOOK = Sent(f"/facebook/v26.0/{PAGE}/feed", BEARER, form={"message": "Hello"})
PHOTO = Sent(
    f"/facebook/v26.0/{PAGE}/photos", BEARER, form={"caption": "Hello"},
    files={"source": ("a.png", picture(), "image/png")},
)  # fmt: skip
MESSAGE = {
    "recipient": json.dumps({"id": PERSON}),
    "messaging_type": "RESPONSE",
    "message": json.dumps({"text": "Hello"}),
}
MESSENGER = Sent(f"/messenger/v26.0/{PAGE}/messages", BEARER, form=MESSAGE)
LINKEDIN_HEADERS = {
    "Authorization": f"Bearer {linkedin.TOKEN}",
    "LinkedIn-Version": "202609",
    "X-Restli-Protocol-Version": "2.0.0",
}
LINKEDIN_POST = {
    "author": linkedin.AUTHOR,
    "commentary": "Hello",
    "visibility": "PUBLIC",
    "distribution": {"feedDistribution": "MAIN_FEED"},
    "lifecycleState": "PUBLISHED",
}
LINKEDIN = Sent("/linkedin/rest/posts", LINKEDIN_HEADERS, LINKEDIN_POST)
STATUS = {"status": "Hello"}
MASTODON_TOKEN = {"Authorization": f"Bearer {mastodon.TOKEN}"}
MASTODON = Sent("/mastodon/api/v1/statuses", MASTODON_TOKEN, STATUS)
MEDIA = Sent(
    "/mastodon/api/v2/media", MASTODON_TOKEN, form={"description": "A square"},
    files={"file": ("a.png", picture(), "image/png")},
)  # fmt: skip
RECORD = {"$type": "app.bsky.feed.post", "text": "Hello", "createdAt": "2026-11-24T09:00:00Z"}
PUT = {
    "repo": bluesky.DID,
    "collection": "app.bsky.feed.post",
    "rkey": "3lbnlzq2yhs2a",
    "record": RECORD,
}
BLUESKY_TOKEN = {"Authorization": f"Bearer {bluesky.token(lasts=86_400)}"}
BLUESKY = Sent("/bluesky/xrpc/com.atproto.repo.putRecord", BLUESKY_TOKEN, PUT)
BLOB = Sent(
    "/bluesky/xrpc/com.atproto.repo.uploadBlob", {**BLUESKY_TOKEN, "Content-Type": "image/png"},
    picture(),
)  # fmt: skip
_BASIC = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
ARTICLE = {"title": "Hello", "content": "<p>World</p>", "status": "publish"}
WORDPRESS = Sent(
    "/wordpress/wp-json/wp/v2/posts", {"Authorization": f"Basic {_BASIC}"}, ARTICLE
)  # fmt: skip
UPLOAD = Sent(
    "/wordpress/wp-json/wp/v2/media",
    {"Authorization": f"Basic {_BASIC}", "Content-Type": "image/png",
     "Content-Disposition": 'attachment; filename="a.png"'},
    picture(),
)  # fmt: skip


def ghost_key(lasts: int = 300, key: str = KEY_ID) -> dict[str, str]:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iat": now, "exp": now + lasts, "aud": "/admin/"}
    signed = jwt.encode(claims, bytes.fromhex(KEY_SECRET), algorithm="HS256", headers={"kid": key})
    return {"Authorization": f"Ghost {signed}", "Accept-Version": "v6.0"}


GHOST_POST = {"title": "Hello", "html": "<p>World</p>", "status": "published"}
GHOST = Sent("/ghost/ghost/api/admin/posts/?source=html", {}, {"posts": [GHOST_POST]})
GHOST_IMAGE = Sent(
    "/ghost/ghost/api/admin/images/upload/", form={"purpose": "image"},
    files={"file": ("a.png", picture(), "image/png")},
)  # fmt: skip
EVENT = {"type": "post.published", "timestamp": "2026-11-24T09:00:00Z", "data": {"text": "Hello"}}
WEBHOOK = Sent("/webhook/in", {"Content-Type": "application/json"}, json.dumps(EVENT).encode())

TAKEN = {
    "facebook": FACEBOOK, "facebook-photo": PHOTO, "messenger": MESSENGER, "linkedin": LINKEDIN,
    "mastodon": MASTODON, "mastodon-media": MEDIA, "bluesky": BLUESKY, "bluesky-blob": BLOB,
    "wordpress": WORDPRESS, "wordpress-media": UPLOAD, "ghost": GHOST, "ghost-image": GHOST_IMAGE,
    "webhook": WEBHOOK,
}  # fmt: skip


def _message(**content: Any) -> dict[str, str]:
    return {**MESSAGE, "message": json.dumps(content)}


def _post(**changes: Any) -> dict[str, Any]:
    return {**LINKEDIN_POST, **changes}


def _record(**changes: Any) -> dict[str, Any]:
    return {**PUT, "record": {**RECORD, **changes}}


def _article(**changes: Any) -> dict[str, Any]:
    return {"posts": [{**GHOST_POST, **changes}]}


def _image(link: str = "bafkreinowhere") -> dict[str, Any]:
    blob = {"$type": "blob", "ref": {"$link": link}, "mimeType": "image/png", "size": 1}
    return {"$type": "app.bsky.embed.images", "images": [{"alt": "", "image": blob}]}


_LONG_REPLIES = [{"content_type": "text", "title": "a", "payload": "b"}] * 14
_BUTTONS = {
    "type": "template",
    "payload": {
        "template_type": "button",
        "text": "Hello",
        "buttons": [{"type": "web_url", "title": "x" * 21, "url": "https://a.example"}],
    },
}
_SPLIT = [{"index": {"byteStart": 0, "byteEnd": 1}, "features": []}]
TEXT = {"Content-Type": "text/plain"}

REFUSED: Mapping[str, list[Case]] = {
    "facebook": [
        Case("path", {"path": f"/facebook/v26.0/{PAGE}/wall"}, 400, '"code": 2500'),
        Case("version", {"path": f"/facebook/v19.0/{PAGE}/feed"}, 400, '"code": 2500'),
        Case("no version", {"path": f"/facebook/{PAGE}/feed"}, 400, '"code": 2500'),
        Case("content type", {"headers": {**BEARER, **TEXT}, "form": None, "body": b"message=Hi"},
             400, "(#197)"),
        Case("no JSON", {"headers": {**BEARER, "Content-Type": "application/json"}, "form": None,
                         "body": b"{"}, 400, "not valid JSON"),
        Case("parameter", {"form": {"message": "Hello", "colour": "red"}}, 400, "colour"),
        Case("text", {"form": {"message": "x" * 63_207}}, 400, "63206"),
        Case("link", {"form": {"message": "Hello", "link": "nowhere"}}, 400, '"code": 1500'),
    ],
    "facebook-photo": [
        Case("size", {"files": {"source": ("a.png", picture(padded_to=4_000_001), "image/png")}},
             400, "1366046"),
        Case("no picture", {"files": {"source": ("a.png", b"hello", "image/png")}}, 400, "1366046"),
        Case("caption", {"form": {"caption": "x" * 63_207}}, 400, "63206"),
        Case("nothing", {"files": {}}, 400, "(#324)"),
    ],
    "messenger": [
        Case("path", {"path": f"/messenger/v26.0/{PAGE}/letters"}, 400, '"code": 2500'),
        Case("version", {"path": f"/messenger/v19.0/{PAGE}/messages"}, 400, '"code": 2500'),
        Case("content type", {"headers": {**BEARER, **TEXT}, "form": None, "body": b"a=b"},
             400, "recipient"),
        Case("parameter", {"form": {**MESSAGE, "colour": "red"}}, 400, "colour"),
        Case("type", {"form": {**MESSAGE, "messaging_type": "HELLO"}}, 400, "messaging_type"),
        Case("key", {"form": _message(text="Hello", colour="red")}, 400, "colour"),
        Case("text", {"form": _message(text="x" * 2001)}, 400, "2000"),
        Case("replies", {"form": _message(text="a", quick_replies=_LONG_REPLIES)}, 400, "13"),
        Case("button", {"form": _message(attachment=_BUTTONS)}, 400, "between 1 and 20"),
        Case("nobody", {"form": {**MESSAGE, "recipient": '{"id": "1"}'}}, 400, "2018001"),
    ],
    "linkedin": [
        Case("path", {"path": "/linkedin/rest/wall"}, 404, "RESOURCE_NOT_FOUND"),
        Case("version", {"headers": {**LINKEDIN_HEADERS, "LinkedIn-Version": "202001"}}, 426,
             "NONEXISTENT_VERSION"),
        Case("content type", {"headers": {**LINKEDIN_HEADERS, **TEXT}, "body": b"Hello"}, 415,
             "UNSUPPORTED_MEDIA_TYPE"),
        Case("no JSON", {"headers": {**LINKEDIN_HEADERS, "Content-Type": "application/json"},
                         "body": b"{"}, 400, "ILLEGAL_ARGUMENT"),
        Case("parameter", {"path": "/linkedin/rest/posts?colour=red"}, 400,
             "QUERY_PARAM_NOT_ALLOWED"),
        Case("field", {"body": _post(colour="red")}, 422, "/colour"),
        Case("text", {"body": _post(commentary="x" * 3001)}, 422, "FIELD_LENGTH_TOO_LONG"),
        Case("picture", {"body": _post(content={"media": {"id": "urn:li:image:C9"}})}, 422,
             "no such image"),
        Case("escape in a path", {"method": "GET", "body": None,
             "path": "/linkedin/rest/posts/urn:li:share:1"}, 400, "Syntax exception"),
        Case("paging", {"method": "GET", "body": None,
             "path": "/linkedin/rest/organizationAcls?q=roleAssignee&count=many"}, 400, "paging"),
        Case("upload", {"path": "/linkedin/rest/images?action=initializeUpload", "body": []}, 400,
             "ILLEGAL_ARGUMENT"),
    ],
    "mastodon": [
        Case("path", {"path": "/mastodon/api/v9/statuses"}, 404, "Not Found"),
        Case("content type", {"headers": {**MASTODON_TOKEN, **TEXT}, "body": b"Hello"}, 415,
             "Unsupported"),
        Case("no JSON", {"headers": {**MASTODON_TOKEN, "Content-Type": "application/json"},
                         "body": b"{"}, 400, "JSON"),
        Case("parameter", {"body": {**STATUS, "colour": "red"}}, 422, "unknown parameter"),
        Case("text", {"body": {"status": "x" * 501}}, 422, "500"),
        Case("nothing", {"body": {}}, 422, "blank"),
        Case("picture", {"body": {**STATUS, "media_ids": ["9"]}}, 422, "Media not found"),
        Case("visibility", {"body": {**STATUS, "visibility": "mars"}}, 422, "Visibility"),
    ],
    "mastodon-media": [
        Case("size", {"files": {"file": ("a.png", picture(padded_to=16 * 1024 * 1024 + 1),
                                         "image/png")}}, 422, "16 MB"),
        Case("no picture", {"files": {"file": ("a.txt", b"hello", "text/plain")}}, 422,
             "content type"),
        Case("content type", {"files": {}}, 422, "blank"),
    ],
    "bluesky": [
        Case("path", {"path": "/bluesky/xrpc/com.atproto.repo.hangRecord"}, 501,
             "MethodNotImplemented"),
        Case("content type", {"headers": {**BLUESKY_TOKEN, **TEXT}, "body": b"Hello"}, 400,
             "Wrong request encoding"),
        Case("no JSON", {"headers": {**BLUESKY_TOKEN, "Content-Type": "application/json"},
                         "body": b"{"}, 400, "object"),
        Case("parameter", {"body": _record(colour="red")}, 400, "unknown property"),
        Case("key", {"body": {**PUT, "rkey": "hello"}}, 400, "rkey"),
        Case("text", {"body": _record(text="x" * 301)}, 400, "300 graphemes"),
        Case("bytes", {"body": _record(text="👨‍👩‍👧‍👦" * 130)}, 400, "3000 bytes"),
        Case("facet", {"body": _record(text="é", facets=_SPLIT)}, 400, "split a character"),
        Case("picture", {"body": _record(embed=_image())}, 400, "BlobNotFound"),
        Case("date", {"body": _record(createdAt="today")}, 400, "createdAt"),
    ],
    "bluesky-blob": [
        Case("size", {"body": picture(padded_to=2_000_001)}, 413, "BlobTooLarge"),
        Case("content type", {"headers": {**BLUESKY_TOKEN, **TEXT}}, 400, "InvalidMimeType"),
    ],
    # Nothing in WordPress limits a text, and it takes what it does not know and leaves it aside.
    "wordpress": [
        Case("path", {"path": "/wordpress/wp-json/wp/v9/posts"}, 404, "rest_no_route"),
        Case("content type", {"headers": {**WORDPRESS.headers, **TEXT}, "body": b"Hello"}, 400,
             "empty_content"),
        Case("no JSON", {"headers": {**WORDPRESS.headers, "Content-Type": "application/json"},
                         "body": b"{"}, 400, "rest_invalid_json"),
        Case("no object", {"body": []}, 400, "empty_content"),
        Case("value", {"body": {**ARTICLE, "status": "live"}}, 400, "rest_invalid_param"),
        Case("type", {"body": {**ARTICLE, "categories": ["News"]}}, 400, "rest_invalid_param"),
        Case("nothing", {"body": {}}, 400, "empty_content"),
    ],
    "wordpress-media": [
        Case("size", {"body": picture(padded_to=2 * 1024 * 1024 + 1)}, 413, "Too Large"),
        Case("no picture", {"body": b"hello"}, 500, "rest_upload_sideload_error"),
        Case("name", {"headers": {**UPLOAD.headers, "Content-Disposition": "inline"}}, 400,
             "rest_upload_invalid_disposition"),
        Case("content type", {"headers": {**UPLOAD.headers,
                                          "Content-Type": "application/octet-stream"}}, 400,
             "rest_upload_no_content_type"),
        Case("damage", {"headers": {**UPLOAD.headers, "Content-MD5": "0" * 32}}, 412,
             "rest_upload_hash_mismatch"),
    ],
    "ghost": [
        Case("path", {"path": "/ghost/ghost/api/admin/walls/"}, 404, "NotFoundError"),
        Case("version", {"headers": {"Accept-Version": "v3.0"}}, 406, "v3.0"),
        Case("content type", {"headers": TEXT, "body": b"Hello"}, 415, "application/json"),
        Case("no JSON", {"headers": {"Content-Type": "application/json"}, "body": b"{"}, 400,
             "posts"),
        Case("root", {"body": GHOST_POST}, 400, "posts"),
        Case("field", {"body": _article(colour="red")}, 422, "colour"),
        Case("title", {"body": _article(title="x" * 256)}, 422, "255"),
        Case("excerpt", {"body": _article(custom_excerpt="x" * 301)}, 422, "300"),
        Case("status", {"body": _article(status="live")}, 422, "status"),
        Case("tags", {"body": _article(tags=["News"])}, 422, "Tags"),
        Case("age", {"headers": ghost_key(lasts=86_400)}, 401, "maxAge"),
        Case("key", {"headers": ghost_key(key="0" * 24)}, 401, "UNKNOWN_ADMIN_API_KEY"),
    ],
    "ghost-image": [
        Case("no picture", {"files": {"file": ("a.png", b"hello", "image/png")}}, 415,
             "valid image"),
        Case("type", {"files": {"file": ("a.png", picture(), "image/jpeg")}}, 415, "valid image"),
        Case("nothing", {"files": {}}, 422, "select an image"),
        Case("size", {"files": {"file": ("a.png", picture(padded_to=9 * 1024 * 1024),
                                         "image/png")}}, 413, ""),
    ],
    "webhook": [
        Case("path", {"path": "/webhook/out"}, 404, ""),
        Case("content type", {"headers": TEXT}, 400, "no event"),
        Case("no JSON", {"body": b"{"}, 400, "no event"),
        Case("shape", {"body": b'{"type": "post.published"}'}, 400, "no event"),
        Case("signature", {"headers": {**WEBHOOK.headers, "webhook-signature": "v1,AAAA"}}, 401,
             "signature"),
    ],
}  # fmt: skip


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def answered(
    session: aiohttp.ClientSession, server: PracticeServer, name: str, sent: Sent
) -> tuple[int, str]:
    """The status and the words."""
    headers = dict(sent.headers)
    options: dict[str, Any] = {}
    if name.startswith("ghost"):
        headers = {**ghost_key(), **headers}
    if name == "webhook":
        now = datetime.now(UTC)
        signature = Webhook(SECRET).sign("id-1", now, sent.body.decode())
        stamp = str(int(now.timestamp()))
        headers = {"webhook-id": "id-1", "webhook-timestamp": stamp,
                   "webhook-signature": signature, **headers}  # fmt: skip
    if sent.files:
        form = aiohttp.FormData(dict(sent.form or {}))
        for field_name, (file, content, kind) in sent.files.items():
            form.add_field(field_name, io.BytesIO(content), filename=file, content_type=kind)
        options["data"] = form
    elif sent.form is not None:
        options["data"] = dict(sent.form)
    elif isinstance(sent.body, bytes):
        options["data"] = io.BytesIO(sent.body)
    elif sent.body is not None:
        options["json"] = sent.body
    url = URL(server.url + sent.path, encoded=True)
    async with session.request(sent.method, url, headers=headers, **options) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_right_is_taken(
    session: aiohttp.ClientSession, practice: PracticeServer, name: str
) -> None:
    status, said = await answered(session, practice, name, TAKEN[name])
    assert status in {200, 201, 202}, said
    platform = name.partition("-")[0]
    assert practice.ledger.entries(platform)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, case, id=f"{name}: {case.what}")
        for name, cases in REFUSED.items()
        for case in cases
    ],
)
async def test_what_is_wrong_is_refused_and_leaves_nothing(
    session: aiohttp.ClientSession, practice: PracticeServer, name: str, case: Case
) -> None:
    platform = name.partition("-")[0]
    before = practice.ledger.entries(platform)
    sent = replace(TAKEN[name], **case.changes)
    status, said = await answered(session, practice, name, sent)
    assert status == case.status, said
    assert case.says in said
    assert practice.ledger.entries(platform) == before


async def test_every_platform_but_the_relay_has_its_table(practice: PracticeServer) -> None:
    tables = {name.partition("-")[0] for name in REFUSED}
    assert tables == set(practice.platforms) - {"newsletter"}
    assert set(TAKEN) == set(REFUSED)
