"""From the words on a command line to a lab that has passed its checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.config.settings import Settings
    from harness.lab.base import Lab

# What one lab needs is imported for that lab alone: no other one is to miss it.
# ruff: noqa: PLC0415

LabName = Literal["vagrant", "qemu", "simulated"]


def refuse(name: LabName, settings: Settings, *, image_path: Path | None, pair: str) -> None:
    """Raise the `HarnessError` that tells what the lab lacks, where that shows in no time.

    It is asked before the scenarios are read; `open_lab` looks at the rest. Nothing is changed.
    """
    if name == "vagrant":
        from harness.lab.vagrant.commands import check_installed

        check_installed()
        return
    from harness.lab.ports import check_ports

    check_ports(settings)
    if name == "qemu":
        from harness.lab.images import download as image
        from harness.lab.pairs import PairFolder
        from harness.lab.qemu_host import Qemu

        PairFolder(name, pair).check()
        Qemu.find()
        image.check_content(image_path or image.find(settings.image))


def open_lab(
    name: LabName,
    settings: Settings,
    *,
    image_path: Path | None,
    pair: str,
    say: Callable[[str], None] = print,
) -> Lab:
    """Return the lab called `name`, checked and not yet started.

    The qemu lab takes `image_path`, or the image that `make image` put into the cache, and makes it
    reachable over SSH first. Raises the `HarnessError` that says what is missing.
    """
    lab: Lab
    if name == "qemu":
        from harness.lab.images import download as image
        from harness.lab.qemu.lab import QemuLab
        from harness.lab.qemu.prepare import prepared
        from harness.lab.qemu_host import Qemu

        Qemu.find()
        base = image_path or image.find(settings.image)
        image.inspect(base)
        lab = QemuLab(settings, prepared(base, say=say), pair)
    elif name == "simulated":
        from harness.lab.simulated.lab import SimulatedLab

        lab = SimulatedLab(settings, pair)
    else:
        from harness.lab.vagrant.lab import VagrantLab

        lab = VagrantLab(settings, pair)
    lab.check()
    return lab
