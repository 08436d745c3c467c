"""What names a module or a file of the project in a string: a move must not leave it behind."""

from __future__ import annotations

import ast
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from harness.config import paths
from harness.lab import choose

_MODULE = re.compile(r"\bharness(?:\.\w+)+(?::\w+)?")
_STRING = re.compile(f'"{_MODULE.pattern}"')
_IMPORT = re.compile(r"\bfrom (harness[\w.]*) import (\w+(?:, \w+)*)")
_PATH = re.compile(r"\b(?:harness|provision|tests)/[\w./*-]*")
_OF_A_READER = "tests/scenarios/test_no_power.py"
"""What who follows docs/tutorial.md writes."""


def _pages() -> Iterator[Path]:
    """What is no Python: settings of tools, recipes, documents."""
    yield from (paths.PROJECT / name for name in ("pyproject.toml", "Makefile", "README.md"))
    for folder in (".ci", ".github", "docs"):
        for file in (paths.PROJECT / folder).rglob("*"):
            if file.suffix in {"", ".md", ".yml"} and file.is_file():
                yield file


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """Each line of a file, and where it is."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        yield f"{file.relative_to(paths.PROJECT)}:{number}", line


def _named_in_strings() -> Iterator[tuple[str, str]]:
    """Each string of the code that is a dotted name, and where it is."""
    for folder in ("harness", "tests"):
        for file in (paths.PROJECT / folder).rglob("*.py"):
            for where, line in _lines(file):
                yield from ((where, name[1:-1]) for name in _STRING.findall(line))


def _named_in_pages() -> Iterator[tuple[str, str]]:
    for file in _pages():
        for where, line in _lines(file):
            yield from ((where, name) for name in _MODULE.findall(line))
            for module, names in _IMPORT.findall(line):
                yield from ((where, f"{module}:{name}") for name in names.split(", "))


def _is_there(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        # `from harness.config import paths` is of a module that nothing may have imported yet.
        return ":" in name and _is_there(name.replace(":", "."))
    return True


def _constants(tree: ast.Module) -> Iterator[ast.Constant]:
    """All constants but the keys of a mapping, which are names of columns and settings."""
    keys = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    keys |= {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in keys:
            yield node


def test_what_a_lab_is_like_is_asked_of_its_kind_and_not_of_its_name() -> None:
    """A lab more is a line in harness/lab/choose.py, and no search for the names of others."""
    names = set(choose.KINDS) - {"vagrant", "qemu"}
    found = [
        f"{file.relative_to(paths.PROJECT)}:{constant.lineno}"
        for file in (paths.PROJECT / "harness").rglob("*.py")
        if not file.is_relative_to(paths.PROJECT / "harness" / "lab")
        for constant in _constants(ast.parse(file.read_text(encoding="utf-8")))
        if constant.value in names
    ]
    assert found == []


def test_every_module_that_a_string_names_is_there() -> None:
    named = [*_named_in_strings(), *_named_in_pages()]
    assert len(named) > 20
    assert [f"{where}: {name}" for where, name in named if not _is_there(name)] == []


def test_every_file_that_a_page_names_is_there() -> None:
    named = [
        (where, path.rstrip("."))
        for file in _pages()
        for where, line in _lines(file)
        for path in _PATH.findall(line)
    ]
    assert len(named) > 50
    assert [
        f"{where}: {path}"
        for where, path in named
        if path != _OF_A_READER and not any(paths.PROJECT.glob(path))
    ] == []
