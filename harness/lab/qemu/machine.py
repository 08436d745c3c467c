"""One QEMU process as a machine: its command line, its power, its private link."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.errors import LabError, PortInUse
from harness.lab.base import Endpoint, Machine, Network, Power, check_network
from harness.lab.keys import KeyPair
from harness.lab.qemu.qmp import Monitor
from harness.lab.qemu_host import Accelerator, Qemu, processors
from harness.waiting.wait import wait_until

MANAGEMENT_MAC_PREFIX = "52:54:00:a0:00"

_LAST_WORDS = 5.0
"""Seconds between the end of QEMU's control socket and that of its process, on a busy host."""

_DATA_DISK = "data-disk"
_DATA_BACKEND = f"/machine/peripheral/{_DATA_DISK}/virtio-backend"
"""The device that has the disk, below the one that the guest sees: a throttle wants this one."""
_VMSTATE_DISK = "os"
_SAVED_DISKS = ["os", "data"]


@dataclass(frozen=True)
class Hardware:
    """What a machine is made of, and where its files are on the host."""

    name: str
    number: int
    folder: Path
    qemu: Qemu
    accelerator: Accelerator
    cpus: int
    memory_mib: int
    private_mac: str
    public_mac: str
    data_disk_serial: str
    ssh_port: int | None

    @property
    def os_disk(self) -> Path:
        """The overlay over the image: the operating system and whatever changed in it."""
        return self.folder / "os.qcow2"

    @property
    def data_disk(self) -> Path:
        """The disk that is given whole to HAST."""
        return self.folder / "data.qcow2"

    @property
    def seed(self) -> Path:
        """The seed of `harness.lab.seed`."""
        return self.folder / "seed.iso"

    @property
    def monitor(self) -> Path:
        """The QMP socket."""
        return self.folder / "qmp.sock"

    @property
    def console_socket(self) -> Path:
        """The serial line itself, for a person or program that types on the console."""
        return self.folder / "console.sock"

    def command(self, links: Mapping[Network, int]) -> list[str]:
        """QEMU's command line. `links` are the file descriptors of this end of each cable."""
        port = 0 if self.ssh_port is None else self.ssh_port
        fixed_uuid = uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{self.folder}")
        return [
            self.qemu.system,
            *("-name", f"{self.name},process=skunk:{self.name}"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-S"),
            *("-machine", f"pc,accel={self.accelerator}"),
            # The plain CPU model: a richer one has the guest try and time vector instructions at
            # boot (ZFS does), which emulation is worst at.
            *("-cpu", "host" if self.accelerator == "kvm" else "qemu64"),
            *("-smp", processors(self.cpus, self.accelerator), "-m", str(self.memory_mib)),
            *("-uuid", str(fixed_uuid)),
            *("-qmp", f"unix:{self.monitor.name},server=on,wait=off"),
            *("-chardev", f"socket,id=console,path={self.console_socket.name},server=on,wait=off,"
              "logfile=console.log,logappend=on"),
            *("-serial", "chardev:console"),
            # cache=writeback: what the guest flushed survives a killed QEMU, because the host's
            # page cache has it. cache=unsafe would lose even old files (recorded run, 13.2).
            *_disk("os", self.os_disk, "qcow2"),
            *("-device", "virtio-blk-pci,drive=os,bootindex=0"),
            *_disk("data", self.data_disk, "qcow2"),
            *("-device", f"virtio-blk-pci,drive=data,id={_DATA_DISK},"
              f"serial={self.data_disk_serial}"),
            *_disk("seed", self.seed, "raw", read_only=True),
            *("-device", "virtio-blk-pci,drive=seed,serial=seed"),
            # restrict=on: the guest reaches nothing through this NIC; only the forwarded SSH port
            # comes in, on the host's loopback.
            *("-netdev", "user,id=management,restrict=on,ipv6=off,"
              f"hostfwd=tcp:127.0.0.1:{port}-:22"),
            *("-device", "virtio-net-pci,netdev=management,romfile=,"
              f"mac={MANAGEMENT_MAC_PREFIX}:{self.number:02x}"),
            *(word for network, link in links.items() for word in self._nic(network, link)),
            *("-device", "virtio-rng-pci"),
        ]  # fmt: skip

    def _nic(self, network: Network, link: int) -> list[str]:
        mac = {Network.PRIVATE: self.private_mac, Network.PUBLIC: self.public_mac}[network]
        return [
            *("-netdev", f"dgram,id=cable-{network},local.type=fd,local.str={link}"),
            *("-device", f"virtio-net-pci,netdev=cable-{network},id={network},romfile=,mac={mac}"),
        ]


def _disk(node: str, path: Path, driver: str, *, read_only: bool = False) -> list[str]:
    mode = f"read-only={'on' if read_only else 'off'}"
    return [
        *("-blockdev", f"driver=file,node-name={node}-file,{mode},filename={path.name}"),
        *("-blockdev", f"driver={driver},node-name={node},{mode},file={node}-file"),
    ]


class QemuMachine(Machine):
    """A machine that is one QEMU process. Without the process it is off."""

    def __init__(
        self,
        hardware: Hardware,
        links: Mapping[Network, socket.socket],
        client_key: Path,
        host_key: KeyPair,
        *,
        within: float,
    ) -> None:
        """Describe a machine that is off. `within` is the deadline of every verb in seconds.

        `links` are this machine's ends of its cables. The harness keeps them open, so that a cable
        outlives a machine that loses power.
        """
        self.name = hardware.name
        self.hardware = hardware
        self._links = dict(links)
        self._client_key = client_key
        self._host_key = host_key
        self._within = within
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor = Monitor(self.name, within)
        self._unplugged: set[Network] = set()

    @property
    def console(self) -> Path:
        """The file that receives every byte of the serial console, from the first."""
        return self.hardware.folder / "console.log"

    @property
    def log(self) -> Path:
        """What the QEMU process itself has to say."""
        return self.hardware.folder / "qemu.log"

    def endpoint(self) -> Endpoint:
        """Return the forwarded port on the host's loopback."""
        return Endpoint(
            "127.0.0.1", self._ssh_port(), "root", self._client_key, self._host_key.public
        )

    def power(self) -> Power:
        """Ask QEMU; a machine without a process is off."""
        if self._process is None or self._process.poll() is not None:
            return Power.OFF
        try:
            status = self._monitor.execute("query-status")["status"]
        except LabError:
            # QEMU closes its control socket a moment before its process ends, as it does when
            # FreeBSD has switched the machine off. One that hangs has not closed it.
            try:
                self._process.wait(_LAST_WORDS)
            except subprocess.TimeoutExpired:
                pass
            else:
                return Power.OFF
            raise
        return Power.RUNNING if status == "running" else Power.PAUSED

    def power_on(self) -> None:
        """Start the QEMU process; on a machine that has power already this does nothing."""
        if self.power() is Power.OFF:
            self.start_frozen()
            self._monitor.execute("cont")

    def start_frozen(self) -> None:
        """Start the QEMU process with the CPU stopped before its first instruction.

        Raises `PortInUse` when a fixed SSH port is taken, else `LabError` with QEMU's last words.
        """
        self.power_cut()
        self._drain_links()
        links = {network: link.fileno() for network, link in self._links.items()}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.hardware.command(links),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.hardware.folder,
                pass_fds=[*links.values()],
                # Ctrl-C is for the harness, which then stops its machines in order.
                start_new_session=True,
            )
        wait_until(
            f"QEMU of {self.name} to open its control socket",
            self._try_to_connect,
            self._within,
            every=0.02,
        )
        for network in self._unplugged:
            self.unplug_link(network)  # a cable that was out stays out when the power comes back

    def _try_to_connect(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            said = self.log.read_text(errors="replace").strip().splitlines()[-10:]
            words = "\n".join(said)
            if "Could not set up host forwarding" in words:
                raise PortInUse(
                    f"QEMU cannot listen on 127.0.0.1:{self.hardware.ssh_port}: {words}",
                    node=self.name,
                    advice=f"free the port, or set nodes.{self.name}.ssh_port in lab.yaml to null",
                )
            raise LabError(
                f"QEMU ended with status {self._process.returncode}: {words}", node=self.name
            )
        try:
            self._monitor.connect(self.hardware.monitor)
        except OSError:
            return False
        return True

    def power_cut(self) -> None:
        """Kill the QEMU process.

        What the guest had not flushed and QEMU had not yet written is lost; what the guest flushed
        is on the host. No guest code runs and QEMU itself gets no chance to tidy up either.
        """
        if self._process is not None:
            self._process.kill()
            try:
                self._process.wait(self._within)
            except subprocess.TimeoutExpired:
                raise LabError(
                    f"QEMU process {self._process.pid} survived SIGKILL for {self._within:.0f} s",
                    node=self.name,
                    advice="the host itself hangs in I/O: look at dmesg",
                ) from None
            self._process = None
        self._monitor.close()
        self.hardware.monitor.unlink(missing_ok=True)

    def reset(self) -> None:
        """Press the reset button."""
        self._monitor.execute("system_reset")

    def press_power_button(self) -> None:
        """Send the ACPI power button event."""
        self._monitor.execute("system_powerdown")

    def pause(self) -> None:
        """Stop the CPU."""
        self._monitor.execute("stop")

    def resume(self) -> None:
        """Let the CPU go on."""
        self._monitor.execute("cont")

    def unplug_link(self, network: Network = Network.PRIVATE) -> None:
        """Take the carrier from the NIC on a network."""
        self._set_link(network, up=False)
        self._unplugged |= {network}

    def plug_link(self, network: Network = Network.PRIVATE) -> None:
        """Give that NIC its carrier back."""
        self._set_link(network, up=True)
        self._unplugged -= {network}

    @property
    def networks(self) -> Collection[Network]:
        """Those that a cable leads to."""
        return self._links.keys()

    def _set_link(self, network: Network, *, up: bool) -> None:
        check_network(self, network)
        self._monitor.execute("set_link", name=str(network), up=up)

    def limit_data_disk(self, bytes_per_s: float | None) -> None:
        """QEMU's own throttle, on what is read and written together."""
        limits = dict.fromkeys(("bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
        self._monitor.execute(
            "block_set_io_throttle", id=_DATA_BACKEND, bps=round(bytes_per_s or 0), **limits
        )

    def save_state(self, tag: str) -> None:
        """Write memory, CPU, devices and disks of the stopped machine into its own disks."""
        self._monitor.run_job(
            "snapshot-save", f"save-{tag}", tag=tag, vmstate=_VMSTATE_DISK, devices=_SAVED_DISKS
        )

    def delete_state(self, tag: str) -> None:
        """Remove what `save_state` wrote under this tag."""
        self._monitor.run_job("snapshot-delete", f"delete-{tag}", tag=tag, devices=_SAVED_DISKS)

    def load_state(self, tag: str) -> None:
        """Bring the machine to the state `tag`, stopped, with its link plugged in."""
        if self.power() is Power.OFF:
            self.start_frozen()
        self._monitor.execute("stop")
        self._monitor.run_job(
            "snapshot-load", f"load-{tag}", tag=tag, vmstate=_VMSTATE_DISK, devices=_SAVED_DISKS
        )
        for network in self._links:
            self.plug_link(network)
        self._drain_links()

    def _ssh_port(self) -> int:
        """The port on the host, asked of QEMU, which chose it when none was fixed."""
        if self.hardware.ssh_port is not None:
            return self.hardware.ssh_port
        table = self._monitor.execute("human-monitor-command", command_line="info usernet")
        match = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", table)
        if match is None:
            raise LabError(f"QEMU forwards no SSH port:\n{table}", node=self.name)
        return int(match[1])

    def _drain_links(self) -> None:
        """Throw away frames that were on their way to a machine that no longer waits for them."""
        for link in self._links.values():
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                while True:
                    link.recv(1 << 16, socket.MSG_DONTWAIT)


def cable() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a cable for Ethernet frames: one datagram a frame.

    Each end is a UDP socket on loopback, connected to the other, so the kernel drops what anybody
    else sends there. A frame to a machine that is off, frozen or slow is lost, as on a real cable.
    """
    ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for end in ends:
        end.bind(("127.0.0.1", 0))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    ends[0].connect(ends[1].getsockname())
    ends[1].connect(ends[0].getsockname())
    return ends[0], ends[1]


def kill_leftovers(folder: Path) -> list[int]:
    """Kill every QEMU process that still runs in `folder` or below; return their process ids.

    They are known by their working directory, so that a harness killed at any moment, even before
    it could note a process id, leaves nothing behind.
    """
    killed = []
    for process in psutil.process_iter():
        try:
            if "qemu" in process.exe() and Path(process.cwd()).is_relative_to(folder):
                process.kill()
                process.wait(30)
                killed.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            continue
    return killed
