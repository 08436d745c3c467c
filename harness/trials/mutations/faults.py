"""The harness's own faults have no effect, in any lab.

A scenario that holds without its fault claims nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.cluster.fault import Fault
from harness.cluster.hardware_faults import LINK, PAUSE, POWER
from harness.faults import process
from harness.faults.link import DEAF
from harness.trials.mutations.mutation import mutation, nothing

if TYPE_CHECKING:
    import pytest


def _without(patch: pytest.MonkeyPatch, none: Fault[Any]) -> None:
    """Let a fault neither begin nor be healed."""
    break_on, heal_on = Fault.break_on, Fault.heal_on

    def do(verb: Callable[[Fault[Any], Any], None], fault: Fault[Any], node: Any) -> None:
        if fault is not none:
            verb(fault, node)

    patch.setattr(Fault, "break_on", lambda fault, node: do(break_on, fault, node))
    patch.setattr(Fault, "heal_on", lambda fault, node: do(heal_on, fault, node))


@mutation(
    "a power cut does not happen",
    r"and not \w+|to say |did not last|left something behind|boot|list index|assert \(",
    of_model=False,
)
def power_is_not_cut(patch: pytest.MonkeyPatch) -> None:
    """The machine runs on."""
    _without(patch, POWER)


@mutation(
    "the cable of the private link stays in",
    r"to say |[Ss]plit-?[Bb]rain|did not last|assert|did not end|not written by the test",
    of_model=False,
)
def cable_stays_in(patch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off."""
    _without(patch, LINK)


@mutation(
    "a machine that is to be paused runs on",
    r"to say degraded|[Ss]plit-?[Bb]rain|did not last|assert|and not \w+",
    of_model=False,
)
def machine_is_not_paused(patch: pytest.MonkeyPatch) -> None:
    """It notices everything."""
    _without(patch, PAUSE)


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
    _without(patch, DEAF)
