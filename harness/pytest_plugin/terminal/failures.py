"""How a failed scenario is shown: in words, and by the scenario's own lines alone.

A plugin for pytest. What the harness does between a scenario's line and FreeBSD's answer says
nothing about FreeBSD, so those frames are left out of the traceback of a claim that failed. An
error of the harness itself keeps all of its frames, and so does `--tb=long` or `--full-trace`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sysconfig
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.config import paths
from harness.errors import HarnessError
from harness.words import Word, in_words

_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))
_OWN = (paths.PROJECT / "harness", *_LIBRARIES)
"""Where no line of a scenario is."""

_HIDE = "__tracebackhide__"


class Failures:
    """The plugin."""

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> list[str] | None:
        """Compare what FreeBSD said in its words."""
        if op not in {"==", "is", "!=", "is not"} or not (_is_ours(left) or _is_ours(right)):
            return None
        if op in {"!=", "is not"}:
            return [f"it is {in_words(left)}, and should not be"]
        if type(left) is type(right) and dataclasses.is_dataclass(left):
            return _difference(left, right)
        return [f"{in_words(left)}, and not {in_words(right)}"]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Cut the traceback of a failure to the scenario's own lines."""
        option = item.config.option
        style = option.tbstyle
        if (
            call.excinfo is None
            or style != "auto"
            or option.fulltrace
            or "session" not in getattr(item, "fixturenames", ())
            or not call.excinfo.errisinstance((HarnessError, AssertionError))
        ):
            return (yield)
        frames = call.excinfo.traceback
        error = call.excinfo.value
        if not isinstance(error, HarnessError) and _is_within(frames[-1].path, _OWN):
            return (yield)  # an assertion of the harness itself
        if isinstance(error.__cause__, HarnessError):
            error.__cause__ = None  # its words are in those of the error
            error.__suppress_context__ = True
        # A set-up that failed has no line of a scenario: there the harness's are shown.
        hidden = _OWN if any(not _is_within(each.path, _OWN) for each in frames) else _LIBRARIES
        with _hidden([each for each in frames if _is_within(each.path, hidden)]):
            option.tbstyle = "short"
            try:
                return (yield)
            finally:
                option.tbstyle = style


@contextlib.contextmanager
def _hidden(frames: list[Any]) -> Iterator[None]:
    """Let pytest leave out the modules of these frames, by the name that it has for that."""
    modules = {id(each.frame.f_globals): each.frame.f_globals for each in frames}
    changed = [each for each in modules.values() if _HIDE not in each]
    for each in changed:
        each[_HIDE] = True
    try:
        yield
    finally:
        for each in changed:
            del each[_HIDE]


def _is_ours(value: object) -> bool:
    """Whether it is what a parser of the harness made."""
    return isinstance(value, Word) or (
        dataclasses.is_dataclass(value) and type(value).__module__.startswith("harness.")
    )


def _is_within(path: Path | str, folders: tuple[Path, ...]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


def _difference(left: object, right: object) -> list[str]:
    assert dataclasses.is_dataclass(left)
    pairs = {
        field.name: (getattr(left, field.name), getattr(right, field.name))
        for field in dataclasses.fields(left)
    }
    unequal = {name: values for name, values in pairs.items() if values[0] != values[1]}
    return [
        f"{in_words(left)}, and not {in_words(right)}",
        *(
            f"{name}: {in_words(ours)}, and not {in_words(theirs)}"
            for name, (ours, theirs) in unequal.items()
        ),
    ]
