"""Faults of the private link that are more than a cable pulled out once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from harness.cluster.healing import fault
from harness.cluster.node import Node
from harness.cluster.private_link import private_nic
from harness.config.settings import Settings
from harness.waiting import clock
from harness.waiting.parallel import in_background


@contextlib.contextmanager
def deaf(node: Node, settings: Settings) -> Iterator[None]:
    """Let the node hear nothing on the private link while it can still speak: a one-way partition.

    pf(4) drops what comes in. Its rules say nothing of any other interface, and what no rule
    matches passes.
    """
    nic = private_nic(node, settings)

    def begin() -> None:
        node.run("kldload", "-n", "pf")
        node.sh('echo "$1" | pfctl -q -e -f -', f"block drop in quick on {nic} all")

    def heal() -> None:
        node.run("pfctl", "-q", "-d", check=False)  # a node that has rebooted has no pf any more

    with fault(node, "deaf on the private link", begin, heal):
        yield


@contextlib.contextmanager
def flapping(node: Node, *, down: float, up: float) -> Iterator[None]:
    """Pull the cable of the private NIC out and put it back, over and over, until the block ends.

    It is out for `down` and in for `up` seconds each time, and back in afterwards.
    """

    def flap(ending: threading.Event) -> None:
        while not ending.is_set():
            with node.link_unplugged():
                clock.current().sleep(down)
            clock.current().sleep(up)

    with in_background(flap):
        yield
