"""The harness put somewhere by `pip install`, and scenarios in a repository of their own."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.config import paths

SCENARIO = '''\
import pytest

pytestmark = pytest.mark.claim(1)

def test_ours(pair, note):
    """Our pair replicates."""
    pair.wait_until_in_sync(pair.skunk1)
    note("role", pair.role(pair.skunk1))
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a person who has installed the harness, and has no checkout of it."""
    folder = tmp_path_factory.mktemp("installed")
    sources = folder / "sources"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=paths.PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (paths.PROJECT / name).exists():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(paths.PROJECT / name, sources / name)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--no-index", "--prefix", str(folder / "prefix")),
            *("--ignore-installed", "."),  # else pip takes away what this very run is of
        ],
        cwd=sources,
        check=True,
        timeout=120,
    )
    shutil.rmtree(sources)
    own = {each.name for each in importlib.metadata.entry_points(group="pytest11")}
    assert "skunk" in own, "the installation of this run is gone"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "prefix")}))
    return {
        **os.environ,
        "PYTHONPATH": str(site),
        "SKUNK_STATE_DIR": str(folder / "state"),
        "COLUMNS": "120",
    }


def ran(words: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    "words",
    [["harness", "run", "--lab", "simulated", "ours"], ["pytest", "--lab=simulated", "ours"]],
    ids=["skunk run", "pytest"],
)
def test_a_scenario_in_a_repository_of_its_own(
    tmp_path: Path, installed: Mapping[str, str], words: list[str]
) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "test_ours.py").write_text(SCENARIO)
    said = ran(words, tmp_path, installed)
    assert "1 passed in" in said
    assert "role: primary" in said
    assert (tmp_path / "results" / "latest" / "run.json").is_file()
    source = ran(["pytest", "--trace-config", "--collect-only"], tmp_path, installed)
    assert f"{installed['PYTHONPATH']}/harness/pytest_plugin/plugin.py" in source


def test_its_own_scenarios_come_with_it(tmp_path: Path, installed: Mapping[str, str]) -> None:
    said = ran(["harness", "run", "--lab", "simulated", "-k", "test_set_up"], tmp_path, installed)
    assert "1 passed, 75 deselected" in said
