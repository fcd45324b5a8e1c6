"""What several tests of the API do: connect accounts, post, put deliveries into states."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from scheduler.services import Services
from scheduler.store import accounts
from scheduler.store.tables import deliveries
from tests.web.conftest import Client

FUTURE = {"title": "We reopen", "body": "On **Monday**.", "at": "2030-01-07T09:00"}


async def connect(services: Services, name: str, adapter: str = "blog", **settings: Any) -> str:
    """A new account's id."""
    channel = services.registry[adapter]
    values = settings or {"base_url": "https://site.example"}
    async with services.database.write() as connection:
        return await accounts.connect(
            connection,
            services.vault,
            channel=channel,
            name=name,
            settings=channel.settings_type.model_validate(values),
            now=services.clock.micros(),
        )


async def facebook(services: Services, name: str = "Our page") -> str:
    """A connected Facebook page: a channel with first comments and credentials."""
    return await connect(services, name, "facebook", page_id="123456", access_token="s3cret-token")


async def post(client: Client, **fields: Any) -> dict[str, Any]:
    """An accepted post."""
    answer = await client.post("/api/v1/posts", json={**FUTURE, **fields})
    made: dict[str, Any] = await answer.json()
    assert answer.status == 201, made
    return made


async def ask(
    client: Client, method: str, path: str, body: Any = None, *, status: int = 200
) -> dict[str, Any]:
    """The JSON of one call below /api/v1, with the status it must have."""
    answer = await client.request(method, f"/api/v1{path}", json=body)
    said: dict[str, Any] = {} if answer.status == 204 else await answer.json()
    assert answer.status == status, said
    return said


async def put(services: Services, delivery_id: str, **columns: Any) -> None:
    """Bring a delivery into a state, as the engine would have."""
    async with services.database.write() as connection:
        await connection.execute(
            update(deliveries).where(deliveries.c.id == delivery_id).values(**columns)
        )
