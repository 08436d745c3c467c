"""The run before this one, in the folder that holds the results of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from harness.errors import HarnessError
from harness.results import junit
from harness.results import results_json as model
from harness.results.read import read_description, read_run
from harness.results.results_json import Results
from harness.results.run import Description

_LOOK_AT = 20
"""Runs. Nobody wants to wait until a hundred are read."""


def results_of(folder: Path) -> Results:
    """The results of a run, from results.json or else from what it was made of.

    Raises `HarnessError` when the folder is no run or is broken.
    """
    told, source = folder / model.NAME, folder / "junit.xml"
    if told.is_file() and (not source.is_file() or told.stat().st_mtime >= source.stat().st_mtime):
        return model.load(told)
    return Results.of(read_run(folder))


def run_before(folder: Path, now: Results) -> Path | None:
    """The newest earlier run beside `folder` of the same lab and software; None: there is none.

    One that has half of this run's scenarios is preferred to a newer one with fewer, so that a
    single scenario tried in between does not hide the last whole run.
    """
    wanted = {one.scenario for one in now.scenarios}
    best: Path | None = None
    for other in _candidates(folder, now):
        try:
            found = {case.scenario for case in junit.read(other / "junit.xml")[1]} & wanted
        except HarnessError:
            continue
        if 2 * len(found) >= len(wanted) and found:
            return other
        if found and best is None:
            best = other
    return best


def _candidates(folder: Path, now: Results) -> list[Path]:
    return [
        other
        for _, other in sorted(_like(folder, now), key=lambda each: each[0], reverse=True)[
            :_LOOK_AT
        ]
    ]


def _like(folder: Path, now: Results) -> Iterator[tuple[datetime, Path]]:
    for path in folder.resolve().parent.glob("*/run.json"):
        if path.parent.is_symlink() or not (path.parent / "junit.xml").is_file():
            continue
        try:
            about = read_description(path.parent)
        except HarnessError:
            continue
        if _comparable(about, now) and about.started < now.run.started:
            yield about.started, path.parent


def _comparable(about: Description, now: Results) -> bool:
    this = now.run
    return (about.lab, about.system, about.mutation) == (this.lab, this.system, this.mutation)
