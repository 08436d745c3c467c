"""Two modelled nodes with HAST on them, for the tests of hastd: no SSH and no lab around them."""

from __future__ import annotations

import ipaddress

from harness.lab.base import Power
from harness.lab.simulated import features
from harness.lab.simulated.hardware.disk import BLOCK, Bio, Content, LocalDisk, Op
from harness.lab.simulated.hast import hastd
from harness.lab.simulated.hast.hastd import Hast, Hastd
from harness.lab.simulated.hast.replication.metadata import DATA, Metadata, OnDisk
from harness.lab.simulated.kernel.guest import LATENCY, RATE, Console, Guest, World
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.shell import interpreter as shell
from tests.unit.simulated.storage import nics

MB = 1048576
HAST_CONF = """\
replication {replication}
timeout 20
{extra}
on skunk1 {{
	listen 192.168.0.1
}}
on skunk2 {{
	listen 192.168.0.2
}}
resource mirror {{
	on skunk1 {{
		local /dev/vtbd1
		remote 192.168.0.2
	}}
	on skunk2 {{
		local /dev/vtbd1
		remote 192.168.0.1
	}}
}}
"""


def running(guest: Guest) -> Hastd:
    """The hastd that runs on a guest."""
    found = guest.part(Hast).hastd
    assert found is not None
    return found


class Pair:
    """Both nodes with power, an address and hast.conf, but without rc(8): quick to make."""

    def __init__(
        self, *, seed: int = 1, size: int = 512 * MB, replication: str = "memsync", extra: str = ""
    ) -> None:
        features.load_all()
        self.world = World(seed)
        self.logs: dict[str, list[str]] = {}
        for number in (1, 2):
            guest = Guest(
                self.world,
                f"skunk{number}",
                number=number,
                parts=features.parts(),
                data_disk_bytes=size,
                data_disk_serial=f"skunk{number}-data",
                nics=nics(self.world, number),
                console=Console(_nothing),
            )
            self.up(guest)
            text = HAST_CONF.format(replication=replication, extra=extra)
            guest.tree.write("/etc/hast.conf", text.encode())
        self.one, self.two = self.world.guests["skunk1"], self.world.guests["skunk2"]

    def up(self, guest: Guest) -> None:
        """Give it power, without rc(8)."""
        guest.power = Power.RUNNING
        guest.boot += 1
        guest.make_parts()
        guest.tree.mounts = {"/": guest.root}
        guest.devices = {
            name: LocalDisk(guest, disk, LATENCY, RATE) for name, disk in guest.disks.items()
        }
        guest.part(Kernel).hostname = guest.name
        guest.part(Kernel).set_host_uuid(f"6097a6a3-e6b3-11f1-99db-317049cdd6e{guest.number}")
        address = ipaddress.IPv4Interface(f"192.168.0.{guest.number}/24")
        guest.part(Network).add("vtnet1", address, alias=False)
        lines: list[str] = self.logs.setdefault(guest.name, [])
        guest.logger = _Writer(lines).write

    def start(self, *guests: Guest, foreground: bool = True) -> None:
        """Start hastd and wait until it can be reached."""
        for guest in guests or (self.one, self.two):
            assert hastd.start(guest, foreground=foreground) == 0
        self.world.pass_time(0.3)

    def run(self, guest: Guest, line: str, *, within: float = 60.0) -> Process:
        """Run a command line to its end."""
        process = shell.spawn(guest, line)
        until = self.world.now + within
        while process.status is None:
            at = self.world.next_at()
            assert at is not None
            assert at <= until, f"{line} did not end"
            self.world.step()
        assert process.failure is None, process.failure
        return process

    def out(self, guest: Guest, line: str) -> str:
        """What a command that succeeds prints."""
        process = self.run(guest, line)
        assert process.status == 0, process.stderr
        return process.stdout.decode()

    def connect(self) -> None:
        """Make both components anew, and skunk1 the primary of skunk2."""
        for guest in (self.one, self.two):
            self.out(guest, "hastctl create mirror")
        self.start()
        self.out(self.two, "hastctl role secondary mirror")
        self.out(self.one, "hastctl role primary mirror")
        self.world.pass_time(1.0)
        assert "complete primary" in self.out(self.one, "hastctl status")

    def write(self, guest: Guest, first: int, count: int = 1, label: str = "") -> Request:
        """Start to write blocks to /dev/hast/mirror; the label makes them different."""
        blocks = {at: Content(f"{label}{at}") for at in range(first, first + count)}
        bio = Request(Op.WRITE, first * BLOCK, count * BLOCK, blocks)
        guest.devices["hast/mirror"].submit(bio)
        return bio

    def fill(self, guest: Guest, megabytes: int, label: str = "", start: int = 0) -> None:
        """Write megabytes, one by one, and wait for them."""
        for number in range(start, start + megabytes):
            bio = self.write(guest, number * 256, 256, label)
            self.wait_for(bio)

    def wait_for(self, bio: Request, within: float = 60.0) -> float:
        """Wait until a request has ended, and return how long that took."""
        start = self.world.now
        while not bio.ended:
            at = self.world.next_at()
            assert at is not None
            assert at <= start + within, "the request did not end"
            self.world.step()
        return self.world.now - start

    def metadata(self, guest: Guest) -> Metadata:
        """What is on the disk."""
        found = guest.disks["vtbd1"].reserved
        assert isinstance(found, OnDisk)
        return found.metadata

    def data(self, guest: Guest) -> dict[int, Content]:
        """The resource's blocks on a node's disk."""
        return {at - DATA: content for at, content in guest.disks["vtbd1"] if at >= DATA}

    def log(self, guest: Guest, since: str = "") -> list[str]:
        """What hastd has logged, after the last line with `since` in it."""
        lines = self.logs[guest.name]
        if since:
            last = max(number for number, line in enumerate(lines) if since in line)
            lines = lines[last + 1 :]
        return lines


class Request(Bio):
    """A request that knows whether it has ended."""

    ended = False

    def end(self, error: str | None = None) -> None:
        self.ended = True
        super().end(error)


class _Writer:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def write(self, program: str, pid: int | None, level: str, text: str) -> None:
        if program == "hastd":
            self._lines.append(text)


def _nothing(_: str) -> None:
    pass
