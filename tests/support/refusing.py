"""A database that takes everything but rows of one kind: a trigger refuses them."""

from __future__ import annotations

from sqlalchemy import text

from scheduler.store.db import Database


async def refuse(database: Database, table: str, event: str, when: str) -> None:
    """`event`: INSERT or UPDATE; `when`: SQL about `NEW`."""
    if database.is_postgresql:
        function = "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        body = "BEGIN RAISE EXCEPTION 'not this row'; END"
        each = f"FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
        statements = [
            f"{function} $$ {body} $$",
            f"CREATE TRIGGER refuse BEFORE {event} ON {table} {each}",
        ]
    else:
        body = "BEGIN SELECT RAISE(ABORT, 'not this row'); END"
        statements = [f"CREATE TRIGGER refuse BEFORE {event} ON {table} WHEN {when} {body}"]
    async with database.write() as connection:
        for statement in statements:
            await connection.execute(text(statement))
