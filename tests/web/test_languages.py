"""What the API says to people is in the language that their request asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from channels.sandbox.faults import Fault, FaultName
from channels.sandbox.server import PracticeServer
from scheduler.services import Services, open_services
from scheduler.settings import Settings
from tests.web.conftest import Client
from tests.web.support import ask

LONG = {
    "title": "We reopen",
    "body": "We open again on Monday, with fresh bread and with everything else. " * 12,
    "at": "2030-01-07T09:00",
}
STORY = {
    "name": "Reopening",
    "anchor": "2030-01-07T09:00",
    "posts": [{"when": {"days": -3, "at": "09:00"}, "title": LONG["title"], "body": LONG["body"]}],
}
SHORTENED = {
    "en": ("Only 500 characters fit here; the rest is cut at a sentence.",
           "Write a shorter variant for this channel."),
    "fr": ("Seuls 500 caractères tiennent ici\u202f; le reste est coupé à la fin d’une phrase.",
           "Écrivez une variante plus courte pour ce canal."),
}  # fmt: skip


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    """Services that may reach the practice platforms."""
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, redis_url="none", private_addresses_ok=True
    )
    async with open_services(settings) as services:
        yield services


@pytest.fixture
async def mastodon(client: Client, practice: PracticeServer) -> str:
    """A connected account that carries 500 characters; its id."""
    account = next(one for one in practice.accounts() if one.adapter == "mastodon")
    body = {"adapter": "mastodon", "name": account.name, "settings": dict(account.settings)}
    made = await ask(client, "POST", "/accounts", body, status=201)
    return str(made["id"])


def told(answer: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (problem["detail"], problem["remedy"])
        for problem in answer["problems"]
        if problem["code"] == "text-shortened"
    }


@pytest.mark.parametrize("language", SHORTENED)
async def test_what_an_author_should_know_is_said_in_their_language(
    client: Client, mastodon: str, language: str
) -> None:
    headers = {"Accept-Language": language}
    for path in ("/posts/preview", "/posts", "/campaigns/preview", "/campaigns"):
        body = STORY if "campaigns" in path else LONG
        answer = await client.post(f"/api/v1{path}", json=body, headers=headers)
        assert told(await answer.json()) == {SHORTENED[language]}, path
    post = await (await client.post("/api/v1/posts", json=LONG, headers=headers)).json()
    changed = await client.patch(
        f"/api/v1/posts/{post['id']}", json={"title": "Open again"}, headers=headers
    )
    assert told(await changed.json()) == {SHORTENED[language]}


async def test_an_answer_given_again_is_in_the_language_of_who_asks_again(
    client: Client, mastodon: str
) -> None:
    for language in ("en", "fr", "en"):
        headers = {"Accept-Language": language, "Idempotency-Key": "same"}
        answer = await client.post("/api/v1/posts", json=LONG, headers=headers)
        assert told(await answer.json()) == {SHORTENED[language]}


async def test_an_account_says_what_is_wrong_with_it_in_that_language(
    client: Client, mastodon: str, practice: PracticeServer
) -> None:
    practice.platforms["mastodon"].faults.add(Fault(FaultName.TOKEN_DEAD))
    path = f"/api/v1/accounts/{mastodon}"
    said = {}
    for language in ("en", "fr"):
        headers = {"Accept-Language": language}
        probed = await (await client.post(f"{path}/probe", headers=headers)).json()
        account = await (await client.get(path, headers=headers)).json()
        assert account == probed["account"]
        said[language] = (probed["remedy"], account["action"])
    assert said["en"] == (
        "Reconnect the Mastodon account.",
        f"reconnect it: PUT /api/v1/accounts/{mastodon} with new credentials",
    )
    assert said["fr"] == (
        "Reconnectez le compte Mastodon.",
        f"reconnectez-le\u00a0: PUT /api/v1/accounts/{mastodon} avec de nouveaux accès",
    )
