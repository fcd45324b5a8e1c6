"""Keyed hashes are HMAC-SHA-256, and tags base32, as anybody else computes them."""

import hmac
from base64 import b32encode
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from scheduler.audience.keyed import keyed_hash
from scheduler.audience.returns import contact_of, tag_of


@given(st.binary(max_size=100), st.binary(max_size=200))
def test_it_is_the_hmac_whatever_was_hashed_before(key: bytes, said: bytes) -> None:
    assert keyed_hash(key, said) == hmac.digest(key, said, "sha256")
    assert keyed_hash(key, said) == hmac.digest(key, said, "sha256")


@given(st.uuids())
def test_a_tag_is_base32_of_the_contact_and_its_signature(contact: UUID) -> None:
    signed = contact.bytes + hmac.digest(b"k", b"bounce " + contact.bytes, "sha256")[:8]
    assert tag_of(b"k", str(contact)) == b32encode(signed).decode().rstrip("=").lower()
    assert contact_of(b"k", tag_of(b"k", str(contact)).upper()) == str(contact)
