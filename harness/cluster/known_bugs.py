"""FreeBSD's bugs that break scenarios: known-bugs.yaml, checked, and how one is recognised.

On a release in a bug's range its scenarios are strict expected failures. A pair that does not get
in sync is looked at for every bug's symptoms, whatever the release, so that the failure has a name.
"""

from __future__ import annotations

import datetime
import fnmatch
import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import pydantic
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field

from harness.config import paths, yaml_file
from harness.errors import HarnessError, KnownBugMet
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast import log as hastd_log

if TYPE_CHECKING:
    from harness.cluster.node import Node

_SECONDS = 20.0
_VERSION = re.compile(r"(\d+)\.(\d+)")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Symptom(_Section):
    """A line that a node prints, or never prints: in `hastctl list`, or in hastd's log."""

    node: Literal["primary", "secondary"]
    where: Literal["list", "log"]
    says: re.Pattern[str] | None = None
    never_says: re.Pattern[str] | None = None

    @pydantic.model_validator(mode="after")
    def _one_of_two(self) -> Symptom:
        if (self.says is None) == (self.never_says is None):
            raise ValueError("a symptom has either `says` or `never_says`")
        return self

    def seen(self, primary: Node, secondary: Node) -> bool:
        """Whether the node says it now, or has never said it. Raises like `Node.ask`."""
        node = primary if self.node == "primary" else secondary
        command = hast.LIST_COMMAND if self.where == "list" else hastd_log.COMMAND
        printed = node.ask(*command, within=_SECONDS).stdout
        pattern = self.says or self.never_says
        assert pattern is not None
        said = any(pattern.search(line) for line in printed.splitlines())
        return said is (self.says is not None)


class Breaks(_Section):
    """What a bug breaks: every pair that is to be set up, and scenarios by pattern."""

    set_up: bool = False
    scenarios: tuple[str, ...] = ()


class KnownBug(_Section):
    """One entry of the table. `releases` are those of the primary."""

    number: int
    title: str
    releases: str
    symptoms: Annotated[tuple[Symptom, ...], Field(min_length=1)]
    breaks: Breaks
    supported_until: dict[str, datetime.date] = Field(default_factory=dict)
    review: datetime.date

    @pydantic.field_validator("releases")
    @classmethod
    def _is_specifier(cls, text: str) -> str:
        try:
            SpecifierSet(text)
        except InvalidSpecifier:
            raise ValueError(f"{text!r} is no version specifier, such as >=15.0,<17") from None
        return text

    @property
    def name(self) -> str:
        """As a verdict has it: FreeBSD bug 292322: a primary never replicates."""
        return f"FreeBSD bug {self.number}: {self.title}"

    def concerns(self, release: str) -> bool:
        """Whether a release, as `uname -r` prints it, is in its range."""
        return SpecifierSet(self.releases).contains(version(release))

    def breaks_test(self, test: str, *, needs_pair: bool) -> bool:
        """Whether a test (path/file.py::name) cannot hold; it may need a pair that is set up."""
        name = test.rpartition("/")[2]
        return (needs_pair and self.breaks.set_up) or any(
            fnmatch.fnmatchcase(name, pattern) for pattern in self.breaks.scenarios
        )

    def overdue(self, release: str, today: datetime.date) -> Iterator[str]:
        """What is to be done about the entry, in a line each."""
        numbers = f"{version(release)}"
        until = self.supported_until.get(numbers)
        if self.concerns(release) and until is not None and until < today:
            yield (
                f"FreeBSD {numbers} has not been supported since {until}: "
                f"test a newer release, and take it out of bug {self.number} in known-bugs.yaml"
            )
        if self.review < today:
            yield (
                f"bug {self.number} was to be looked at again by {self.review}: see whether it is "
                "fixed, and correct or remove its entry in known-bugs.yaml"
            )


def version(release: str) -> Version:
    """The version in `uname -r`: 15.0 for 15.0-RELEASE-p2 as for 15.0-CURRENT.

    Raises `HarnessError` for what is no release.
    """
    found = _VERSION.search(release)
    if found is None:
        raise HarnessError(f"{release!r} is no release of FreeBSD", advice="see `uname -r` on it")
    return Version(f"{found[1]}.{found[2]}")


def load(path: Path = paths.KNOWN_BUGS) -> tuple[KnownBug, ...]:
    """Read the table. Raises `SettingsError` for what cannot be read or is wrong."""
    return yaml_file.read(path, _TABLE.validate_python, advice="its first lines say what it has")


_TABLE = pydantic.TypeAdapter(tuple[KnownBug, ...])


@functools.cache
def table() -> tuple[KnownBug, ...]:
    """The project's own table."""
    return load()


class Watch:
    """What a run knows of known bugs: which concern its release, and which it has met."""

    def __init__(self, bugs: Sequence[KnownBug] | None = None) -> None:
        """`bugs` is another table than the project's own."""
        self.bugs = table() if bugs is None else tuple(bugs)
        self.release: str | None = None
        """As `uname -r` prints it, once it is known."""
        self.met: KnownBug | None = None
        """A bug of this release that a pair has shown: the next pair need not wait for it."""

    def expected(self) -> tuple[KnownBug, ...]:
        """The bugs that concern the release."""
        return tuple(
            bug for bug in self.bugs if self.release is not None and bug.concerns(self.release)
        )

    def expects(self, number: int) -> bool:
        """Whether the bug of that number concerns the release."""
        return any(bug.number == number for bug in self.expected())

    def overdue(self, today: datetime.date) -> Iterator[str]:
        """What is to be done about the table, in a line each."""
        if self.release is not None:
            for bug in self.bugs:
                yield from bug.overdue(self.release, today)

    def explain(self, primary: Node, secondary: Node, error: HarnessError) -> HarnessError:
        """The error by the bug's number, if the two nodes show one's symptoms; else as it is."""
        bug = self.met or self.recognise(primary, secondary)
        if bug is None:
            return error
        if self.expects(bug.number):
            self.met = bug
            what = f"{bug.name}: {error.what}"
        else:
            what = (
                f"this looks like {bug.name}, which known-bugs.yaml does not have for "
                f"{self.release or 'this release'}: {error.what}"
            )
        return KnownBugMet(what, bug.number, node=primary.name)

    def recognise(self, primary: Node, secondary: Node) -> KnownBug | None:
        """The bug whose symptoms the two nodes show, if they do. A silent node shows none."""
        for bug in self.bugs:
            try:
                if all(symptom.seen(primary, secondary) for symptom in bug.symptoms):
                    return bug
            except HarnessError:
                continue
        return None
