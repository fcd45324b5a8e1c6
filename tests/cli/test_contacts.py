"""`contacts import` and `contacts export`, run as a user runs them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command import environment, estafette

LIST = "0190-list"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A migrated installation with one list."""
    directory = tmp_path / "data"
    estafette("migrate", data_dir=directory)
    with closing(sqlite3.connect(directory / "estafette.db")) as database, database:
        database.execute(
            "INSERT INTO lists (id, name, language, created_at) VALUES (?, 'Letter', 'fr', 1)",
            [LIST],
        )
    database.close()
    return directory


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(text, encoding="cp1252")
    return path


def test_a_french_terminal_reads_in_french_why_rows_are_not_taken(
    data_dir: Path, tmp_path: Path
) -> None:
    path = _file(tmp_path, "email,inscrit le\na@x.org,2999-12-31\n")
    asked = ("contacts", "import", path, "--list", LIST)
    shown = {
        locale: estafette(*asked, "--preview", data_dir=data_dir, LC_ALL=locale).stdout
        for locale in ("fr_FR.UTF-8", "C")
    }
    assert "dans l’avenir" in shown["fr_FR.UTF-8"]
    assert "still to come" in shown["C"]
    assert estafette(*asked, "--yes", data_dir=data_dir, LC_ALL="fr_FR.UTF-8").returncode == 1
    report = path.with_name("people.csv.rejected.csv").read_text(encoding="utf-8")
    assert "dans l’avenir" in report


def test_people_come_in_and_go_out(data_dir: Path, tmp_path: Path) -> None:
    path = _file(tmp_path, "Courriel;Prénom;Ville\na@x.org;Amélie;Nîmes\nbad;B;\n")
    seen = estafette("contacts", "import", path, "--list", LIST, "--preview", data_dir=data_dir)
    assert seen.returncode == 0, seen.stderr
    assert "semicolon" in seen.stdout
    assert "cp1252" in seen.stdout
    assert "Amélie" in seen.stdout
    asked = estafette("contacts", "import", path, "--list", LIST, data_dir=data_dir)
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    done = estafette("contacts", "import", path, "--list", LIST, "--yes", data_dir=data_dir)
    assert done.returncode == 1, done.stderr
    assert "2 rows: 1 added, 1 not taken." in done.stdout
    assert "people.csv.rejected.csv" in done.stdout
    lines = estafette("contacts", "export", "--format", "jsonl", data_dir=data_dir)
    (person,) = map(json.loads, lines.stdout.splitlines())
    assert (person["email"], person["name"], person["attributes"]) == (
        "a@x.org", "Amélie", {"ville": "Nîmes"},
    )  # fmt: skip
    out = tmp_path / "out.csv"
    written = estafette("contacts", "export", out, "--list", LIST, data_dir=data_dir)
    assert written.returncode == 0, written.stderr
    assert out.read_bytes().startswith(b"\xef\xbb\xbfemail,")
    assert "a@x.org,Amélie" in out.read_text(encoding="utf-8")
    assert out.stat().st_mode & 0o077 == 0
    assert estafette("contacts", "export", out, data_dir=data_dir).returncode == 2
    semicolons = estafette("contacts", "export", "--delimiter", ";", data_dir=data_dir)
    assert "a@x.org;Amélie" in semicolons.stdout


def test_whoever_stops_reading_an_export_is_told_nothing(data_dir: Path, tmp_path: Path) -> None:
    rows = "".join(f"r{number}@x.org;Nobody in particular\n" for number in range(2000))
    path = _file(tmp_path, f"Courriel;Nom\n{rows}")
    estafette("contacts", "import", path, "--list", LIST, "--yes", data_dir=data_dir)
    command = [sys.executable, "-m", "scheduler", "contacts", "export"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(data_dir)
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline().startswith(b"email,")
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--list", "nowhere"], f"there are: {LIST} (Letter)"),
        (["--list", LIST, "--map", "Nom"], "write HEADING=MEANING"),
        (["--list", LIST, "--map", "Courriel=ignore"], "map one to email"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(
    data_dir: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    path = _file(tmp_path, "Courriel;Nom\na@x.org;A\n")
    done = estafette("contacts", "import", path, *arguments, "--yes", data_dir=data_dir)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
