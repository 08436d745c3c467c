"""A run on the simulated lab as the scenarios have it, without the wire."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness.config.settings import Settings
from harness.lab.simulated.direct import DirectConnect
from harness.lab.simulated.lab import SimulatedLab
from harness.record.sinks import Sinks
from harness.run.session import Session


@contextlib.contextmanager
def simulated_session(settings: Settings, folder: Path) -> Iterator[Session]:
    lab = SimulatedLab(settings, "session", state_dir=folder, over_ssh=False)
    with Session(
        settings,
        lab,
        told=Sinks(),
        results=folder / "results",
        connect=DirectConnect(lab),
    ) as running:
        yield running
