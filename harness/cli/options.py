"""The options that several commands of `skunk` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import SettingsError
from harness.lab.choose import KINDS, LabName, check_image

if TYPE_CHECKING:
    from harness.config.settings import ImageSettings


def _checked(context: typer.Context, image: Path | None) -> Path | None:
    """An image, where the lab that is named beside it takes one."""
    try:
        if lab := context.params.get("lab"):
            check_image(lab, image)
    except SettingsError as error:
        raise typer.BadParameter(f"{error.what}; {error.advice}") from None
    return image


LabOption = Annotated[
    LabName,
    typer.Option("--lab", is_eager=True, help="Where the pair comes from."),  # before --image
]
ImageOption = Annotated[
    Path | None,
    typer.Option(
        "--image",
        callback=_checked,
        help="A FreeBSD qcow2 or raw image (qemu lab, box).",
        show_default="the one in the cache",
    ),
]


def _replaceable(context: typer.Context, files: list[str] | None) -> list[str] | None:
    """Programs, where the lab that is named beside them runs any."""
    lab = context.params.get("lab")
    if files and lab and (why := KINDS[lab].no_programs):
        raise typer.BadParameter(
            f"the {lab} lab replaces no program ({files[0]}): {why}; take --lab qemu"
        )
    return files


_OF_ONE_NODE = "[NODE=]FILE"
HastdOption = Annotated[
    list[str] | None,
    typer.Option(
        "--hastd",
        callback=_replaceable,
        metavar=_OF_ONE_NODE,
        help="A hastd of your own in the place of the image's, on one node or both.",
    ),
]
HastctlOption = Annotated[
    list[str] | None,
    typer.Option(
        "--hastctl", callback=_replaceable, metavar=_OF_ONE_NODE, help="The same for hastctl."
    ),
]
SettingsOption = Annotated[Path, typer.Option("--settings", help="The settings file.")]
PairOption = Annotated[
    str, typer.Option("--pair", help="Name of the pair; each lab has its own names.")
]


def image_of(release: str) -> ImageSettings:
    """The image of a release or a branch that somebody has typed. Raises `BadParameter`."""
    from harness.config.settings import ImageSettings  # noqa: PLC0415 - slow, and for few commands

    try:
        return ImageSettings(release=release)
    except ValueError:
        raise typer.BadParameter(
            f"{release!r} is no release of FreeBSD: one is 14.3, 15.1-STABLE or 16.0-CURRENT; 14 "
            "is its newest, CURRENT the newest development snapshot"
        ) from None


def examples(*lines: str) -> str:
    """Command lines that work, for the end of a command's help."""
    return "\n\n".join(["Examples:", *(f"$ {line}" for line in lines)])
