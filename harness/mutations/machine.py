"""A kernel or a machine that does not what it is told (the model)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.mutations.mutation import mutation, nothing, replace

if TYPE_CHECKING:
    import pytest

_MODEL = "harness.lab.simulated"


@mutation(
    "a machine keeps running when it is reset",
    r"answer|to say degraded|left something|lost, although|suspended|and not init|assert",
)
def reset_does_nothing(patch: pytest.MonkeyPatch) -> None:
    """The button is not connected."""
    replace(patch, f"{_MODEL}.guest:Guest.reset", nothing)


@mutation("the power button does nothing", r"to switch itself off")
def power_button_does_nothing(patch: pytest.MonkeyPatch) -> None:
    """It is not connected either."""
    replace(patch, f"{_MODEL}.system:System.power_button", nothing)


@mutation("after a power cut a machine stays off", r"to answer over SSH")
def power_does_not_return(patch: pytest.MonkeyPatch) -> None:
    """It boots once, and never again."""

    def power_on(guest: Any) -> None:
        if guest.boot == 0:
            start(guest)

    from harness.lab.simulated.guest import Guest  # noqa: PLC0415 - the model, where it is wanted

    start = Guest.power_on
    replace(patch, f"{_MODEL}.guest:Guest.power_on", power_on)
