"""What a scenario's markers may say: checked when the scenarios are read, before anything starts.

A mistyped marker would else leave a scenario out for ever, or let a mistake of its own pass for one
of FreeBSD's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import pytest

from harness.cluster.invariants import Holds
from harness.config.settings import HastSettings, Settings
from harness.errors import HarnessError, SettingsError
from harness.lab.choose import Feature
from harness.run import known_states
from harness.run.audit import Left
from harness.words import Word

T = TypeVar("T")


def check(item: pytest.Item, settings: Callable[[], Settings]) -> None:
    """Raise `SettingsError` for a marker of the scenario that says what cannot be."""
    for name, kind in (("needs", Feature), ("lifts", Holds), ("leaves", Left)):
        for marker in item.iter_markers(name):
            _check_words(item, marker, kind)
    for marker in item.iter_markers("claim"):
        number, *others = [*marker.args, *marker.kwargs] or [None]
        if others or not isinstance(number, int) or number < 1:
            raise _wrong(item, marker, "it takes the number of a claim")
    for marker in item.iter_markers("state"):
        name, *others = [*marker.args, *marker.kwargs] or [None]
        if others or marker.kwargs or not isinstance(name, str):
            raise _wrong(item, marker, "it takes the name of one known state")
        _said_of(item, marker, functools.partial(known_states.find, name))
    if any(True for _ in item.iter_markers("hast")):
        _check_hast(item, settings().hast)


def _check_words(item: pytest.Item, marker: pytest.Mark, kind: type[Word]) -> None:
    known = ", ".join(f"{kind.__name__}.{each.name}" for each in kind)
    if marker.kwargs or not marker.args:
        raise _wrong(item, marker, f"it takes at least one of {known}")
    for word in marker.args:
        if word not in list(kind):
            raise _wrong(item, marker, f"{word!r} is none of {known}")


def _check_hast(item: pytest.Item, hast: HastSettings) -> None:
    for marker in reversed(list(item.iter_markers("hast"))):  # the test's own comes last
        if marker.args:
            raise _wrong(item, marker, "it takes settings by their names, as `timeout=5`")
        hast = _said_of(item, marker, functools.partial(hast.but, **marker.kwargs))


def _said_of(item: pytest.Item, marker: pytest.Mark, look: Callable[[], T]) -> T:
    try:
        return look()
    except HarnessError as error:
        raise _wrong(item, marker, error.what, error.advice) from None


def _wrong(
    item: pytest.Item, marker: pytest.Mark, why: str, advice: str | None = None
) -> SettingsError:
    given = ", ".join(
        [*map(repr, marker.args), *(f"{key}={value!r}" for key, value in marker.kwargs.items())]
    )
    return SettingsError(
        f"the marker {marker.name}({given}) of {item.nodeid} is wrong: {why}",
        advice=advice or "docs/fixtures.md has what each marker takes",
    )
