"""Faults of the power that hit more than one node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.cluster.healing import fault
from harness.cluster.node import NO_POWER, Node
from harness.cluster.pair import Pair
from harness.waiting.parallel import on_each


@contextlib.contextmanager
def both_powered_off(pair: Pair) -> Iterator[None]:
    """Cut the power of both nodes at once while the block runs; afterwards both boot, together."""

    def heal() -> None:
        on_each(pair.nodes, Node.power_on)
        pair.wait_for_ssh()

    with (
        fault(pair.skunk1, NO_POWER, lambda: None, lambda: None),
        fault(pair.skunk2, NO_POWER, lambda: on_each(pair.nodes, Node.power_cut), heal),
    ):
        yield
