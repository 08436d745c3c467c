"""The tests of this folder leave no pair: one that fails neither."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from harness.operate.kept import Kept
from tests import keepers
from tests.unit.operate.conftest import Skunk


def test_a_failing_test_leaves_no_keeper(skunk: Skunk, state_dir: Path) -> None:
    """Also where the keeper hangs."""
    found: list[psutil.Process] = []

    def fails() -> None:
        assert skunk("up", "--lab", "simulated", "--bare", "--pair", "mine").exit_code == 0
        found.append(psutil.Process(Kept("simulated", "mine").about().pid))
        found[0].suspend()
        raise AssertionError("1 == 2")

    with pytest.raises(AssertionError, match="1 == 2"), keepers.ended():
        fails()
    assert not found[0].is_running()
    left = list((state_dir / "pairs").iterdir())
    assert left == []
