"""Commands that work on this machine's own database, run as a user runs them."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.support.command import estafette


def test_migrate_says_what_it_did_and_then_that_nothing_is_left(tmp_path: Path) -> None:
    waiting = estafette("migrate", "--check", data_dir=tmp_path)
    assert waiting.returncode == 1, waiting.stderr
    assert "These migrations wait: 0001" in waiting.stdout
    assert "migrated: 0001" in estafette("migrate", data_dir=tmp_path).stdout
    done = estafette("migrate", "--check", data_dir=tmp_path)
    assert (done.returncode, done.stdout) == (0, "The database is up to date.\n")


def test_a_token_is_shown_once_and_can_be_ended(tmp_path: Path) -> None:
    estafette("migrate", data_dir=tmp_path)
    made = estafette("token", "create", "owner", "--scope", "admin", "--json", data_dir=tmp_path)
    token = json.loads(made.stdout)
    assert token["token"].startswith("est_")
    listed = estafette("token", "list", "--json", data_dir=tmp_path)
    assert token["token"] not in listed.stdout
    (row,) = json.loads(listed.stdout)
    assert (row["name"], row["scopes"], row["revoked_at"]) == ("owner", ["admin"], None)
    assert estafette("token", "revoke", token["id"], data_dir=tmp_path).returncode == 0
    again = estafette("token", "revoke", token["id"], data_dir=tmp_path)
    assert again.returncode == 2
    assert "estafette token list" in again.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ESTAFETTE_PORT": "http"}, "ESTAFETTE_PORT: "),
        ({"ESTAFETTE_LEASE": "10"}, "send_timeout must be shorter than lease"),
        ({"ESTAFETTE_DATABASE_URL": "mysql://x"}, "its URL is none that is understood"),
        (
            {"ESTAFETTE_DATABASE_URL": "postgresql+asyncpg://u:s3cret@127.0.0.1:1/x"},
            "the database does not work",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    done = estafette("migrate", data_dir=tmp_path, **settings)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "s3cret" not in done.stderr


def test_a_data_directory_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = estafette("migrate", data_dir=tmp_path / "file")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "ESTAFETTE_DATA_DIR" in done.stderr


def test_what_needs_a_service_says_when_there_is_none(tmp_path: Path) -> None:
    nowhere = estafette("post", "--title", "x", data_dir=tmp_path)
    assert nowhere.returncode == 3
    assert "estafette run" in nowhere.stderr
    silent = estafette(
        "post", "--title", "x", data_dir=tmp_path,
        ESTAFETTE_URL="http://127.0.0.1:1", ESTAFETTE_TOKEN="est_x",
    )  # fmt: skip
    assert silent.returncode == 3
    assert "does not answer" in silent.stderr


def test_a_post_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    missing = estafette("post", tmp_path / "no.md", data_dir=tmp_path)
    assert missing.returncode == 2
    assert "no.md cannot be read" in missing.stderr
    broken = estafette("post", "-", data_dir=tmp_path, stdin="---\ntitle: [\n---\nBody")
    assert broken.returncode == 2
    assert "the front matter of stdin is no YAML" in broken.stderr


def test_a_backup_brings_everything_back(tmp_path: Path) -> None:
    source, target, archive = tmp_path / "a", tmp_path / "b", tmp_path / "copy.tar.gz"
    estafette("migrate", data_dir=source)
    estafette("token", "create", "owner", data_dir=source)
    (source / "media").mkdir()
    (source / "media" / "x.jpg").write_bytes(b"picture")
    (source / "secret.keys").write_text("key\n")
    made = estafette("backup", archive, data_dir=source)
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600

    restored = estafette("restore", archive, data_dir=target)
    assert restored.returncode == 0, restored.stderr
    assert (target / "media" / "x.jpg").read_bytes() == b"picture"
    assert stat.S_IMODE((target / "secret.keys").stat().st_mode) == 0o600
    (row,) = json.loads(estafette("token", "list", "--json", data_dir=target).stdout)
    assert row["name"] == "owner"

    refused = estafette("restore", archive, data_dir=target)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert estafette("restore", archive, "--force", data_dir=target).returncode == 0


def test_a_restore_refuses_what_is_no_backup(tmp_path: Path) -> None:
    archive = tmp_path / "copy.tar.gz"
    archive.write_bytes(b"not an archive")
    refused = estafette("restore", archive, data_dir=tmp_path / "data")
    assert refused.returncode == 2
    assert "was not restored" in refused.stderr


def test_a_restore_has_what_came_due_looked_for_before_it_is_sent(tmp_path: Path) -> None:
    source, archive = tmp_path / "a", tmp_path / "copy.tar.gz"
    estafette("migrate", data_dir=source)
    connection = sqlite3.connect(source / "estafette.db")
    for name, due_at in (("past", 1), ("future", 9 * 10**15)):
        connection.execute(
            "INSERT INTO deliveries (id, post_id, account_id, part, state, due_at, planned_at,"
            " created_at, updated_at) VALUES (?, 'p', ?, 'post', 'scheduled', ?, 1, 1, 1)",
            (name, name, due_at),
        )
    connection.commit()
    connection.close()
    estafette("backup", archive, data_dir=source)
    restored = estafette("restore", archive, data_dir=tmp_path / "b")
    assert "1 deliveries came due since" in restored.stdout
    connection = sqlite3.connect(tmp_path / "b" / "estafette.db")
    found = dict(connection.execute("SELECT id, state FROM deliveries"))
    connection.close()
    assert found == {"past": "unconfirmed", "future": "scheduled"}


def test_no_worker_is_ill_because_its_database_is_away(tmp_path: Path) -> None:
    """Who restarts what fails this check would kill workers that keep what they still have to
    write, and let them wait for longer and longer before they start again."""
    away = {"ESTAFETTE_DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/none"}
    told = estafette("doctor", "--quick", "--role", "worker", "--json", data_dir=tmp_path, **away)
    (check,) = json.loads(told.stdout)
    assert (told.returncode, check["grade"]) == (0, "warning")
    assert estafette("doctor", "--quick", data_dir=tmp_path, **away).returncode == 1


def test_doctor_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    before = estafette("doctor", "--quick", "--json", data_dir=tmp_path)
    assert before.returncode == 1, before.stderr
    (check,) = json.loads(before.stdout)
    assert check["grade"] == "error"
    assert check["remedy"] == "run estafette migrate"
    estafette("migrate", data_dir=tmp_path)
    assert estafette("doctor", "--quick", data_dir=tmp_path).returncode == 0
    role = estafette("doctor", "--quick", "--role", "worker", "--json", data_dir=tmp_path)
    assert role.returncode == 1
    assert [check["name"] for check in json.loads(role.stdout)] == ["database", "workers"]
    whole = estafette("doctor", "--json", data_dir=tmp_path, ESTAFETTE_PORT="1")
    found = {check["name"]: check for check in json.loads(whole.stdout)}
    assert found["api"]["remedy"] == "start it: estafette api (or estafette run)"
    assert "ESTAFETTE_PUBLIC_URL" in found["links"]["remedy"]
    assert found["database"]["grade"] == "ok"
