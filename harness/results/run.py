"""What a report tells: one run, its scenarios with their verdicts, and the ten claims."""

from __future__ import annotations

import builtins
import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from harness import errors
from harness.config.software import ReplacedProgram, system
from harness.freebsd.bug_number import number_in
from harness.lab.choose import is_model
from harness.record.folders import without_number
from harness.waiting.spent import Spent

if TYPE_CHECKING:  # `skunk history` and others need the verdicts, and no parsers
    from harness.lab.base import Gap
    from harness.record.entry import Entry
    from harness.results.timeline import Timeline

ABOUT_FREEBSD = (AssertionError, errors.NodePanicked)
"""What says something about FreeBSD: its answer is not as claimed, or its kernel panicked."""


class Verdict(enum.StrEnum):
    """How a scenario ended, the worst first.

    `FAILED`: FreeBSD answered, and not as claimed. `BROKE`: the lab, the host or the scenario
    broke, and nothing is said about FreeBSD. `KNOWN_BUG`: it fails as a bug with a number says.
    `FIXED_HERE`: it held where such a bug breaks it, with a program of the user's own.
    `GAP`: the scenario asked the model for something that FreeBSD has and the model lacks, so what
    it said says nothing. `NOT_RUN`: it was to run, and the run ended before its end.
    """

    FAILED = "failed"
    BROKE = "broke"
    KNOWN_BUG = "known bug"
    GAP = "gap"
    NOT_RUN = "not run"
    FIXED_HERE = "fixed here"
    HELD = "held"
    SKIPPED = "skipped"
    NOT_TESTED = "not tested"

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The verdict over several; `NOT_TESTED` over none. One that held outweighs a skipped."""
        found = set(verdicts)
        return next((verdict for verdict in cls if verdict in found), cls.NOT_TESTED)


BAD = frozenset({Verdict.FAILED, Verdict.BROKE})
"""The verdicts of a scenario that somebody has to look at."""

SILENT = frozenset({Verdict.GAP, Verdict.NOT_RUN, Verdict.SKIPPED, Verdict.NOT_TESTED})
"""The verdicts that tell nothing of what the scenario claims: neither good nor bad."""

_IN_WORDS = {
    Verdict.HELD: "held",
    Verdict.FIXED_HERE: "fixed here",
    Verdict.FAILED: "failed",
    Verdict.BROKE: "broke",
    Verdict.KNOWN_BUG: "met a known bug",
    Verdict.GAP: "met a gap in the model",
    Verdict.SKIPPED: "skipped",
    Verdict.NOT_RUN: "did not run",
}


def in_words(counts: Mapping[Verdict, int]) -> str:
    """The verdicts in words: 8 scenarios held, 1 failed."""
    told = [(counts[verdict], text) for verdict, text in _IN_WORDS.items() if counts.get(verdict)]
    if not told:
        return "No scenario ran."
    (count, text), *others = told
    first = f"{count} scenario{'' if count == 1 else 's'} {text}"
    return ", ".join([first, *(f"{count} {text}" for count, text in others)]) + "."


@dataclass(frozen=True)
class Failure:
    """Why a scenario did not hold. `error` is the class of the exception, `message` all it says.

    `step` is the scenario's own line that failed and `place` its file and line, None where the
    failure was outside the scenario. `phase` is setup, call or teardown. `awaited`, `within`
    (seconds) and `last`, the last value seen, are those of a wait that expired.
    """

    error: str
    message: str
    traceback: str
    step: str | None = None
    place: str | None = None
    awaited: str | None = None
    within: float | None = None
    last: str | None = None
    phase: str = "call"
    told: bool | None = None
    """Whether it is about FreeBSD, as the run itself says; runs of earlier versions do not."""

    @property
    def headline(self) -> str:
        """The failure in a line; the last value seen has a place of its own."""
        return self.message.partition("\n")[0].partition("; last seen: ")[0]

    @property
    def broke(self) -> bool:
        """Whether this says nothing about FreeBSD: the lab, the host or the scenario broke."""
        if self.told is not None:
            return not self.told
        kind = getattr(errors, self.error, None) or getattr(builtins, self.error, None)
        return isinstance(kind, type) and not issubclass(kind, ABOUT_FREEBSD)


@dataclass(frozen=True)
class Case:
    """One test in junit.xml. `seconds` is the host's time, with set-up and clean-up.

    `folder` is the name of its evidence. `reason` says why it was skipped or is expected to fail.
    `spent` is where the host's time went; runs of earlier versions do not say.
    """

    name: str
    file: str
    folder: str
    seconds: float
    verdict: Verdict
    claims: tuple[int, ...] = ()
    docstring: str = ""
    noted: tuple[tuple[str, str], ...] = ()
    """What the scenario found out beyond its verdict: names and values."""
    reason: str = ""
    failures: tuple[Failure, ...] = ()
    spent: Spent | None = None
    gaps: tuple[str, ...] = ()
    """What the model lacked of all that it was asked, each in words."""

    @property
    def id(self) -> str:
        """What it is called in its run: test_set_up.py::test_set_up."""
        return f"{self.file}::{self.name}"

    @property
    def scenario(self) -> str:
        """What it is called in every run: without the number of a repetition."""
        return without_number(self.id)

    @property
    def bug(self) -> int | None:
        """The number of the known FreeBSD bug that it met, or that is fixed here."""
        if self.verdict in (Verdict.KNOWN_BUG, Verdict.FIXED_HERE):
            return number_in(self.reason)
        met = (failure for failure in self.failures if failure.error == "KnownBugMet")
        return next((number_in(failure.message) for failure in met), None)


def headline(early: str, counts: Mapping[Verdict, int]) -> str:
    """A run in a line: `early` is why it ended before its end."""
    words = in_words(counts)
    return f"{early[0].upper()}{early[1:]}. {words}" if early else words


def ended_early(cases: Sequence[Case]) -> str:
    """interrupted: 1 of 4 ran; "" where every scenario has run."""
    missing = [case for case in cases if case.verdict is Verdict.NOT_RUN]
    if not missing:
        return ""
    why = missing[-1].reason.partition(":")[0]
    return f"{why}: {len(cases) - len(missing)} of {len(cases)} ran"


@dataclass(frozen=True)
class EvidenceFile:
    """A file that a test left: `path` is relative to the run's folder, `size` in bytes."""

    path: str
    name: str
    size: int


@dataclass(frozen=True)
class Told:
    """What one folder of evidence has: the transcript and the files.

    `files` are by node, those of the test itself under "". `unreadable` counts the lines of the
    transcript that are no entries, as the last one of a killed run is.
    """

    transcript: tuple[Entry, ...] = ()
    timeline: Timeline | None = None
    files: tuple[tuple[str, tuple[EvidenceFile, ...]], ...] = ()
    unreadable: int = 0


@dataclass(frozen=True)
class Scenario:
    """One test with its evidence. `anchor` is its place in the report."""

    case: Case
    told: Told
    anchor: str


@dataclass(frozen=True)
class Claim:
    """One of the ten claims of the field notes, with the scenarios that test it."""

    number: int
    title: str
    verdict: Verdict
    scenarios: tuple[Scenario, ...]
    untested: str = ""
    """What of the claim no scenario of this repository tests, in words; "" where all is tested."""


@dataclass(frozen=True)
class Description:
    """run.json: where the results come from. `seed` only for the simulated lab.

    `mutation` is what was broken on purpose: then the run is evidence about nothing but that.
    `pairs` ran side by side. `release` is skunk1's, `releases` has both where they differ.
    """

    lab: str
    hypervisor: str
    acceleration: str
    image: str
    release: str
    started: datetime
    harness: str
    seed: int | str | None = None
    mutation: str | None = None
    pairs: int = 1
    releases: Mapping[str, str] | None = None
    replaced: tuple[ReplacedProgram, ...] = ()

    @property
    def system(self) -> str:
        """The release, or both, with the replaced programs: only runs of the same are alike."""
        return system(self.release, self.releases, self.replaced)


@dataclass(frozen=True)
class Run:
    """One run. `labs` are the starts of its pairs by their names, "" for an only one.

    `gaps` is None when it left no gaps.json. `seconds` is the host's time for it.
    """

    name: str
    description: Description
    seconds: float
    scenarios: tuple[Scenario, ...]
    claims: tuple[Claim, ...]
    labs: tuple[tuple[str, Told], ...]
    gaps: tuple[Gap, ...] | None = None

    @property
    def simulated(self) -> bool:
        """Whether its nodes were a model, so that it is no evidence about FreeBSD."""
        return is_model(self.description.lab)

    @property
    def spent(self) -> Spent | None:
        """Where the host's time went in all scenarios together, if each of them says."""
        each = [scenario.case.spent for scenario in self.scenarios]
        told = [one for one in each if one is not None]
        return Spent.together(told) if told and len(told) == len(each) else None

    @property
    def unclaimed(self) -> tuple[Scenario, ...]:
        """The scenarios that belong to none of the ten claims."""
        return tuple(scenario for scenario in self.scenarios if not scenario.case.claims)

    @property
    def headline(self) -> str:
        """The run in a line: first that it ended early, if it did, then its verdicts."""
        return headline(self.ended_early, self.counts)

    @property
    def ended_early(self) -> str:
        """Why it ended before its end, and how much of it ran; "" where everything has run."""
        return ended_early([scenario.case for scenario in self.scenarios])

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many scenarios ended with each verdict, without those that none did."""
        ended = [scenario.case.verdict for scenario in self.scenarios]
        return {verdict: ended.count(verdict) for verdict in Verdict if verdict in ended}
