"""The commands for FreeBSD's images, and the box that one of them becomes."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import ImageOption, SettingsOption, image_of
from harness.config import paths

# ruff: noqa: PLC0415 - every command imports what it needs itself (harness/cli/main.py)

app = typer.Typer(rich_markup_mode=None)


@app.command("image")
def download_image(
    settings: SettingsOption = paths.SETTINGS,
    release: Annotated[
        str | None, typer.Option(help="14.3, or 14: its newest.", show_default="the settings'")
    ] = None,
    where: Annotated[
        bool, typer.Option("--where", help="Only say where it is; 3 where it is not.")
    ] = False,
) -> None:
    """Download the official FreeBSD VM image that the settings name, and check its SHA-512."""
    named = f"the image of FreeBSD {release}" if release else f"the image that {settings} names"
    if not where:
        typer.echo(named, err=True)  # the path alone is for a script
    from harness.config import settings as settings_file
    from harness.lab.images import download as images
    from harness.lab.images import image

    wanted = settings_file.load(settings).image if release is None else image_of(release)
    typer.echo(image.find(wanted) if where else images.download(wanted))


@app.command("box")
def make_box(image: ImageOption = None, settings: SettingsOption = paths.SETTINGS) -> None:
    """Turn a FreeBSD image into a libvirt box and add it to Vagrant under the settings' name."""
    typer.echo(f"a box of {image or f'the image that {settings} names'}")
    from harness.config import settings as settings_file
    from harness.lab.images import image as images
    from harness.lab.qemu.prepare import prepared
    from harness.lab.vagrant import make_box as box
    from harness.lab.vagrant.boxes import name_for

    loaded = settings_file.load(settings)
    base = image or images.find(loaded.image)
    name = name_for(base, loaded)
    box.make_box(prepared(base, authorized_keys=box.INSECURE_KEY), name)
