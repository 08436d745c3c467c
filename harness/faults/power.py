"""Faults of the power that hit more than one node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.cluster.hardware_faults import POWER

if TYPE_CHECKING:
    from harness.cluster.pair import Pair


@contextlib.contextmanager
def both_powered_off(pair: Pair) -> Iterator[None]:
    """Cut the power of both nodes at once while the block runs; afterwards both boot, together."""
    with POWER.on(*pair.nodes):
        yield
