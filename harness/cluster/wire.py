"""What two hastd really send each other, read off the private link with tcpdump(1)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.cluster.node import Node
from harness.cluster.private_link import HAST_PORT, private_nic
from harness.config.settings import Settings
from harness.waiting.wait import wait_until

_FILE = "/tmp/hast.pcap"  # noqa: S108 - a path on the guest
_ECHO = "01234567"
"""Part of what ping(8) sends by default."""

_SECONDS = 20.0


@dataclass
class Capture:
    """The packets of the private link's HAST connections; empty until the capture has ended."""

    packets: bytes = b""

    def values(self, field: str) -> list[str]:
        """Every value that a message's text field of this name has, in the order sent.

        hastd's messages carry `checksum` with the data where hast.conf asks for one, and
        `compression` where data were compressed (sbin/hastd/hast_checksum.c, hast_compression.c).
        A field is its name and its value, each with a NUL at its end; what fills the name up to a
        multiple of 8 bytes is whatever was in memory (nv.c).
        """
        name = field.encode() + b"\0"
        pattern = re.compile(
            rb"\0" + name + b".{%d}" % (-len(name) % 8) + rb"([a-z0-9]+)\0", re.DOTALL
        )
        return [value.decode() for value in pattern.findall(self.packets)]


@contextlib.contextmanager
def capturing(node: Node, settings: Settings) -> Iterator[Capture]:
    """Record what HAST sends over the node's private NIC while the block runs.

    Everything is kept, so let the block write little.
    """
    capture = Capture()
    peer = next(each.private_address for name, each in settings.nodes.items() if name != node.name)
    script = (
        'rm -f "$2"\n'
        'tcpdump --immediate-mode -U -s 0 -i "$1" -w "$2" tcp port "$3" or icmp >/dev/null 2>&1 &\n'
        "echo $!"
    )
    started = node.sh(script, private_nic(node, settings), _FILE, str(HAST_PORT))
    pid = started.stdout.strip()
    try:
        # The file's header is written when the filter is in force.
        wait_until(
            f"tcpdump on {node} to listen",
            lambda: node.run("test", "-s", _FILE, check=False).ok,
            _SECONDS,
        )
        yield capture
        # What was sent before an echo request is in the file when that is.
        node.run("ping", "-c", "1", str(peer), check=False)
        wait_until(
            f"tcpdump on {node} to see its echo request",
            lambda: node.run("grep", "-aq", _ECHO, _FILE, check=False).ok,
            _SECONDS,
        )
    finally:
        node.run("kill", pid, check=False)
        wait_until(
            f"tcpdump on {node} to end",
            lambda: not node.run("kill", "-0", pid, check=False).ok,
            _SECONDS,
        )
    capture.packets = node.ask("cat", _FILE).check().raw
