"""The history of benchmarks in SQLite, and what has changed since an earlier one.

A person may ask it with sqlite3(1): the tables are `runs` and `figures`. To list them needs none
of what compares figures, so it is imported by whoever compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config import paths
from harness.errors import SettingsError
from harness.results.past.database import RunDatabase

if TYPE_CHECKING:
    from harness.measure.evaluation.figures import Figure, Groups
    from harness.measure.evaluation.statistics import Comparison
    from harness.measure.result import Bench

# ruff: noqa: PLC0415 - numpy, scipy and pydantic, and who lists the runs needs none of them

FILE = "history.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,           -- ISO 8601, UTC
    folder TEXT NOT NULL UNIQUE,
    release TEXT NOT NULL,           -- with the programs that were replaced, if any
    lab TEXT NOT NULL,
    simulated INTEGER NOT NULL,      -- 1: a model, nothing about FreeBSD
    acceleration TEXT NOT NULL,
    host_cpu TEXT NOT NULL,
    host_cores INTEGER NOT NULL,
    harness TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS figures (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    what TEXT NOT NULL,
    conditions TEXT NOT NULL,
    unit TEXT NOT NULL,              -- s or B/s
    value REAL NOT NULL,
    set_name TEXT NOT NULL           -- A or B in a comparison, else empty
);
CREATE INDEX IF NOT EXISTS figures_by_what ON figures (what, conditions, unit);
"""


@dataclass(frozen=True)
class Change:
    """A figure that two runs have in common, and how it differs."""

    what: str
    conditions: str
    comparison: Comparison


class History(RunDatabase):
    """The database under results/."""

    SCHEMA = _SCHEMA

    def __init__(self, path: Path | None = None) -> None:
        """Open it, and make it when it is not there."""
        super().__init__(path or paths.results_dir() / FILE)

    def add(self, bench: Bench, folder: Path) -> int:
        """Add a run with its figures, or replace the one of this folder; return its number."""
        from harness.measure.evaluation.figures import figures

        where = bench.where
        return self._replace(
            {
                "started": where.started.isoformat(),
                "folder": str(folder),
                "release": where.system,
                "lab": where.lab,
                "simulated": int(where.simulated),
                "acceleration": where.acceleration,
                "host_cpu": where.host_cpu,
                "host_cores": where.host_cores,
                "harness": where.harness,
            },
            "figures",
            (
                (each.what, each.conditions, each.unit, each.value, each.set_name)
                for each in figures(bench)
            ),
        )

    def figures(self, run: int) -> list[Figure]:
        """The figures of a run. Raises `SettingsError` when there is no such run."""
        from harness.measure.evaluation.figures import Figure

        if not self._rows("SELECT 1 FROM runs WHERE id = ?", run):
            raise self._none(str(run))
        rows = self._rows(
            "SELECT what, conditions, unit, value, set_name FROM figures WHERE run = ?"
            " ORDER BY rowid",
            run,
        )
        return [Figure(*row) for row in rows]

    def runs(self) -> list[tuple[int, str, str, str, int]]:
        """Number, start, release, lab and number of figures of each run, the oldest first."""
        return self._rows(
            "SELECT id, started, release, lab,"
            " (SELECT COUNT(*) FROM figures WHERE run = runs.id) FROM runs ORDER BY started, id"
        )

    def changes(self, earlier: int, later: int) -> list[Change]:
        """What a later run measured otherwise than an earlier one: figures in seconds, in both.

        Raises `SettingsError` when there is no such run.
        """
        from harness.measure.evaluation.figures import grouped

        return _changes(*(grouped(self.figures(run)) for run in (earlier, later)))

    def changes_of_releases(self, earlier: str, later: str) -> list[Change]:
        """How the runs of a release differ from those of another, by the median of each run.

        Only runs of like machines count: those of the newest run of the later release. Repeats
        within a run share its day, so that it is runs that are counted, and several are needed.
        Raises `SettingsError` when there is no such run.
        """
        from harness.measure.evaluation.figures import grouped

        machine = self._machine(later)
        medians = []
        for release in (earlier, later):
            runs = self._runs_on(machine, release)
            if not runs:
                raise self._none(f"of {release} on {_told(machine)}")
            medians.append(_medians(grouped(self.figures(run)) for run in runs))
        return _changes(*medians)

    def _machine(self, release: str) -> tuple[object, ...]:
        """What the newest run of a release was measured on, as `_MACHINE` has it."""
        found: list[tuple[object, ...]] = self._rows(
            f"SELECT {_MACHINE} FROM runs WHERE {_IS_OF} ORDER BY started DESC, id DESC",  # noqa: S608
            *(release, release),
        )
        if not found:
            raise self._none(f"of {release}")
        return found[0]

    def _none(self, which: str) -> SettingsError:
        return SettingsError(
            f"the history in {self.path} has no run {which}",
            advice="see which there are: skunk bench history",
        )

    def _runs_on(self, machine: tuple[object, ...], release: str) -> list[int]:
        query = f"SELECT id FROM runs WHERE ({_MACHINE}) = (?, ?, ?, ?) AND {_IS_OF}"  # noqa: S608
        return [run for (run,) in self._rows(query, *machine, release, release)]


_MACHINE = "lab, acceleration, host_cpu, host_cores"
"""Columns that runs have in common whose figures can be held against each other."""

_IS_OF = "(release = ? OR (release LIKE ? || ' %' AND release NOT LIKE '% % %'))"
"""Of a release by its name, with its architecture or without: not with a program replaced."""


def _told(machine: tuple[object, ...]) -> str:
    lab, acceleration, cpu, cores = machine
    return f"the {lab} lab, {acceleration}, {cores} cores of {cpu}"


def _medians(runs: Iterable[Groups]) -> Groups:
    """Each figure's median of each run."""
    from statistics import median

    found: Groups = {}
    for run in runs:
        for key, values in run.items():
            found.setdefault(key, []).append(median(values))
    return found


def _changes(before: Groups, after: Groups) -> list[Change]:
    from harness.measure.evaluation.figures import differences

    return [Change(*key[:2], comparison) for key, comparison in differences(before, after).items()]
