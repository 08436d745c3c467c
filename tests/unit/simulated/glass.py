"""A fault that the harness does not have: whoever registers it edits nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.cluster.fault import REGISTER, Fault, register
from harness.cluster.node import Node

PATH = "/var/tmp/glass"


def _look(node: Node) -> Iterator[str]:
    if node.ask("test", "-e", PATH).ok:
        yield "made of glass"


GLASS: Fault[Node] = Fault(
    name="glass",
    what="glass on the floor",
    begin=lambda node: node.run("touch", PATH),
    heal=lambda node: node.run("rm", "-f", PATH),
    look=_look,
    healed="glass swept up",
    cut="break a glass",
)


@contextlib.contextmanager
def registered() -> Iterator[Fault[Node]]:
    """Let the register have it while the block runs."""
    register(GLASS)
    try:
        yield GLASS
    finally:
        del REGISTER[GLASS.name]
