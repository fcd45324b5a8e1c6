"""What adapters say to people, read from their source: details and remedies, as templates."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import channels
import scheduler

_SAID = frozenset({"detail", "remedy", "reason", "said"})
# In these modules every sentence is said: they are tables from answers to words.
_TABLES = frozenset({"errors.py", "replies.py", "table.py"})
# Platforms' own words that are compared with, and names of requests in the evidence.
_HEARD = ("Your login is currently", "ERROR :: /author", "{} to {}")
_UNSAID = ("sandbox", "practice", "capability_table")
# What connecting an account says besides, and what is raised there to be shown.
_CONNECTING = ("logins.py", "admission.py", "web/api/connecting.py", "web/api/accounts.py")
# Why a file of contacts, or a row of it, is not taken.
_IMPORTING = (
    *(f"audience/{name}.py" for name in ("address", "headings", "lines", "rows", "shape")),
    "web/api/contacts.py", "web/api/transfers.py", "web/api/uploads.py",
)  # fmt: skip
_RAISED = {
    "ValueError": (0,), "invalid": (1, 2), "conflict": (0, 1), "_refused": (0, 1),
    "FieldError": (1, 2), "RefusedError": (1,), "BadRow": (1,), "Broken": (0,),
    "MappingError": (0,), "AddressError": (0,), "AccentError": (0,), "ConsentError": (0,),
}  # fmt: skip
_LETTERS = 4
_WORDS = 3


def templates() -> dict[str, str]:
    """English template, `{}` for what is put in -> the file that says it. Practice platforms say
    what the real ones say, in their language."""
    root = Path(channels.__file__).parent
    found: dict[str, str] = {}
    for file in sorted(root.rglob("*.py")):
        name = str(file.relative_to(root))
        if not any(word in name for word in _UNSAID):
            tree = ast.parse(file.read_text())
            texts = [*_spoken(tree), *(_sentences(tree) if file.name in _TABLES else ())]
            for text in texts:
                found.setdefault(text, name)
    for name in (*_CONNECTING, *_IMPORTING):
        tree = ast.parse((Path(scheduler.__file__).parent / name).read_text())
        for text in (*_spoken(tree), *_remedies(tree)):
            found.setdefault(text, name)
    return found


def _spoken(tree: ast.Module) -> Iterator[str]:
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    places = _positions(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in _SAID:
            yield from _texts(node.value, constants)
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else ast.unparse(called)
            for at in places.get(name, ()):
                if at < len(node.args):
                    yield from _texts(node.args[at], constants)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id in _SAID:
                    yield from _texts(node.value, constants)


def _positions(tree: ast.Module) -> dict[str, tuple[int, ...]]:
    """By the name of what is called: which arguments without a name are said."""
    found = dict(_RAISED)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [one.arg for one in node.args.args if one.arg not in {"self", "cls"}]
            found[node.name] = tuple(at for at, name in enumerate(names) if name in _SAID)
    return found


def _remedies(tree: ast.Module) -> Iterator[str]:
    """The values of tables of remedies."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if ast.unparse(target) == "_REMEDIES":
                for value in node.value.values:
                    yield from _texts(value, {})


def _sentences(tree: ast.Module) -> Iterator[str]:
    """Every text of several words that is no docstring and no pattern."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            skipped.update(node.values)
    for node in ast.walk(tree):
        if node not in skipped and isinstance(node, ast.Constant | ast.JoinedStr):
            for text in _texts(node, {}):
                named = len(text.split()) >= _WORDS and "\\" not in text
                if named and not text.startswith(_HEARD):
                    yield text


def texts(node: ast.expr) -> Iterator[str]:
    """The sentences that an expression may be, as templates."""
    return _texts(node, {})


def _texts(node: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    match node:
        case ast.Name(id=name) if name in constants:
            yield from _texts(constants[name], {})
        case ast.IfExp(body=one, orelse=other):
            yield from _texts(one, constants)
            yield from _texts(other, constants)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _texts(value, constants)
        case ast.Constant(value=str(text)):
            yield from _worth(text)
        case ast.JoinedStr(values=parts):
            yield from _worth("".join(_part(part) for part in parts))
        case _:
            return


def _part(part: ast.expr) -> str:
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "{}"


def _worth(text: str) -> Iterator[str]:
    """Leaves out what is nothing but what is put in."""
    if " " in text and len(re.findall(r"[A-Za-z]", text.replace("{}", ""))) >= _LETTERS:
        yield text
