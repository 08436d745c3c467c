"""What a test is called: its name in every run, and the name of its folder of evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from harness import paths
from harness.folder_name import folder_name, marked


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
    taken: set[str] = set()
    for item in items:
        test = _test(item)
        folder = folder_name(test)
        if folder.lower() in taken:  # two folders of the same name, each with such a test
            folder = marked(folder, item.nodeid)
        taken.add(folder.lower())
        item.stash[NAME] = TestName(test, folder)


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
