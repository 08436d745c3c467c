"""From a results folder to what people and programs read of it: everything at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.record.outgoing import without_secrets
from harness.report import index, summary
from harness.report.render import render
from harness.results import fields
from harness.results.past.difference import difference
from harness.results.past.earlier import results_of, run_before
from harness.results.past.history import FILE, Past, VerdictHistory
from harness.results.read import read_run
from harness.results.results_json import Results
from harness.results.run import Verdict


@dataclass(frozen=True)
class Published:
    """What was written, and what could not be done: in `warnings`, for a person."""

    report: Path
    results: Path
    summary: Path
    warnings: tuple[str, ...]
    ran: bool
    """Whether any scenario has come to its end."""
    failed: bool
    """Whether FreeBSD did not do what one of them claims."""


def publish(folder: Path, *, against: Path | None = None, remember: bool = False) -> Published:
    """Write report.html, results.json and summary.md into the results folder of a run.

    `against` is the folder of the run to compare it to: the last one like it by default. With
    `remember` the page of all runs beside the folder is made anew, and the verdicts go into the
    history there, unless something was broken on
    purpose or the run was interrupted. Raises `HarnessError` when `folder` or `against` is no run
    or is broken, or `folder` cannot be written to; a last run or a history that cannot be used is
    only a warning.
    """
    run = read_run(folder)
    results = Results.of(run)
    warnings: list[str] = []
    pasts: dict[str, Past] = {}
    try:
        before = against or run_before(folder, results)
        if before is not None:
            found = difference(results, results_of(before))
            results = results.model_copy(update={"difference": found})
    except HarnessError as error:
        if against is not None:
            raise
        warnings.append(f"not compared with the last run: {error}")
    try:
        pasts = _history(folder, results, remember=remember)
    except HarnessError as error:
        warnings.append(str(error))
    try:
        report = folder / fields.REPORT
        report.write_bytes(
            without_secrets(render(run, results.difference, pasts, warnings)).encode(
                "utf-8", "replace"
            )
        )
        told = summary.write(folder, results, pasts, warnings)
        written = results.write(folder)
        ran = bool(set(results.counts) - {Verdict.NOT_RUN})
        if remember:
            warnings += _index(folder.resolve().parent)
        failed = Verdict.FAILED in results.counts
        return Published(report, written, told, tuple(warnings), ran, failed)
    except (OSError, ValueError) as error:
        raise HarnessError(
            f"the report cannot be written: {error}",
            advice="copy the folder to a place where you may write, and report on the copy",
        ) from error


def _index(runs: Path) -> list[str]:
    """Bring the page of all runs up to date; what is in its way is a warning."""
    try:
        index.write(runs)
    except HarnessError as error:
        return [str(error)]
    return []


def _history(folder: Path, results: Results, *, remember: bool) -> dict[str, Past]:
    """Each scenario's past with this run's lab and release, this run included if remembered."""
    path = folder.resolve().parent / FILE
    whole = not results.run.ended_early or results.run.ended_early.startswith("stopped early")
    remember = remember and results.run.mutation is None and whole
    if not (remember or path.is_file()):
        return {}
    with VerdictHistory(path) as history:
        if remember:
            history.add(results)
        return history.pasts(results.run.lab, results.run.system)
