"""A folder of scenarios with a known state of its own, as docs/fixtures.md declares one."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness.config import paths
from tests import forked

SCENARIOS = """\
import pytest
from harness.cluster.invariants import Holds
from harness.freebsd.hast.hastctl import Role

pytestmark = pytest.mark.state("failed-over")

def test_begins_there(pair):
    assert pair.role(pair.skunk2) is Role.PRIMARY

def test_breaks_what_holds(pair):
    pair.promote(pair.skunk1)

@pytest.mark.lifts(Holds.ONE_PRIMARY)
def test_breaks_it_on_purpose(pair):
    pair.promote(pair.skunk1)
    pair.demote(pair.skunk1)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STATE", "RESULTS"):
        monkeypatch.setenv(f"SKUNK_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("COLUMNS", "160")
    page = (paths.PROJECT / "docs" / "fixtures.md").read_text()
    (declares,) = re.findall(r"```python\n(.*?declare\(KnownState.*?)```", page, re.DOTALL)
    place = tmp_path / "ours"
    place.mkdir()
    (place / "conftest.py").write_text(declares)
    (place / "test_ours.py").write_text(SCENARIOS)
    return place


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return forked.run(
        *("run", "--lab", "simulated", folder), stderr=subprocess.STDOUT, env=dict(os.environ)
    )


def test_scenarios_start_from_it(folder: Path) -> None:
    done = run(folder)
    assert re.search(r"PASSED .* s  ours: begins_there", done.stdout), done.stdout
    assert re.search(r"FAILED .* s  ours: breaks_what_holds", done.stdout)
    assert re.search(r"PASSED .* s  ours: breaks_it_on_purpose", done.stdout)
    assert "skunk1 and skunk2 each say that they are primary of mirror" in done.stdout
    assert "never two primaries: this has to hold all through a scenario" in done.stdout
    assert re.search(r"FAILED \S+/ours/test_ours\.py::test_breaks_what_holds", done.stdout)
    assert done.returncode == 1


def test_one_that_nobody_has_declared_is_refused_before_anything_starts(folder: Path) -> None:
    (folder / "conftest.py").unlink()
    done = run(folder)
    assert "there is no known state 'failed-over'" in done.stdout
    assert "booting" not in done.stdout
    assert done.returncode == 3
