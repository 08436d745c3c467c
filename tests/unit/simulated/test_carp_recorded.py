"""carp(4), and devd(8)'s events of it, against what two nodes of FreeBSD 13.2 said."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.config import paths
from harness.lab.simulated.shell import interpreter as shell
from tests.unit.simulated.test_segments import Lan, lan

__all__ = ["lan"]

RECORDED = json.loads(
    (paths.PROJECT / "tests" / "unit" / "recorded" / "13.2" / "carp.json").read_text()
)
_KERNEL = (
    *("carp: ", "vtnet2: link", "vtnet2: promiscuous", "arp: ", "in_scrubprefix: "),
    "carp_input_c: ",
)
_OF_ARP = ("arp: ", "? (203.0.113.10)")

_LATE = "the interface down and up"
"""From there on frames that QEMU had kept, with the NIC down or its cable out, came late: the
answer to an announcement of some seconds ago, and an advertisement from before the cut, after which
the peer stepped down and was silent."""


def _comparable(text: str, *, late: bool) -> list[str]:
    text = re.sub(r"52:54:00:cb:(71|00):", "52:54:00:cb:", text)
    text = re.sub(r"expires in \d+ seconds", "expires", text)
    if late:
        text = text.replace("(preempting a slower master)", "(master timed out)")
    return [line for line in text.splitlines() if not (late and line.startswith(_OF_ARP))]


def _split(lines: list[str]) -> tuple[list[str], list[str]]:
    """What comes before the kernel's messages, and these."""
    at = next((n for n, line in enumerate(lines) if line.startswith(_KERNEL)), len(lines))
    return lines[:at], lines[at:]


def _run(lan: Lan, step: dict[str, Any]) -> tuple[str, str]:
    process = shell.spawn(lan.world.guests[step["node"]], step["command"])
    while process.status is None:
        lan.world.step()
    assert process.failure is None
    assert process.status == step["status"], step["command"]
    return process.stdout.decode(), process.stderr.decode()


def test_it_does_as_freebsd_did(lan: Lan) -> None:
    for guest in (lan.one, lan.two):
        lan.out(guest, "mkdir -p /usr/local/etc/devd")
        guest.tree.write("/usr/local/etc/devd/carp.conf", RECORDED["devd.conf"].encode())
        lan.out(guest, "service devd restart; : >/var/log/notes")
    began = lan.world.now - RECORDED["steps"][0]["at"]
    late = False
    for step in RECORDED["steps"]:
        lan.world.pass_time(max(0.0, began + step["at"] - lan.world.now))
        if "plugged" in step:
            lan.world.plug(step["node"], "vtnet2", plugged=step["plugged"])
            continue
        late = late or step["situation"] == _LATE
        stdout, stderr = _run(lan, step)
        where = f"{step['situation']}, {step['node']}: {step['command']}"
        assert stderr == step["stderr"], where
        has, messages = _split(_comparable(stdout, late=late))
        had, recorded = _split(_comparable(step["stdout"], late=late))
        assert has == had, where
        known = min(len(messages), len(recorded))
        assert messages[-known:] == recorded[-known:], (where, messages)
        assert not recorded or known, where
    assert not lan.world.gaps


@pytest.mark.parametrize("kind", ["LINK_UP", "MASTER", "BACKUP", "INIT"])
def test_the_recording_has_each_kind_of_event(kind: str) -> None:
    assert any(f" {kind}\n" in step.get("stdout", "") for step in RECORDED["steps"])
