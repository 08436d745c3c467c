"""A kernel or a machine that does not what it is told (the model)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.simulated.base.system import System
from harness.lab.simulated.kernel.guest import Guest
from harness.trials.mutations.mutation import mutation, nothing

if TYPE_CHECKING:
    import pytest


@mutation(
    "a machine keeps running when it is reset",
    r"answer|to say degraded|left something|lost, although|suspended|and not init|assert",
)
def reset_does_nothing(patch: pytest.MonkeyPatch) -> None:
    """The button is not connected."""
    patch.setattr(Guest, "reset", nothing)


@mutation("the power button does nothing", r"to switch itself off")
def power_button_does_nothing(patch: pytest.MonkeyPatch) -> None:
    """It is not connected either."""
    patch.setattr(System, "power_button", nothing)


@mutation("after a power cut a machine stays off", r"to answer over SSH")
def power_does_not_return(patch: pytest.MonkeyPatch) -> None:
    """It boots once, and never again."""
    start = Guest.power_on

    def power_on(guest: Guest) -> None:
        if guest.boot == 0:
            start(guest)

    patch.setattr(Guest, "power_on", power_on)
