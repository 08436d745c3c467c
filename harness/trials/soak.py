"""The same scenarios with thousands of different chances: set-up, and failover there and back.

Between the harness and the model there is no wire here (`direct`), and everything else as always.
Each seed gives other latencies, other process ids and other interleavings.
"""

from __future__ import annotations

import concurrent.futures
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.pair import Pair
from harness.config import paths
from harness.config.settings import Settings
from harness.lab.simulated.direct import DirectConnect
from harness.lab.simulated.lab import SimulatedLab
from harness.record.sinks import Sinks
from harness.run.session import Session

SCENARIOS = (("test_set_up", "test_set_up"), ("test_planned_failover", "test_planned_failover"))
"""Module and function of each scenario; the second goes on where the first ended."""


@dataclass(frozen=True)
class Failure:
    """A seed with which a scenario failed, and how."""

    seed: int
    error: str


def soak(settings: Settings, seeds: Iterable[int]) -> tuple[list[Failure], float]:
    """Run the scenarios once with each seed, on all cores; return the failures and the seconds.

    As on real machines, a pair is booted and provisioned once (here: on each core), and every run
    begins from that snapshot.
    """
    start = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="skunk-soak-") as folder,
        concurrent.futures.ProcessPoolExecutor(
            os.cpu_count(), initializer=_open_pair, initargs=(settings, Path(folder))
        ) as pool,
    ):
        results = pool.map(run_once, seeds, chunksize=10)
        failures = [result for result in results if result is not None]
    return failures, time.monotonic() - start


def _open_pair(settings: Settings, folder: Path) -> None:
    """Boot and provision the pair of this process, whose files go into the run's own folder."""
    folder /= str(os.getpid())
    lab = SimulatedLab(settings, "soak", state_dir=folder, over_ssh=False)
    session = Session(
        settings,
        lab,
        told=Sinks(),
        results=folder / "results",
        connect=DirectConnect(lab),
    )
    session.__enter__()
    _pairs.append((lab, session))


def run_once(seed: int) -> Failure | None:
    """Run the scenarios with one seed. None: every claim held."""
    lab, session = _pairs[0]
    try:
        pair = session.provisioned()
        session.used()
        lab.world.reseed(seed)
        for scenario in _scenarios():
            scenario(pair)
    except Exception as error:
        return Failure(seed, f"{type(error).__name__}: {error}")
    return None


def _scenarios() -> list[Callable[[Pair], None]]:
    if not _loaded:
        for module_name, function in SCENARIOS:
            path = paths.PROJECT / "tests" / "scenarios" / f"{module_name}.py"
            spec = importlib.util.spec_from_file_location(f"soak_{module_name}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            _loaded.append(getattr(module, function))
    return _loaded


_pairs: list[tuple[SimulatedLab, Session]] = []
_loaded: list[Callable[[Pair], None]] = []
