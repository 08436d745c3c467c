"""How long a command takes to its first line: what a person feels at every one of them.

`status` and `ssh` ask the keeper of a simulated pair that is up, so what is measured is the command
line, its imports and the way to the keeper, and no guest. What reads results reads those of a night
with one scenario on the simulated lab, and an empty benchmark.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import LabError
from harness.lab.choose import MODEL
from harness.measure.result import Bench, Where
from harness.results.past.history import FILE as VERDICTS

COMMANDS = (
    "--help",
    "status",
    "ssh skunk1 hostname",
    "console skunk1",
    f"run --lab {MODEL} --pair other --collect-only -k set_up",
    "doctor",
    "report",
    "history",
    "index",
    "bench show",
    "nightly news --always",
)
"""What is measured: a command of each kind that a person types."""

AIM = "0.3 s"

_AT_MOST_SECONDS = 60.0
_REPEATS = 5


def first_lines(repeats: int = _REPEATS) -> dict[str, tuple[float, ...]]:
    """Seconds from the start of each command to its first line, `repeats` times each.

    Raises `LabError` when one of them prints nothing.
    """
    with tempfile.TemporaryDirectory(prefix="skunk-", dir="/tmp") as folder:
        results = Path(folder) / "r"
        environment = os.environ | {"SKUNK_STATE_DIR": folder, "SKUNK_RESULTS_DIR": str(results)}
        _make_results(results, environment)
        with _pair_up(environment):
            return {
                line: tuple(_first_line(line.split(), environment) for _ in range(repeats))
                for line in COMMANDS
            }


def _make_results(results: Path, environment: dict[str, str]) -> None:
    """A night, which is a run of its lane, and beside it a benchmark."""
    night = ("nightly", "run", "--only", MODEL, "--results", str(results / "nightly"))
    _run([*night, "-k", "test_set_up.py"], environment)
    nothing = dict.fromkeys(set(Where.model_fields), "")
    where = nothing | {
        "simulated": True,
        "host_cores": 1,
        "host_memory_bytes": 1,
        "started": datetime.now(UTC),
    }
    folder = results / "bench"
    folder.mkdir()
    Bench(where=Where.model_validate(where)).save(folder)
    for file in (results / "nightly").iterdir():
        if file.is_symlink() or file.name.startswith("20") or file.name == VERDICTS:
            (results / file.name).symlink_to(file)


def _command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "harness", *words]


@contextlib.contextmanager
def _pair_up(environment: dict[str, str]) -> Iterator[None]:
    """A simulated pair of this measurement's own, for the length of the block."""
    up = ["up", "--lab", MODEL, "--bare"]
    _run(up, environment)
    try:
        yield
    finally:
        _run(["down"], environment)


def _run(words: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        _command(words),
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * _AT_MOST_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"`skunk {' '.join(words)}` ended with {done.returncode}: {done.stderr}")


def _first_line(words: list[str], environment: dict[str, str]) -> float:
    start = time.monotonic()
    process = subprocess.Popen(
        _command(words),
        env=environment,
        cwd=Path("/"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        seconds = time.monotonic() - start
        process.stdout.read()
        process.wait(_AT_MOST_SECONDS)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if not line:
        raise LabError(f"`skunk {' '.join(words)}` printed nothing")
    return seconds
