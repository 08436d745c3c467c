"""What the Vagrant lab asks of a hypervisor, past what Vagrant itself can do.

Vagrant halts a machine by asking it, has no verb for a cable and no snapshot of two machines as one
moment. So everything but making and destroying the machines goes to the hypervisor directly.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from harness.config import paths
from harness.lab.base import Endpoint, Power


@dataclass(frozen=True)
class Room:
    """What the hypervisor's host has free, in MiB; `folder` is on the disks' file system.

    `host` is its name where it is another host than this.
    """

    memory_mib: int
    disk_mib: int
    folder: str
    host: str | None = None


class Hypervisor(Protocol):
    """One pair's machines by their node names. All verbs raise `LabError` and have a deadline."""

    def check(self) -> None:
        """Raise `MissingTool` or `LabError` unless the hypervisor answers and can run a pair."""

    def describe(self) -> str:
        """Name and version."""

    def acceleration(self) -> str:
        """How the CPU of a guest is made."""

    def room(self) -> Room:
        """Memory and disk that are free for a pair."""

    def prepare(self) -> dict[str, str]:
        """Make the host ready for `vagrant up`; return what the Vagrantfile must be told of it."""

    def reach(self, node: str, guest: Endpoint) -> Endpoint:
        """Where this host reaches a guest whose address on the hypervisor's host is `guest`."""

    def power(self, node: str) -> Power:
        """The power state now."""

    def power_on(self, node: str) -> None:
        """Start a machine that is off."""

    def power_cut(self, node: str) -> None:
        """End a machine that runs or is paused, without a word to the guest."""

    def reset(self, node: str) -> None:
        """Press the reset button."""

    def press_power_button(self, node: str) -> None:
        """Press the ACPI power button."""

    def pause(self, node: str) -> None:
        """Stop the CPUs."""

    def resume(self, node: str) -> None:
        """Start the CPUs again."""

    def set_link(self, node: str, *, plugged: bool) -> None:
        """Plug or unplug the private NIC's cable, running or not."""

    def save(self, node: str, tag: str) -> None:
        """Snapshot a paused machine, memory included. A snapshot of that name is replaced."""

    def has_snapshot(self, node: str, tag: str) -> bool:
        """Whether there is such a snapshot."""

    def restore(self, node: str, tag: str) -> None:
        """Bring a machine back to a snapshot, whatever its state, and leave it paused."""

    def remove_all(self) -> None:
        """Remove every machine, disk and network of the pair, whoever left it."""


def room_here(folder: Path) -> Room:
    """What this host has free, on the file system that `folder` is or will be on."""
    there = paths.existing_part(folder)
    return Room(
        memory_mib=psutil.virtual_memory().available >> 20,
        disk_mib=shutil.disk_usage(there).free >> 20,
        folder=str(there),
    )
