"""The commands that run scenarios: on real machines, as a story, and to be recorded."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.cli.options import (
    HastctlOption,
    HastdOption,
    ImageOption,
    LabOption,
    PairOption,
    SettingsOption,
    examples,
)
from harness.config import paths
from harness.lab.choose import MODEL, LabName, mark_of
from harness.record.marked import prefix

# ruff: noqa: PLC0415 - every command imports what it needs itself (harness/cli/main.py)

app = typer.Typer(rich_markup_mode=None)


_RUN_EXAMPLES = examples(
    "skunk run --lab simulated -k failover -x",
    "skunk run --lab qemu -n 2",
    "skunk run --lab qemu tests/scenarios/test_crashes.py",
    "skunk run --lab qemu --repeat 20 --shuffle -x -m smoke",
    "skunk run --lab qemu --shell-on-failure -k split_brain",
    "skunk run --lab qemu --hastd obj/sbin/hastd/hastd",
    "skunk run --lab qemu --hastd skunk1=/tmp/hastd -m smoke",
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
    hastd: HastdOption = None,
    hastctl: HastctlOption = None,
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
        hastd=hastd or (),
        hastctl=hastctl or (),
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


_ONLY_LOOKS = {"--collect-only", "--co", "--fixtures", "--markers", "--setup-plan"}
"""Options of pytest with which no lab is started."""


def _run_tests(
    what: str,
    lab: LabName,
    pair: str,
    settings: Path,
    image: Path | None,
    *arguments: str,
    hastd: Sequence[str] = (),
    hastctl: Sequence[str] = (),
) -> NoReturn:
    """Run pytest, write the report, and exit with its status.

    What can be refused is refused first, with nothing made: wrong settings, a pair that is up, an
    image or a program that is not there, or is none for the nodes.
    """
    mark = prefix(mark_of(lab))
    typer.echo(f"{mark}{what} on the {lab} lab, pair {pair!r}")
    from harness.config import settings as settings_file
    from harness.config.settings import PROGRAMS
    from harness.lab import choose
    from harness.operate.kept import refuse_if_up

    refuse_if_up(lab, pair)
    loaded = settings_file.load(settings).with_programs(hastd, hastctl)
    if _ONLY_LOOKS.isdisjoint(arguments):
        choose.refuse(lab, loaded, image_path=image, pair=pair)
        for line in choose.replaced_in_words(loaded):
            typer.echo(f"{mark}{line}")
    from harness.pytest_plugin.running import run_tests

    words = ["--lab", lab, "--pair", pair, "--settings", str(settings), *arguments]
    words += [] if image is None else ["--image", str(image)]
    for program in PROGRAMS if hastd or hastctl else ():
        words += [f"--{program}={each}" for each in loaded.program_words(program)]
    status, warnings = run_tests(lab, words, lambda line: typer.echo(f"{mark}{line}"))
    for line in "\n".join(warnings).splitlines():
        typer.echo(f"{mark}warning:  {line}", err=True)
    raise typer.Exit(status)
