"""The commands that put the harness itself on trial: its model and its scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import SettingsOption
from harness.config import paths

# ruff: noqa: PLC0415 - every command imports what it needs itself (harness/cli/main.py)

app = typer.Typer(rich_markup_mode=None)


@app.command("soak")
def soak(
    runs: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 2000,
    first: Annotated[int, typer.Option(help="The first seed.")] = 1,
    settings: SettingsOption = paths.SETTINGS,
) -> None:
    """Run set-up and failover on the simulated lab with many seeds; 1 when one of them failed."""
    typer.echo(f"[simulated] set-up and failover with the seeds {first} to {first + runs - 1}")
    from harness.config import settings as settings_file
    from harness.trials.soak import soak as run_soak

    failures, seconds = run_soak(settings_file.load(settings), range(first, first + runs))
    for failure in failures:
        typer.echo(f"[simulated] seed {failure.seed}: {failure.error}")
    typer.echo(
        f"[simulated] {runs} runs of set-up and failover in {seconds:.1f} s, "
        f"{len(failures)} of them failed"
    )
    raise typer.Exit(int(bool(failures)))


@app.command("fuzz")
def fuzz(
    lines: Annotated[int, typer.Option(min=1, help="How many command lines.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Another seed, other lines.")] = 1,
    settings: SettingsOption = paths.SETTINGS,
) -> None:
    """Send random command lines to the simulated nodes; 1 when the host was touched."""
    typer.echo(f"[simulated] {lines} random command lines, seed {seed}")
    from harness.config import settings as settings_file
    from harness.trials.fuzz_run import fuzz as run_fuzz

    result = run_fuzz(settings_file.load(settings), lines, seed, typer.echo)
    for what in (*result.faults, *result.touched):
        typer.echo(f"[simulated] {what}")
    typer.echo(
        f"[simulated] {result.lines} lines in {result.seconds:.0f} s: a node went down "
        f"{result.down} times, {len(result.faults)} faults of the model, "
        f"{len(result.touched)} touches of the host"
    )
    raise typer.Exit(int(not result.ok))


@app.command("conformance")
def conformance(
    recordings: Annotated[
        list[Path] | None, typer.Argument(help="Recordings; those of this repository by default.")
    ] = None,
    show: Annotated[int, typer.Option(help="How many differences to show.")] = 20,
    settings: SettingsOption = paths.SETTINGS,
) -> None:
    """Replay recorded FreeBSD on the model; 1 when an answer differs and nobody knows why."""
    chosen = recordings or sorted((paths.PROJECT / "tests" / "recordings").glob("*.jsonl"))
    typer.echo(f"replaying {len(chosen)} recordings on the model")
    from harness.config import settings as settings_file
    from harness.trials.conformance.replay import replay_recording

    different = 0
    for path in chosen:
        result = replay_recording(path, settings_file.load(settings))
        typer.echo(f"{path.name}: {result}")
        for difference in result.differences[:show]:
            typer.echo(f"\n{difference}")
        different += len(result.unexplained)
    raise typer.Exit(int(different > 0))


@app.command("mutations")
def run_mutations(
    names: Annotated[
        list[str] | None, typer.Argument(help="Mutations; all of them by default.")
    ] = None,
    only: Annotated[str, typer.Option("-k", help="Only these scenarios, as for pytest.")] = "",
    jobs: Annotated[int | None, typer.Option(help="Runs side by side (one a core).")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Put the table into this document, too.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Leave the evidence of every run in this folder.")
    ] = None,
) -> None:
    """Break the simulated world in every known way; 1 when no scenario notices one of them."""
    typer.echo("[simulated] first the scenarios as they are, then with each mutation")
    from harness.trials.mutations import run, show, table

    matrix = run.run_all(
        [table.find(name) for name in names or table.ALL],
        ["-k", only] if only else [],
        jobs=jobs,
        complete=not names and not only,
        keep=keep,
        say=lambda text: typer.echo(f"[simulated] {text}"),
    )
    for line in show.lines(matrix):
        typer.echo(f"[simulated] {line}")
    if markdown is not None:
        show.write_markdown(matrix, markdown)
    raise typer.Exit(int(not matrix.ok))
