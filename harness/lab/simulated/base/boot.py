"""A boot from the loader to the login prompt, in the order of 13.2's rc(8)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from harness.lab.simulated.base import configuration
from harness.lab.simulated.base.early import configure, dhcp_interfaces
from harness.lab.simulated.base.rc import local_scripts
from harness.lab.simulated.base.rc import start as rc
from harness.lab.simulated.base.rc.rc_conf import conf
from harness.lab.simulated.base.rc.services import SERVICES, at_boot
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.guest import MANAGEMENT, Guest
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.kernel.release import CURRENT
from harness.lab.simulated.network.interfaces import Network

NOTICE = (
    f"*** This is a simulated machine: a model of FreeBSD {CURRENT}, "
    "and no evidence about FreeBSD. ***"
)
"""The first line of every boot on a console."""

_STEPS = (
    (3.0, "loader"),
    (2.2, "kernel"),
    (1.4, "devices"),
    (3.2, "root"),
    (0.9, "host_id"),
    (0.9, "pools"),
    (0.6, "file_systems"),
    (0.7, "hostname"),
    (0.6, "modules"),
    (0.5, "loopback"),
    (1.7, "management"),
    (0.5, "private"),
)
"""What happens and how many seconds after the step before; then the services, and the login.

In all 20 s, for a guest alone. Under emulation it answered after about 20 s (13.2, QEMU 7.2).
"""

_LOGIN = (0.3, "login")

_SCRIPTS = {"file_systems": local_scripts.EARLY, "modules": "kld", "private": "netif"}
"""Which of `local_scripts.steps` a step is the last part of, where it has another name."""

_TRIES, _TRIES_EVERY = 300, 0.1
"""How often a start_postcmd looks, and every how many seconds (provision/hastd.rc.conf)."""

_TWO_AT_ONCE = 1.75
"""How much longer a step takes with two guests on two cores: 36 s in all (docs/benchmarks.md)."""


class Boot:
    """A boot that is under way."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._step = 0
        self._pace = guest.rng.uniform(0.9, 1.1)
        self._cancelled = False
        services = ((each.seconds, each.name) for each in at_boot())
        self._steps = (*_STEPS, *services, _LOGIN)
        self._local: dict[str, list[str]] = {}
        """Scripts of /usr/local/etc/rc.d that have to be started, by the script before them."""
        self._waiting: list[str] = []
        """Those whose turn has come."""

    def start(self) -> None:
        """Begin: the loader has started."""
        self._guest.say(NOTICE)
        self._schedule()

    def cancel(self) -> None:
        """Go no further: a shutdown has begun."""
        self._cancelled = True

    def _schedule(self) -> None:
        pace = _TWO_AT_ONCE * self._pace * self._guest.rng.uniform(0.9, 1.1)
        delay = self._steps[self._step][0] * pace
        self._guest.world.schedule(self._guest, delay, self._next)

    def _next(self) -> None:
        if self._cancelled:
            return
        step = self._steps[self._step][1]
        if step in _ACTIONS:
            _ACTIONS[step](self)
        else:
            self._say_before(step)
            self._start(step)
        self._step += 1
        if step == "file_systems":
            self._find_local()
        self._waiting = self._local.pop(_SCRIPTS.get(step, step), [])
        service = SERVICES.get(step)
        waited_for = None if service is None else service.waited_for
        if service is not None and service.ready is not None:
            self._wait_for(service.ready)
        elif waited_for is None or "start_postcmd" not in conf(self._guest, step):
            self._go_on()
        else:
            self._guest.world.schedule(self._guest, 0.0, self._wait, waited_for)

    def _wait_for(self, ready: Callable[[Guest], bool]) -> None:
        """Go on when a daemon has gone to the background, however long that takes."""
        if self._cancelled or ready(self._guest):
            self._go_on()
        else:
            self._guest.world.schedule(self._guest, _TRIES_EVERY, self._wait_for, ready)

    def _wait(self, there: Callable[[Guest], bool], tries: int = _TRIES) -> None:
        """Go on when what a start_postcmd waits for is there."""
        if there(self._guest) or not tries:
            self._go_on()
        else:
            self._guest.world.schedule(self._guest, _TRIES_EVERY, self._wait, there, tries - 1)

    def _go_on(self, _: Process | None = None) -> None:
        """Start the next of the local scripts, which rc(8) waits for, or go on."""
        if self._cancelled:
            return
        if self._waiting:
            process = local_scripts.run(self._guest, self._waiting.pop(0), "faststart")
            process.on_end = self._go_on
        elif self._step < len(self._steps):
            self._schedule()

    def _find_local(self) -> None:
        try:
            self._local = local_scripts.to_start(self._guest)
        except NotModelled as gap:
            self._guest.world.note_gap(self._guest.name, "boot", str(gap))

    # --- the kernel -----------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._guest.say(text)

    def _kernel(self, text: str) -> None:
        self._guest.say(text)
        self._guest.part(Kernel).messages += text.split("\n")

    def _do_loader(self) -> None:
        self._say(self._guest.release.boot["loader"])
        configuration.of_loader(self._guest)

    def _do_kernel(self) -> None:
        self._guest.part(Kernel).booted_at = self._guest.wall_clock()
        self._kernel(self._guest.release.boot["kernel"])

    def _do_devices(self) -> None:
        lines: list[str] = []
        for number, disk in enumerate(self._guest.disks.values()):
            lines += [
                f"vtblk{number}: <VirtIO Block Adapter> on virtio_pci{number}",
                f"vtblk{number}: {disk.size >> 20}MB ({disk.size // 512} 512 byte sectors)",
            ]
        for number, (name, nic) in enumerate(self._guest.nics.items(), start=3):
            lines += [
                f"{name}: <VirtIO Networking Adapter> on virtio_pci{number}",
                f"{name}: Ethernet address: {nic.mac}",
            ]
        self._kernel("\n".join(lines))

    def _do_root(self) -> None:
        self._kernel(self._guest.release.boot["root"])
        if self._unclean:
            self._kernel(self._guest.release.boot["unclean"])

    @property
    def _unclean(self) -> bool:
        return self._guest.disks["vtbd0"].reserved == "mounted"

    # --- rc(8) ----------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        service = SERVICES[name]
        if not rc.enabled(self._guest, service):
            return
        if not service.runs_hooks:
            for hook in ("start_precmd", "start_postcmd"):
                if hook in conf(self._guest, name):
                    self._guest.world.note_gap(self._guest.name, "boot", f"{name}'s {hook}")
        try:
            rc.start(self._guest, service, self._say, self._say)
        except NotModelled as gap:
            self._guest.world.note_gap(self._guest.name, f"service {name} start", str(gap))

    def _do_host_id(self) -> None:
        configuration.of_boot(self._guest)
        self._start("hostid")

    def _do_pools(self) -> None:
        self._start("zpool")

    def _do_file_systems(self) -> None:
        self._say(self._guest.release.boot["repaired" if self._unclean else "checked"])
        self._guest.disks["vtbd0"].reserved = "mounted"
        self._clean_var_run()
        self._save_host_id()
        self._say("Mounting local filesystems:.")

    def _clean_var_run(self) -> None:
        """rc.d/cleanvar removes what an earlier boot left."""
        root = self._guest.root
        for name in root.names("/var/run"):
            entry = root.entries[f"/var/run/{name}"]
            if entry.kind in {"file", "sock"} and name != "os-release":
                root.remove(f"/var/run/{name}")

    def _save_host_id(self) -> None:
        """rc.d/hostid_save keeps the firmware's UUID as the host's own."""
        entry = self._guest.root.entries.get("/etc/hostid")
        uuid = self._guest.part(Kernel).host_uuid
        if rc.enabled(self._guest, SERVICES["hostid_save"]) and (
            entry is None or entry.data.decode("ascii", "replace").strip() != uuid
        ):
            self._guest.tree.write("/etc/hostid", f"{uuid}\n".encode())

    def _do_hostname(self) -> None:
        self._start("hostname")

    def _do_modules(self) -> None:
        self._start("kld")
        configuration.of_sysctl_conf(self._guest)

    def _do_loopback(self) -> None:
        self._guest.part(Network).add("lo0", ipaddress.IPv4Interface("127.0.0.1/8"), alias=False)

    def _do_management(self) -> None:
        network = self._guest.part(Network)
        if MANAGEMENT not in dhcp_interfaces(self._guest):
            configure(self._guest, MANAGEMENT)
            return
        network.set_up(MANAGEMENT, up=True)
        self._say(
            "Starting dhclient.\n"
            f"DHCPREQUEST on {MANAGEMENT} to 255.255.255.255 port 67\n"
            "DHCPACK from 10.0.2.2\n"
            "bound to 10.0.2.15 -- renewal in 43200 seconds."
        )
        network.add(MANAGEMENT, ipaddress.IPv4Interface("10.0.2.15/24"), alias=False)

    def _do_private(self) -> None:
        for name in self._guest.nics:
            if name != MANAGEMENT:
                configure(self._guest, name)
        network = self._guest.part(Network)
        names = ["lo0", *(name for name in self._guest.nics if network.interfaces[name].up)]
        lines = [f"Starting Network: {' '.join(names)}."]
        for name in names:
            lines += network.show(name)
        self._say("\n".join(lines))

    def _say_before(self, name: str) -> None:
        if name == "cron":
            self._say("Mounting late filesystems:.")  # rc.d/mountlate

    def _do_login(self) -> None:
        self._guest.terminals = {
            self._guest.next_pid(): line for line in (*(f"v{number}" for number in range(8)), "u0")
        }
        now = self._guest.now_utc()
        self._say(
            f"\n{now:%a %b} {now.day:2} {now:%H:%M:%S} UTC {now:%Y}\n\n"
            f"FreeBSD/amd64 ({self._guest.part(Kernel).hostname or 'Amnesiac'}) (ttyu0)\n\nlogin: "
        )


_ACTIONS: dict[str, Callable[[Boot], None]] = {
    "loader": Boot._do_loader,
    "kernel": Boot._do_kernel,
    "devices": Boot._do_devices,
    "root": Boot._do_root,
    "host_id": Boot._do_host_id,
    "pools": Boot._do_pools,
    "file_systems": Boot._do_file_systems,
    "hostname": Boot._do_hostname,
    "modules": Boot._do_modules,
    "loopback": Boot._do_loopback,
    "management": Boot._do_management,
    "private": Boot._do_private,
    "login": Boot._do_login,
}
"""What the steps of a boot do that are no services."""
