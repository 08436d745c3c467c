"""Runs of pytest on the simulated lab, one after another, in a process of their own.

That process is forked with FOLDER as its argument. It reads a list of [name, arguments] from
FOLDER/runs.json, runs FOLDER/NAME/test_NAME.py with results in FOLDER/results/NAME, and writes what
each run printed to FOLDER/NAME.txt and all statuses to FOLDER/statuses.json. Starting one process
for all of them saves most of the time.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.config import paths
from harness.results import junit
from harness.results.run import Case
from tests import forked


@dataclass(frozen=True)
class Ran:
    """One run: its exit status, what it printed, and its results."""

    status: int
    said: str
    folder: Path

    @property
    def cases(self) -> dict[str, Case]:
        """Its scenarios by their names."""
        return {case.name: case for case in junit.read(self.folder / "junit.xml")[1]}

    @property
    def verdicts(self) -> dict[str, str]:
        """How each of them ended."""
        return {name: str(case.verdict) for name, case in self.cases.items()}


def run_all(
    place: Path, runs: Mapping[str, tuple[str, Sequence[str]]], *, within: float = 900
) -> dict[str, Ran]:
    """Run the text of each scenario file with these further arguments, all `within` seconds."""
    for name, (text, _) in runs.items():
        (place / name).mkdir(parents=True)
        (place / name / f"test_{name}.py").write_text(text)
    given = [[name, list(arguments)] for name, (_, arguments) in runs.items()]
    (place / "runs.json").write_text(json.dumps(given))
    done = forked.run(place, program="tests.nested", timeout=within)
    assert done.returncode == 0, done.stdout + done.stderr
    statuses = json.loads((place / "statuses.json").read_text())
    return {
        name: Ran(status, (place / f"{name}.txt").read_text(), place / "results" / name)
        for name, status in statuses.items()
    }


def main() -> None:
    """Run them."""
    place = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command line has it
    os.environ["SKUNK_STATE_DIR"] = str(place / "state")
    statuses = {}
    for name, arguments in json.loads((place / "runs.json").read_text()):
        results = place / "results" / name
        words = [
            *("--rootdir", str(paths.PROJECT), "-p", "no:cacheprovider", "--lab", "simulated"),
            *("--no-wire", "--pair", "nested", "--settings", str(paths.SETTINGS)),
            *("--results", str(results), "--junitxml", str(results / "junit.xml"), *arguments),
            str(place / name / f"test_{name}.py"),
        ]
        with (
            (place / f"{name}.txt").open("w", errors="backslashreplace") as said,
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            statuses[name] = int(pytest.main(words))
        left = [path.name for path in (place / "state" / "pairs").iterdir() if path.is_dir()]
        assert not left, f"{name} left {left}"
    (place / "statuses.json").write_text(json.dumps(statuses))
