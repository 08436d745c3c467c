"""A program of the host always ends, and says why when it did not do what it should."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from harness.errors import LabError, MissingTool
from harness.lab.vagrant.programs import run
from harness.waiting.wait import wait_until


def test_output_is_returned_and_errors_are_not() -> None:
    assert run(["sh", "-c", "echo out; echo err >&2"], within=10) == "out\n"


def test_an_expired_deadline_kills_the_whole_family(tmp_path: Path) -> None:
    """A grandchild that holds the output open neither survives nor makes the caller wait."""
    note = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(
        LabError, match=r"did not end within 1 s and was killed[^$]*  busy"
    ) as error:
        run(["sh", "-c", f"echo busy; sleep 987 & echo $! > {note}; wait"], within=1, node="skunk2")
    assert time.monotonic() - began < 5
    assert error.value.node == "skunk2"
    grandchild = int(note.read_text())
    wait_until("the grandchild to be gone", lambda: not _lives(grandchild), 5)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_failure_shows_the_last_lines_of_both_streams() -> None:
    lines = "for i in $(seq 40); do echo line $i >&2; done; exit 3"
    with pytest.raises(LabError) as error:
        run(["sh", "-c", lines], within=10, advice="mend it")
    assert "ended with status 3" in error.value.what
    assert "line 40" in error.value.what
    assert "line 20\n" not in error.value.what
    assert error.value.advice == "mend it"


def test_what_is_said_again_and_again_is_shown_once() -> None:
    """ssh to a machine that boots says for a minute that it cannot, and why comes before it."""
    lines = "echo the reason; for i in $(seq 40); do echo refused; echo no way; done; exit 3"
    with pytest.raises(LabError, match=r"said:\n  the reason\n  refused\n  no way$"):
        run(["sh", "-c", lines], within=10)


def test_all_that_is_said_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(["sh", "-c", "echo one; echo two >&2"], within=10, log=log) == "one\n"
    assert run(["sh", "-c", "echo three"], within=10, log=log, capture=False) == ""
    text = log.read_text()
    assert {"one", "two", "three"} < set(text.splitlines())
    assert "$ sh -c 'echo three'" in text
    with pytest.raises(LabError) as error:
        run(["sh", "-c", "echo four; exit 1"], within=10, log=log, capture=False)
    assert "four" in error.value.what
    assert "three" not in error.value.what


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(MissingTool, match="no-such-program"):
        run(["no-such-program"], within=10)
