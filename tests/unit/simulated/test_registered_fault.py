"""A fault in the register is known to whoever asks for faults, and its name stands nowhere else."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster.fault import Fault, register
from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.config import paths
from harness.errors import SettingsError
from harness.faults.link import deaf
from harness.faults.process import hastd_killed
from harness.operate.cuts import Cuts
from harness.results.read import read_entries
from harness.results.timeline import timeline
from harness.run.audit import Finding, Left, audit
from harness.run.session import Session
from tests.unit.simulated import glass


@pytest.fixture
def fault() -> Iterator[Fault[Node]]:
    with glass.registered() as registered:
        yield registered


def test_skunk_cut_offers_it() -> None:
    code = (
        "from tests.unit.simulated import glass\n"
        "with glass.registered():\n"
        "    from harness.cli.main import app\n"
        "    app(['cut', '--help'])\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=paths.PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "glass" in said.partition(">")[0].partition("<")[2].split("|")
    assert "glass: break a glass." in " ".join(said.split())


def test_no_two_have_one_name(fault: Fault[Node]) -> None:
    with pytest.raises(ValueError, match="there is a fault of the name 'glass' already"):
        register(fault)


def test_the_audit_finds_it(pair: Pair, fault: Fault[Node]) -> None:
    fault.begin(pair.skunk2)  # by another hand, so that nobody has told of it
    assert audit(pair) == [Finding(Left.FAULT, "skunk2", "made of glass")]
    fault.heal(pair.skunk2)
    assert audit(pair) == []


def test_it_is_cut_and_healed_by_hand(pair: Pair, fault: Fault[Node]) -> None:
    cuts = Cuts(pair, {node.name: threading.Lock() for node in pair})
    cuts.cut("glass", pair.nodes)
    assert [node.faults for node in pair] == [["glass on the floor"]] * 2
    cuts.heal()
    assert [node.faults for node in pair] == [[], []]
    assert audit(pair) == []
    with pytest.raises(SettingsError, match="'porcelain' cannot be cut"):
        cuts.cut("porcelain", pair.nodes)


def test_what_a_scenario_broke_is_healed_by_hand_too(pair: Pair) -> None:
    """As after a failure whose pair is kept: the block is left unhealed, and a person heals."""
    cuts = Cuts(pair, {node.name: threading.Lock() for node in pair})
    with deaf(pair.skunk2):
        cuts.heal()
        assert audit(pair) == []


def test_it_stands_on_the_axis(
    session: Session, pair: Pair, fault: Fault[Node], tmp_path: Path
) -> None:
    """As fault and as heal, in place of the commands that it consists of."""
    transcript = session._transcript
    transcript.open(tmp_path)
    with fault.on(pair.skunk1):
        pair.skunk1.run("true")
    with hastd_killed(pair, pair.skunk2, "KILL"):
        pass
    with pair.skunk1.paused(), pair.skunk2.link_unplugged():
        pass
    with pair.skunk1.powered_off():
        pass
    transcript.close()
    entries, unreadable = read_entries(tmp_path)
    marks = timeline(entries).marks
    assert unreadable == 0
    assert [(mark.node, mark.kind, mark.text) for mark in marks] == [
        ("skunk1", "fault", "glass on the floor"),
        ("skunk1", "heal", "glass swept up"),
        ("skunk2", "fault", "hastd killed by SIGKILL"),
        ("skunk2", "heal", "hastd started again"),
        ("skunk1", "fault", "paused"),
        ("skunk2", "fault", "private link unplugged"),
        ("skunk2", "heal", "private link plugged"),
        ("skunk1", "heal", "resumed"),
        ("skunk1", "fault", "power cut"),
        ("skunk1", "heal", "power on"),
    ]
    told = [(entry.kind, entry.fault) for entry in entries if entry.fault][:4]
    assert told == [("fault", "glass"), ("heal", "glass"), ("fault", "hastd"), ("heal", "hastd")]
