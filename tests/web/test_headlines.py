"""Pages show the titles of a campaign's posts as readers will get them, not their placeholders."""

from __future__ import annotations

from tests.web.conftest import Client
from tests.web.support import ask

STORY = {
    "name": "Reopening",
    "anchor": "2030-05-02T09:00",
    "zone": "Europe/Paris",
    "posts": [
        {
            "when": {"days": -1, "at": "10:00"},
            "title": "Nous rouvrons {{countdown}}",
            "body": "B",
            "language": "fr",
        },
        {"when": {"days": 0, "at": "09:00"}, "title": "{{town}} : {{date}}", "body": "{{town}}"},
    ],
    "fields": {"town": "Nantes"},
}


async def test_pages_fill_a_campaigns_placeholders(client: Client, blog: str) -> None:
    made = await ask(client, "POST", "/campaigns", STORY, status=201)
    secret = str(client.session.headers["Authorization"]).removeprefix("Bearer ")
    async with client.post("/login", data={"token": secret}) as answer:
        page = await answer.text()
    assert "Nous rouvrons demain" in page
    assert "Nantes : " in page
    assert "{{" not in page
    first = made["posts"][0]["id"]
    async with client.get(f"/posts/{first}") as answer:
        page = await answer.text()
    assert "<h1>Nous rouvrons demain</h1>" in page
    listed = (await ask(client, "GET", "/posts"))["posts"]
    assert "{{town}} : {{date}}" in {one["title"] for one in listed}  # as its author wrote it
