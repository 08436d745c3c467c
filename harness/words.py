"""What was seen, in words: for the errors and assertions that a person reads.

`role init, no worker`, not `ResourceInfo(name='mirror', role=<Role.INIT: 'init'>, ...`.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Collection, Mapping

_MOST = 5
"""Items of a list that are shown, the last ones; logs are long."""

_LONGEST = 1000
"""Characters of one value."""


class Word(enum.StrEnum):
    """One of the words that FreeBSD prints. It shows as that word wherever it is shown."""

    def __repr__(self) -> str:
        return self.value


def in_words(value: object) -> str:  # noqa: PLR0911 - a line for each kind of value
    """A value as a person would say it. Nothing is left out but the beginning of a long list."""
    match value:
        case None | "" | b"":
            return "nothing"
        case True:
            return "yes"
        case False:
            return "no"
        case enum.Enum() if not isinstance(value, str):
            return value.name.lower().replace("_", " ")
        case str() | BaseException():
            return _cut(str(value))
        case bytes():
            return _cut(value.decode("utf-8", "replace"))
        case float():
            return f"{value:.3g}" if value % 1 else f"{value:.0f}"
        case Mapping():
            return ", ".join(f"{in_words(key)}: {in_words(each)}" for key, each in value.items())
        case Collection():
            return _list(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    return _cut(str(value))


def _fields(value: object) -> str:
    """A dataclass: its own words if it has some, else its name and what is set in it."""
    if type(value).__str__ is not object.__str__:
        return _cut(str(value))
    assert dataclasses.is_dataclass(value)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(value).__name__).lower()
    shown = [
        f"{field.name.replace('_', ' ')} {in_words(content)}"
        for field in dataclasses.fields(value)
        if field.repr and (content := getattr(value, field.name)) not in (None, (), "")
    ]
    return f"{name}: {', '.join(shown)}" if shown else name


def _list(values: Collection[object]) -> str:
    if not values:
        return "nothing"
    every = list(values)
    said = [in_words(value) for value in every[-_MOST:]]
    left_out = len(every) - len(said)
    if any("\n" in each or len(each) > 60 for each in said) or left_out:
        before = [f"... {left_out} before that"] if left_out else []
        return "".join(f"\n  {line}" for line in (*before, *said))
    return ", ".join(said)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"... {text[-_LONGEST:]}"


def seconds(value: float) -> str:
    """A duration as a person reads it: 0.25 s, 1.9 s, 47.9 s, 3 min 05 s."""
    if value < 0.0005:
        return "0 s"
    if value < 1:
        return f"{value:.2g} s" if value >= 0.1 else f"{value * 1000:.0f} ms"
    if value < 119.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < 120
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )
