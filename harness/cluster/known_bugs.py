"""FreeBSD's bugs that break scenarios: known-bugs.yaml, checked, and how one is recognised.

On a release in a bug's range its scenarios are strict expected failures, unless the user has put
another program in the place of the one that has the bug, or the other node has another release. A
pair that does not get in sync is looked at for every bug's symptoms, whatever the release, so that
the failure has a name.
"""

from __future__ import annotations

import datetime
import fnmatch
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import pydantic
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field

from harness.config import paths, yaml_file
from harness.config.settings import NODES, Program
from harness.errors import HarnessError, KnownBugMet
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast import log as hastd_log
from harness.words import Word

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
    program: Program
    """What of the base system has it."""
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


class Standing(Word):
    """What a bug is to a run. One that concerns none of its nodes has none."""

    EXPECTED = "expected"
    """Both nodes have it: what it breaks is a strict expected failure."""

    REPLACED = "replaced"
    """A program of the user's own is in the place of the one that has it: is it mended?"""

    MIXED = "mixed"
    """One node's release has it and the other's does not: it shows while that one is primary."""


class Watch:
    """What a run knows of known bugs: which concern its nodes, and which it has met."""

    def __init__(self, bugs: Sequence[KnownBug] | None = None) -> None:
        """`bugs` is another table than the project's own."""
        self.bugs = table() if bugs is None else tuple(bugs)
        self.releases: Mapping[str, str] = {}
        """Of each node, as `uname -r` prints it, once they are known."""
        self.replaced: frozenset[str] = frozenset()
        """The programs that the user's own took the place of, on whichever node."""
        self._met: dict[str, KnownBug] = {}
        """By the primary with which a pair has shown it: the next pair need not wait for it."""

    def know(self, releases: Mapping[str, str], replaced: Iterable[str] = ()) -> None:
        """Learn what the nodes run."""
        self.releases, self.replaced = dict(releases), frozenset(replaced)

    def standing(self, bug: KnownBug) -> Standing | None:
        """What a bug is to this run; None where no node has it."""
        concerned = [bug.concerns(release) for release in self.releases.values()]
        if not any(concerned):
            return None
        if bug.program in self.replaced:
            return Standing.REPLACED
        return Standing.EXPECTED if all(concerned) else Standing.MIXED

    def having(self, *standings: Standing) -> tuple[KnownBug, ...]:
        """The bugs that are that to this run."""
        return tuple(bug for bug in self.bugs if self.standing(bug) in standings)

    def concerns(self, bug: KnownBug, primary: str) -> bool:
        """Whether the release of a node that is primary has the bug."""
        return primary in self.releases and bug.concerns(self.releases[primary])

    def excuses(self, met: KnownBugMet) -> bool:
        """Whether it is an expected failure that a scenario met a bug.

        It is with the release's own programs, on a primary whose release has the bug.
        """
        bug = next((bug for bug in self.bugs if bug.number == met.number), None)
        if bug is None or bug.program in self.replaced:
            return False
        return self.concerns(bug, met.node or NODES[0])

    def met_by(self, primary: str) -> KnownBug | None:
        """A bug of its release that a pair with this primary has shown before."""
        return self._met.get(primary)

    def met_in_set_up(self, primary: str | None) -> KnownBug | None:
        """The same, if it lets no pair be set up."""
        met = self._met.get(primary or NODES[0])
        return met if met is not None and met.breaks.set_up else None

    def named(self, bug: KnownBug) -> str:
        """The bug as a verdict has it, with that its program was replaced."""
        if bug.program not in self.replaced:
            return bug.name
        return f"{bug.name}: not mended by the {bug.program} that was put in its place"

    def overdue(self, today: datetime.date) -> Iterator[str]:
        """What is to be done about the table, in a line each."""
        for bug in self.bugs:
            lines = (line for each in self.releases.values() for line in bug.overdue(each, today))
            yield from dict.fromkeys(lines)

    def explain(self, primary: Node, secondary: Node, error: HarnessError) -> HarnessError:
        """The error by the bug's number, if the two nodes show one's symptoms; else as it is."""
        bug = self.met_by(primary.name) or self.recognise(primary, secondary)
        if bug is None:
            return error
        if self.concerns(bug, primary.name):
            self._met[primary.name] = bug
            what = f"{self.named(bug)}: {error.what}"
        else:
            release = self.releases.get(primary.name, "this release")
            what = (
                f"this looks like {bug.name}, which known-bugs.yaml does not have for "
                f"{release}: {error.what}"
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
