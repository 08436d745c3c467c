"""A simulated pair that has booted, reached over SSH as any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.config import settings as settings_file
from harness.config.settings import Settings
from harness.lab.simulated.lab import SimulatedLab
from harness.record.sinks import Sinks
from harness.run.session import Session
from harness.waiting import clock as clocks
from harness.waiting.parallel import on_each
from tests.simulated_session import simulated_session


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
    skunk1, skunk2 = (Node(lab.machines[name], settings, Sinks()) for name in ("skunk1", "skunk2"))
    on_each((skunk1, skunk2), lambda node: node.wait_for_ssh())
    yield skunk1, skunk2
    for node in (skunk1, skunk2):
        node.disconnect()


@pytest.fixture(scope="module")
def session(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A run, as the scenarios have it, without the wire."""
    folder = tmp_path_factory.mktemp("session")
    with simulated_session(settings, folder) as running:
        yield running


@pytest.fixture
def pair(session: Session) -> Iterator[Pair]:
    """A pair as claim 1 leaves it, for a test that may break it."""
    yield session.set_up()
    session.used()
