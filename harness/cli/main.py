"""The command line. `make` targets call it; every error is one message and an exit status."""

from __future__ import annotations

import contextlib
import enum
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.cli import bench as measure_cli
from harness.cli import nightly as nightly_cli
from harness.cli import pair as commands
from harness.cli.options import ImageOption, LabOption, PairOption, SettingsOption
from harness.config import paths
from harness.errors import HarnessError
from harness.lab.choose import MODEL, LabName, mark_of
from harness.record.exit_status import BROKE, INTERRUPTED
from harness.record.marked import NOBODY_READS, prefix, stop_printing
from harness.waiting import interrupt

# Every command imports what it needs itself: `--help` and `status` are to answer at once, and what
# one lab needs must not be looked for by another (tests/unit/test_start_up.py).
# ruff: noqa: PLC0415

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # with it the help alone would import rich and a parser of Markdown
)


commands.register(app)

_RUN_EXAMPLES = commands.examples(
    "skunk run --lab simulated -k failover -x",
    "skunk run --lab qemu -n 2",
    "skunk run --lab qemu tests/scenarios/test_crashes.py",
    "skunk run --lab qemu --repeat 20 --shuffle -x -m smoke",
    "skunk run --lab qemu --shell-on-failure -k split_brain",
)
_FOR_PYTEST = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("test", context_settings=_FOR_PYTEST, hidden=True)  # what `make test` calls it
@app.command("run", context_settings=_FOR_PYTEST, epilog=_RUN_EXAMPLES)
def run_scenarios(
    context: typer.Context,
    *,
    lab: LabOption = "vagrant",
    image: ImageOption = None,
    pair: PairOption = "default",
    settings: SettingsOption = paths.SETTINGS,
    repeat: Annotated[int, typer.Option(min=1, help="Run each scenario so often.")] = 1,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="In an order of chance.")] = False,
    shuffle_seed: Annotated[int | None, typer.Option(help="In that order again.")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="At the first failure stop, and leave the pair as it is.")
    ] = False,
    shell_on_failure: Annotated[
        bool, typer.Option("--shell-on-failure", help="At each failure, look at the pair first.")
    ] = False,
) -> None:
    """Run the scenarios on real machines; further arguments go to pytest."""
    from harness.cli import repeats

    order = repeats.arguments(repeat, shuffle, shuffle_seed)
    seed = f", in an order of chance (--shuffle-seed {order[-1]})" if "global" in order else ""
    _run_tests(
        f"scenarios{seed}",
        *(lab, pair, settings, image),
        *repeats.chosen(context.args),
        *order,
        *(["--keep"] if keep else []),
        *(["--shell-on-failure"] if shell_on_failure else []),
        *context.args,
    )


@app.command("demo")
def demo(
    seed: Annotated[int, typer.Option(help="The chance of the simulated lab.")] = 1,
    settings: SettingsOption = paths.PROJECT / "demo.yaml",
) -> None:
    """Tell the field notes' whole story on two simulated nodes, in seconds: a model, no evidence.

    That is every scenario of one of its claims; the others run with `pytest --lab simulated`.
    """
    _run_tests(
        "the field notes' story",
        *(MODEL, "demo", settings, None),
        *(str(paths.PROJECT / "tests" / "scenarios"), "-m", "claim"),
        *("--seed", str(seed)),
    )


class Tour(enum.Enum):
    """What a recording is of: a file of tests/tour."""

    TOUR = "tour"
    PUBLISHED = "published"
    PROGRAMS = "programs"


@app.command("record")
def record(
    lab: LabOption = "qemu",
    image: ImageOption = None,
    to: Annotated[Path, typer.Option(help="The file to write.")] = Path("recording.jsonl"),
    tour: Annotated[
        Tour | None,
        typer.Option(help="Only this: HAST, published files, or the base system's programs."),
    ] = None,
    settings: SettingsOption = paths.SETTINGS,
) -> None:
    """Take a tour through real FreeBSD and record each command with its answer."""
    folder = paths.PROJECT / "tests" / "tour"
    _run_tests(
        "a tour to be recorded",
        *(lab, "default", settings, image),
        *(str(folder if tour is None else folder / f"test_{tour.value}.py"), "--record", str(to)),
    )


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


_ONLY_LOOKS = {"--collect-only", "--co", "--fixtures", "--markers", "--setup-plan"}
"""Options of pytest with which no lab is started."""


def _run_tests(
    what: str, lab: LabName, pair: str, settings: Path, image: Path | None, *arguments: str
) -> NoReturn:
    """Run pytest, write the report, and exit with its status.

    What can be refused is refused first, with nothing made: wrong settings, a pair that is up, an
    image or a program that is not there.
    """
    mark = prefix(mark_of(lab))
    typer.echo(f"{mark}{what} on the {lab} lab, pair {pair!r}")
    from harness.config import settings as settings_file
    from harness.lab import choose
    from harness.operate.kept import refuse_if_up

    refuse_if_up(lab, pair)
    loaded = settings_file.load(settings)
    if _ONLY_LOOKS.isdisjoint(arguments):
        choose.refuse(lab, loaded, image_path=image, pair=pair)
    from harness.pytest_plugin.running import run_tests

    words = ["--lab", lab, "--pair", pair, "--settings", str(settings), *arguments]
    words += [] if image is None else ["--image", str(image)]
    status, warnings = run_tests(lab, words, lambda line: typer.echo(f"{mark}{line}"))
    for line in "\n".join(warnings).splitlines():
        typer.echo(f"{mark}warning:  {line}", err=True)
    raise typer.Exit(status)


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


@app.command("image")
def download_image(
    settings: SettingsOption = paths.SETTINGS,
    where: Annotated[
        bool, typer.Option("--where", help="Only say where it is; 3 where it is not.")
    ] = False,
) -> None:
    """Download the official FreeBSD VM image that the settings name, and check its SHA-512."""
    if where:
        from harness.config import settings as settings_file
        from harness.lab.images import image

        typer.echo(image.find(settings_file.load(settings).image))
        return
    typer.echo(f"the image that {settings} names", err=True)  # the path alone is for a script
    from harness.config import settings as settings_file
    from harness.lab.images import download as images

    typer.echo(images.download(settings_file.load(settings).image))


@app.command("box")
def make_box(image: ImageOption = None, settings: SettingsOption = paths.SETTINGS) -> None:
    """Turn a FreeBSD image into a libvirt box and add it to Vagrant under the settings' name."""
    typer.echo(f"a box of {image or f'the image that {settings} names'}")
    from harness.config import settings as settings_file
    from harness.lab.images import image as images
    from harness.lab.qemu.prepare import prepared
    from harness.lab.vagrant import make_box as box

    loaded = settings_file.load(settings)
    base = image or images.find(loaded.image)
    box.make_box(prepared(base, authorized_keys=box.INSECURE_KEY), loaded.box.name)


app.add_typer(measure_cli.app, name="bench", help="Measure resyncs, failovers and writes.")
app.add_typer(nightly_cli.app, name="nightly", help="Every night all releases; what changed.")


def main() -> None:
    """Run the command line. A `HarnessError` ends it with its message and status 3.

    SIGTERM, which a CI runner sends to a job that it cancels, stops the machines as Ctrl-C does,
    and so does SIGHUP, which a terminal sends that is closed.
    """
    interrupt.everywhere()
    try:
        app()
    except HarnessError as error:
        from harness.record.outgoing import outgoing

        typer.echo(outgoing(f"error: {error}"), err=True)
        sys.exit(BROKE)
    except OSError as error:
        if interrupt.is_hang_up(error):
            _interrupted()
        typer.echo(f"error: this host says: {error}", err=True)
        sys.exit(BROKE)
    except KeyboardInterrupt:
        _interrupted()
    except Exception as error:  # a fault of the harness: Python's own 1 is FreeBSD's here
        traceback.print_exc()
        typer.echo(f"error: the harness itself broke: {type(error).__name__}", err=True)
        sys.exit(BROKE)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer has taken it
            _interrupted()
        if isinstance(end.__context__, BrokenPipeError):  # and made it 1, which is FreeBSD's
            stop_printing()
            with contextlib.suppress(BrokenPipeError):  # it may be the same pipe
                typer.echo(f"error: {NOBODY_READS}", err=True)
            sys.exit(BROKE)
        raise


def _interrupted() -> NoReturn:
    if interrupt.insisted():
        left = "the clean-up was left where it was; the next start of that pair removes the rest"
        typer.echo(f"interrupted twice: {left}", err=True)
    else:
        typer.echo("interrupted; everything that was started has been stopped", err=True)
    sys.exit(INTERRUPTED)
