"""The only SQL of the project: SQLite by default, PostgreSQL in production, one module per
aggregate."""
