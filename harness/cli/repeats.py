"""Scenarios over and over, and in another order: what becomes pytest's arguments.

The plugins are pytest-repeat and pytest-random-order; neither changes anything unless it is asked.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from harness.config import paths

SCENARIOS = paths.PROJECT / "tests" / "scenarios"


def arguments(repeat: int, shuffle: bool, shuffle_seed: int | None) -> list[str]:
    """What pytest is told; a shuffled order has a seed that its first lines name."""
    words = []
    if repeat > 1:
        words += ["--count", str(repeat)]
    if shuffle or shuffle_seed is not None:
        seed = random.randint(1, 1_000_000) if shuffle_seed is None else shuffle_seed  # noqa: S311
        words += ["--random-order-bucket", "global", "--random-order-seed", str(seed)]
    return words


def chosen(words: Sequence[str]) -> list[str]:
    """The scenarios to run: all of them, unless the words name files or folders themselves."""
    named = [Path(word.partition("::")[0]) for word in words if not word.startswith("-")]
    own = any(path.suffix == ".py" or path.is_dir() for path in named if path.exists())
    return [] if own else [str(SCENARIOS)]
