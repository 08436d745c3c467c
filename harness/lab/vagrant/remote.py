"""libvirt on another host, over ssh: what differs from libvirt here.

virsh and Vagrant do most of it by libvirt's own `qemu+ssh` URIs. Left are what libvirt keeps on its
own host, the guests' network and their console files, and the questions about that host.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import json
import shutil
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from harness.config.settings import Settings
from harness.errors import LabError, WaitExpired
from harness.lab import console
from harness.lab.base import Endpoint
from harness.lab.vagrant.hypervisor import Room
from harness.lab.vagrant.libvirt import Driver, Libvirt
from harness.lab.vagrant.ssh_host import LOG_IN, Line, SshHost, follow, forward
from harness.waiting.wait import wait_until

CONSOLES = Path("/var/tmp")  # noqa: S108 - in a folder of its own, made for this user alone
"""Where the folder with a pair's consoles is on libvirt's host.

vagrant-libvirt makes that folder on this host too (its action/create_domain.rb), so it must be a
place where any user of both hosts may make one. Nobody else can put something there in its place:
the folder is made anew for each start, and must not be there.
"""

_NEEDED = ("ip", "tail", "df")
"""Programs of libvirt's host, besides those of any sh(1)."""

# Not `which`, which not every system has. An ordinary user's PATH may lack the folder of ip(8).
_WHAT_IS_MISSING = (
    "PATH=$PATH:/usr/sbin:/sbin; "
    'for program; do command -v "$program" >/dev/null || echo "$program"; done'
)
_NETWORKS = "PATH=$PATH:/usr/sbin:/sbin; ip -j -4 address"
# The kernel's own estimate of what programs can still get: the same that is asked of this host.
_ROOM = (
    "awk '/^MemAvailable:/ { print $2 }' /proc/meminfo; "
    'folder=$1; until [ -e "$folder" ]; do folder=$(dirname "$folder"); done; '
    'df -Pk "$folder" | awk \'END { print $4 }\'; echo "$folder"'
)
# libvirt's log daemon, which is root, keeps the owner of a file that is there already.
_MAKE_CONSOLES = (
    'umask 077 && mkdir "$1" && cd "$1" && shift && for name; do : > "$name.console"; done'
)


class RemoteLibvirt(Libvirt):
    """A pair of domains of the libvirt of another host."""

    programs: ClassVar[tuple[str, ...]] = ("ssh", "virsh")
    refused: ClassVar[str] = (
        "ssh to that host works, so see whether libvirtd runs there, whether the user is in the "
        "group libvirt there, and whether it has virt-ssh-helper (of libvirt) or nc"
    )

    def __init__(
        self,
        settings: Settings,
        prefix: str,
        folder: Path,
        log: Path,
        driver: Driver | None = None,
    ) -> None:
        """`folder` is the pair's on this host, where its consoles are to be.

        Raises `SettingsError` for a URI that cannot be used.
        """
        super().__init__(settings, prefix, driver)
        self._host = SshHost.of(settings.box.libvirt_uri)
        self._folder = folder
        self._log = log
        self._consoles: dict[str, Line] = {}
        self._ways: dict[str, tuple[int, Line]] = {}
        self._making = threading.Lock()

    @functools.cached_property
    def driver(self) -> Driver:
        """KVM or emulation. For `auto` libvirt's word counts: a trial would need its host."""
        chosen = self._driver or self._settings.box.driver
        if chosen != "auto":
            return chosen
        try:
            self._virsh("domcapabilities", "--virttype", "kvm", "--arch", "x86_64")
        except LabError:
            return "qemu"
        return "kvm"

    def check(self) -> None:
        """Look for ssh and virsh, a login, the programs over there, libvirtd and an emulator."""
        self._check_programs()
        self._ask("true", advice=LOG_IN)
        if missing := self._ask(_WHAT_IS_MISSING, *_NEEDED).split():
            raise LabError(
                f"there is no {' and no '.join(missing)} on {self._host}",
                advice="install there what has it: iproute2, coreutils",
            )
        self._check_daemon()

    def describe(self) -> str:
        """What `virsh version` says, and where."""
        return f"{super().describe()} on {self._host}"

    def room(self) -> Room:
        """Of libvirt's host, where the storage pool is."""
        said = self._ask(_ROOM, str(self._storage_folder())).splitlines()
        try:
            memory, disk, folder = int(said[0]), int(said[1]), said[2]
        except (IndexError, ValueError):
            raise LabError(f"{self._host} says of its memory and disk only {said}") from None
        return Room(memory >> 10, disk >> 10, folder, str(self._host))

    def _host_networks(self) -> Iterable[ipaddress.IPv4Network]:
        said = self._ask(_NETWORKS)
        try:
            for interface in json.loads(said):
                for each in interface["addr_info"]:
                    address = f"{each['local']}/{each['prefixlen']}"
                    yield ipaddress.IPv4Network(address, strict=False)
        except (ValueError, KeyError, TypeError):
            raise LabError(
                f"`ip -j -4 address` on {self._host} is not understood: {said[:200]!r}",
                advice="it needs the ip of iproute2, not another's",
            ) from None

    # --- consoles and SSH -----------------------------------------------------------------------

    @property
    def _there(self) -> Path:
        """The folder of the consoles on libvirt's host."""
        return CONSOLES / f"{self.prefix}consoles"

    def prepare(self) -> dict[str, str]:
        """As on this host; and make the console files, and have what comes into them sent here."""
        told = super().prepare()
        nodes = sorted(self._settings.nodes)
        self._ask(_MAKE_CONSOLES, str(self._there), *nodes)
        for node in nodes:
            here = self._console(node)
            self._consoles[node] = Line(
                self._host,
                f"the console of {node}",
                functools.partial(self._follow, f"{self._there}/{node}.console", here),
                log=self._log,
                output=here,
            )
        return told | {"SKUNK_CONSOLES": str(self._there)}

    def _follow(self, there: str, here: Path) -> list[str]:
        """Whatever broke the line, what is here is whole, and only the rest is asked for."""
        return follow(self._host, there, console.size(here))

    def _console(self, node: str) -> Path:
        return self._folder / f"{node}.console"

    def reach(self, node: str, guest: Endpoint) -> Endpoint:
        """Through a port of this host's loopback, which ssh lets lead there."""
        with self._making:
            if node not in self._ways:
                port = _free_port()
                command = functools.partial(forward, self._host, port, guest.host, guest.port)
                self._ways[node] = (
                    port,
                    Line(self._host, f"the SSH of {node}", command, log=self._log),
                )
            port, line = self._ways[node]
        line.wait()
        return dataclasses.replace(guest, host="127.0.0.1", port=port)

    def power_cut(self, node: str) -> None:
        """`virsh destroy`; what was on the console until then is here when this returns."""
        super().power_cut(node)
        self._catch_up(node)

    def restore(self, node: str, tag: str) -> None:
        """`virsh snapshot-revert`; what was on the console until then is here, too."""
        super().restore(node, tag)
        self._catch_up(node)

    def _catch_up(self, node: str) -> None:
        """Wait for what a machine that does not run has written to its console."""
        if node not in self._consoles:
            return
        there = f"{self._there}/{node}.console"
        size = int(self._ask('stat -c %s "$1"', there, node=node))
        try:
            wait_until(
                f"the console of {node} to come from {self._host}",
                lambda: console.size(self._console(node)) >= size,
                self._settings.deadlines.hypervisor,
                every=0.02,
            )
        except WaitExpired as expired:
            raise LabError(expired.what, node=node, advice=f"see {self._log}") from None

    # --- leftovers ------------------------------------------------------------------------------

    def remove_all(self) -> None:
        """As on this host; and the lines, and the consoles over there."""
        for line in (*self._consoles.values(), *(line for _, line in self._ways.values())):
            line.close()
        self._consoles.clear()
        self._ways.clear()
        super().remove_all()
        self._ask('rm -rf "$1"', str(self._there))
        shutil.rmtree(self._there, ignore_errors=True)  # vagrant-libvirt's, on this host

    def _ask(
        self, script: str, *arguments: str, node: str | None = None, advice: str | None = None
    ) -> str:
        within = self._settings.deadlines.hypervisor
        return self._host.run(script, *arguments, within=within, node=node, advice=advice)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
