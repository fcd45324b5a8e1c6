"""Bluesky: an account on any AT Protocol server."""
