"""Alembic's entry: runs migrations on the connection that `migrate` hands over."""

from alembic import context
from sqlalchemy import Connection

from scheduler.store.tables import metadata, told

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=told(metadata),
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
context.run_migrations()
