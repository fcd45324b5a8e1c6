"""`contacts copy` and `contacts restore`, run as a user runs them."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pyrage
from pyrage import x25519

from tests.support.command import estafette


def _installation(directory: Path) -> Path:
    estafette("migrate", data_dir=directory)
    with closing(sqlite3.connect(directory / "estafette.db")) as database, database:
        database.execute(
            "INSERT INTO contacts (id, email, attributes, tags, created_at, updated_at)"
            " VALUES ('c1', 'ann@x.org', '{}', '[]', 1, 1)"
        )
    database.close()
    return directory


def test_a_copy_goes_out_and_comes_back_elsewhere(tmp_path: Path) -> None:
    here, there = _installation(tmp_path / "here"), tmp_path / "there"
    owner = x25519.Identity.generate()
    made = estafette(
        "contacts", "copy", tmp_path, "--recipient", str(owner.to_public()), data_dir=here
    )
    assert made.returncode == 0, made.stderr
    (file,) = tmp_path.glob("*.age")
    lines = gzip.decompress(pyrage.decrypt(file.read_bytes(), [owner])).splitlines()
    assert "ann@x.org" in {json.loads(line).get("row", {}).get("email") for line in lines}
    key = tmp_path / "key.txt"
    key.write_text(f"# created\n{owner}\n")
    back = estafette("contacts", "restore", file, "--identity", key, data_dir=there)
    assert back.returncode == 0, back.stderr
    assert "1 contacts" in back.stdout
    exported = estafette("contacts", "export", "--format", "jsonl", data_dir=there)
    assert json.loads(exported.stdout)["email"] == "ann@x.org"
    assert (there / "audience.key").read_bytes() == (here / "audience.key").read_bytes()
    again = estafette("contacts", "restore", file, "--identity", key, data_dir=there)
    assert again.returncode == 2
    assert "contacts already" in again.stderr


def test_a_passphrase_opens_what_it_locked(tmp_path: Path) -> None:
    here, there = _installation(tmp_path / "here"), tmp_path / "there"
    words = {"ESTAFETTE_COPIES_DIR": str(tmp_path), "ESTAFETTE_COPIES_PASSPHRASE": "six words"}
    made = estafette("contacts", "copy", data_dir=here, **words)
    assert made.returncode == 0, made.stderr
    (file,) = tmp_path.glob("*.age")
    wrong = estafette("contacts", "restore", file, data_dir=there, stdin="seven words\n")
    assert wrong.returncode == 2
    assert "does not open" in wrong.stderr
    assert "seven" not in wrong.stderr
    back = estafette("contacts", "restore", file, data_dir=there, stdin="six words\n")
    assert back.returncode == 0, back.stderr


def test_no_place_or_no_lock_is_said(tmp_path: Path) -> None:
    here = _installation(tmp_path / "here")
    nowhere = estafette("contacts", "copy", data_dir=here)
    assert "ESTAFETTE_COPIES_DIR" in nowhere.stderr
    open_to_all = estafette("contacts", "copy", tmp_path, data_dir=here)
    assert "recipients or a passphrase" in open_to_all.stderr
    assert list(tmp_path.glob("*.age")) == []


def test_doctor_says_when_the_last_copy_was_made(tmp_path: Path) -> None:
    here = _installation(tmp_path / "here")
    found = estafette("doctor", "--json", data_dir=here, ESTAFETTE_REDIS_URL="none")
    (check,) = [one for one in json.loads(found.stdout) if one["name"] == "copy of contacts"]
    assert (check["grade"], check["detail"]) == ("warning", "none is made")
