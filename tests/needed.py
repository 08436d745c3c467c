"""Which features of a lab each scenario uses, by what its source calls, however deep."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from harness.lab.choose import Feature

WORDS = {
    **dict.fromkeys(
        ("power_cut", "powered_off", "power_on", "reset", "shut_down", "both_powered_off"),
        Feature.POWER,
    ),
    "paused": Feature.PAUSE,
    **dict.fromkeys(("link_unplugged", "flapping"), Feature.LINK),
    "limit_data_disk": Feature.DISK_RATE,
}
"""What a scenario can call that asks the lab for something."""


def used(file: Path) -> Iterator[tuple[str, frozenset[Feature]]]:
    """Each test function of a file, and what it uses."""
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    for name in functions:
        if name.startswith("test_"):
            yield name, frozenset(_of(name, functions, set()))


def declared(file: Path) -> Iterator[tuple[str, frozenset[Feature]]]:
    """Each test function of a file, and what its marker `needs` names."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            marks = [
                each
                for each in node.decorator_list
                if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.needs"
            ]
            yield (
                node.name,
                frozenset(Feature[ast.unparse(arg).split(".")[1]] for m in marks for arg in m.args),
            )


def _of(name: str, functions: dict[str, ast.FunctionDef], seen: set[str]) -> Iterator[Feature]:
    """What a function uses, with the functions and fixtures of the same file that it names."""
    if name in seen:
        return
    seen.add(name)
    function = functions[name]
    words = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    words |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    words |= {each.arg for each in function.args.args}
    yield from (WORDS[word] for word in words & WORDS.keys())
    for other in words & functions.keys():
        yield from _of(other, functions, seen)
