"""What a lab can do, and the scenarios that need it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.config import paths
from harness.lab.choose import KINDS, Feature
from tests.needed import declared, used

SCENARIOS = sorted((paths.PROJECT / "tests" / "scenarios").glob("test_*.py"))

WITHOUT_LINK = """
import dataclasses, sys
from harness.lab import choose
from harness.cli.main import main
kind = choose.KINDS["simulated"]
poorer = dataclasses.replace(kind, features=kind.features - {choose.Feature.LINK})
choose.KINDS["simulated"] = poorer
sys.argv = ["skunk", "run", "--lab", "simulated", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_a_scenario_says_what_it_needs_of_the_lab(file: Path) -> None:
    assert dict(declared(file)) == dict(used(file))


def test_every_feature_but_time_and_disk_is_needed_by_a_scenario() -> None:
    needed = {feature for file in SCENARIOS for _, found in used(file) for feature in found}
    assert needed == set(Feature) - {Feature.HOST_TIME, Feature.DISK_RATE}
    assert all(needed <= kind.features for kind in KINDS.values())


def test_a_scenario_that_needs_more_than_the_lab_has_is_left_out_by_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKUNK_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SKUNK_RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("COLUMNS", "120")
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_LINK, "-k", "test_set_up or test_flapping"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert "SKIPPED   0.0 s  partitions: flapping" in said
    assert "the simulated lab does not have what it needs: link" in said
    assert "1 passed, 1 skipped" in said
