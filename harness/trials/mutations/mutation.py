"""A mutation: one thing in the world that is broken on purpose, to see which scenario notices."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import SettingsError
from harness.lab.choose import is_model
from harness.results.run import Verdict

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Mutation:
    """A mutation of the world. `breaks` is a line on what is wrong in it.

    `message` is a regular expression for what a scenario says that fails for the right reason. A
    mutation of the model is for the simulated lab alone; the others are done by an operator's
    means, or to the harness's own faults, and work in every lab.
    """

    name: str
    breaks: str
    message: str
    apply: Callable[[pytest.MonkeyPatch], None]
    of_model: bool
    shows: Verdict = Verdict.FAILED
    """The verdict on a scenario that catches it."""
    of_every_scenario: bool = False
    """Whether it says nothing about a single scenario: all that can run notice it alike."""

    def check(self, lab: str) -> None:
        """Raise `SettingsError` where the mutation cannot be applied."""
        if self.of_model and not is_model(lab):
            raise SettingsError(
                f"the mutation {self.name} is one of the model: real FreeBSD cannot be told to "
                "behave so",
                advice="use --lab simulated, or one that docs/mutations.md has for every lab",
            )

    def explains(self, message: str) -> bool:
        """Whether a failure's message is the right one."""
        return re.search(self.message, message, re.DOTALL) is not None


Change = Callable[["pytest.MonkeyPatch"], None]

ALL: dict[str, Mutation] = {}
"""Every mutation by its name, in the order of the table; empty until `table` is imported."""


def mutation(
    breaks: str,
    message: str,
    *,
    of_model: bool = True,
    shows: Verdict = Verdict.FAILED,
    of_every_scenario: bool = False,
) -> Callable[[Change], Change]:
    """Put what the decorated function does to the world into the table, under its own name."""

    def add(change: Change) -> Change:
        name = change.__name__.replace("_", "-")
        ALL[name] = Mutation(name, breaks, message, change, of_model, shows, of_every_scenario)
        return change

    return add


def nothing(*_: object, **__: object) -> None:
    """Do nothing."""
