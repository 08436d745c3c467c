"""A fork of a process that has everything loaded is as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config import paths
from tests import forked


def test_it_says_and_returns_what_a_process_of_its_own_does(tmp_path: Path) -> None:
    environment = {**os.environ, "SKUNK_STATE_DIR": str(tmp_path), "COLUMNS": "60"}
    for words, status in ((["status"], 3), (["cut", "moon"], 2), (["ssh", "--help"], 0)):
        own = subprocess.run(
            [Path(sys.executable).with_name("skunk"), *words],
            cwd=paths.PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        fork = forked.run(*words, env=environment)
        assert (own.returncode, fork.returncode) == (status, status)
        assert (fork.stdout, fork.stderr) == (own.stdout, own.stderr)


def test_it_is_killed_at_the_end_of_its_block(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    import time; time.sleep(60)\n")
    with forked.start("-q", program="pytest", cwd=tmp_path, stdout=subprocess.DEVNULL) as running:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.01)
        assert running.poll() is None
    assert running.wait(0) == -signal.SIGKILL
    running.send_signal(signal.SIGTERM)  # to nobody
