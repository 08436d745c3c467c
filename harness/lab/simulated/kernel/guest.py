"""One simulated FreeBSD node: power, kernel, disks, file systems, processes, console."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

from harness.lab.base import Power
from harness.lab.simulated.engine.signal import Signal
from harness.lab.simulated.engine.timeline import Event, Timeline
from harness.lab.simulated.hardware.disk import BlockDevice, Disk, LocalDisk
from harness.lab.simulated.hardware.segment import Nic, Segment
from harness.lab.simulated.kernel.devctl import Devctl
from harness.lab.simulated.kernel.files import RootFileSystem, Tree
from harness.lab.simulated.kernel.release import CURRENT, Release, load
from harness.lab.simulated.kernel.task import Daemon, Script, Task

LATENCY = 0.0005
"""Seconds that each request to a simulated disk takes on top of its length."""

RATE = 200e6
"""Bytes a second of a simulated disk."""

MANAGEMENT, PRIVATE, PUBLIC = "vtnet0", "vtnet1", "vtnet2"
"""The first two NICs of every machine: to the host, and the private link to the other node."""

Logger = Callable[[str, "int | None", str, str], None]
"""Takes a program, its pid, a level as logger(1) has it, and a line."""


class Console:
    """Where a guest's serial line goes. It is outside of the world: a snapshot does not have it."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write

    def __deepcopy__(self, memo: object) -> Console:
        return self


class SshdSwitch:
    """Who is told when sshd(8) begins or ceases to answer. Outside of the world, too."""

    def __init__(self, turn: Callable[[bool], None]) -> None:
        self.turn = turn

    def __deepcopy__(self, memo: object) -> SshdSwitch:
        return self


class World(Timeline):
    """Everything there is. A deep copy of it is a snapshot, because nothing in it is a thread."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.guests: dict[str, Guest] = {}
        self.link = Segment(self)
        """The private link: a crossover cable, so a segment with the two nodes."""

    def reseed(self, seed: int) -> None:
        """Give everything that is still to come another chance."""
        self.seed = seed
        self.rng.seed(f"{seed}/world")
        for name, guest in sorted(self.guests.items()):
            guest.rng.seed(f"{seed}/{name}")

    def plug(self, name: str, nic: str = PRIVATE, *, plugged: bool) -> None:
        """Put the cable into a NIC of a guest, or pull it out; its kernel notices."""
        self.guests[name].nics[nic].plug(plugged=plugged)


class Part:
    """A part of the FreeBSD on a guest: made anew at each boot, and found by its class."""

    def __init__(self, guest: Guest) -> None:
        """Made in the order of the list; it may use those before it, and what the guest has."""

    def boot(self) -> None:
        """The machine has been given power, or was reset."""


P = TypeVar("P", bound=Part)


class Guest:
    """A simulated machine and the FreeBSD on it.

    What FreeBSD does is in its parts, such as `guest.part(Zfs)`; it knows none of them by name.
    They are made anew at each boot; disks and the root file system stay.
    """

    def __init__(
        self,
        world: World,
        name: str,
        *,
        number: int,
        data_disk_bytes: int,
        data_disk_serial: str,
        nics: Iterable[Nic],
        console: Console,
        parts: Iterable[type[Part]],
        freebsd: str = CURRENT,
        disk_latency: float = LATENCY,
        disk_rate: float = RATE,
    ) -> None:
        """A machine without power. `number` is 1 for skunk1; rates are in bytes a second.

        `nics` are those that it has, the one to the host and that of the private link first: vtnet0
        and so on. `parts` are what its FreeBSD consists of, in the order in which they are made;
        `freebsd` is its release, as 13.2.
        """
        self._kinds = tuple(parts)
        self._freebsd = freebsd
        self._disk_speed = (disk_latency, disk_rate)
        self.world = world
        self.name = name
        self.number = number
        self.nics = {f"vtnet{number}": nic for number, nic in enumerate(nics)}
        for nic in self.nics.values():
            nic.put_into(self)
        self.console = console
        self.rng: random.Random = random.Random(f"{world.seed}/{name}")  # noqa: S311 - chance, not secrets
        self.boot = 0
        """Counts power-ons and resets. What was to happen to an earlier boot never does."""
        self.power = Power.OFF
        self.sshd_up = False
        """Whether it answers over SSH; changed by `set_sshd`."""
        self.on_sshd: SshdSwitch | None = None
        self.disks = {
            "vtbd0": Disk("vtbd0", 4329123840, None),
            "vtbd1": Disk("vtbd1", data_disk_bytes, data_disk_serial),
            "vtbd2": Disk("vtbd2", 73728, "seed"),
        }
        self.partitions: dict[str, Disk] = {}
        """Those of the data disk, by name. What is in one is not seen through the whole disk."""
        self.large_files: dict[str, Disk] = {}
        """Files of zeros that truncate(1) has made, by path, where hastd can keep a resource."""
        self.taps: list[Callable[[bytes], None]] = []
        """Who reads along what hastd sends and receives (tcpdump)."""
        self.root = RootFileSystem(self)
        self.tree = Tree(self)
        self.processes: dict[int, Task] = {}
        self.daemons: dict[int, Daemon] = {}
        self.devices: dict[str, BlockDevice] = {}
        """By name without /dev/: vtbd1, hast/mirror."""
        self.shells: dict[int, Script] = {}
        """Running shells by their ids: those of processes, and of scripts within them."""
        self.file_locks: dict[str, Signal] = {}
        """Files that are locked, by path, each with what is fired when it is unlocked."""
        self.terminals: dict[int, str] = {}
        """Each getty(8) and its line, once rc(8) has come to its end."""
        self.clock_offset = 0.0
        """Seconds that its clock is ahead of the true time."""
        self._pid = 500
        self._aside: list[Event] = []
        self._frozen_at = 0.0
        world.guests[name] = self
        self.make_parts()

    # --- hardware -------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it has power (frozen or not)."""
        return self.power is not Power.OFF

    @property
    def frozen(self) -> bool:
        """Whether the hypervisor has stopped its CPU."""
        return self.power is Power.PAUSED

    def power_on(self) -> None:
        """Give it power: the boot begins."""
        if self.running:
            return
        self.power = Power.RUNNING
        self._start_over()

    def power_cut(self) -> None:
        """Take the power away between two instructions."""
        self.lose_memory()
        self.power = Power.OFF
        for disk in (*self.disks.values(), *self.partitions.values()):
            disk.lose_power(self.rng)
        self.limit_data_disk(None)

    def limit_data_disk(self, rate: float | None) -> None:
        """Let the data disk carry at most so many bytes a second, until it loses its power."""
        for disk in (self.disks["vtbd1"], *self.partitions.values()):
            disk.limit = rate

    def reset(self) -> None:
        """Start the CPU over. The disks keep their power and their caches."""
        self.lose_memory()
        self.power = Power.RUNNING
        self._start_over()

    def pause(self) -> None:
        """Freeze it."""
        if self.power is Power.RUNNING:
            self.power = Power.PAUSED
            self._frozen_at = self.world.now

    def resume(self) -> None:
        """Let it go on; its clock has stood still meanwhile."""
        if self.power is not Power.PAUSED:
            return
        self.power = Power.RUNNING
        missed = self.world.now - self._frozen_at
        self.clock_offset -= missed
        aside, self._aside = self._aside, []
        for event in aside:
            if not event.cancelled and event.boot == self.boot:
                self.world.put_back(event, event.at - self._frozen_at)

    def put_aside(self, event: Event) -> None:
        """Keep what would happen now until the guest is no longer frozen."""
        self._aside.append(event)

    # --- what its parts share -------------------------------------------------------------------

    def make_parts(self) -> None:
        """Make the parts of its FreeBSD anew, as at each boot."""
        for nic in self.nics.values():
            nic.start_over()
        self.devctl = Devctl()
        """What the kernel tells whoever listens."""
        self.logger: Logger | None = None
        """Who listens on /var/run/log: what `log` is handed on to."""
        self.syncer_blockers: list[Callable[[], bool]] = []
        """What can keep file systems from being written, such as a suspended pool."""
        self.openers: list[Callable[[str], str | None]] = []
        """Who else than file systems may have a device open: each says how, as geom(8) shows it."""
        self.root.watchers = []
        self._parts: dict[type[Part], Part] = {}
        for kind in self._kinds:
            self._parts[kind] = kind(self)

    def part(self, kind: type[P]) -> P:
        """The part of a class. Raises `KeyError` when its FreeBSD has none."""
        return cast(P, self._parts[kind])

    def replace_part(self, kind: type[P], part: P) -> None:
        """Let something else stand for a part until the next boot: for tests."""
        self._parts[kind] = part

    def next_pid(self) -> int:
        """A new process id."""
        self._pid += self.rng.randint(1, 3)
        return self._pid

    def wall_clock(self) -> float:
        """Seconds since 1970 by its own clock."""
        return self.now_utc().timestamp()

    def now_utc(self) -> datetime:
        """The time by its own clock."""
        return self.world.utc() + timedelta(seconds=self.clock_offset)

    def set_clock(self, when: datetime) -> None:
        """Set its clock, as date(1) does."""
        self.clock_offset = (when.astimezone(UTC) - self.world.utc()).total_seconds()

    def say(self, text: str) -> None:
        """Write a line to the console."""
        self.console.write(text + "\n")

    def set_sshd(self, *, up: bool) -> None:
        """Note that sshd(8) began or ceased to answer, and tell the lab."""
        if self.sshd_up != up:
            self.sshd_up = up
            if self.on_sshd is not None:
                self.on_sshd.turn(up)

    def device_names(self) -> set[str]:
        """Everything in /dev, without the /dev/."""
        return {*self.devices, *self.release.devices, "gpt/rootfs", "iso9660/CIDATA"}

    @property
    def release(self) -> Release:
        """Which FreeBSD it has."""
        return load(self._freebsd)

    def syncer_held_up(self) -> bool:
        """Whether something keeps file systems from being written, as a suspended pool (13.2)."""
        return any(blocks() for blocks in self.syncer_blockers)

    def opened_by(self, device: str) -> str | None:
        """How a program has a device open, as r2w1e0; None when none has."""
        found = (opener(device) for opener in self.openers)
        return next((mode for mode in found if mode is not None), None)

    def may_have_device(self, name: str) -> bool:
        """Whether /dev may have this on a real node, where the model cannot tell."""
        return self.release.may_be_device(name)

    def log(self, program: str, pid: int | None, level: str, text: str) -> None:
        """Send a line to syslogd(8). `level` is as logger(1) has it, `daemon.notice` or `info`."""
        if self.logger is not None:
            self.logger(program, pid, level, text)

    def local(self, disk: Disk) -> LocalDisk:
        """A disk, or what is like one, as a device of this boot."""
        return LocalDisk(self, disk, *self._disk_speed)

    def add_partition(self, name: str, size: int) -> None:
        """Make a partition of so many bytes; its device is there at once."""
        self.partitions[name] = disk = Disk(name, size, None)
        disk.limit = self.disks["vtbd1"].limit
        self.devices[name] = self.local(disk)

    # --- inside ---------------------------------------------------------------------------------

    def lose_memory(self) -> None:
        """All that is in memory is gone; nobody is told."""
        self.set_sshd(up=False)
        self.boot += 1
        for process in list(self.processes.values()):
            process.signal(9)
        self.processes = {}
        self.daemons = {}
        self._aside = []
        self.terminals = {}
        self.devices = {}
        self.taps = []
        self.file_locks = {}
        self.shells = {}
        for nic in self.nics.values():
            nic.go_down()
        self.root.lose_power()
        self.tree.mounts = {}
        self._pid = 500

    def _start_over(self) -> None:
        self.boot += 1
        self.make_parts()
        self.tree.mounts = {"/": self.root}
        disks = {**self.disks, **self.partitions}
        self.devices = {name: self.local(disk) for name, disk in disks.items()}
        for part in list(self._parts.values()):
            part.boot()
