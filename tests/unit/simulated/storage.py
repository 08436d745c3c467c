"""Guests without rc(8), SSH and hastd: what the tests of the file systems need."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

from harness.lab.simulated import features
from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.hardware.disk import Bio, BlockDevice, Disk, LocalDisk, Op
from harness.lab.simulated.hardware.segment import Nic
from harness.lab.simulated.kernel.guest import Console, Guest, Part, World
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.network.arp import Arp
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.shell import programs as commands
from harness.lab.simulated.shell.programs import Context
from harness.lab.simulated.zfs.zfs import Zfs

MIB = 1 << 20


def nics(world: World, number: int) -> tuple[Nic, ...]:
    """The NICs of skunk1 or skunk2."""
    private = Nic(f"52:54:00:c0:a8:{number:02x}", world.link)
    return (Nic(f"52:54:00:a0:00:{number:02x}"), private)


def _forget(text: str) -> None:
    """A console that nobody looks at."""


class Lost(list[str]):
    """What a guest wrote to its console; a copy of the world writes to the same."""

    def __deepcopy__(self, memo: object) -> Lost:
        return self


def whole(*more: type[Part], write: Callable[[str], None] = _forget) -> World:
    """Two nodes with all that the model has, and `more`, before their first boot.

    `write` gets what the first one says on its console.
    """
    world = World(1)
    for number, written in ((1, write), (2, _forget)):
        Guest(
            world,
            f"skunk{number}",
            number=number,
            parts=(*features.parts(), *more),
            data_disk_bytes=64 * MIB,
            data_disk_serial=f"skunk{number}-data",
            nics=nics(world, number),
            console=Console(written),
        )
    return world


def make(seed: int = 1, size: int = 512 * MIB) -> tuple[World, Guest, Guest]:
    """Two nodes with power. Their consoles are in `console(guest)`."""
    world = World(seed)
    guests = []
    for number in (1, 2):
        guest = Guest(
            world,
            f"skunk{number}",
            number=number,
            parts=(Kernel, Network, Arp, Zfs),
            data_disk_bytes=size,
            data_disk_serial=f"skunk{number}-data",
            nics=nics(world, number),
            console=Console(Lost().append),
        )
        guest.power_on()
        guests.append(guest)
    return world, guests[0], guests[1]


def console(guest: Guest) -> str:
    """All that a guest wrote to its console."""
    return "".join(cast(Any, guest.console.write).__self__)


def start(guest: Guest, line: str) -> Process:
    """Start a command; its words are separated by blanks."""
    words = line.split()
    process = Process(guest, line)
    process.feed(b"")
    process.start(_program(process, words))
    return process


def _program(process: Process, words: list[str]) -> Program:
    context = Context(process, stdout=process.stdout, stderr=process.stderr)
    try:
        return (yield from commands.run(context, words[0], words[1:]))
    except NotModelled as gap:
        context.complain(f"simulated: not modelled: {gap}")
        return 127


def run(guest: Guest, line: str, within: float = 60.0) -> Process:
    """Run a command to its end; fails if it does not end within so many virtual seconds."""
    process = start(guest, line)
    wait(guest.world, lambda: process.status is not None, within)
    if process.failure is not None:
        raise process.failure
    return process


def said(guest: Guest, line: str) -> str:
    """What a command that has to end with 0 prints."""
    process = run(guest, line)
    assert process.status == 0, process.stderr.decode()
    return process.stdout.decode()


def refused(guest: Guest, line: str) -> str:
    """What a command that has to end with 1 complains about."""
    process = run(guest, line)
    assert process.status == 1, (process.status, process.stderr)
    return process.stderr.decode()


def wait(world: World, until: Callable[[], bool], within: float = 60.0) -> None:
    """Let virtual time pass until something is so."""
    deadline = world.now + within
    while not until():
        at = world.next_at()
        assert at is not None, "nothing is going to happen any more"
        assert at <= deadline, f"not within {within} s"
        world.step()


def fsync(guest: Guest, path: str) -> None:
    """fsync(2) a file and wait for it."""
    filesystem, inner = guest.tree.locate(path)
    signal = filesystem.fsync(inner)
    wait(guest.world, lambda: signal.fired)


def twin(world: World) -> World:
    """A snapshot."""
    return copy.deepcopy(world)


class Shared(BlockDevice):
    """A device over a disk that can stall, fail, or go away: what /dev/hast/mirror can do."""

    def __init__(self, guest: Guest, disk: Disk, name: str = "hast/mirror") -> None:
        disk.reserved = "metadata"
        self.name = name
        self.mediasize = disk.size
        self.lower = LocalDisk(guest, disk, 0.0005, 200e6)
        self.error: str | None = None
        self.stalled: list[Bio] | None = None
        self.seen: list[Op] = []
        self._guest = guest
        guest.devices[name] = self

    def submit(self, bio: Bio) -> None:
        """Pass the request on, keep it, or end it with an error."""
        self.seen.append(bio.op)
        if self.error is not None:
            self._guest.world.schedule(self._guest, 0.0001, bio.end, self.error)
        elif self.stalled is not None:
            self.stalled.append(bio)
        else:
            self.lower.submit(bio)

    def remove(self) -> None:
        """Go away by force, as when the role changes."""
        self.error = "ENXIO"
        self._guest.devices.pop(self.name, None)

    def go_on(self) -> None:
        """End a stall."""
        stalled, self.stalled = self.stalled or [], None
        for bio in stalled:
            self.submit(bio)
