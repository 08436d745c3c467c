"""The machines as libvirt domains, by virsh(1)."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import re
import shutil
import time
import xml.etree.ElementTree as ET  # what it reads is libvirt's own
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

import psutil

from harness.config.settings import BoxSettings, Settings
from harness.errors import LabError, MissingTool, SettingsError
from harness.lab.base import Endpoint, Power
from harness.lab.vagrant.boxes import libvirt_images
from harness.lab.vagrant.hypervisor import Room, room_here
from harness.lab.vagrant.programs import run
from harness.waiting.wait import scaled

Driver = Literal["kvm", "qemu"]

POOL = "default"
"""The storage pool that vagrant-libvirt uses, and makes where there is none."""
POOL_FOLDER = Path("/var/lib/libvirt/images")
"""Where it makes it (vagrant-libvirt's util/storage_util.rb)."""

SYSTEM_PROGRAMS = ("/usr/sbin", "/sbin")
"""Where dnsmasq is, which libvirtd finds and an ordinary user's PATH does not."""

MANAGEMENT_NETWORKS = ipaddress.IPv4Network("10.157.0.0/16")
"""A pair's SSH network is one of the 256 in here; the Vagrantfile's own default is the first."""

CACHED_SECONDS = 3.0
"""An answer out of libvirt's cache takes some 10 ms, and asking QEMU itself 4 s, on the reference
machine."""

_POWER = {
    "running": Power.RUNNING,
    "idle": Power.RUNNING,
    "in shutdown": Power.RUNNING,
    "paused": Power.PAUSED,
    "shut off": Power.OFF,
    "crashed": Power.OFF,
}
"""virsh(1), domstate."""

_INSTALL = (
    "install it: `apt-get install vagrant-libvirt libvirt-daemon-system libvirt-clients "
    "qemu-system-x86 qemu-utils dnsmasq-base`; docs/vagrant.md tells the rest"
)


class Libvirt:
    """A pair of domains of this host's libvirt; their names are `prefix` and the node's name."""

    programs: ClassVar[tuple[str, ...]] = ("virsh", "dnsmasq")
    """What has to be on this host."""
    refused: ClassVar[str] = (
        "start it with `systemctl start libvirtd`; if it is running and refuses you, join its "
        "group: `usermod -aG libvirt $USER` and log in anew"
    )
    """What to do when libvirtd does not answer."""

    def __init__(self, settings: Settings, prefix: str, driver: Driver | None = None) -> None:
        """`driver` None: what the settings say, and `auto` is found out when it is needed."""
        self.prefix = prefix
        self._settings = settings
        self._driver = driver
        self._uri = settings.box.libvirt_uri

    @functools.cached_property
    def driver(self) -> Driver:
        """KVM or emulation."""
        return self._driver or find_driver(self._settings.box)

    # --- before the start -----------------------------------------------------------------------

    def check(self) -> None:
        """Look for the programs, an answering libvirtd and an emulator for the driver."""
        if not re.match(r"qemu(\+unix)?:///system", self._uri):
            raise wrong_uri(self._uri)
        self._check_programs()
        self._check_daemon()

    def _check_programs(self) -> None:
        for program in self.programs:
            if not any(shutil.which(program, path=path) for path in (None, *SYSTEM_PROGRAMS)):
                raise MissingTool(f"there is no {program} on this host", advice=_INSTALL)

    def _check_daemon(self) -> None:
        self._virsh("version", advice=self.refused)
        self._check_emulator()

    def _check_emulator(self) -> None:
        """Ask what QEMU can do with the driver, which libvirt should know from its cache."""
        within = scaled(CACHED_SECONDS)
        for _ in range(2):
            started = time.monotonic()
            self._virsh(
                *("domcapabilities", "--virttype", self.driver, "--arch", "x86_64"),
                advice="set box.driver to qemu in lab.yaml to do without KVM"
                if self.driver == "kvm"
                else _INSTALL,
            )
            took = time.monotonic() - started
            if took < within:
                return
        raise LabError(
            f"libvirt takes {took:.0f} s to say what QEMU can do, each time it is asked, and it "
            "asks itself many times for one start",
            advice="this happens when /dev/kvm exists and libvirt's QEMU may not open it; give it "
            "the owner that udev gives it: `chgrp kvm /dev/kvm && chmod 660 /dev/kvm`",
        )

    def describe(self) -> str:
        """What `virsh version` says of libvirt and QEMU."""
        said = self._virsh("version")
        library = re.search(r"Using library: (.+)", said)
        qemu = re.search(r"Running hypervisor: (.+)", said)
        return " with ".join(found[1] for found in (library, qemu) if found)

    def acceleration(self) -> str:
        """By the driver."""
        return "KVM" if self.driver == "kvm" else "emulation (TCG)"

    def prepare(self) -> dict[str, str]:
        """Mend the box's copy in the pool; tell the driver, and a network for SSH that is free."""
        box = self._settings.box.name or ""
        sizes = [image.stat().st_size for image in libvirt_images(box)]
        self.remove_broken_box_images(box, sizes)
        network = free_network([*self._libvirt_networks(), *self._host_networks()])
        return {"SKUNK_DRIVER": self.driver, "SKUNK_MANAGEMENT_NETWORK": str(network)}

    def reach(self, node: str, guest: Endpoint) -> Endpoint:  # noqa: ARG002 - not here
        """As Vagrant says: this host has an address in the management network."""
        return guest

    def room(self) -> Room:
        """Of this host, where the storage pool is."""
        return room_here(self._storage_folder())

    def _storage_folder(self) -> Path:
        """The folder of the storage pool, which need not exist yet."""
        if POOL in self._names("pool-list", "--all", "--name"):
            return Path(_text(self._xml("pool-dumpxml", POOL), "target/path"))
        return POOL_FOLDER

    def _host_networks(self) -> Iterable[ipaddress.IPv4Network]:
        for addresses in psutil.net_if_addrs().values():
            for address in addresses:
                if address.family.name == "AF_INET" and address.netmask:
                    yield ipaddress.IPv4Network(
                        f"{address.address}/{address.netmask}", strict=False
                    )

    def _libvirt_networks(self) -> Iterable[ipaddress.IPv4Network]:
        for _, network in self._described(
            self._names("net-list", "--all", "--name"), "net-dumpxml"
        ):
            for ip in network.iter("ip"):
                mask = ip.get("netmask") or ip.get("prefix")
                if ip.get("family", "ipv4") == "ipv4" and mask:
                    yield ipaddress.IPv4Network(f"{ip.get('address')}/{mask}", strict=False)

    # --- verbs ----------------------------------------------------------------------------------

    def power(self, node: str) -> Power:
        """`virsh domstate`."""
        state = self._domain("domstate", node).strip()
        if state not in _POWER:
            raise LabError(f"libvirt says that its state is {state!r}", node=node)
        return _POWER[state]

    def power_on(self, node: str) -> None:
        """`virsh start`."""
        self._domain("start", node)

    def power_cut(self, node: str) -> None:
        """`virsh destroy`: QEMU writes out what the guest had handed to it, and ends."""
        if self.power(node) is not Power.OFF:
            self._domain("destroy", node)

    def reset(self, node: str) -> None:
        """`virsh reset`."""
        self._domain("reset", node)

    def press_power_button(self, node: str) -> None:
        """`virsh shutdown --mode acpi`."""
        self._domain("shutdown", node, "--mode", "acpi")

    def pause(self, node: str) -> None:
        """`virsh suspend`."""
        self._domain("suspend", node)

    def resume(self, node: str) -> None:
        """`virsh resume`."""
        self._domain("resume", node)

    def set_link(self, node: str, *, plugged: bool) -> None:
        """`virsh domif-setlink`, for the machine as it runs and for its next start."""
        arguments = (self._settings.private_mac(node), "up" if plugged else "down")
        # A cable stays as it is over a power cut: so the next start, and the one that runs.
        self._domain("domif-setlink", node, *arguments, "--config")
        if self.power(node) is not Power.OFF:
            self._domain("domif-setlink", node, *arguments)

    def save(self, node: str, tag: str) -> None:
        """`virsh snapshot-create-as`: an internal snapshot in both qcow2 disks, memory with it."""
        if self.has_snapshot(node, tag):
            self._domain("snapshot-delete", node, tag)
        self._domain("snapshot-create-as", node, tag)

    def has_snapshot(self, node: str, tag: str) -> bool:
        """`virsh snapshot-list`."""
        return tag in self._domain("snapshot-list", node, "--name").split()

    def restore(self, node: str, tag: str) -> None:
        """`virsh snapshot-revert --paused`; the state of the link comes from the snapshot too."""
        self._domain("snapshot-revert", node, tag, "--paused")
        self.set_link(node, plugged=True)

    # --- leftovers ------------------------------------------------------------------------------

    def remove_all(self) -> None:
        """Domains first, because they hold the networks and the volumes."""
        for domain in self._ours("list", "--all", "--name"):
            if self._virsh("domstate", domain).strip() != "shut off":
                self._virsh("destroy", domain)
            self._virsh("undefine", domain, "--managed-save", "--snapshots-metadata", "--nvram")
        for network in self._ours("net-list", "--all", "--name"):
            if network in self._names("net-list", "--name"):
                self._virsh("net-destroy", network)
            self._virsh("net-undefine", network)
        for volume in self._volumes():
            if volume.startswith(self.prefix):
                self._virsh("vol-delete", volume, "--pool", POOL)

    def remove_broken_box_images(self, box: str, sizes: Iterable[int]) -> None:
        """Remove copies of a box in the pool that are not whole, and that no disk stands on.

        vagrant-libvirt copies a box into the pool once and trusts whatever has the right name from
        then on, even when that copy was cut short. `sizes` are the bytes of the box's images.
        """
        whole = set(sizes)
        start = box.replace("/", "-VAGRANTSLASH-") + "_vagrant_box_image_"
        broken = {}
        bases = set()
        volumes = self._described(self._volumes(), "vol-dumpxml", "--pool", POOL)
        for volume, description in volumes:
            bases.add(description.findtext("backingStore/path"))
            if volume.startswith(start) and int(_text(description, "physical")) not in whole:
                broken[volume] = _text(description, "target/path")
        for volume, path in broken.items():
            if path not in bases:
                self._virsh("vol-delete", volume, "--pool", POOL)

    def _volumes(self) -> list[str]:
        if POOL not in self._names("pool-list", "--all", "--name"):
            return []
        if POOL not in self._names("pool-list", "--name"):
            self._virsh("pool-start", POOL)  # vagrant-libvirt's does not start with the host
        with contextlib.suppress(LabError):  # refused while another pair's box is being copied
            self._virsh("pool-refresh", POOL)
        rows = self._virsh("vol-list", POOL).splitlines()
        return [row.split()[0] for row in rows if row.strip()]

    # --- virsh ----------------------------------------------------------------------------------

    def _ours(self, *arguments: str) -> list[str]:
        return [name for name in self._names(*arguments) if name.startswith(self.prefix)]

    def _names(self, *arguments: str) -> list[str]:
        return [name for line in self._virsh(*arguments).splitlines() if (name := line.strip())]

    def _described(
        self, names: Iterable[str], command: str, *arguments: str
    ) -> Iterator[tuple[str, ET.Element]]:
        """Each thing of the list with its XML, but for another pair's that has gone meanwhile."""
        for name in names:
            with contextlib.suppress(LabError):
                yield name, self._xml(command, name, *arguments)

    def _xml(self, *arguments: str) -> ET.Element:
        return ET.fromstring(self._virsh(*arguments))  # noqa: S314 - libvirt's own output

    def _domain(self, verb: str, node: str, *arguments: str) -> str:
        return self._virsh(verb, self.prefix + node, *arguments, node=node)

    def _virsh(self, *arguments: str, node: str | None = None, advice: str | None = None) -> str:
        return run(
            ["virsh", "--connect", self._uri, "--quiet", *arguments],
            within=self._settings.deadlines.hypervisor,
            node=node,
            advice=advice,
        )


def find_driver(box: BoxSettings) -> Driver:
    """The driver that the settings name, with `auto` resolved by starting the box under KVM.

    Where nothing can be tried, the box not being here or QEMU too old for the probe, /dev/kvm
    decides.
    """
    if box.driver != "auto":
        return box.driver
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "qemu"
    images = libvirt_images(box.name or "")
    if not images:
        return "kvm"
    from harness.lab.qemu_host import Qemu, choose_accelerator  # noqa: PLC0415 - only to try KVM

    try:
        qemu = Qemu.find()
    except MissingTool:
        return "kvm"
    works = choose_accelerator("auto", qemu, images[-1], "qcow2")
    return "kvm" if works == "kvm" else "qemu"


def free_network(taken: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """A network of 256 addresses that overlaps none of `taken`."""
    occupied = list(taken)
    for candidate in MANAGEMENT_NETWORKS.subnets(new_prefix=24):
        if not any(candidate.overlaps(network) for network in occupied):
            return candidate
    raise LabError(f"all of {MANAGEMENT_NETWORKS} is in use on this host")


def wrong_uri(uri: str) -> SettingsError:
    """The error for a libvirt that the Vagrant lab cannot use."""
    return SettingsError(
        f"box.libvirt_uri is {uri}, and the Vagrant lab needs the system's libvirt, on this host "
        "or over ssh on another",
        advice="use qemu:///system, or qemu+ssh://USER@HOST/system: docs/vagrant.md; the qemu lab "
        "needs no libvirt at all",
    )


def _text(element: ET.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise LabError(f"libvirt's description of a {element.tag} has no {path}")
    return text
