"""What the READMEs tell people to type exists and is understood."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from scheduler.cli.app import COMMANDS
from scheduler.drafts import Draft
from scheduler.storyboard import CampaignDraft
from tests.support.command import ROOT, estafette

BODIES: dict[str, type[BaseModel]] = {"posts": Draft, "campaigns": CampaignDraft}
READMES = ("README.md", "README.fr.md", "deploy/RUNBOOK.md")


def commands() -> Iterator[list[str]]:
    """The commands of shell blocks; a line goes on after a backslash and inside quotes."""
    for name in READMES:
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / name).read_text(), re.DOTALL):
            for line in re.findall(r"(?:'[^']*'|[^'\n])+", block.replace("\\\n", " ")):
                yield shlex.split(line)


def typed(program: str) -> list[list[str]]:
    found = {tuple(words): words for words in commands() if words[0] == program}
    return list(found.values())


@pytest.mark.parametrize("words", typed("estafette"), ids=" ".join)
def test_a_command_and_its_options_exist(words: list[str], tmp_path: Path) -> None:
    """Asked for its help, a command answers; the help names every option that is used."""
    depth = 3 if words[1] in {"posts", "accounts", "routes", "token", "contacts", "segments"} else 2
    answered = estafette(*words[1:depth], "--help", data_dir=tmp_path, COLUMNS="200")
    assert answered.returncode == 0, answered.stderr
    for option in (word for word in words[depth:] if word.startswith("--")):
        assert option in answered.stdout


@pytest.mark.parametrize("words", typed("make"), ids=" ".join)
def test_a_make_target_exists(words: list[str]) -> None:
    asked = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=False,
                           capture_output=True, text=True)  # fmt: skip
    assert asked.returncode == 0, asked.stderr


@pytest.mark.parametrize("words", typed("curl"), ids=lambda words: words[-1])
def test_what_is_sent_is_what_the_api_takes(words: list[str]) -> None:
    model = BODIES[words[1].split("/api/v1/")[1]]
    model.model_validate_json(words[words.index("-d") + 1])


def test_every_command_is_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert [name for name in COMMANDS if f"`{name}`" not in changelog] == []


@pytest.mark.parametrize("name", READMES[:2])
def test_files_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    paths = re.findall(r"`((?:deploy|channels|scheduler)/[\w./]*)`", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
