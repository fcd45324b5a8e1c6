"""The never-again list holds no addresses: keyed hashes of them, which survive erasure."""

from __future__ import annotations

from scheduler.audience.keyed import keyed_hash


def normal_address(address: str) -> str:
    """One spelling for one mailbox: no surrounding space, no capitals. (`casefold` would make
    another address of it: `ß` is not `ss`.)"""
    return address.strip().lower()


def fingerprint(key: bytes, address: str) -> str:
    """The keyed hash of an address: without the key nobody can ask whether someone is on it."""
    return keyed_hash(key, normal_address(address).encode()).hex()
