"""The Vagrant lab: Vagrant makes and destroys the machines, the hypervisor does all between."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import paramiko
import yaml

from harness.config import paths
from harness.config.settings import Settings
from harness.errors import HarnessError, LabError, MissingTool
from harness.lab import console
from harness.lab.base import Endpoint, Lab, LabDescription, Machine, Network, Power, check_network
from harness.lab.pairs import PairFolder
from harness.lab.turns import turn
from harness.lab.vagrant.boxes import check_box, with_box
from harness.lab.vagrant.commands import QUIET, Vagrant, kill_strays
from harness.lab.vagrant.hypervisor import Hypervisor
from harness.lab.vagrant.libvirt import Driver, Libvirt
from harness.lab.vagrant.remote import RemoteLibvirt
from harness.lab.vagrant.ssh_host import is_over_ssh
from harness.lab.vagrant.virtualbox import VirtualBox
from harness.waiting.parallel import on_each
from harness.waiting.wait import Deadline

BOX_IMPORT_SECONDS = 300.0
"""What the first `up` with a box may take beyond booting: its image, some GB, is copied once."""

NOTHING: Mapping[str, str] = MappingProxyType({})

VAGRANTFILE = paths.PROJECT / "Vagrantfile"

GROWTH_MIB = 1024
"""What the system disk of a machine may grow by during a run."""


class VagrantMachine(Machine):
    """One machine of the Vagrantfile."""

    def __init__(self, lab: VagrantLab, name: str) -> None:
        self.name = name
        self._lab = lab

    @property
    def _hypervisor(self) -> Hypervisor:
        return self._lab.hypervisor

    @property
    def console(self) -> Path:
        """What the first serial port says: written by the hypervisor, or brought from its host."""
        return self._lab.folder / f"{self.name}.console"

    def endpoint(self) -> Endpoint:
        """Where this host reaches what `vagrant ssh-config` says."""
        return self._lab.endpoint(self.name)

    def power(self) -> Power:
        """Ask the hypervisor."""
        return self._hypervisor.power(self.name)

    def power_on(self) -> None:
        """Start it; on a machine that has power already this does nothing."""
        if self.power() is Power.OFF:
            self._hypervisor.power_on(self.name)

    def power_cut(self) -> None:
        """End the virtual machine. What it had handed to the hypervisor is on the host's disk."""
        self._hypervisor.power_cut(self.name)

    def reset(self) -> None:
        """Reset the virtual machine."""
        self._hypervisor.reset(self.name)

    def press_power_button(self) -> None:
        """Send the ACPI event."""
        self._hypervisor.press_power_button(self.name)

    def pause(self) -> None:
        """Stop the CPUs."""
        self._hypervisor.pause(self.name)

    def resume(self) -> None:
        """Let the CPUs go on."""
        self._hypervisor.resume(self.name)

    def unplug_link(self, network: Network = Network.PRIVATE) -> None:
        """Take the carrier from the private NIC; a power cut does not bring it back."""
        self._set_link(network, plugged=False)

    def plug_link(self, network: Network = Network.PRIVATE) -> None:
        """Give the private NIC its carrier back."""
        self._set_link(network, plugged=True)

    def _set_link(self, network: Network, *, plugged: bool) -> None:
        check_network(self, network)
        self._hypervisor.set_link(self.name, plugged=plugged)


class VagrantLab(Lab):
    """The pair of the Vagrantfile, with the box, the provider and the sizes of the settings."""

    name: ClassVar[str] = "vagrant"
    # Two cores, libvirt with driver qemu, FreeBSD 13.2: docs/vagrant.md.

    def __init__(
        self, settings: Settings, pair: str = "default", driver: Driver | None = None
    ) -> None:
        """Describe the lab; nothing is started or written yet.

        `driver` is libvirt's, KVM or emulation; None: what the settings say, and `auto` is tried.
        """
        self._settings = settings = with_box(settings)
        self._pair = PairFolder(self.name, pair)
        self._driver = driver
        self._hypervisor: Hypervisor | None = None
        self._endpoints: dict[str, Endpoint] = {}
        self.machines = {name: VagrantMachine(self, name) for name in sorted(settings.nodes)}

    # --- where things are -----------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Consoles, Vagrant's own state and VirtualBox's data disks."""
        return self._pair.path / "vagrant"

    @property
    def log(self) -> Path:
        """What Vagrant said since the last start, and what broke on the way to another host.

        It is kept after `stop`.
        """
        return paths.state_dir() / "pairs" / f"{self._pair.pair}.vagrant.log"

    @property
    def prefix(self) -> str:
        """The start of the name of every machine, disk and network of this pair.

        Other users and other state folders of this host share the hypervisor, so a digest of this
        one's path is part of it, and of this host's name where other hosts share it too: what has
        the prefix is certainly this pair's.
        """
        whose = str(self._pair.path.absolute())
        if self._is_remote:
            whose = f"{platform.node()}:{whose}"
        digest = hashlib.sha256(whose.encode()).hexdigest()[:8]
        return f"skunk-{self._pair.pair}-{digest}-"

    @property
    def _is_remote(self) -> bool:
        box = self._settings.box
        return box.provider == "libvirt" and is_over_ssh(box.libvirt_uri)

    @property
    def hypervisor(self) -> Hypervisor:
        """The hypervisor of the settings' provider."""
        if self._hypervisor is None:
            if self._settings.box.provider == "virtualbox":
                self._hypervisor = VirtualBox(self._settings, self.prefix, self.folder)
            elif self._is_remote:
                self._hypervisor = RemoteLibvirt(
                    self._settings, self.prefix, self.folder, self.log, self._driver
                )
            else:
                self._hypervisor = Libvirt(self._settings, self.prefix, self._driver)
        return self._hypervisor

    # --- Lab ------------------------------------------------------------------------------------

    def check(self) -> None:
        """Look for Vagrant, its plugin, the box, the hypervisor and room on the host."""
        vagrant = Vagrant(Path("/"), QUIET)
        version = vagrant.version()
        box = self._settings.box
        if box.provider == "libvirt":
            plugins = {plugin.name for plugin in vagrant.plugin_list()}
            if "vagrant-libvirt" not in plugins:
                raise MissingTool(
                    f"Vagrant {version} has no plugin vagrant-libvirt",
                    advice="install it: `apt-get install vagrant-libvirt` where Vagrant is "
                    "Debian's, else `vagrant plugin install vagrant-libvirt`",
                )
        check_box(box, vagrant.box_list())
        self.hypervisor.check()
        self.check_room()

    def start(self) -> None:
        """Take the pair, remove what a dead run left of it, and let Vagrant bring both up.

        Vagrant waits for SSH on both before it returns, to put a key of its own into each. Raises
        `LabError` with the last lines of Vagrant and of both consoles when that does not happen.
        """
        self.check()
        self._hold()
        self._remove_everything()
        self.folder.mkdir(mode=0o700, parents=True)
        self.log.unlink(missing_ok=True)
        # Vagrant's list of machines knows one by its name and the folder of its Vagrantfile (its
        # machine_index.rb), and locks it: pairs that shared the folder would shut each other out.
        (self.folder / VAGRANTFILE.name).symlink_to(VAGRANTFILE)
        self._settings_file.write_text(yaml.safe_dump(self._settings.model_dump(mode="json")))
        with self._only_pair_being_made():
            told = self.hypervisor.prepare()
            try:
                self._vagrant(told).up(provider=self._settings.box.provider)
            except LabError as error:
                raise LabError(
                    error.what + "".join(map(_console_tail, self.machines.values())),
                    advice=f"all that Vagrant said is in {self.log}",
                ) from None
        self._endpoints = self._read_endpoints()

    def stop(self) -> None:
        """Cut the power of both, let Vagrant destroy them, remove the rest, give the pair back.

        Raises `PairInUse` when another process holds the pair.
        """
        self._hold()
        try:
            self._endpoints = {}
            self._remove_everything()
        finally:
            self._pair.release()

    def save(self, tag: str) -> None:
        """Stop both, save both at the same time, let both go on."""
        for machine in self.machines.values():
            if (state := machine.power()) is not Power.RUNNING:
                raise LabError(f"cannot save {tag!r} while it is {state}", node=machine.name)
        on_each(self.machines.values(), lambda machine: machine.pause())
        try:
            on_each(self.machines.values(), lambda machine: self.hypervisor.save(machine.name, tag))
        finally:
            on_each(self.machines.values(), lambda machine: machine.resume())

    def restore(self, tag: str) -> None:
        """Bring back both, paused, then let both go on."""
        for name in self.machines:
            if not self.hypervisor.has_snapshot(name, tag):
                raise LabError(f"there is no snapshot {tag!r}", node=name)
        on_each(self.machines.values(), lambda machine: self.hypervisor.restore(machine.name, tag))
        on_each(self.machines.values(), lambda machine: machine.resume())

    def describe(self) -> LabDescription:
        """Name the hypervisor and its version, the acceleration and the box."""
        box = self._settings.box
        return LabDescription(
            lab=self.name,
            hypervisor=self.hypervisor.describe(),
            acceleration=self.hypervisor.acceleration(),
            image=f"box {box.name}" + (f" {box.version}" if box.version else ""),
        )

    # --- Vagrant --------------------------------------------------------------------------------

    @property
    def _dotfile(self) -> Path:
        return self.folder / "dotfile"

    @property
    def _settings_file(self) -> Path:
        return self.folder / "settings.yaml"

    def _vagrant(self, told: Mapping[str, str] = NOTHING) -> Vagrant:
        """Vagrant in this pair's environment, where the Vagrantfile is `told` more."""
        return Vagrant(
            self.folder,
            {
                **QUIET,
                "VAGRANT_CWD": str(self.folder),
                "VAGRANT_VAGRANTFILE": VAGRANTFILE.name,
                "VAGRANT_DOTFILE_PATH": str(self._dotfile),
                "SKUNK_SETTINGS": str(self._settings_file),
                "SKUNK_PREFIX": self.prefix,
                "SKUNK_FOLDER": str(self.folder),
                **told,
            },
            log=self.log,
            within={"up": self._settings.deadlines.ssh_ready + BOX_IMPORT_SECONDS},
        )

    def endpoint(self, node: str) -> Endpoint:
        """Where a machine is reached from this host.

        Vagrant is asked once: an address is kept over every power cut. Raises `LabError` when it
        knows none, or when there is no way to the hypervisor's host.
        """
        if node not in self._endpoints:
            self._endpoints |= self._read_endpoints(node)
        return self.hypervisor.reach(node, self._endpoints[node])

    def _read_endpoints(self, *nodes: str) -> dict[str, Endpoint]:
        """By node; of both, in one run of Vagrant, when none is named."""
        config = paramiko.SSHConfig.from_text(self._vagrant().ssh_config(*nodes))
        found = {}
        for node in nodes or self.machines:
            said = config.lookup(node)
            found[node] = Endpoint(
                host=said["hostname"],
                port=int(said["port"]),
                user=said["user"],
                key=Path(said["identityfile"][0]),
                host_key=None,
            )
        return found

    # --- the host -------------------------------------------------------------------------------

    def check_room(self) -> None:
        """Raise `LabError` unless the hypervisor's host has memory and disk for a pair."""
        machine = self._settings.machine
        room = self.hypervisor.room()
        there = f" on {room.host}" if room.host else ""
        if room.memory_mib < 2 * machine.memory_mib:
            raise LabError(
                f"two guests of {machine.memory_mib} MiB do not fit into the {room.memory_mib} MiB "
                f"of free memory{there}",
                advice="stop something, or lower machine.memory_mib in lab.yaml (at least 512)",
            )
        # A snapshot puts the memory onto the disk.
        needed = 2 * (machine.data_disk_mib + machine.memory_mib + GROWTH_MIB)
        if room.disk_mib < needed:
            raise LabError(
                f"{room.folder}{there} has {room.disk_mib} MiB free, and a pair may need "
                f"{needed} MiB",
                advice="make room there, or lower machine.data_disk_mib in lab.yaml",
            )

    def _only_pair_being_made(self) -> contextlib.AbstractContextManager[object]:
        """One pair at a time of this user: choosing names for bridges and addresses is a race."""
        lock = paths.cache_dir() / "vagrant-up.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)  # one for all state folders
        deadline = Deadline.after(self._settings.deadlines.ssh_ready + BOX_IMPORT_SECONDS)
        late = LabError(
            f"another pair has been starting for {deadline.within:.0f} s",
            advice="see what that run waits for",
        )
        return turn(lock, "another pair to have started", deadline, late)

    def _hold(self) -> None:
        if not self._pair.held:
            self._pair.acquire()

    def _remove_everything(self) -> None:
        kill_strays(self._dotfile)
        if self._dotfile.exists():
            # Vagrant first, for its own list of machines. What it cannot remove is removed below.
            with contextlib.suppress(HarnessError):
                on_each(self.machines.values(), lambda machine: machine.power_cut())
            with contextlib.suppress(HarnessError):
                self._vagrant().destroy()
        self.hypervisor.remove_all()
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: another lab's pair of this name
            self._pair.path.rmdir()


def _console_tail(machine: Machine) -> str:
    return f"\n--- the console of {machine.name} ---\n{console.tail(machine.console)}"
