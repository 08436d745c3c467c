"""A simulated pair with slow disks, so that a small resync takes many samples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import settings as settings_file
from harness.lab.simulated.direct import DirectConnect
from harness.lab.simulated.lab import SimulatedLab
from harness.session import Session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    loaded = settings_file.load()
    slow = loaded.simulated.model_copy(update={"disk_mb": 6.0})
    settings = loaded.model_copy(update={"simulated": slow})
    folder = tmp_path_factory.mktemp("bench")
    lab = SimulatedLab(settings, "bench", state_dir=folder, over_ssh=False)
    with Session(
        settings,
        lab,
        say=lambda _: None,
        results=folder / "results",
        connect=DirectConnect(lab),
    ) as running:
        yield running
