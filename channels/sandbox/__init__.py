"""Practice platforms: servers that behave like the real ones, for trying out, demos and tests.

Nothing in production imports a practice platform; `estafette run` and the tests mount them by
name. Each keeps a ledger of what exists on it and takes faults by name.
"""
