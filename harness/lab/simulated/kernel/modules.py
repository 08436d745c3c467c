"""The kernel's modules, its variables for sysctl(8) and kenv(1), and its message buffer."""

from __future__ import annotations

import hashlib
import math
import posixpath
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.guest import Guest, Part

_FIRST_SMALL = 0xFFFFFFFF82518000
_FIRST_LARGE = 0xFFFFFFFF82600000
_PAGE = 0x1000
_LARGE = 0x200000

_UNSEEN = {"ipfw": (), "dummynet": ("ipfw",), "geom_nop": ()}
"""Modules that the model has, whose size nobody has seen, and what they load before."""

HZ = 100
"""Ticks of the clock a second (kern.hz): FreeBSD's choice on every hypervisor that it knows."""


@dataclass(frozen=True)
class Module:
    """A loaded module, as a line of kldstat(8). A size of 0 is not known."""

    number: int
    name: str
    address: int
    size: int


class Kernel(Part):
    """What lasts from the kernel's start to its end."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.booted_at = guest.wall_clock()
        self._ticking_since = guest.world.now
        self.messages: list[str] = []
        self.modules: dict[str, Module] = {}
        self._set: dict[str, str] = {}
        self.environment: dict[str, str] = {
            "console": "comconsole",
            "bootfile": "kernel",
            "kernelname": "/boot/kernel/kernel",
            "smbios.system.uuid": hardware_uuid(guest),
            "vfs.root.mountfrom": "ufs:/dev/gpt/rootfs",
            "vfs.root.mountfrom.options": "rw",
        }
        self.host_uuid: str = "00000000-0000-0000-0000-000000000000"
        self.host_id: int = 0
        self.hostname: str = ""
        """Empty until rc(8) or somebody sets it."""
        self.stopped = False
        """Whether it has halted or panicked, while the machine has power."""
        self.when_loaded: dict[str, Callable[[], None]] = {}
        """What a part of the kernel does when its module is loaded, by the module's name."""
        self.when_unloaded: dict[str, Callable[[], bool]] = {}
        """What it does when that is to be unloaded; False: it is in use."""
        self.trees: dict[str, Callable[[str], str | None]] = {}
        """Who answers sysctl(8) for the variables that begin so."""
        self.nodes: dict[str, Callable[[], list[str]]] = {}
        """The variables below a node, in sysctl(8)'s order; none of them when it is not there."""
        self.setters: dict[str, Callable[[str, str], str | None]] = {}
        """Who sets the variables that begin so. Each returns what sysctl(8) complains of, or None,
        and may raise `NotModelled`."""
        self.log_is_read: Callable[[], bool] | None = None
        """Whether somebody reads its log, so that the console does not show it too."""
        self.levels: dict[int, str] = {}
        """Levels of messages by their place, where they are not kern.crit."""

    # --- time -----------------------------------------------------------------------------------

    def ticks_at(self, now: float) -> float:
        """Ticks since it has started, with what has passed of the one that has begun."""
        ticks = (now - self._ticking_since) * HZ
        whole = round(ticks)
        return (
            float(whole) if abs(ticks - whole) < 1e-6 else ticks
        )  # a tick has come when it is due

    def time_of(self, tick: int) -> float:
        """The virtual time of a tick."""
        return self._ticking_since + tick / HZ

    def after_ticks(self, count: int, now: float) -> float:
        """Seconds from now that callout(9) takes for so many ticks, of which one has begun."""
        return self.time_of(math.floor(self.ticks_at(now)) + count) - now

    # --- modules --------------------------------------------------------------------------------

    @property
    def _sizes(self) -> Mapping[str, tuple[int, int]]:
        return self._guest.release.module_sizes

    def load(self, name: str) -> str | None:
        """Load a module; returns the errno's name of what went wrong."""
        name = name.removeprefix("/boot/kernel/").removesuffix(".ko")
        if name in self.modules or name == "kernel":
            return "EEXIST"
        if name not in {*self._sizes, *_UNSEEN, *self.when_loaded}:
            if posixpath.basename(name) in self._guest.release.modules:
                raise NotModelled(f"the module {name}")
            if self._guest.tree.entry(f"/boot/modules/{name}.ko") or name.startswith("/"):
                raise NotModelled(f"the module {name}")
            return "ENOENT"
        for needed in _UNSEEN.get(name, ()):
            self.load(needed)
        size = self._sizes[name][0] if name in self._sizes else 0
        number = max((module.number for module in self.modules.values()), default=1) + 1
        self.modules[name] = Module(number, name, self._room_for(size), size)
        if name == "zfs":
            self.say("ZFS filesystem version: 5")
            self.say("ZFS storage pool version: features support (5000)")
        if name in self.when_loaded:
            self.when_loaded[name]()
        self._guest.devctl.post("MODULE", name, "LOADED")
        return None

    def knows(self, name: str) -> bool:
        """Whether the model can tell if a module is there: of those in the kernel itself it cannot.

        Drivers have names such as pci/virtio_pci, classes of geom(4) such as g_part.
        """
        if name in {*self._sizes, *_UNSEEN, *self.when_loaded}:
            return True
        inside = "/" in name or name.startswith("g_") or name in {"cam", "cd9660", "ufs"}
        return not inside and name not in self._guest.release.modules

    def unload(self, name: str) -> bool:
        """Unload a loaded module. False: it is in use."""
        if name in self.when_unloaded and not self.when_unloaded[name]():
            return False
        del self.modules[name]
        return True

    @property
    def references(self) -> int:
        """How many references there are to the kernel itself."""
        return 1 + sum(self._sizes[name][1] for name in self.modules if name in self._sizes)

    def _room_for(self, size: int) -> int:
        large = size >= _LARGE
        step = _LARGE if large else _PAGE
        at = _FIRST_LARGE if large else _FIRST_SMALL
        for module in sorted(self.modules.values(), key=lambda each: each.address):
            end = module.address + module.size
            if (module.size >= _LARGE) == large and end > at:
                at = (end + step - 1) // step * step
        return at

    # --- identity -------------------------------------------------------------------------------

    def set_host_uuid(self, text: str) -> None:
        """Set kern.hostuuid, and kern.hostid as rc.d/hostid makes it of that."""
        self.host_uuid = text
        self.host_id = int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16)

    # --- variables ------------------------------------------------------------------------------

    def value(self, name: str) -> str | None:
        """What sysctl(8) shows of a variable, or None when there is none of that name."""
        if name in self._set:
            return self._set[name]
        if name in _MACHINE:
            return _MACHINE[name]
        if name in self._guest.release.sysctl_values:
            return self._guest.release.sysctl_values[name]
        if name in _COMPUTED:
            return _COMPUTED[name](self._guest)
        for beginning, answer in self.trees.items():
            if name.startswith(beginning):
                return answer(name)
        without_carp = name.startswith("net.inet.carp") and "carp" not in self.modules
        known = name.partition(".")[0] in _TOP.split()
        if without_carp or not known or not self._guest.release.may_have_sysctl(name):
            return None
        raise NotModelled(f"sysctl {name}")

    def leaves(self, name: str) -> list[str]:
        """The variables that sysctl(8) shows for a name: a node's, or the name itself."""
        return (self.nodes[name]() if name in self.nodes else []) or [name]

    def assign(self, name: str, value: str) -> str | None:
        """Set a variable that may be set; returns what is wrong with the value, or None."""
        if name == "kern.hostname":
            self.hostname = value
        elif name == "kern.hostuuid":
            self.host_uuid = value
        elif name == "kern.hostid":
            self.host_id = int(value, 0)
        elif name in WRITABLE.split():
            self._set[name] = value
        else:
            for beginning, setter in self.setters.items():
                if name.startswith(beginning):
                    return setter(name, value)
            raise NotModelled(f"sysctl {name}={value}")
        return None

    # --- messages -------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A line of the kernel's own: console, dmesg(8) and syslogd."""
        self._guest.say(text)
        self.messages.append(text)
        self._guest.log("kernel", None, "kern.crit", text)

    def log(self, text: str, level: str) -> None:
        """A line of the kernel's by log(9): the console has it while nobody reads the log."""
        if self.log_is_read is None or not self.log_is_read():
            self._guest.say(text)
        self.levels[len(self.messages)] = level
        self.messages.append(text)
        self._guest.log("kernel", None, level, text)

    # --- its end --------------------------------------------------------------------------------

    def panic(self, why: str) -> None:
        """Panic: nothing is written, and 15 s later the machine starts over."""
        guest = self._guest
        uptime = self.uptime()
        guest.say(f"panic: {why}\ncpuid = 0\ntime = {int(guest.wall_clock())}")
        guest.say("KDB: stack backtrace:")
        guest.say(
            f"Uptime: {uptime}\n"
            "Automatic reboot in 15 seconds - press a key on the console to abort"
        )
        self.stop()
        guest.world.schedule(guest, 15.0, guest.reset)

    def stop(self) -> None:
        """Let nothing of this boot happen any more. The machine keeps its power."""
        self.stopped = True
        self._guest.lose_memory()

    def uptime(self) -> str:
        """As the kernel says it at its end."""
        seconds = int(self._guest.wall_clock() - self.booted_at)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        shown = f"{days}d" if days else ""
        shown += f"{hours}h" if days or hours else ""
        shown += f"{minutes}m" if days or hours or minutes else ""
        return f"{shown}{seconds}s"


def ctime(at: float) -> str:
    """A time as ctime(3) shows it."""
    when = datetime.fromtimestamp(at, UTC)
    return f"{when:%a %b} {when.day:2} {when:%H:%M:%S %Y}"


def hardware_uuid(guest: Guest) -> str:
    """The UUID that the machine's firmware has, another one on each machine."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{guest.world.seed}.{guest.name}"))


def _boot_time(guest: Guest) -> str:
    at = guest.part(Kernel).booted_at
    shown = ctime(at)
    return f"{{ sec = {int(at)}, usec = {int(at % 1 * 1e6)} }} {shown}"


def _version(guest: Guest) -> str:
    return f"{guest.release.title} GENERIC\n"


_TOP = "kern vm vfs net debug hw machdep user p1003_1b security dev kstat compat"

_MACHINE = {
    "hw.model": "QEMU Virtual CPU version 2.5+",
    "hw.ncpu": "1",
    "hw.physmem": "1036398592",
    "hw.realmem": "1073741824",
    "hw.usermem": "916873216",
    "kern.disks": "vtbd2 vtbd1 vtbd0",
    "kern.hz": str(HZ),
}
"""What the machine makes of it, as on the running guests (13.2)."""

WRITABLE = (
    "kern.geom.debugflags net.inet.icmp.icmplim net.inet.ip.forwarding net.inet.tcp.keepidle "
    "kern.filedelay kern.dirdelay kern.metadelay"
)
"""What can be set and is shown as it was set. The model does nothing else by it."""

_STATHZ = 127
"""Ticks a second of the statistics clock (`sysctl kern.clockrate`)."""


def _processor_time(guest: Guest) -> str:
    """User, nice, system, interrupt and idle ticks: the model's processors have nothing to do."""
    ticks = round(max(0.0, guest.wall_clock() - guest.part(Kernel).booted_at) * _STATHZ)
    return f"0 0 {ticks // 50} 0 {ticks - ticks // 50}"


_COMPUTED: dict[str, Callable[[Guest], str]] = {
    "kern.boottime": _boot_time,
    "kern.cp_time": _processor_time,
    "kern.hostid": lambda guest: str(guest.part(Kernel).host_id),
    "kern.hostname": lambda guest: guest.part(Kernel).hostname,
    "kern.hostuuid": lambda guest: guest.part(Kernel).host_uuid,
    "kern.osrelease": lambda guest: guest.release.version,
    "kern.version": _version,
}
