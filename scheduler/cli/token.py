"""`token`: makes, lists and ends API tokens, straight in this machine's database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from cryptography.fernet import Fernet

from scheduler.answers import stamp_or_none
from scheduler.cli.database import open_database
from scheduler.cli.exits import CommandError
from scheduler.cli.output import Json, console, print_json, print_rows
from scheduler.cli.place import load_settings
from scheduler.clock import Clock
from scheduler.store import tokens
from scheduler.store.tokens import NewToken, Scope

app = typer.Typer(help="API tokens, and the key that seals credentials.", no_args_is_help=True)
_DAY = 24 * 3600 * 1_000_000


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, as journals will say.")],
    scope: Annotated[Scope, typer.Option(help="Each includes those before it.")] = Scope.WRITE,
    days: Annotated[int | None, typer.Option(min=1, help="Valid for so long.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Make a token. It is shown once: only its hash is stored."""
    made = asyncio.run(_create(name, scope, days))
    if as_json:
        print_json({"id": made.id, "token": made.secret, "name": name, "scope": scope})
    else:
        typer.echo(made.secret)


async def _create(name: str, scope: Scope, days: int | None) -> NewToken:
    now = Clock().micros()
    async with open_database(load_settings()) as database, database.write() as connection:
        return await tokens.create(
            connection,
            name=name,
            scopes=[scope],
            now=now,
            expires_at=None if days is None else now + days * _DAY,
        )


@app.command(name="list")
def list_(*, as_json: Json = False) -> None:
    """All tokens, without what opens."""
    rows = [_shown(row) for row in asyncio.run(_listed())]
    if as_json:
        print_json(rows)
        return
    columns = {"ID": "id", "Name": "name", "Scopes": "scopes", "Made": "created_at",
               "Used": "used_at", "Ends": "expires_at", "Revoked": "revoked_at"}  # fmt: skip
    print_rows(rows, columns, empty="No token yet: estafette token create NAME")


async def _listed() -> Sequence[Any]:
    async with open_database(load_settings()) as database, database.read() as connection:
        return await tokens.listed(connection)


def _shown(row: Any) -> dict[str, Any]:
    return {
        name: stamp_or_none(value) if name.endswith("_at") else value for name, value in row.items()
    }


@app.command()
def revoke(token_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """End a token; processes that just used it may take it for five seconds more."""
    if not asyncio.run(_revoke(token_id)):
        raise CommandError(f"there is no live token {token_id}: see `estafette token list`")
    console().print("Revoked.")


async def _revoke(token_id: str) -> bool:
    async with open_database(load_settings()) as database, database.write() as connection:
        return await tokens.revoke(connection, token_id, Clock().micros())


@app.command()
def key() -> None:
    """Make a key for ESTAFETTE_SECRET_KEYS. Put it first, keep the old ones after it."""
    typer.echo(Fernet.generate_key().decode())
