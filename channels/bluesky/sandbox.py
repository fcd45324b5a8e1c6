"""The practice Bluesky: a server with one account, its repository and its public pages."""

from __future__ import annotations

import hashlib
import html
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

import jwt
from aiohttp import web

from channels.bluesky.practice_rules import pictures_of, wrong_record
from channels.sandbox.faults import FaultName
from channels.sandbox.ledger import Ledger
from channels.sandbox.server import (
    PracticeAccount,
    Sandbox,
    apply_transport_faults,
    spoil_answer,
)

DID = "did:plc:practicerosa2222222222"
HANDLE = "rosa.practice.example"
PASSWORD = "prac-tice-pass-word"  # noqa: S105 -- opens nothing real
_SIGNING_KEY = "practice-bluesky-signing-key-of-32-bytes"
_ACCESS, _REFRESH = "com.atproto.appPass", "com.atproto.refresh"
FOLLOWERS = 58
_SIGNED = ("putRecord", "deleteRecord", "uploadBlob", "getSession", "getProfile")
_BLOB_MAX = 2_000_000
_FAULTS: Mapping[FaultName, tuple[int, str, str]] = {
    FaultName.TOKEN_DEAD: (400, "InvalidToken", "Token has been revoked"),
    FaultName.PERMISSION_LOST: (401, "AccountTakedown", "Account has been taken down"),
    FaultName.ROLE_LOST: (401, "AuthenticationRequired", "Bad token scope"),
    FaultName.PAGE_GONE: (400, "RepoNotFound", "Could not find repo"),
    FaultName.UNPUBLISHED: (400, "RepoNotFound", "Could not find repo"),
    FaultName.THROTTLED: (429, "RateLimitExceeded", "Rate Limit Exceeded"),
    FaultName.SERVER_ERROR: (500, "InternalServerError", "Internal Server Error"),
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def token(scope: str = _ACCESS, *, lasts: float = 7200.0) -> str:
    """A token that this server accepts for `lasts` seconds."""
    claims = {"scope": scope, "sub": DID, "iat": int(time.time()), "exp": int(time.time() + lasts)}
    return jwt.encode(claims, _SIGNING_KEY, algorithm="HS256")


def refresh_token() -> str:
    return token(_REFRESH, lasts=90 * 86_400)


def error(status: int, name: str, words: str, **headers: str) -> web.Response:
    return web.json_response({"error": name, "message": words}, status=status, headers=headers)


def invalid(words: str) -> web.Response:
    return error(400, "InvalidRequest", words)


class BlueskySandbox(Sandbox):
    """Ledger kinds: `post`, `blob`."""

    name: ClassVar[str] = "bluesky"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.sessions_opened = 0

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._gate], client_max_size=8 * 1024 * 1024)
        xrpc = "/xrpc/com.atproto"
        app.router.add_post(f"{xrpc}.server.createSession", self._create_session)
        app.router.add_post(f"{xrpc}.server.refreshSession", self._refresh_session)
        app.router.add_get(f"{xrpc}.server.getSession", self._get_session)
        app.router.add_get(f"{xrpc}.repo.describeRepo", self._describe)
        app.router.add_get(f"{xrpc}.repo.getRecord", self._get_record)
        app.router.add_post(f"{xrpc}.repo.putRecord", self._put_record)
        app.router.add_post(f"{xrpc}.repo.deleteRecord", self._delete_record)
        app.router.add_post(f"{xrpc}.repo.uploadBlob", self._upload)
        app.router.add_get("/xrpc/app.bsky.actor.getProfile", self._profile)
        app.router.add_route("*", "/xrpc/{rest:.*}", self._unknown)
        app.router.add_get("/profile/{did}/post/{rkey}", self._public_page)
        return app

    def accounts(self, base_url: str) -> Sequence[PracticeAccount]:
        settings = {
            "identifier": HANDLE,
            "app_password": PASSWORD,
            "service": base_url,
            "public_url": base_url,
        }
        return [PracticeAccount("bluesky", "Atelier Rosa on Bluesky", settings)]

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        publishes = request.path.endswith(("putRecord", "deleteRecord"))
        stopped = await apply_transport_faults(self, DID, write=publishes)
        if stopped is None and "/xrpc/" in request.path:
            stopped = self._fault(request, publishes=publishes)
        if stopped is None and request.path.endswith(_SIGNED):
            stopped = _wrong_token(request, _ACCESS)
        if stopped is not None:
            return stopped
        answer = await handler(request)
        written = publishes and answer.status == 200
        return spoil_answer(self, answer, DID) if written else answer

    def _fault(self, request: web.Request, *, publishes: bool) -> web.Response | None:
        hit = self.faults.strike if publishes else self.faults.holds
        public = request.path.endswith(("describeRepo", "getRecord"))
        for name, (status, code, words) in _FAULTS.items():
            about_us = name in {FaultName.TOKEN_DEAD, FaultName.ROLE_LOST}
            if (about_us and public) or not hit(name, DID):
                continue
            if about_us and request.path.endswith("createSession"):
                return error(401, "AuthenticationRequired", "Invalid identifier or password")
            headers = {"RateLimit-Reset": str(int(time.time()) + 60)} if status == 429 else {}
            return error(status, code, words, **headers)
        if publishes and hit(FaultName.REJECTED, DID):
            return invalid("Invalid app.bsky.feed.post record: refused")
        return None

    # --- Sessions --------------------------------------------------------------------------------

    async def _create_session(self, request: web.Request) -> web.StreamResponse:
        asked = await _sent(request)
        if isinstance(asked, web.Response):
            return asked
        if asked.get("identifier") not in {HANDLE, DID} or asked.get("password") != PASSWORD:
            return error(401, "AuthenticationRequired", "Invalid identifier or password")
        self.sessions_opened += 1
        return _session()

    async def _refresh_session(self, request: web.Request) -> web.StreamResponse:
        return _wrong_token(request, _REFRESH) or _session()

    async def _get_session(self, request: web.Request) -> web.StreamResponse:
        del request
        return web.json_response({"did": DID, "handle": HANDLE, "active": True})

    # --- The repository --------------------------------------------------------------------------

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("repo") not in {DID, HANDLE}:
            return error(400, "RepoNotFound", "Could not find repo")
        return web.json_response({"did": DID, "handle": HANDLE, "handleIsCorrect": True})

    async def _get_record(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        uri = f"at://{query.get('repo')}/{query.get('collection')}/{query.get('rkey')}"
        entry = self.ledger.get(self.name, uri)
        if entry is None or entry.deleted_at is not None:
            return error(400, "RecordNotFound", f"Could not locate record: {uri}")
        value = entry.payload
        return web.json_response({"uri": uri, "cid": _cid(value), "value": value})

    async def _profile(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("actor") not in {DID, HANDLE}:
            return error(400, "InvalidRequest", "Profile not found")
        profile = {"did": DID, "handle": HANDLE, "followersCount": FOLLOWERS}
        return web.json_response(profile)

    async def _put_record(self, request: web.Request) -> web.StreamResponse:
        asked = await _sent(request)
        if isinstance(asked, web.Response):
            return asked
        record, rkey = asked.get("record", {}), str(asked.get("rkey"))
        refused = wrong_record(asked, record, rkey, DID)
        if refused:
            return invalid(f"Invalid app.bsky.feed.post record: {refused}")
        for link in pictures_of(record):
            if self.ledger.get(self.name, link) is None:
                return error(400, "BlobNotFound", f"Could not find blob: {link}")
        uri = f"at://{DID}/app.bsky.feed.post/{rkey}"
        if self.ledger.get(self.name, uri) is None:
            self.ledger.write(
                self.name,
                DID,
                kind="post",
                remote_id=uri,
                key=rkey,
                text=record["text"],
                payload=record,
            )
        else:
            self.ledger.update(self.name, uri, text=record["text"], payload=record)
        return web.json_response({"uri": uri, "cid": _cid(record), "validationStatus": "valid"})

    async def _delete_record(self, request: web.Request) -> web.StreamResponse:
        """Whether it was there or not; what is gone has no commit."""
        asked = await _sent(request)
        if isinstance(asked, web.Response):
            return asked
        unknown = set(asked) - {"repo", "collection", "rkey", "swapRecord", "swapCommit"}
        missing = {"repo", "collection", "rkey"} - set(asked)
        if unknown or missing or asked["repo"] != DID:
            return invalid("Input must have the properties repo, collection and rkey")
        uri = f"at://{DID}/{asked['collection']}/{asked['rkey']}"
        entry = self.ledger.get(self.name, uri)
        if entry is None or entry.deleted_at is not None:
            return web.json_response({})
        self.ledger.delete(self.name, uri)
        return web.json_response({"commit": {"cid": _cid(asked), "rev": asked["rkey"]}})

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        if not request.content_type.startswith("image/"):
            words = f"Wrong type of file. It is {request.content_type} but it must match image/*."
            return error(400, "InvalidMimeType", words)
        if len(content) > _BLOB_MAX:
            return error(413, "BlobTooLarge", f"This file is too large: {len(content)}")
        link = "bafkrei" + hashlib.sha256(content).hexdigest()[:52]
        blob = {
            "$type": "blob",
            "ref": {"$link": link},
            "mimeType": request.content_type,
            "size": len(content),
        }
        if self.ledger.get(self.name, link) is None:
            self.ledger.write(
                self.name, DID, kind="blob", remote_id=link, text="", payload={"size": len(content)}
            )
        return web.json_response({"blob": blob})

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        del request
        return error(501, "MethodNotImplemented", "Method Not Implemented")

    async def _public_page(self, request: web.Request) -> web.StreamResponse:
        uri = f"at://{request.match_info['did']}/app.bsky.feed.post/{request.match_info['rkey']}"
        entry = self.ledger.get(self.name, uri)
        if entry is None or entry.deleted_at is not None or self.faults.holds(FaultName.PAGE_GONE):
            return web.Response(status=404, text="Post not found")
        text = html.escape(entry.text)
        page = f'<!doctype html><meta charset="utf-8"><title>Bluesky</title><pre>{text}</pre>'
        return web.Response(text=page, content_type="text/html")


async def _sent(request: web.Request) -> dict[str, Any] | web.Response:
    """The input of a procedure, or the refusal of one that cannot be read."""
    if request.content_type != "application/json":
        return invalid(f"Wrong request encoding (Content-Type): {request.content_type}")
    try:
        asked = json.loads(await request.read())
    except ValueError:
        asked = None
    return asked if isinstance(asked, dict) else invalid("Input must be an object")


def _session() -> web.Response:
    session = {"did": DID, "handle": HANDLE, "active": True}
    return web.json_response({**session, "accessJwt": token(), "refreshJwt": refresh_token()})


def _wrong_token(request: web.Request, scope: str) -> web.Response | None:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not given:
        return error(401, "AuthMissing", "Authentication Required")
    try:
        claims = jwt.decode(given, _SIGNING_KEY, algorithms=["HS256"])
    except jwt.ExpiredSignatureError:
        return error(400, "ExpiredToken", "Token has expired")
    except jwt.InvalidTokenError:
        return error(400, "InvalidToken", "Token could not be verified")
    return None if claims["scope"] == scope else error(400, "InvalidToken", "Bad token scope")


def _cid(record: Mapping[str, Any]) -> str:
    content = json.dumps(record, sort_keys=True).encode()
    return "bafyrei" + hashlib.sha256(content).hexdigest()[:52]


SANDBOX = BlueskySandbox
