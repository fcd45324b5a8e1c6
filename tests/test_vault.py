from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from scheduler.vault import Vault, VaultError, key_file_keys


def test_opens_what_it_sealed_and_nothing_else_does() -> None:
    vault = Vault([Fernet.generate_key().decode()])
    sealed = vault.seal({"token": "s3cret"})
    assert b"s3cret" not in sealed
    assert vault.open(sealed) == {"token": "s3cret"}
    with pytest.raises(VaultError, match="put the old key back"):
        Vault([Fernet.generate_key().decode()]).open(sealed)


def test_a_new_first_key_still_opens_what_the_old_one_sealed() -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    sealed = Vault([old]).seal({"token": "s3cret"})
    rotated = Vault([new, old]).rotate(sealed)
    assert Vault([new]).open(rotated) == {"token": "s3cret"}


def test_a_wrong_key_is_refused_by_name() -> None:
    with pytest.raises(VaultError, match="ESTAFETTE_SECRET_KEYS"):
        Vault(["not a key"])


def test_the_key_file_is_private_and_stays_the_same(tmp_path: Path) -> None:
    keys = key_file_keys(tmp_path)
    assert key_file_keys(tmp_path) == keys
    assert (tmp_path / "secret.keys").stat().st_mode & 0o777 == 0o600
