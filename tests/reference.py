"""Writes tables of the documents from the code: `make reference`. A test compares them."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp

from harness.config import paths

PAGES = [paths.PROJECT / "docs" / name for name in ("fixtures.md", "architecture.md")]
_PLACE = re.compile(r"(<!-- begin: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HIDDEN = {"evidence"}
"""Fixtures that only others ask for."""


def page(text: str) -> str:
    """The page with every table written anew."""
    return _PLACE.sub(lambda found: f"{found[1]}{_table(found[2])}\n{found[3]}", text)


def _table(name: str) -> str:
    kind, _, source = name.partition(":")
    file, _, wanted = source.partition("#")
    if kind == "picture":
        return _picture(source)
    if kind == "layers":
        return _rows([("floor", "folder", "what is there"), *_layers(paths.PROJECT / file, wanted)])
    tree = ast.parse((paths.PROJECT / file).read_text())
    head, rows = {
        "fixtures": (("fixture", "is", "made anew for", ""), _fixtures),
        "markers": (("marker", ""), _markers),
        "options": (("option", ""), _options),
        "functions": (("word", ""), lambda tree: _functions(tree.body, wanted)),
        "class": (("word", ""), lambda tree: _functions(_class(tree, wanted).body)),
        "fields": (("key", "takes", "default"), lambda tree: _fields(_class(tree, wanted))),
        "values": (("value", ""), lambda tree: _values(_class(tree, wanted))),
        "events": (("event", ""), _events),
    }[kind]
    lines = [head, *rows(tree)]
    if len(lines) == 1:
        raise ValueError(f"nothing to tell of {name}")
    return _rows(lines)


def _rows(lines: list[tuple[str, ...]]) -> str:
    head, *rows = lines
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, tuple("---" for _ in head), *rows))


def _layers(settings: Path, package: str) -> Iterator[tuple[str, ...]]:
    """The floors that import-linter holds the imports to, the lowest first, from pyproject.toml.

    They are those of the whole harness, or within the package that is named.
    """
    contracts = tomllib.loads(settings.read_text())["tool"]["importlinter"]["contracts"]
    wanted = [package] if package else []
    (layers,) = (
        each["layers"]
        for each in contracts
        if each["type"] == "layers" and each.get("containers", []) == wanted
    )
    for floor, modules in enumerate(reversed(layers), 1):
        for name in re.split(r" [|:] ", modules):
            module = f"{package}.{name}" if package else name
            place = paths.PROJECT / module.replace(".", "/")
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            says = ast.get_docstring(ast.parse(file.read_text())) or ""
            shown = f"{module.replace('.', '/')}{'/' if place.is_dir() else '.py'}"
            yield str(floor), f"`{shown}`", says.partition("\n\n")[0].replace("\n", " ")


def _picture(package: str) -> str:
    """Which folder of a package imports which, without what follows from the others."""
    graph = grimp.build_graph(package)
    known: dict[str, set[str]] = {_folder(child): set() for child in graph.find_children(package)}
    for module in graph.modules - {package}:
        known[_folder(module)] |= {
            _folder(other) for other in graph.find_modules_directly_imported_by(module) - {package}
        }
    lines = ["```mermaid", "flowchart TD"]
    for folder, others in sorted(known.items()):
        others.discard(folder)
        for other in sorted(others):
            if not any(other in _below(third, known) for third in others - {other}):
                lines.append(f"    {folder} --> {other}")
    return "\n".join([*lines, "```"])


def _below(folder: str, known: dict[str, set[str]]) -> set[str]:
    """All that a folder imports, directly or not."""
    return known[folder].union(*(_below(other, known) for other in known[folder] - {folder}))


def _folder(module: str) -> str:
    """`run` for harness.run.session, and `main` for harness.__main__, which mermaid cannot name."""
    return module.split(".")[1].strip("_")


def _class(tree: ast.Module, name: str) -> ast.ClassDef:
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _functions(body: list[ast.stmt], only: str = "") -> Iterator[tuple[str, ...]]:
    """All public ones, or those named, with commas between."""
    for node in body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if not only or node.name in only.split(","):
            yield f"`{_signature(node)}`", _says(node)


def _fixtures(tree: ast.Module) -> Iterator[tuple[str, ...]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name not in _HIDDEN:
            if not any("pytest.fixture" in ast.unparse(each) for each in node.decorator_list):
                continue
            session = any("session" in ast.unparse(each) for each in node.decorator_list)
            returns = "" if node.returns is None else _plain(node.returns)
            life = "the whole run" if session else "each scenario"
            yield f"`{node.name}`", f"`{returns}`", life, _says(node)


def _markers(tree: ast.Module) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and "addinivalue_line" in ast.unparse(node.body[-1]):
            for line in ast.literal_eval(node.iter):
                name, _, what = line.partition(": ")
                yield f"`{name}`", what


def _options(tree: ast.Module) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "group.addoption":
            told = {each.arg: each.value for each in node.keywords}
            what = ast.literal_eval(told["help"]) if "help" in told else "the settings file"
            yield f"`{ast.literal_eval(node.args[0])}`", what


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, ...]]:
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            kind = re.sub(r"Literal\[(.*?)\]", r"\1", _plain(each.annotation))
            kind = re.sub(r"Annotated\[(\w+), .*\]", r"\1", kind)
            default = "" if each.value is None else _plain(each.value)
            found = re.match(r"Field\(default=(.*?)(, .*)?\)$", default)
            yield f"`{each.target.id}`", f"`{kind}`", f"`{found[1] if found else default}`"


def _values(node: ast.ClassDef) -> Iterator[tuple[str, ...]]:
    for each in node.body:
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
            yield f"`{node.name}.{each.targets[0].id}`", str(ast.literal_eval(each.value))


def _events(tree: ast.Module) -> Iterator[tuple[str, ...]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(
            ast.unparse(base) == "Event" for base in node.bases
        ):
            names = [
                each.target.id
                for each in node.body
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            ]
            yield f"`{node.name}({', '.join(names)})`", _says(node)


def _signature(node: ast.FunctionDef) -> str:
    if any(ast.unparse(each) == "property" for each in node.decorator_list):
        return node.name
    given = ast.arguments(**{name: getattr(node.args, name) for name in ast.arguments._fields})
    if given.args and given.args[0].arg in ("self", "cls"):
        given.args = given.args[1:]
    for each in [*given.posonlyargs, *given.args, *given.kwonlyargs]:
        each.annotation = None
    for other in (given.vararg, given.kwarg):
        if other is not None:
            other.annotation = None
    return f"{node.name}({ast.unparse(given)})"


def _says(node: ast.FunctionDef | ast.ClassDef) -> str:
    """The first paragraph of its docstring, in a table's cell."""
    paragraph = (ast.get_docstring(node) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")


def _plain(node: ast.expr) -> str:
    return ast.unparse(node).replace("|", "\\|").replace("'", "").replace('"', "")


def main() -> None:
    """Write the pages."""
    for path in PAGES:
        path.write_text(page(path.read_text()))


if __name__ == "__main__":
    main()
