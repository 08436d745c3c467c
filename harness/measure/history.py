"""The history of benchmarks in SQLite, and what has changed since an earlier one.

A person may ask it with sqlite3(1): the tables are `runs` and `figures`.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from harness import paths
from harness.errors import SettingsError
from harness.measure.figures import Figure, figures
from harness.measure.result import Bench
from harness.measure.statistics import Comparison, compare

FILE = "history.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,           -- ISO 8601, UTC
    folder TEXT NOT NULL UNIQUE,
    release TEXT NOT NULL,
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


class History:
    """The database under results/. A context manager."""

    def __init__(self, path: Path | None = None) -> None:
        """Open it, and make it when it is not there."""
        self.path = path or paths.results_dir() / FILE
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(self.path)
        self._database.execute("PRAGMA foreign_keys = ON")
        self._database.executescript(_SCHEMA)

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, bench: Bench, folder: Path) -> int:
        """Add a run with its figures, or replace the one of this folder; return its number."""
        where = bench.where
        with self._database:
            self._database.execute("DELETE FROM runs WHERE folder = ?", (str(folder),))
            run = self._database.execute(
                "INSERT INTO runs (started, folder, release, lab, simulated, acceleration,"
                " host_cpu, host_cores, harness) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    where.started.isoformat(),
                    str(folder),
                    where.release,
                    where.lab,
                    int(where.simulated),
                    where.acceleration,
                    where.host_cpu,
                    where.host_cores,
                    where.harness,
                ),
            ).lastrowid
            self._database.executemany(
                "INSERT INTO figures VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (run, each.what, each.conditions, each.unit, each.value, each.set_name)
                    for each in figures(bench)
                ],
            )
        assert run is not None
        return run

    def figures(self, run: int) -> list[Figure]:
        """The figures of a run. Raises `SettingsError` when there is no such run."""
        if not self._database.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone():
            raise SettingsError(
                f"the history in {self.path} has no run {run}",
                advice="see which there are: skunk bench history",
            )
        rows = self._database.execute(
            "SELECT what, conditions, unit, value, set_name FROM figures WHERE run = ?"
            " ORDER BY rowid",
            (run,),
        )
        return [Figure(*row) for row in rows]

    def runs(self) -> list[tuple[int, str, str, str, int]]:
        """Number, start, release, lab and number of figures of each run, the oldest first."""
        return list(
            self._database.execute(
                "SELECT id, started, release, lab,"
                " (SELECT COUNT(*) FROM figures WHERE run = runs.id) FROM runs ORDER BY started, id"
            )
        )

    def changes(self, earlier: int, later: int) -> list[Change]:
        """What a later run measured otherwise than an earlier one: figures in seconds, in both."""
        before, after = (_seconds(self.figures(run)) for run in (earlier, later))
        return [
            Change(*key, compare(before[key], after[key]))
            for key in before
            if key in after and min(*before[key], *after[key]) > 0
        ]


def _seconds(values: list[Figure]) -> dict[tuple[str, str], list[float]]:
    groups: dict[tuple[str, str], list[float]] = {}
    for figure in values:
        if figure.unit == "s" and not figure.set_name:
            groups.setdefault((figure.what, figure.conditions), []).append(figure.value)
    return groups
