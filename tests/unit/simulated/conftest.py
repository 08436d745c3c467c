"""A simulated pair that has booted, reached over SSH as any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import clock as clocks
from harness import settings as settings_file
from harness.lab.simulated.lab import SimulatedLab
from harness.node import Node
from harness.parallel import on_each
from harness.settings import Settings
from harness.transcript import Transcript


@pytest.fixture(scope="session")
def settings() -> Settings:
    return settings_file.load()


@pytest.fixture
def lab(settings: Settings, tmp_path: Path) -> Iterator[SimulatedLab]:
    """Both nodes have power; they boot when time passes."""
    running = SimulatedLab(settings, "test", state_dir=tmp_path)
    with running:
        clocks.use(running.clock)
        yield running
        clocks.use(clocks.Clock())


@pytest.fixture
def nodes(lab: SimulatedLab, settings: Settings) -> Iterator[tuple[Node, Node]]:
    """Both nodes, which answer over SSH."""
    transcript = Transcript()
    skunk1, skunk2 = (
        Node(lab.machines[name], settings.deadlines, transcript) for name in ("skunk1", "skunk2")
    )
    on_each((skunk1, skunk2), lambda node: node.wait_for_ssh())
    yield skunk1, skunk2
    for node in (skunk1, skunk2):
        node.disconnect()
