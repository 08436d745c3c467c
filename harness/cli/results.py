"""The commands for what runs have left: reports, the page of all runs, the history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.config import paths

# ruff: noqa: PLC0415 - every command imports what it needs itself (harness/cli/main.py)

app = typer.Typer(rich_markup_mode=None)


@app.command("report")
def make_report(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Results of a run.", show_default="results/latest"),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Results to compare with.", show_default="the last run like it"),
    ] = None,
) -> None:
    """Make report.html, results.json and summary.md from the results of a run."""
    found = folder or paths.results_dir() / "latest"
    if (found / "run.json").is_file():
        typer.echo(f"the run {found.resolve().name}")
    from harness.report.publish import publish

    published = publish(found, against=against)
    for path in (published.report, published.results, published.summary):
        typer.echo(path)
    for warning in published.warnings:
        typer.echo(f"warning: {warning}", err=True)


@app.command("index")
def make_index(
    folder: Annotated[
        Path | None,
        typer.Argument(help="The folder of all runs.", show_default="results"),
    ] = None,
) -> None:
    """Put all runs on one page, the newest first, each with its outcome and its report."""
    from harness.report.index import write

    typer.echo(write(folder or paths.results_dir()))


@app.command("history")
def show_history(
    lab: Annotated[str | None, typer.Option(help="Only this lab.")] = None,
    release: Annotated[str | None, typer.Option(help="Only releases that begin so.")] = None,
    last: Annotated[int, typer.Option(min=2, help="How many runs of each scenario count.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Tell how each scenario has ended in the last runs, and which of them are flaky."""
    from harness.report import past_runs

    found = past_runs.of(paths.results_dir(), lab=lab, release=release, last=last)
    if as_json:
        typer.echo(past_runs.as_json(found))
    else:
        past_runs.show(found)


@app.command("compare-releases")
def compare_releases(
    results: Annotated[
        list[Path], typer.Argument(help="Results of runs; each is held against the first.")
    ],
    recording: Annotated[
        list[Path] | None,
        typer.Option(help="Recordings of one tour, in that order, to hold against each other too."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The page to write.", show_default="standard output")
    ] = None,
) -> None:
    """Put runs of several releases side by side: verdicts, times, and what is answered otherwise.

    Example: skunk compare-releases results/2026-11-23-qemu results/2026-12-01-qemu --to page.md
    """
    if len(results) < 2:
        raise typer.BadParameter("it takes the results of two runs at least")
    typer.echo(f"{', '.join(str(folder) for folder in results)} beside each other", err=True)
    from harness.report import releases

    page = releases.compare(results)
    if recording:
        from harness.trials.conformance.recording import answers

        page += releases.compare_recordings(
            [path.name for path in recording], [answers(path) for path in recording]
        )
    if to is None:
        typer.echo(page)
    else:
        to.write_text(page, "utf-8")
        typer.echo(to)
