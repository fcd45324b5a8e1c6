"""What the pages refuse is said in the reader's language."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import scheduler
from channels.translations import catalogue
from tests.channels.spoken import texts

_REFUSE = {"conflict", "invalid", "RefusedError", "FieldError"}
_MODULES = (
    "desk.py", "undo.py", "comeback.py", "plan_b.py", "routing.py", "web/decisions.py",
    "web/reading.py", "web/api/routes.py", "times.py", "when.py", "plan.py", "correctable.py",
)  # fmt: skip


def refusals(module: str) -> Iterator[str]:
    """Every sentence of a refusal, `{}` for what is put in; ways to call the API apart."""
    tree = ast.parse((Path(scheduler.__file__).parent / module).read_text())
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in _REFUSE:
            for argument in node.args:
                yield from (text for text in texts(argument) if "/api/" not in text)


@pytest.mark.parametrize("module", _MODULES)
def test_every_refusal_of_the_pages_has_french_words(module: str) -> None:
    said = set(refusals(module))
    assert said
    assert said - set(catalogue("fr")) == set()
