"""What the parts of the plugin tell each other, in pytest's own config and items."""

from __future__ import annotations

import pytest

from harness.record.sinks import Sinks
from harness.run.session import Session
from harness.trials.mutations.mutation import Mutation

SESSION = pytest.StashKey[Session]()
"""The run, while its lab runs."""

TOLD = pytest.StashKey[Sinks]()
"""Who is told what happens in this process: a plugin of somebody's own adds its sink to it."""

MUTATION = pytest.StashKey[Mutation]()
"""How the world is broken on purpose, if it is."""

MENDED = pytest.StashKey[str]()
"""Of an item: the known bug that breaks it, where the program that has the bug was replaced."""

NAMES_BUG = pytest.StashKey[bool]()
"""Of an item: whether its failure is to be looked at for a known bug's symptoms."""

ENDED = pytest.StashKey[bool]()
"""Of an item: whether its own part, or its set-up, has come to an end."""
