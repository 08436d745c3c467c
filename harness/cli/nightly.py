"""`skunk nightly`: the commands of the nightly run, for GitHub's workflow and for cron."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import examples, image_of
from harness.config import paths
from harness.errors import HarnessError, SettingsError

if TYPE_CHECKING:
    from harness.nightly.night import News, Night

# ruff: noqa: PLC0415 - every command imports what it needs itself (harness/cli/main.py)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PlanOption = Annotated[Path, typer.Option("--plan", help="What runs every night.")]
ResultsOption = Annotated[
    Path | None,
    typer.Option(help="Where the results of all nights are.", show_default="results/nightly"),
]


AlwaysOption = Annotated[
    bool, typer.Option(help="Print the night even if everything holds and did before.")
]


class FailOn(enum.StrEnum):
    """What a night ends with another status than 0 for."""

    ANY = "any"
    CHANGE = "change"


FailOnOption = Annotated[
    FailOn,
    typer.Option(
        help="What ends with another status than 0: `any` failure, new or old, or a `change`."
    ),
]


def _results(given: Path | None) -> Path:
    return given or paths.results_dir() / "nightly"


_FOR_PYTEST = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(
    "run",
    context_settings=_FOR_PYTEST,
    epilog=examples(
        "skunk nightly run",
        "skunk nightly run --only simulated --always",
        "skunk nightly run --only qemu-14.5 -m smoke",
    ),
)
def run(
    context: typer.Context,
    *,
    only: Annotated[list[str] | None, typer.Option(help="Only this lane; repeat it.")] = None,
    always: AlwaysOption = False,
    fail_on: FailOnOption = FailOn.ANY,
    results: ResultsOption = None,
    plan: PlanOption = paths.NIGHTLY_PLAN,
) -> None:
    """Run every lane of nightly.yaml on this host; print the night unless all is well.

    Further arguments go to pytest. cron(8) mails what is printed: what does not hold and since
    when, every night, and what changed. Ends with 0 when everything holds, with 1 when FreeBSD did
    not do what a scenario claims, and with 3 when something broke or did not run.
    """
    from harness.nightly import night
    from harness.nightly import plan as plans
    from harness.nightly.run import run_night

    folder = _results(results)
    planned = plans.load(plan)
    unknown = set(only or ()) - {lane.name for lane in planned.lanes()}
    if unknown:
        known = ", ".join(lane.name for lane in planned.lanes())
        raise typer.BadParameter(f"no such lane: {', '.join(unknown)}; there are {known}")
    say = (lambda text: typer.echo(text, err=True)) if os.isatty(2) else (lambda _: None)
    told = run_night(planned, folder, lanes=only or (), arguments=context.args, say=say)
    _tell(night.news(folder, told), fail_on, always=always)


@app.command("news", epilog=examples("skunk nightly news", "skunk nightly news --always"))
def show_news(
    always: AlwaysOption = False,
    fail_on: FailOnOption = FailOn.ANY,
    results: ResultsOption = None,
) -> None:
    """Print the last night again, unless all is well and was; status as `skunk nightly run`."""
    from harness.nightly import night

    folder = _results(results)
    _tell(night.news(folder, _last(folder)), fail_on, always=always)


def _tell(news: News, fail_on: FailOn, *, always: bool) -> None:
    from harness.nightly import words

    if news.is_bad or news.changed or always:
        typer.echo(words.mail(news), nl=False)
    raise typer.Exit(_status(news, fail_on))


def _status(news: News, fail_on: FailOn) -> int:
    """0, 1 or 3, as `skunk run` has them. A change to the better is one too: somebody may wait."""
    if fail_on is FailOn.CHANGE:
        return int(news.changed)
    if news.failed:
        return 1
    return 3 if news.is_bad else 0


def _last(folder: Path) -> Night:
    from harness.nightly import night

    found = night.load(folder)
    if found is None:
        raise HarnessError(
            f"there was no night in {folder} yet",
            advice="`skunk nightly run`, or name the folder with --results",
        )
    return found


@app.command("issue", epilog=examples("skunk nightly issue --dry-run"))
def tell_github(
    dry_run: Annotated[bool, typer.Option(help="Read GitHub, and only say what to do.")] = False,
    results: ResultsOption = None,
) -> None:
    """Open, update or close the one issue that tells how the nights go (needs gh, GH_TOKEN)."""
    from harness.nightly import issue, night

    folder = _results(results)
    news = night.news(folder, _last(folder))
    for done in issue.tell(news, _link(), dry_run=dry_run):
        typer.echo(done)


def _link() -> str | None:
    """Where this run is, on GitHub's runners: its documented variables say."""
    server, repository, number = (
        os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    return f"{server}/{repository}/actions/runs/{number}" if number else None


@app.command("matrix")
def show_matrix(plan: PlanOption = paths.NIGHTLY_PLAN) -> None:
    """Print the jobs of a night for GitHub's matrix, as lines for $GITHUB_OUTPUT."""
    from harness.nightly import plan as plans

    for name, value in plans.load(plan).matrix().items():
        typer.echo(f"{name}={value}")


@app.command(
    "image",
    epilog=examples("skunk nightly image 14.5", "skunk nightly image 16.0-CURRENT --sha512"),
)
def fetch_image(
    release: Annotated[str, typer.Argument(help="As nightly.yaml has it.", show_default=False)],
    sha512: Annotated[
        bool, typer.Option("--sha512", help="Only tell the published SHA-512: a cache's key.")
    ] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="And make it reachable over SSH, once.")
    ] = False,
) -> None:
    """Download the image of a release, and print where it is."""
    typer.echo(f"the image of {release}", err=True)  # the path alone is for a script
    from harness.lab.images import download as images

    wanted = image_of(release)
    if sha512:
        typer.echo(images.published(wanted).sha512)
        return
    path = images.download(wanted)
    if prepare:
        from harness.lab.qemu.prepare import prepared

        prepared(path, say=lambda text: typer.echo(text, err=True))
    typer.echo(path)


@app.command("collect", epilog=examples("skunk nightly collect parts"))
def collect_parts(
    parts: Annotated[Path, typer.Argument(help="Where the shards' results are.")],
    results: ResultsOption = None,
    plan: PlanOption = paths.NIGHTLY_PLAN,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="A night, too, if no runner left results.")
    ] = False,
) -> None:
    """Make one run of each lane's shards, compare it with the night before, and say the night."""
    from harness.nightly import night, words
    from harness.nightly import plan as plans
    from harness.nightly.collect import collect

    folder = _results(results)
    told, warnings = collect(plans.load(plan), parts, folder, allow_empty=allow_empty)
    typer.echo(words.state(night.news(folder, told), _link()), nl=False)
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


@app.command("prune")
def prune_results(
    results: ResultsOption = None,
    plan: PlanOption = paths.NIGHTLY_PLAN,
    keep_evidence: Annotated[
        int | None, typer.Option(min=0, help="Instead of the plan's number.")
    ] = None,
) -> None:
    """Remove the runs of the oldest nights, and the evidence of old ones."""
    from harness.nightly import plan as plans
    from harness.nightly.collect import prune

    planned = plans.load(plan)
    evidence = planned.keep_evidence if keep_evidence is None else keep_evidence
    folder = _results(results)
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is no folder of results", advice="name that of the nights with --results"
        )
    prune(folder, keep=planned.keep, keep_evidence=evidence)
