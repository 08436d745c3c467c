"""How many pairs this host has room for: memory, disk and processors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from harness.config.settings import Settings
from harness.errors import LabError, SettingsError
from harness.lab.choose import LabName, is_model

if TYPE_CHECKING:
    pass


SIMULATED_MIB = 1024
"""Memory of a process with two simulated nodes and their snapshots; all scenarios took 890 MiB."""


EMULATION_MIB = 1024
"""What QEMU takes besides a guest's memory when it emulates: mostly its buffer of translated code.
A guest of 1024 MiB took 2080 MiB (13.2, QEMU 7.2)."""


def memory_of_a_pair(lab: LabName, settings: Settings) -> int:
    """MiB of the host's memory that a pair may come to need."""
    if is_model(lab):
        return SIMULATED_MIB
    emulated = settings.machine.accelerator == "tcg" or not Path("/dev/kvm").exists()
    return 2 * (settings.machine.memory_mib + (EMULATION_MIB if emulated else 0))


def check_room(
    lab: LabName, settings: Settings, pairs: int, *, free_memory_mib: int, free_disk_mib: int
) -> None:
    """Raise the `HarnessError` that tells why so many pairs cannot run side by side."""
    for name, node in settings.nodes.items():
        if node.ssh_port is not None:
            raise SettingsError(
                f"{pairs} pairs cannot share port {node.ssh_port} of {name}",
                advice=f"set nodes.{name}.ssh_port in the settings to null: any free port",
            )
    memory = memory_of_a_pair(lab, settings)
    disk = 1  # Vagrant's machines are in another place
    if lab == "qemu":
        from harness.lab.qemu_host import DISK_ROOM_MIB  # noqa: PLC0415 - of that lab alone

        disk = DISK_ROOM_MIB
    for what, needed, free in (
        ("memory", memory, free_memory_mib),
        ("disk", disk, free_disk_mib),
    ):
        if pairs * needed > free:
            fit = min(free_memory_mib // memory, free_disk_mib // disk)
            raise LabError(
                f"{pairs} pairs need {_gib(pairs * needed)} of {what}, {_gib(free)} are free",
                advice=f"give -n {fit}" if fit > 1 else "run one pair: leave -n out",
            )


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"


def most_pairs(lab: LabName, settings: Settings) -> int:
    """What `-n auto` means: as many as the memory and the processors are enough for."""
    processors = 1 if is_model(lab) else 2 * settings.machine.cpus
    fit = free_memory_mib() // memory_of_a_pair(lab, settings)
    return max(1, min(fit, (os.cpu_count() or 1) // processors))


def free_memory_mib() -> int:
    """MiB of the host's memory that programs can have now."""
    return psutil.virtual_memory().available >> 20
