"""What a node has done so far: processor time, disk and network counters, before and after.

Two looks cost a node four programs each, outside of what is measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.cluster.node import Node
from harness.freebsd.output import Output
from harness.measure.result import NodeUse

COUNTERS = 'sysctl -n kern.cp_time; iostat -Ix "{disk}"; netstat -I "{nic}" -bn -f link'
"""For sh(1), with the names of the data disk and the private NIC, or variables with them."""

_ASK = COUNTERS.format(disk="$1", nic="$2")


@dataclass(frozen=True)
class Counters:
    """Counted since the node booted. Processor time is in ticks of the statistics clock."""

    busy: int
    idle: int
    disk_read: int
    disk_written: int
    received: int
    sent: int

    def until(self, later: Counters) -> NodeUse:
        """What happened between this look and a later one."""
        busy, idle = later.busy - self.busy, later.idle - self.idle
        return NodeUse(
            cpu=busy / max(1, busy + idle),
            disk_read_bytes=later.disk_read - self.disk_read,
            disk_written_bytes=later.disk_written - self.disk_written,
            link_received_bytes=later.received - self.received,
            link_sent_bytes=later.sent - self.sent,
        )


def read(node: Node, disk: str, nic: str) -> Counters:
    """Look at a node's counters: its data disk and private NIC, without /dev/."""
    said = node.ask("/bin/sh", "-c", _ASK, "sh", disk, nic).check().stdout
    return parse(said, disk, nic)


def parse(text: str, disk: str, nic: str) -> Counters:
    """Read the answers of `_ASK`. Raises `UnrecognisedOutput`.

    kern.cp_time is user, nice, system, interrupt, idle (sys/resource.h). `iostat -Ix` prints
    totals: reads, writes, KiB read, KiB written. `netstat -I -b` has the bytes in the eighth and
    eleventh columns of the interface's <Link#> line.
    """
    output = Output("sysctl, iostat and netstat", text)
    cpu = re.search(r"^(\d+) (\d+) (\d+) (\d+) (\d+)$", text, re.MULTILINE)
    io = re.search(rf"^{re.escape(disk)} +[\d.]+ +[\d.]+ +([\d.]+) +([\d.]+) ", text, re.MULTILINE)
    net = re.search(
        rf"^{re.escape(nic)} +\d+ +<Link#\d+> +\S+ +\d+ +\d+ +\d+ +(\d+) +\d+ +\d+ +(\d+) ",
        text,
        re.MULTILINE,
    )
    if cpu is None or io is None or net is None:
        raise output.unrecognised(f"it lacks the counters of the processor, {disk} or {nic}")
    *busy, idle = map(int, cpu.groups())
    return Counters(
        sum(busy),
        idle,
        round(float(io[1]) * 1024),
        round(float(io[2]) * 1024),
        int(net[1]),
        int(net[2]),
    )
