"""What the code writes into the journal for people to read, found in its source: the kinds of a
post's events, the kinds of alerts, and the sentences that say why."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import scheduler
from scheduler.cli import __name__ as cli
from scheduler.deliveries import State
from scheduler.doubt import Verdict

ROOT = Path(scheduler.__file__).parent
_OF_A_POST = re.compile(r"(post|delivery|recipients)\.[a-z_-]+")
_OF_AN_ACCOUNT = re.compile(r"account\.[a-z-]+")
# What is put into a kind: (what stands before it, the expression) -> what it may be.
_PUT_IN: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("delivery.", "verdict.value"): (Verdict.FOUND, Verdict.ABSENT, Verdict.RESUMED),
    ("delivery.", "ended.state.value"): (
        State.REROUTED, State.HELD, State.FAILED, State.CANCELLED,
    ),
    ("delivery.", "new['state']"): (
        State.DELIVERED, State.ACCEPTED, State.HELD, State.UNCONFIRMED,
    ),
    ("recurrence.", "what"): ("missed", "refused"),
}  # fmt: skip
# The values of these say why; so does the first argument of these calls.
_WHY = frozenset({"cause", "why", "detail", "reason"})
_SAYING = frozenset({"Move", "Unplaced"})
_UNSAID = frozenset({"log", "structlog"})
_LETTERS = 4
# Mails to readers: written in each language there.
_TO_READERS = frozenset({"scheduler.audience.mails"})


@cache
def trees() -> Mapping[str, ast.Module]:
    """Module name below `scheduler` -> its source; commands apart, they talk to their own user."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        name = ".".join(file.relative_to(ROOT.parent).with_suffix("").parts)
        if not name.startswith((f"{cli}.", "scheduler.store.migrations")):
            found[name] = ast.parse(file.read_text())
    return found


def kinds_of_posts() -> dict[str, str]:
    """Kind of an event that a post's timeline may show -> the module that writes it."""
    found: dict[str, str] = {}
    for module, tree in trees().items():
        if module.endswith("_words"):
            continue
        elsewhere = _logged(tree) | _alerted(tree)
        for node in ast.walk(tree):
            if node in elsewhere:
                continue
            for kind in _kinds(node):
                if _OF_A_POST.fullmatch(kind) and not kind.endswith(".html"):
                    found.setdefault(kind, module)
    return found


def _kinds(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=[ast.Constant(value=str(head)), ast.FormattedValue(value=put)]):
            if re.fullmatch(r"(post|delivery|recipients|recurrence)\.", head):
                for value in _PUT_IN[head, ast.unparse(put)]:
                    yield f"{head}{value}"
        case _:
            return


def kinds_of_alerts() -> dict[str, str]:
    """Kind of an alert -> the module that raises it."""
    found: dict[str, str] = {}
    for module, tree in trees().items():
        for node in ast.walk(tree):
            for kind in _alerts(node, tree, module):
                found.setdefault(kind, module)
    return found


def _alerts(node: ast.AST, tree: ast.Module, module: str) -> Iterator[str]:
    match node:
        case ast.Call(
            func=ast.Name(id="raise_alert" | "tell" | "warn") | ast.Attribute(attr="raise_alert")
        ):
            for keyword in node.keywords:
                if keyword.arg == "kind":
                    yield from _kinds_named(keyword.value, tree, module)
        case ast.Call(keywords=keywords) if any(one.arg == "action" for one in keywords):
            for argument in node.args:  # an event that is told as an alert
                yield from (one for one in _kinds(argument) if _OF_A_POST.fullmatch(one))
        case ast.Tuple(elts=elements):  # a table of alerts
            for element in elements:
                yield from (one for one in _kinds(element) if _OF_AN_ACCOUNT.fullmatch(one))
        case _:
            return


def _kinds_named(node: ast.expr, tree: ast.Module, module: str) -> Iterator[str]:
    if isinstance(node, ast.Name):
        for other in ast.walk(tree):
            if isinstance(other, ast.Assign) and ast.unparse(other.targets[0]) == node.id:
                yield from _kinds(other.value)
    yield from _kinds(node)


def causes() -> dict[str, str]:
    """Sentence, `{}` for what is put in -> the module that says it."""
    found: dict[str, str] = {}
    for module, tree in trees().items():
        if module in _TO_READERS:
            continue
        logged = _logged(tree)
        for node in ast.walk(tree):
            if node in logged:
                continue
            for value in _values(node):
                for text in _said(value, module, frozenset()):
                    if _is_sentence(text):
                        found.setdefault(text, module)
    return found


def _is_sentence(text: str) -> bool:
    return " " in text and len(re.findall(r"[A-Za-z]", text.replace("{}", ""))) >= _LETTERS


def _values(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions here that say why."""
    match node:
        case ast.keyword(arg=str(name), value=value) if name in _WHY:
            yield value
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value in _WHY:
                    yield value
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _WHY:
            yield value
        case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in _SAYING:
            yield first
        case _:
            return


def _logged(tree: ast.Module) -> set[ast.AST]:
    """What only the log says."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in _UNSAID
        ):
            found.update(ast.walk(node))
    return found


def _alerted(tree: ast.Module) -> set[ast.AST]:
    """What names an alert."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"raise_alert", "tell", "warn"}:
            found.update(ast.walk(node))
    return found


def _said(node: ast.expr | None, module: str, seen: frozenset[str]) -> Iterator[str]:
    """The texts that an expression of this module may be; `seen`: names followed already."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr():
            yield from _filled(node, module, seen)
        case ast.IfExp(body=one, orelse=other):
            yield from _said(one, module, seen)
            yield from _said(other, module, seen)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _said(value, module, seen)
        case ast.Subscript(value=ast.Name(id=name)):
            yield from _table(name, module, seen)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get")):
            yield from _table(name, module, seen)
        case ast.Call(func=ast.Name(id=name)) if name not in seen:
            yield from _returned(name, module, seen | {name})
        case ast.Name(id=name) if name not in seen:
            yield from _named(name, module, seen | {name})
        case _:
            return


def _filled(node: ast.JoinedStr, module: str, seen: frozenset[str]) -> Iterator[str]:
    parts = [
        part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "{}"
        for part in node.values
    ]
    yield "".join(parts)
    for part in node.values:  # what is put in may be a sentence of ours
        if isinstance(part, ast.FormattedValue):
            for text in _said(part.value, module, seen):
                if _is_sentence(text):
                    yield text


def _named(name: str, module: str, seen: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(trees()[module]):
        match node:
            case ast.Assign(targets=[ast.Name(id=known)], value=value) if known == name:
                yield from _said(value, module, seen)
            case ast.AnnAssign(target=ast.Name(id=known), value=value) if known == name:
                yield from _said(value, module, seen)
            case ast.ImportFrom(module=str(origin), names=names) if origin in trees():
                for one in names:
                    if (one.asname or one.name) == name:
                        yield from _named(one.name, origin, seen)


def _table(name: str, module: str, seen: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if ast.unparse(target) == name:
                for value in node.value.values:
                    yield from _said(value, module, seen)


def _returned(name: str, module: str, seen: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return):
                    yield from _said(inner.value, module, seen)
