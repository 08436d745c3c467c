"""Faults of the private link that are more than a cable pulled out once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.cluster.fault import LOOK_SECONDS, Fault, register
from harness.cluster.private_link import private_nic
from harness.waiting import clock
from harness.waiting.parallel import in_background

if TYPE_CHECKING:
    from harness.cluster.node import Node


@contextlib.contextmanager
def deaf(node: Node) -> Iterator[None]:
    """Let the node hear nothing on the private link while it can still speak: a one-way partition.

    pf(4) drops what comes in. Its rules say nothing of any other interface, and what no rule
    matches passes.
    """
    with DEAF.on(node):
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


def _drop_what_comes_in(node: Node) -> None:
    nic = private_nic(node, node.settings)
    node.run("kldload", "-n", "pf")
    node.sh('echo "$1" | pfctl -q -e -f -', f"block drop in quick on {nic} all")


def _let_it_in(node: Node) -> None:
    node.run("pfctl", "-q", "-d", check=False)  # a node that has rebooted has no pf any more


def _filters(node: Node) -> Iterator[str]:
    # pf(4): without the module there is no /dev/pf, and pfctl fails.
    if "Status: Enabled" in node.ask("pfctl", "-s", "info", within=LOOK_SECONDS).stdout:
        yield "pf filters"


DEAF: Fault[Node] = register(
    Fault(
        name="deaf",
        what="deaf on the private link",
        begin=_drop_what_comes_in,
        heal=_let_it_in,
        look=_filters,
        healed="hears the private link again",
        cut="it hears nothing on the private link and still speaks",
    )
)
