"""Each signal that ends a run, at ten random moments of a start, on the simulated and qemu lab."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from harness.config import paths
from harness.config.settings import Settings
from harness.record.exit_status import INTERRUPTED
from tests.plumbing.test_documented import ready_image
from tests.plumbing.test_qemu_lab import processes
from tests.signals import trials

__all__ = ["ready_image"]

COUNT = 40
"""Ten for each of the four signals."""


@pytest.mark.parametrize(
    "command",
    ["run --lab simulated -k test_set_up", "up --lab simulated --foreground"],
    ids=["run", "up"],
)
def test_on_the_simulated_lab(own_state: None, command: str) -> None:
    seen = trials(shlex.split(command), paths.state_dir(), seed=1, latest=3.0, count=COUNT)
    assert [trial for trial in seen if trial.left] == []
    assert [trial for trial in seen if not trial.ended_well] == []
    assert [(trial.unfit, trial.said) for trial in seen if trial.unfit] == []
    assert INTERRUPTED in {trial.status for trial in seen}


def test_on_the_qemu_lab(ready_image: Path, small: Settings, tmp_path: Path) -> None:
    """While images are made, machines get power, boot, answer, and once they are up."""
    settings = tmp_path / "lab.yaml"
    settings.write_text(small.model_dump_json())
    words = [
        *("up", "--lab", "qemu", "--foreground", "--bare", "--pair", "signals"),
        *("--image", str(ready_image), "--settings", str(settings)),
    ]
    seen = trials(words, paths.state_dir(), seed=1, latest=12.0, count=COUNT)
    assert [trial for trial in seen if trial.left] == []
    assert processes("signals") == []
    assert [trial for trial in seen if not trial.ended_well] == []
    assert [(trial.unfit, trial.said) for trial in seen if trial.unfit] == []
    assert INTERRUPTED in {trial.status for trial in seen}
