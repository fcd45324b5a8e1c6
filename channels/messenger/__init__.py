"""Messenger: from a page to people who wrote to it."""
