"""How each scenario has ended, run after run, in SQLite: which of them are flaky.

A person may ask it with sqlite3(1): the tables are `runs` and `verdicts`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from harness.results.past.database import RunDatabase
from harness.results.run import BAD, SILENT, Verdict

if TYPE_CHECKING:  # who only reads the history waits for no schema
    from harness.results.results_json import Ended, Results

FILE = "verdicts.sqlite"
LAST = 20
"""Runs of a scenario that count: of older ones nobody remembers what was wrong then."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY,
    folder TEXT NOT NULL UNIQUE,     -- its name beside this file
    started TEXT NOT NULL,           -- ISO 8601, UTC
    lab TEXT NOT NULL,
    release TEXT NOT NULL,           -- with the programs that were replaced, if any
    simulated INTEGER NOT NULL,      -- 1: a model, nothing about FreeBSD
    seed TEXT,
    harness TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS verdicts (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    scenario TEXT NOT NULL,          -- file.py::name
    repetition INTEGER NOT NULL,     -- 1 unless it was repeated in that run
    verdict TEXT NOT NULL,
    seconds REAL NOT NULL,           -- of the host
    known_bug INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (run, scenario, repetition)
);
CREATE INDEX IF NOT EXISTS runs_by_lab ON runs (lab, release, started);
"""


@dataclass(frozen=True)
class Past:
    """How one scenario ended in its last runs, the oldest first."""

    scenario: str
    verdicts: tuple[Verdict, ...]

    def count(self, verdict: Verdict) -> int:
        """How often it ended so."""
        return self.verdicts.count(verdict)

    @property
    def bad(self) -> int:
        """How often it failed, or the lab broke."""
        return sum(verdict in BAD for verdict in self.verdicts)

    @property
    def flips(self) -> int:
        """How often it went bad or good again from one run to the next; skips are passed over."""
        ended = [verdict in BAD for verdict in self.verdicts if verdict not in SILENT]
        return sum(one is not other for one, other in itertools.pairwise(ended))

    @property
    def flake_rate(self) -> float | None:
        """Flips for each step from one run to the next, 0 to 1; None before the second run.

        One flip alone is a regression or a fix, and no flake.
        """
        steps = sum(verdict not in SILENT for verdict in self.verdicts) - 1
        if steps < 1:
            return None
        return self.flips / steps if self.flips > 1 else 0.0


class VerdictHistory(RunDatabase):
    """The database beside the results folders of all runs."""

    SCHEMA = _SCHEMA

    def add(self, results: Results) -> None:
        """Add a run, or replace what was kept of the same folder."""
        run = results.run
        self._replace(
            {
                "folder": run.name,
                "started": run.started.astimezone(UTC).isoformat(),
                "lab": run.lab,
                "release": run.system,
                "simulated": int(run.simulated),
                "seed": None if run.seed is None else str(run.seed),
                "harness": run.harness,
            },
            "verdicts",
            (
                (
                    one.scenario,
                    repetition,
                    one.verdict,
                    one.seconds,
                    one.known_bug,
                    one.reason.partition("\n")[0][:500],
                )
                for repetition, one in _numbered(results.scenarios)
                if one.verdict is not Verdict.NOT_RUN
            ),
        )

    def kinds(self) -> list[tuple[str, str, int]]:
        """Labs and releases of which there are runs, and how many, the most lately run first."""
        return self._rows(
            "SELECT lab, release, COUNT(*) FROM runs GROUP BY lab, release"
            " ORDER BY MAX(started) DESC"
        )

    def pasts(self, lab: str, release: str, last: int = LAST) -> dict[str, Past]:
        """Each scenario's last `last` verdicts on a lab with a release, by the scenario's id."""
        rows = self._rows(
            "SELECT scenario, verdict FROM ("
            " SELECT scenario, verdict, ROW_NUMBER() OVER (PARTITION BY scenario"
            "  ORDER BY started DESC, runs.id DESC, repetition DESC) AS age"
            " FROM verdicts JOIN runs ON runs.id = verdicts.run"
            " WHERE lab = ? AND release = ?"
            ") WHERE age <= ? ORDER BY scenario, age DESC",
            *(lab, release, last),
        )
        return _by_scenario(rows)


def _by_scenario(rows: Iterable[tuple[str, str]]) -> dict[str, Past]:
    found: dict[str, list[Verdict]] = {}
    for scenario, verdict in rows:
        found.setdefault(scenario, []).append(Verdict(verdict))
    return {scenario: Past(scenario, tuple(verdicts)) for scenario, verdicts in found.items()}


def flakiest(pasts: Iterable[Past]) -> list[Past]:
    """The scenarios that went bad and good again, or the other way, the most flaky first."""
    flaky = [past for past in pasts if past.flake_rate]
    return sorted(flaky, key=lambda past: (-(past.flake_rate or 0.0), past.scenario))


def _numbered(scenarios: Iterable[Ended]) -> Iterator[tuple[int, Ended]]:
    """Each with which repetition of its scenario it is, counted from 1."""
    so_far: Counter[str] = Counter()
    for one in scenarios:
        so_far[one.scenario] += 1
        yield so_far[one.scenario], one
