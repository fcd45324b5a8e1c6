"""Adapters: each speaks to one platform, and knows no queue and no database."""
