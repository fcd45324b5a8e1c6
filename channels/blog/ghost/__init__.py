"""Ghost, by its Admin API and a custom integration's key."""
