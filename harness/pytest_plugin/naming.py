"""What a test is called: its name in every run, and the name of its folder of evidence.

A parameter may be a password or a private key, or have control characters. A test's name is shown,
written and sent everywhere, and pytest, its plugins and the controller of several processes find
the test by it. So it is cleaned once, before anybody has it, and is the same from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from harness.config import paths
from harness.record.folders import folder_name, marked
from harness.record.outgoing import outgoing


@dataclass(frozen=True)
class TestName:
    """`id` is file.py::name, with the folder of the file if it is not one of this repository's.

    `folder` is the name of the folder for its evidence, of no other test in the run.
    """

    __test__ = False

    id: str
    folder: str


NAME = pytest.StashKey[TestName]()


def of(item: pytest.Item) -> TestName:
    """What a collected test is called."""
    return item.stash[NAME]


def give(items: Iterable[pytest.Item]) -> None:
    """Give every collected test its name. The same tests get the same names in every process."""
    items = list(items)
    _clean(items)
    taken: set[str] = set()
    for item in items:
        test = as_it_may_leave(_test(item))
        folder = folder_name(test)
        if folder.lower() in taken:  # two folders of the same name, each with such a test
            folder = marked(folder, item.nodeid)
        taken.add(folder.lower())
        item.stash[NAME] = TestName(test, folder)


def _clean(items: Sequence[pytest.Item]) -> None:
    """Take what must not leave a run out of pytest's own names; those of two tests stay two."""
    taken = {item.nodeid for item in items}
    for item in items:
        nodeid = item.nodeid
        if as_it_may_leave(nodeid) == nodeid:
            continue
        number = 1
        while (cleaned := as_it_may_leave(nodeid, number)) in taken:
            number += 1
        taken.add(cleaned)
        path, line, name = item.location
        _rename(item, cleaned)
        item.location = _path(path), line, as_it_may_leave(name, number)


def show(items: Iterable[pytest.Item]) -> None:
    """Let pytest list every test as it may be shown; until then `-k` finds what is written."""
    for item in items:
        item.name = as_it_may_leave(item.name)


def _rename(item: Any, nodeid: str) -> None:
    """Let pytest know a test by another name; it has no other way for that than these."""
    if hasattr(item, "_nodeid"):
        item._nodeid = nodeid
    else:  # pytest 9.2
        item._id = type(item._id).parse(nodeid)


def as_it_may_leave(name: str, number: int = 1) -> str:
    """A test's name as it may leave, with its parameters still in brackets.

    A `number` from 2 on tells it from others that are the same without what was taken out.
    """
    more = f"-{number}" if number > 1 else ""
    test, bracket, parameters = name.partition("[")
    if not (bracket and parameters.endswith("]")):
        return _path(name) + more
    return f"{_path(test)}[{outgoing(parameters[:-1])}{more}]"


def _path(name: str) -> str:
    """Each folder for itself: a password ends where its name does."""
    return outgoing("/".join(map(outgoing, name.split("/"))))


def _test(item: pytest.Item) -> str:
    """A test's name, wherever its file is: the same from every folder that pytest is started in."""
    scenarios = paths.PROJECT / "tests" / "scenarios"
    path = item.path
    file = (
        path.relative_to(scenarios).as_posix()
        if path.is_relative_to(scenarios)
        else f"{path.parent.name}/{path.name}"
    )
    return "::".join([file, *item.nodeid.split("::")[1:]])
