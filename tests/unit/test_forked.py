"""A fork of a process that has everything loaded is as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
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


def test_one_that_has_died_is_started_anew(tmp_path: Path) -> None:
    environment = {**os.environ, "SKUNK_STATE_DIR": str(tmp_path)}
    assert forked.run("--help", env=environment).returncode == 0
    _, server = forked._servers[os.getpid(), paths.PROJECT]
    server.kill()
    server.wait(30)
    assert forked.run("--help", env=environment).returncode == 0


def test_who_gives_up_before_it_is_there_does_not_end_it(tmp_path: Path) -> None:
    environment = {**os.environ, "SKUNK_STATE_DIR": str(tmp_path)}
    forked.run("--help", env=environment)
    connection, server = forked._servers[os.getpid(), paths.PROJECT]
    asked = {"words": ["skunk", "--help"], "env": environment, "cwd": str(tmp_path)}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with theirs, Path(os.devnull).open("r+") as null:
        request = json.dumps({**asked, "session": False, "terminal": False}).encode()
        socket.send_fds(connection, [request], [null.fileno()] * 3 + [theirs.fileno()])
    assert forked.run("--help", env=environment).returncode == 0
    assert forked._servers[os.getpid(), paths.PROJECT][1] is server
