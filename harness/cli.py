"""The command line. `make` targets call it; every error is one message and an exit status."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

from harness import box, paths
from harness import image as images
from harness import settings as settings_file
from harness.errors import HarnessError
from harness.evidence import new_run_folder
from harness.lab.choose import LabName
from harness.lab.qemu.prepare import prepared

app = typer.Typer(
    help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)

LabOption = Annotated[LabName, typer.Option(help="Where the pair comes from.")]
ImageOption = Annotated[
    Path | None, typer.Option(help="A FreeBSD qcow2 or raw image (qemu lab, box).")
]
SettingsOption = Annotated[Path, typer.Option(help="The settings file.")]

BROKEN_LAB = 3
"""Exit status when the lab, the host or the set-up broke: nothing is said about FreeBSD."""


@app.command("test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_scenarios(
    context: typer.Context,
    lab: LabOption = "vagrant",
    image: ImageOption = None,
    pair: Annotated[str, typer.Option(help="Name of the pair of machines.")] = "default",
    settings: SettingsOption = paths.SETTINGS,
) -> None:
    """Run the scenarios on real machines; further arguments go to pytest (`-k failover`, `-x`)."""
    folder = new_run_folder(lab)
    arguments = [
        str(paths.PROJECT / "tests" / "scenarios"),
        *("--lab", lab, "--pair", pair, "--settings", str(settings)),
        *("--verbose", "--results", str(folder), "--junitxml", str(folder / "junit.xml")),
        *([] if image is None else ["--image", str(image)]),
        *context.args,
    ]
    status = pytest.main(["--rootdir", str(paths.PROJECT), *arguments])
    typer.echo(f"evidence: {folder}")
    raise typer.Exit(int(status))


@app.command("image")
def download_image(settings: SettingsOption = paths.SETTINGS) -> None:
    """Download the official FreeBSD VM image that the settings name, and check its SHA-512."""
    typer.echo(images.download(settings_file.load(settings).image))


@app.command("box")
def make_box(image: ImageOption = None, settings: SettingsOption = paths.SETTINGS) -> None:
    """Turn a FreeBSD image into a libvirt box and add it to Vagrant under the settings' name."""
    loaded = settings_file.load(settings)
    base = image or images.find(loaded.image)
    box.make_box(prepared(base, authorized_keys=box.INSECURE_KEY), loaded.box.name)


@app.command("bench")
def bench(
    lab: LabOption = "qemu",
    image: ImageOption = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each figure is taken.")] = 3,
    settings: SettingsOption = paths.SETTINGS,
) -> None:
    """Measure the harness itself: cold start, restore, round trip of a command, memory."""
    from harness.measure import own_cost  # noqa: PLC0415 - only where it is wanted

    own_cost.main(lab, settings_file.load(settings), image, repeats)


def main() -> None:
    """Run the command line. A `HarnessError` ends it with its message and status 3.

    SIGTERM, which a CI runner sends to a job that it cancels, stops the machines as Ctrl-C does.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except HarnessError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(BROKEN_LAB)
    except KeyboardInterrupt:
        typer.echo("interrupted; everything that was started has been stopped", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
