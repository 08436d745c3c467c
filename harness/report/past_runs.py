"""What `skunk history` tells: the flake rate of each scenario, for each lab and release."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.errors import SettingsError
from harness.lab.choose import mark_of
from harness.record.marked import prefix
from harness.record.outgoing import printable
from harness.results.past.history import FILE, LAST, Past, VerdictHistory
from harness.results.run import Verdict

if TYPE_CHECKING:
    import rich.table

# ruff: noqa: PLC0415 - a person waits for the first line, which is no table


@dataclass(frozen=True)
class PastRuns:
    """The runs on one lab with one release."""

    lab: str
    release: str
    runs: int
    scenarios: tuple[Past, ...]


def of(
    folder: Path, *, lab: str | None = None, release: str | None = None, last: int = LAST
) -> list[PastRuns]:
    """What the history in a folder of results has, of one lab and of releases that begin so.

    Raises `SettingsError` when there is none, and `HistoryUnusable`.
    """
    path = folder / FILE
    if not path.is_file():
        raise SettingsError(
            f"there is no history in {folder} yet", advice="each `skunk run` adds its verdicts"
        )
    with VerdictHistory(path) as history:
        found = [
            PastRuns(its, of_it, runs, tuple(history.pasts(its, of_it, last).values()))
            for its, of_it, runs in history.kinds()
            if lab in (None, its) and of_it.startswith(release or "")
        ]
    if not found:
        raise SettingsError(
            f"the history in {folder} has no run of lab {lab or 'any'}, release {release or 'any'}",
            advice="see what there is: skunk history",
        )
    return found


def as_json(found: list[PastRuns]) -> str:
    """The same for a program: a list of labs and releases, each with its scenarios."""
    return json.dumps(
        [
            {
                "lab": one.lab,
                "release": one.release,
                "runs": one.runs,
                "scenarios": [
                    {
                        "id": past.scenario,
                        "runs": len(past.verdicts),
                        **{verdict.name.lower(): past.count(verdict) for verdict in _COUNTED},
                        "flips": past.flips,
                        "flake_rate": past.flake_rate,
                        "verdicts": past.verdicts,
                    }
                    for past in one.scenarios
                ],
            }
            for one in found
        ],
        indent=1,
    )


_COUNTED = (
    Verdict.HELD,
    Verdict.FIXED_HERE,
    Verdict.FAILED,
    Verdict.BROKE,
    Verdict.KNOWN_BUG,
    Verdict.GAP,
    Verdict.SKIPPED,
)


def show(found: list[PastRuns]) -> None:
    """Print a table for each lab and release; scenarios that never went bad are only counted."""
    for one in found:
        mark = prefix(mark_of(one.lab))
        runs = "1 run" if one.runs == 1 else f"{one.runs} runs"
        typer.secho(f"{mark}{one.lab} lab, FreeBSD {printable(one.release)}: {runs}", bold=True)
        restless = sorted(
            (past for past in one.scenarios if past.bad),
            key=lambda past: (-(past.flake_rate or 0.0), -past.bad, past.scenario),
        )
        if restless:
            from rich.console import Console

            Console().print(_table(restless))
        good = len(one.scenarios) - len(restless)
        typer.echo(f"{mark}{good} scenario{'' if good == 1 else 's'} never went bad")


def _table(pasts: list[Past]) -> rich.table.Table:
    import rich.markup
    import rich.table

    table = rich.table.Table(box=None, pad_edge=False)
    table.add_column("scenario", overflow="fold")
    counted = [verdict for verdict in _COUNTED if any(past.count(verdict) for past in pasts)]
    for heading in ("runs", *counted, "flake rate"):
        table.add_column(str(heading), justify="right")
    for past in pasts:
        rate = "" if past.flake_rate is None else f"{past.flake_rate:.0%}"
        counts = (str(past.count(verdict) or "") for verdict in counted)
        table.add_row(rich.markup.escape(past.scenario), str(len(past.verdicts)), *counts, rate)
    return table
