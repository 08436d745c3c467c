"""A YAML file of a person's, read and checked in one go: whatever is wrong with it is one error."""

from __future__ import annotations

import contextlib
import difflib
import typing
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.reader import Reader
from yaml.resolver import Resolver

from harness.errors import SettingsError

T = TypeVar("T")

LARGEST = 1 << 20
"""Bytes. The largest file of the project has 7 KB."""

DEEPEST = 40
"""Levels of lists and keys in each other; the files of the project have five."""

MOST_PROBLEMS = 20
"""Wrong keys told of at once."""


_READERS = [*([yaml.CSafeLoader] if yaml.__with_libyaml__ else []), yaml.SafeLoader]
"""What makes events of a text: PyYAML's in C takes a tenth of the time, and the one in Python says
better what is wrong and where."""


class _Loader(Composer, SafeConstructor, Resolver):
    """PyYAML's safe loader, made stricter.

    It refuses what PyYAML takes or dies of: the same key twice in one place (the last one would
    win without a word), anchors (a few lines of them unfold to gigabytes), and brackets in
    brackets until Python's stack ends. A value that is none (2020-99-99) has its line.
    """

    depth = 0

    def __init__(self, text: str, reader: Any) -> None:
        for base in (Composer, SafeConstructor, Resolver):
            base.__init__(self)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=reader)
        self._next: yaml.Event | None = None

    # --- where Composer has its events from ---

    def peek_event(self) -> yaml.Event:
        if self._next is None:
            self._next = next(self._events)
        return self._next

    def check_event(self, *kinds: type[yaml.Event]) -> bool:
        return isinstance(self.peek_event(), kinds)

    def get_event(self) -> yaml.Event:
        event, self._next = self.peek_event(), None
        return event

    # --- what is stricter ---

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _refused("anchors and aliases are not read here: write it out", event)
        if self.depth == DEEPEST:
            raise _refused(f"more than {DEEPEST} levels of lists and keys in each other", event)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise _refused(str(error), node) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Hashable, yaml.Node] = {}
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if isinstance(name, Hashable) and name in seen:
                line = seen[name].start_mark.line + 1
                raise _refused(f"the key {name!r} is here twice, first in line {line}", key)
            if isinstance(name, Hashable):
                seen[name] = key
        return super().construct_mapping(node, deep)


def _refused(why: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=why, problem_mark=where.start_mark)


def parse(text: str) -> Any:
    """What a YAML text says. Raises `ValueError` in one or a few lines for all that is wrong."""
    if (unprintable := Reader.NON_PRINTABLE.search(text)) is not None:  # PyYAML counts bytes
        raise ValueError(
            f"the character U+{ord(unprintable[0]):04X} at position {unprintable.start()} "
            "is none that YAML has"
        )
    for reader in _READERS[:-1]:
        with contextlib.suppress(yaml.YAMLError):
            return _Loader(text, reader).get_single_data()
    try:
        return _Loader(text, _READERS[-1]).get_single_data()
    except yaml.MarkedYAMLError as error:
        raise ValueError(_in_words(error)) from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _in_words(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return f"{where}{_printable(error.problem or error.context or '')}"


def read(
    path: Path, validate: Callable[[object], T], *, advice: str, called: str | None = None
) -> T:
    """Read `path` and let pydantic's `validate` check what is in it.

    `called` is what the file is to a person ("the settings file"). Raises `SettingsError`, naming
    the file and the line or the keys: it cannot be read, is not UTF-8, is not YAML, or is wrong,
    then with `advice`.
    """
    name = f"{called} {path}" if called else str(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise SettingsError(f"{name} is larger than {LARGEST >> 10} KiB", advice=advice)
        tree = _parsed(name, content.decode("utf-8-sig"))
        return validate(tree)
    except OSError as error:
        raise SettingsError(
            f"{name} cannot be read: {error.strerror}",
            advice="name an existing one, or restore it from the repository",
        ) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"{name} is not UTF-8: byte 0x{content[error.start]:02x} in line {line}",
            advice="save it as UTF-8",
        ) from None
    except pydantic.ValidationError as error:
        model = getattr(validate, "__self__", None)  # of its method `model_validate`
        raise SettingsError(f"{name} is wrong:\n{problems(error, model)}", advice=advice) from None


def _parsed(name: str, text: str) -> object:
    try:
        return parse(text)
    except ValueError as error:
        raise SettingsError(
            f"{name} is not YAML: {error}", advice="mend the line it names"
        ) from None


def problems(error: pydantic.ValidationError, model: object = None) -> str:
    """What is wrong, a line for each key; first the unknown ones, the likely cause of the rest.

    `model` is the pydantic model that has refused them: it knows what a mistyped key may be meant
    to be.
    """
    wrong = error.errors()
    missing = {problem["loc"] for problem in wrong if problem["type"] == "missing"}
    lines = []
    for problem in wrong:
        if problem["type"] == "extra_forbidden":
            *place, key = problem["loc"]
            meant = _meant(str(key), place, missing, model)
            missing.discard((*place, meant))
            lines.append(
                f"{_name(problem['loc'])}: unknown key"
                + (f"; did you mean {meant}?" if meant else "")
            )
    for problem in wrong:
        if problem["type"] == "missing":
            lines += [f"{_name(problem['loc'])}: missing"] if problem["loc"] in missing else []
        elif problem["type"] != "extra_forbidden":
            said = _printable(str(problem["msg"]).removeprefix("Value error, "))
            lines.append(f"{_name(problem['loc'])}: {said}")
    if len(lines) > MOST_PROBLEMS:
        lines[MOST_PROBLEMS:] = [f"and {len(lines) - MOST_PROBLEMS} more"]
    return "\n".join(f"  {line}" for line in lines)


def _name(place: Iterable[str | int]) -> str:
    return _printable(".".join(map(str, place))) or "the whole file"


def _meant(
    key: str, place: Sequence[str | int], missing: set[tuple[str | int, ...]], model: object
) -> str | None:
    """The key that a mistyped one is like: one that is missing there, or else one that may be."""
    lacking = [str(each[-1]) for each in missing if each[:-1] == tuple(place)]
    for known in (lacking, _keys(model, place)):
        if found := difflib.get_close_matches(key, known, n=1):
            return found[0]
    return None


def _keys(model: Any, place: Sequence[str | int]) -> list[str]:
    """The keys that a model has at a place in it."""
    for step in place:
        if not _is_model(model):  # a dictionary or a list: what is in it is its last argument
            model = (typing.get_args(model) or (None,))[-1]
        elif step in model.model_fields:
            model = model.model_fields[step].annotation
    return list(model.model_fields) if _is_model(model) else []


def _is_model(model: object) -> bool:
    return isinstance(model, type) and issubclass(model, pydantic.BaseModel)


def _printable(text: str) -> str:
    """The text with what no terminal shows written as an escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
