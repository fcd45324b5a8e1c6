"""Mastodon: an account on any instance."""
