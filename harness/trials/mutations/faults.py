"""The harness's own faults have no effect, in any lab.

A scenario that holds without its fault claims nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.cluster.node import Node
from harness.faults import link, process
from harness.trials.mutations.mutation import mutation, nothing

if TYPE_CHECKING:
    import pytest


@contextlib.contextmanager
def _no_fault(*_: Any, **__: Any) -> Iterator[None]:
    yield


@mutation(
    "a power cut does not happen",
    r"and not \w+|to say |did not last|left something behind|boot|list index|assert \(",
    of_model=False,
)
def power_is_not_cut(patch: pytest.MonkeyPatch) -> None:
    """The machine runs on."""
    patch.setattr(Node, "power_cut", nothing)
    patch.setattr(Node, "power_on", nothing)


@mutation(
    "the cable of the private link stays in",
    r"to say |[Ss]plit-?[Bb]rain|did not last|assert|did not end|not written by the test",
    of_model=False,
)
def cable_stays_in(patch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off."""
    patch.setattr(Node, "link_unplugged", _no_fault)


@mutation(
    "a machine that is to be paused runs on",
    r"to say degraded|[Ss]plit-?[Bb]rain|did not last|assert|and not \w+",
    of_model=False,
)
def machine_is_not_paused(patch: pytest.MonkeyPatch) -> None:
    """It notices everything."""
    patch.setattr(Node, "paused", _no_fault)


@mutation(
    "a signal is not sent to its process",
    r"to be gone|hastd|assert|to say|worker|to have lost its primary",
    of_model=False,
)
def signal_is_not_sent(patch: pytest.MonkeyPatch) -> None:
    """Nothing is killed, and nothing stopped."""
    patch.setattr(process, "send_signal", nothing)


@mutation(
    "the firewall lets everything through",
    r"to say degraded|did not last|assert",
    of_model=False,
)
def firewall_lets_through(patch: pytest.MonkeyPatch) -> None:
    """The one-way partition is none."""
    patch.setattr(link, "deaf", _no_fault)
