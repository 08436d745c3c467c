"""The public network of the qemu lab: one Ethernet segment of both nodes and a client on the host.

A QEMU process without a machine is the hub: every frame that comes in goes out at all other ports,
broadcast and multicast too, so carp(4) finds its peer and its address. One port leads to each node,
one to QEMU's user-mode network, which forwards a TCP port of the host's loopback to the service
address: that is the client. Nothing of it needs root, and nothing leaves the host.
"""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

from harness.config.settings import PublicSettings
from harness.errors import LabError
from harness.lab.qemu.qmp import Monitor
from harness.lab.qemu_host import Qemu
from harness.waiting.wait import wait_until

_NODE = "public network"
_HUB = 1


class PublicSegment:
    """The hub, from `start` to `stop`. Its ports for nodes are file descriptors of datagrams."""

    def __init__(self, qemu: Qemu, folder: Path, public: PublicSettings, within: float) -> None:
        """Describe it. `folder` is its own; `within` is in seconds, for each of its verbs."""
        self._qemu = qemu
        self._folder = folder
        self._public = public
        self._within = within
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor = Monitor(_NODE, within)

    def start(self, ports: list[socket.socket]) -> None:
        """Start the hub with a port for each socket. Raises `LabError` with QEMU's last words."""
        self._folder.mkdir(mode=0o700)
        with (self._folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command([port.fileno() for port in ports]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                pass_fds=[port.fileno() for port in ports],
                start_new_session=True,
            )
        wait_until(
            "the hub of the public network to open its control socket",
            self._try_to_connect,
            self._within,
            every=0.02,
        )

    def _command(self, ports: list[int]) -> list[str]:
        about = self._public
        taken = {about.service, about.client}
        spare = [address for address in about.network.hosts() if address not in taken]
        words = [
            self._qemu.system,
            *("-name", "public,process=skunk:public"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-machine", "none"),
            *("-qmp", "unix:qmp.sock,server=on,wait=off"),
            # restrict=on: the nodes reach nothing on or beyond the host through it.
            *("-netdev", f"user,id=client,restrict=on,ipv6=off,net={about.network},"
              f"host={about.client},dns={spare[-1]},dhcpstart={spare[-2]},"
              f"hostfwd=tcp:127.0.0.1:0-{about.service}:{about.port}"),
            *("-netdev", f"hubport,id=to-client,hubid={_HUB},netdev=client"),
        ]  # fmt: skip
        for number, port in enumerate(ports):
            words += [
                *("-netdev", f"dgram,id=node{number},local.type=fd,local.str={port}"),
                *("-netdev", f"hubport,id=to-node{number},hubid={_HUB},netdev=node{number}"),
            ]
        return words

    def _try_to_connect(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            said = (self._folder / "qemu.log").read_text(errors="replace").strip()
            raise LabError(f"the hub of the public network ended: {said[-1000:]}")
        try:
            self._monitor.connect(self._folder / "qmp.sock")
        except OSError:
            return False
        return True

    @property
    def client(self) -> tuple[str, int]:
        """Where the host's loopback leads to the service address."""
        table = self._monitor.execute("human-monitor-command", command_line="info usernet")
        match = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", table)
        if match is None:
            raise LabError(f"the hub of the public network forwards no port:\n{table}")
        return "127.0.0.1", int(match[1])

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(self._within)
            self._process = None
        self._monitor.close()
