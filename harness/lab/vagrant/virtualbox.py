"""The machines in VirtualBox, by VBoxManage. Written from its manual; see docs/vagrant.md."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

from harness.config.settings import Settings
from harness.errors import LabError, MissingTool
from harness.lab.base import Endpoint, Power
from harness.lab.vagrant.hypervisor import Room, room_here
from harness.lab.vagrant.programs import run

PRIVATE_NIC = 2
"""Vagrant makes NIC 1 its own (NAT, with SSH forwarded) and the first network it is told of 2."""

_POWER = {
    "running": Power.RUNNING,
    "starting": Power.RUNNING,
    "stopping": Power.RUNNING,
    "restoring": Power.RUNNING,
    "paused": Power.PAUSED,
    "poweroff": Power.OFF,
    "aborted": Power.OFF,
    "saved": Power.OFF,
}
"""VMState of `showvminfo --machinereadable`: the MachineState names of the VirtualBox SDK."""


class VirtualBox:
    """A pair of machines whose names are `prefix` and the node's name."""

    def __init__(self, settings: Settings, prefix: str, folder: Path) -> None:
        self.prefix = prefix
        self._settings = settings
        self._folder = folder

    def check(self) -> None:
        """Look for VBoxManage and its kernel module."""
        if shutil.which("VBoxManage") is None:
            raise MissingTool(
                "there is no VirtualBox on this host",
                advice="install it from https://www.virtualbox.org, or set box.provider to "
                "libvirt in lab.yaml",
            )
        said = self._manage("--version")
        if "WARNING" in said:  # a line before the version when the kernel module is not there
            raise LabError(f"VirtualBox cannot run machines:\n{said.strip()}")

    def describe(self) -> str:
        """What `VBoxManage --version` says."""
        return f"VirtualBox {self._manage('--version').split()[-1]}"

    def acceleration(self) -> str:
        """VirtualBox has no other."""
        return "hardware virtualisation"

    def prepare(self) -> dict[str, str]:
        """Nothing: the Vagrantfile knows all."""
        return {}

    def reach(self, node: str, guest: Endpoint) -> Endpoint:  # noqa: ARG002 - not here
        """As Vagrant says: VirtualBox forwards a port of this host."""
        return guest

    def room(self) -> Room:
        """Of this host, where the default machine folder is."""
        found = re.search(
            r"^Default machine folder:\s+(.+)$", self._manage("list", "systemproperties"), re.M
        )
        return room_here(Path(found[1]) if found else Path.home())

    # --- verbs ----------------------------------------------------------------------------------

    def power(self, node: str) -> Power:
        """VMState of showvminfo."""
        said = self._machine("showvminfo", node, "--machinereadable")
        found = re.search(r'^VMState="(\w+)"', said, re.M)
        if found is None or found[1] not in _POWER:
            state = found[0] if found else "no VMState"
            raise LabError(f"VirtualBox reports {state}", node=node)
        return _POWER[found[1]]

    def power_on(self, node: str) -> None:
        """startvm, without a window."""
        self._keep_console(node)
        self._machine("startvm", node, "--type", "headless")

    def power_cut(self, node: str) -> None:
        """`controlvm poweroff`."""
        if self.power(node) is not Power.OFF:
            self._machine("controlvm", node, "poweroff")

    def reset(self, node: str) -> None:
        """`controlvm reset`."""
        self._machine("controlvm", node, "reset")

    def press_power_button(self, node: str) -> None:
        """`controlvm acpipowerbutton`."""
        self._machine("controlvm", node, "acpipowerbutton")

    def pause(self, node: str) -> None:
        """`controlvm pause`."""
        self._machine("controlvm", node, "pause")

    def resume(self, node: str) -> None:
        """`controlvm resume`."""
        self._machine("controlvm", node, "resume")

    def set_link(self, node: str, *, plugged: bool) -> None:
        """`controlvm setlinkstate` while it runs, modifyvm cableconnected while it is off."""
        state = "on" if plugged else "off"
        if self.power(node) is Power.OFF:
            self._machine("modifyvm", node, f"--cableconnected{PRIVATE_NIC}", state)
        else:
            self._machine("controlvm", node, f"setlinkstate{PRIVATE_NIC}", state)

    def save(self, node: str, tag: str) -> None:
        """`snapshot take`."""
        if self.has_snapshot(node, tag):
            self._machine("snapshot", node, "delete", tag)
        self._machine("snapshot", node, "take", tag, "--live")

    def has_snapshot(self, node: str, tag: str) -> bool:
        """`snapshot list`."""
        # Without any snapshot VBoxManage says so and ends with status 1.
        with contextlib.suppress(LabError):
            said = self._machine("snapshot", node, "list", "--machinereadable")
            return f'="{tag}"' in said
        return False

    def restore(self, node: str, tag: str) -> None:
        """Power off, snapshot restore, startvm: a saved machine wakes up where it was."""
        self.power_cut(node)
        self._machine("snapshot", node, "restore", tag)
        self.set_link(node, plugged=True)
        self._keep_console(node)
        self._machine("startvm", node, "--type", "headless")
        if self.power(node) is Power.RUNNING:
            self.pause(node)

    def remove_all(self) -> None:
        """`unregistervm --delete`, and the data disks that belong to no machine."""
        said = self._manage("list", "vms")
        for name in re.findall(rf'^"({re.escape(self.prefix)}\w+)"', said, re.M):
            node = name.removeprefix(self.prefix)
            self.power_cut(node)
            self._machine("unregistervm", node, "--delete")
        for disk in self._folder.glob("*-data.vdi"):
            with contextlib.suppress(LabError):  # deleted with its machine, or never registered
                self._manage("closemedium", "disk", str(disk), "--delete")
            disk.unlink(missing_ok=True)

    def _keep_console(self, node: str) -> None:
        """Put the console aside: VirtualBox starts the file anew with the machine."""
        console = self._folder / f"{node}.console"
        if console.exists():
            earlier = len(list(self._folder.glob(f"{console.name}.*")))
            console.rename(f"{console}.{earlier + 1}")

    def _machine(self, verb: str, node: str, *arguments: str) -> str:
        return self._manage(verb, self.prefix + node, *arguments, node=node)

    def _manage(self, *arguments: str, node: str | None = None) -> str:
        return run(
            ["VBoxManage", *arguments], within=self._settings.deadlines.hypervisor, node=node
        )
