"""`skunk bench`: measure, compare, look back, and say how long a resync will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from harness.cli.options import (
    HastctlOption,
    HastdOption,
    ImageOption,
    LabOption,
    PairOption,
    SettingsOption,
)
from harness.config import paths
from harness.errors import HarnessError, SettingsError
from harness.lab.choose import MODEL
from harness.record.marked import prefix

if TYPE_CHECKING:
    from harness.measure.plan import Plan
    from harness.measure.run import Running

# ruff: noqa: PLC0415 - every command imports what it needs itself (harness/cli/main.py)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PlanChoice = Annotated[Path, typer.Option("--plan", help="What to measure.")]
FolderChoice = Annotated[
    Path | None, typer.Argument(help="Results of a benchmark.", show_default="the newest")
]


@app.command("run")
def run_plan(  # noqa: PLR0917 - each is an option of the command line
    lab: LabOption = "qemu",
    image: ImageOption = None,
    settings: SettingsOption = paths.SETTINGS,
    what: PlanChoice = paths.BENCH_PLAN,
    pair: PairOption = "bench",
    hastd: HastdOption = None,
    hastctl: HastctlOption = None,
) -> None:
    """Measure what bench.yaml says: resyncs, failovers, writes. Ends with 1 if a row failed.

    Leaves bench.json, figures.csv, the plots and bench.html in a folder under results/, and adds
    the run to the history. Example: skunk bench run --lab qemu --plan my-bench.yaml
    """
    _say(f"what {what} says, on the {lab} lab, pair {pair!r}")
    from harness.config import settings as settings_file
    from harness.lab.choose import open_lab, replaced_in_words
    from harness.measure import plan
    from harness.measure.run import Subject, run
    from harness.operate.kept import refuse_if_up
    from harness.record.folders import new_run_folder
    from harness.record.sinks import Lines
    from harness.run.session import Session

    wanted = plan.load(what)
    loaded = settings_file.load(settings).with_programs(hastd or (), hastctl or ())
    plan.check(wanted, loaded)
    refuse_if_up(lab, pair)
    for line in replaced_in_words(loaded):
        _say(line)
    hardware = open_lab(lab, loaded, image_path=image, pair=pair, say=_say)
    folder = new_run_folder(f"{lab}-bench")
    with Session(loaded, hardware, told=Lines(_say), results=folder) as session:
        running = run([Subject(session)], wanted, folder, _say)
    _finish(running, wanted, folder)


@app.command("compare")
def compare_two(  # noqa: PLR0917 - each is an option of the command line
    a: Annotated[str, typer.Argument(help="Settings file, image, or key=value of hast.conf.")],
    b: Annotated[str, typer.Argument(help="The same for B.")],
    lab: LabOption = "qemu",
    settings: SettingsOption = paths.SETTINGS,
    image: ImageOption = None,
    what: PlanChoice = paths.COMPARE_PLAN,
    pair: PairOption = "bench",
) -> None:
    """Measure A and B in turns, and say whether they differ.

    Each is changes to hast.conf (`replication=async`, `checksum=sha256,compression=lzf`), a
    settings file (lab-b.yaml: another release, other disks) or a FreeBSD image. Two hast.conf
    share one pair; otherwise each has its own, and one is frozen while the other is measured.

    Example: skunk bench compare replication=fullsync replication=async
    """
    _say(f"A is {a}, B is {b}, on the {lab} lab, pair {pair!r}")
    from harness.measure import plan
    from harness.measure.evaluation.compare import Contestant, Opening, opened
    from harness.measure.run import run
    from harness.record.folders import new_run_folder

    wanted = plan.load(what)
    first, second = (Contestant.read(text, settings, image) for text in (a, b))
    for contestant in (first, second):
        plan.check(wanted, contestant.settings)
    folder = new_run_folder(f"{lab}-compare")
    with opened(first, second, Opening(lab, pair, folder, _say)) as subjects:
        running = run(subjects, wanted, folder, _say)
    _finish(running, wanted, folder)


@app.command("show")
def show(
    folder: FolderChoice = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="Only the time that a full resync of it takes: `40 GB`, `4TiB`."),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write its page, plots and tables anew, too.")
    ] = False,
) -> None:
    """Print the tables of a benchmark again, or with --size one answer. Writes nothing by itself.

    The newest is the newest whose plan was measured to its end. The first line says which it is.
    Example: skunk bench show --size "40 GB"
    """
    found = folder or newest()
    if (about := _look(found)) is not None:
        unfinished = f": {_UNFINISHED}" if about.unfinished else ""
        typer.echo(f"{prefix(MODEL if about.simulated else None)}{found}{unfinished}")
    from harness.measure import result

    bench = result.load(found)
    _check_sizes(size or [])
    mark = "[simulated] " if bench.where.simulated else ""
    if size and not write:
        from harness.measure.evaluation.tables import answer

        for each in size:
            for line in answer(bench, each).splitlines():
                typer.echo(f"{mark}{line}")
        return
    from rich.console import Console

    from harness.measure import plan
    from harness.measure.evaluation import page

    sizes = list(size or plan.load().sizes_to_tell)
    page.show(bench, sizes, Console())
    if write:
        if not found.is_dir():
            raise SettingsError(f"{found} is no folder", advice="name the folder of a benchmark")
        typer.echo(f"{mark}{page.write_all(bench, sizes, found)[-1]}")


@app.command("history")
def history(
    against: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Two runs by number: what did the second measure otherwise?"),
    ] = None,
    releases: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two releases: how do all runs of the second differ, on like machines?"),
    ] = None,
) -> None:
    """List all benchmarks so far, or compare two of them figure by figure.

    Example: skunk bench history --releases 13.2-RELEASE 14.3-RELEASE
    """
    from rich.console import Console
    from rich.table import Table

    from harness.measure.evaluation.history import FILE, History

    path = paths.results_dir() / FILE
    if not path.exists():
        raise SettingsError(
            f"there is no history of benchmarks: {path}", advice="make one: make bench"
        )
    console = Console()
    with History(path) as kept:
        if against is not None and releases is not None:
            raise typer.BadParameter("either --against or --releases")
        if releases is not None:
            later, changes = releases[1], kept.changes_of_releases(*releases)
            note = "Medians of each run; n are runs. "
        elif against is not None:
            later, changes = f"run {against[1]}", kept.changes(*against)
            note = "Each run has its day: to tell it from the rest, use `skunk bench compare`. "
        else:
            table = Table("run", "started (UTC)", "release", "lab", "figures")
            for run_id, started, release, lab, figures in kept.runs():
                table.add_row(str(run_id), started[:16], release, lab, str(figures))
            console.print(table)
            return
        if not changes:
            typer.echo("nothing to compare: the two have no figure in seconds of like conditions")
            return
        table = Table(
            "figure",
            "conditions",
            f"{later} is",
            caption=note + "Of the differences told, one in twenty is chance at most.",
        )
        for change in changes:
            table.add_row(change.what, change.conditions, str(change.comparison))
        console.print(table)


@app.command("harness")
def harness_cost(
    lab: LabOption = "qemu",
    image: ImageOption = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each figure is taken.")] = 3,
    only_start_up: Annotated[
        bool, typer.Option("--start-up", help="Only commands to their first line: no machines.")
    ] = False,
    settings: SettingsOption = paths.SETTINGS,
) -> None:
    """Measure the harness itself: cold start, restore, round trip, memory, start-up of commands."""
    from harness.config import settings as settings_file
    from harness.measure import own_cost

    if only_start_up:
        own_cost.show("this host", own_cost.start_ups())
        return
    own_cost.main(lab, settings_file.load(settings), image, repeats, _say)


def _say(line: str) -> None:
    """Print a line as it is: in a log nothing is gained by breaking it."""
    typer.echo(line, err=True)


_UNFINISHED = "unfinished, not all of its plan was measured"


def newest() -> Path:
    """The folder of the newest benchmark that is whole; where none is, of the newest one.

    Raises `SettingsError` when there is none.
    """
    found = sorted(paths.results_dir().glob("*/bench.json"), reverse=True)
    usable = {path: about for path in found if (about := _look(path)) is not None}
    if not usable:
        raise SettingsError(
            f"there is no benchmark under {paths.results_dir()}", advice="make one: make bench"
        )
    whole = (path for path, about in usable.items() if not about.unfinished)
    return next(whole, next(iter(usable))).parent


class _About(NamedTuple):
    """What a benchmark is, without its schema: pydantic takes longer to import than one waits."""

    simulated: bool
    unfinished: bool


def _look(path: Path) -> _About | None:
    """What a benchmark is; None for what is none, and may be none of ours."""
    from harness.results import fields

    try:
        found = fields.read(path / "bench.json" if path.is_dir() else path)
        about = _About(bool(found["where"]["simulated"]), bool(found.get("unfinished")))
        return about if found["version"] == 1 else None
    except fields.UNREADABLE:
        return None


def _check_sizes(sizes: list[str]) -> None:
    from harness.measure import plan

    for size in sizes:
        try:
            plan.parse_size(size)
        except ValueError as error:
            raise SettingsError(str(error), advice="give it like `40 GB`") from None


def _finish(running: Running, wanted: Plan, folder: Path) -> None:
    """Write everything, print the tables and end with 1 when something has no figure."""
    from rich.console import Console

    from harness.measure.evaluation import page
    from harness.measure.evaluation.history import History

    bench = running.bench
    files = page.write_all(bench, wanted.sizes_to_tell, folder)
    page.show(bench, wanted.sizes_to_tell, Console())
    try:
        with History() as kept:
            typer.echo(f"run {kept.add(bench, folder)} of the history (skunk bench history)")
    except (HarnessError, OSError) as error:
        typer.echo(f"not added to the history: {error}", err=True)
    mark = "[simulated] " if bench.where.simulated else ""
    for file in files[-1:]:
        typer.echo(f"{mark}{file}")
    if bench.not_measured or not all(each.complete for each in bench.resyncs):
        raise typer.Exit(1)
