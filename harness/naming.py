"""What a test is called: its name in every run, and the name of its folder of evidence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from harness import paths

LONGEST = 200
"""Bytes of a folder's name. A file system takes 255, and the archive adds an ending."""

_PLAIN = re.compile(
    r"[A-Za-z0-9_./-]+\.py"
    r"(?:::\w+)+"
    r"(?:\[[A-Za-z0-9_.=](?:[A-Za-z0-9_.=-]*[A-Za-z0-9_.=])?\])?",
    re.ASCII,
)
"""A name that can be read back from its folder's: no two of these have the same folder."""


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
            folder = _marked(folder, item.nodeid)
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


def folder_name(test: str) -> str:
    """The name of a test's folder: its own, with what a path cannot have replaced.

    Where that could be another test's too, or is too long, a few digits that stand for the whole
    name follow.
    """
    name = re.sub(r"[^A-Za-z0-9_.=-]+", "-", test).strip("-")
    if _PLAIN.fullmatch(test) and len(name) <= LONGEST:
        return name
    return _marked(name, test)


def _marked(name: str, whole: str) -> str:
    digits = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: LONGEST - 9].strip('-')}-{digits}"
