"""From the words on a command line to a lab that has passed its checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import SettingsError
from harness.words import Word

if TYPE_CHECKING:
    from harness.config.settings import Settings
    from harness.lab.base import Lab

# What one lab needs is imported for that lab alone: no other one is to miss it.
# ruff: noqa: PLC0415

LabName = Literal["vagrant", "qemu", "simulated"]
DoctorLab = Literal["simulated", "qemu", "vagrant", "vagrant-libvirt", "vagrant-virtualbox"]
"""What a host can be asked to be ready for; `vagrant` is the one with the settings' provider."""

MODEL: LabName = "simulated"
"""The lab without machines: nothing that its nodes say is evidence about FreeBSD."""


class Feature(Word):
    """What a lab can do to its machines, or is like, beyond booting them and answering over SSH.

    A scenario that needs one says so (`@pytest.mark.needs(Feature.POWER)`), and is left out by that
    name on a lab that cannot do it.
    """

    POWER = "power"
    """The power cord can be pulled, and the buttons for reset and ACPI pressed."""

    PAUSE = "pause"
    """A machine can be frozen and go on as if no time had passed."""

    LINK = "link"
    """The cable of the private link can be pulled at either end."""

    DISK_RATE = "disk rate"
    """The data disk can be made slower."""

    HOST_TIME = "the host's time"
    """A second of the nodes is one of the host: what the harness costs can be measured."""


@dataclass(frozen=True)
class LabKind:
    """What is known of a lab by its name alone, before anything of it is imported."""

    name: LabName
    features: frozenset[Feature]
    mark: str | None = None
    """What every line of output and every report has to say of it; None for real machines."""
    no_image: str = ""
    """Why no image can be named to it (`--image`); "" where its machines boot one."""
    no_programs: str = ""
    """Why no program of its nodes can be replaced (`--hastd`); "" where one can."""


_OF_MACHINES = frozenset({Feature.POWER, Feature.PAUSE, Feature.LINK, Feature.HOST_TIME})

KINDS: dict[str, LabKind] = {
    kind.name: kind
    for kind in (
        LabKind("vagrant", _OF_MACHINES, no_image="its machines boot the settings' box"),
        LabKind("qemu", _OF_MACHINES | {Feature.DISK_RATE}),
        LabKind(
            MODEL,
            (_OF_MACHINES | {Feature.DISK_RATE}) - {Feature.HOST_TIME},
            mark=MODEL,
            no_image="it is a model of one release, and boots nothing",
            no_programs="it is a model of FreeBSD, and runs none of its programs",
        ),
    )
}


def mark_of(lab: str) -> str | None:
    """What has to stand before every line about this lab: nothing about one with machines."""
    return KINDS[lab].mark if lab in KINDS else None


def is_model(lab: str) -> bool:
    """Whether what its nodes say is no evidence about FreeBSD."""
    return lab == MODEL


def check_image(name: LabName, image: Path | None) -> None:
    """Raise `SettingsError` where an image is named to a lab that boots none."""
    if image is not None and KINDS[name].no_image:
        raise SettingsError(
            f"the {name} lab takes no image ({image}): {KINDS[name].no_image}",
            advice="leave it out, or take --lab qemu",
        )


def check_software(name: LabName, settings: Settings) -> None:
    """Raise `SettingsError` for programs or a node's own image that a lab cannot have."""
    from harness.config.settings import NODES, PROGRAMS

    for program in PROGRAMS:
        path = next(filter(None, (settings.program_for(node, program) for node in NODES)), None)
        if path is not None and KINDS[name].no_programs:
            raise SettingsError(
                f"the {name} lab replaces no {program} ({path}): {KINDS[name].no_programs}",
                advice="leave it out, or take --lab qemu",
            )
    for node in NODES:
        own = settings.nodes[node].image or settings.nodes[node].release
        if own is not None and KINDS[name].no_image:
            raise SettingsError(
                f"the {name} lab has no other FreeBSD for one node (nodes.{node}, {own}): "
                f"{KINDS[name].no_image}",
                advice="leave it out, or take --lab qemu",
            )


def refuse(name: LabName, settings: Settings, *, image_path: Path | None, pair: str) -> None:
    """Raise the `HarnessError` that tells what the lab lacks, where that shows in no time.

    It is asked before the scenarios are read; `open_lab` looks at the rest. Nothing is changed.
    """
    from harness.lab import replaced

    check_software(name, settings)
    replaced.read(settings)
    if name == "vagrant":
        from harness.lab.vagrant.commands import check_installed

        check_installed()
        return
    from harness.lab.ports import check_ports

    check_ports(settings)
    if name == "qemu":
        from harness.lab.images import image
        from harness.lab.pairs import PairFolder
        from harness.lab.qemu_host import Qemu

        PairFolder(name, pair).check()
        Qemu.find()
        for path in set(_images(settings, image_path).values()):
            image.inspect(path)


def replaced_in_words(settings: Settings) -> list[str]:
    """A line for each program of the user's own. Raises `SettingsError` for one that is none."""
    from harness.config.software import in_words
    from harness.lab import replaced

    return in_words(each.about for each in replaced.read(settings))


def _images(settings: Settings, image_path: Path | None) -> dict[str, Path]:
    """The image that each node of the qemu lab boots: its own, else the one that both have."""
    from harness.config.settings import NODES
    from harness.lab.images import image

    found = {}
    for node in NODES:
        own = settings.nodes[node]
        shared = image_path if own.release is None else None
        found[node] = own.image or shared or image.find(settings.image_of(node))
    return found


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
    from harness.lab import replaced

    lab: Lab
    check_image(name, image_path)
    check_software(name, settings)
    replacements = replaced.read(settings)
    if name == "qemu":
        from harness.lab.images import image
        from harness.lab.qemu.lab import QemuLab
        from harness.lab.qemu.prepare import prepared
        from harness.lab.qemu_host import Qemu

        Qemu.find()
        bases = _images(settings, image_path)
        ready: dict[Path, Path] = {}
        for base in dict.fromkeys(bases.values()):
            image.inspect(base)
            ready[base] = prepared(base, say=say)
        lab = QemuLab(settings, {node: ready[base] for node, base in bases.items()}, pair)
    elif name == MODEL:
        from harness.lab.simulated.lab import RELEASE, SimulatedLab

        wanted = settings.image
        if not wanted.is_branch and not wanted.names(RELEASE.split()[1]):
            say(f"image.release of the settings is {wanted.full_release}, the model is {RELEASE}")
        lab = SimulatedLab(settings, pair)
    else:
        from harness.lab.vagrant.lab import VagrantLab

        lab = VagrantLab(settings, pair)
    lab.replacements = replacements
    lab.check()
    return lab
