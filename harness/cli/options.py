"""The options that several commands of `skunk` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.lab.choose import LabName

LabOption = Annotated[LabName, typer.Option("--lab", help="Where the pair comes from.")]
ImageOption = Annotated[
    Path | None,
    typer.Option(
        "--image",
        help="A FreeBSD qcow2 or raw image (qemu lab, box).",
        show_default="the one in the cache",
    ),
]
SettingsOption = Annotated[Path, typer.Option("--settings", help="The settings file.")]
PairOption = Annotated[
    str, typer.Option("--pair", help="Name of the pair; each lab has its own names.")
]


def examples(*lines: str) -> str:
    """Command lines that work, for the end of a command's help."""
    return "\n\n".join(["Examples:", *(f"$ {line}" for line in lines)])
