"""The command lines that VirtualBox gets. They were not tried on a real one: docs/vagrant.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.config.settings import Settings
from harness.errors import LabError, MissingTool
from harness.lab.base import Power
from harness.lab.vagrant.virtualbox import VirtualBox
from tests.unit.vagrant.conftest import Programs

PREFIX = "skunk-try-0123abcd-"
SKUNK1 = f"{PREFIX}skunk1"
RUNNING = (f"showvminfo {SKUNK1} --machinereadable", 'name="skunk1"\nVMState="running"')
OFF = (f"showvminfo {SKUNK1} --machinereadable", 'name="skunk1"\nVMState="poweroff"')


@pytest.fixture
def virtualbox(programs: Programs, settings: Settings, tmp_path: Path) -> VirtualBox:
    programs.make("VBoxManage", RUNNING)
    return VirtualBox(settings, PREFIX, tmp_path)


def orders(programs: Programs) -> list[str]:
    """What was commanded; questions apart."""
    calls = programs.calls("VBoxManage")
    return [call for call in calls if not call.startswith("showvminfo")]


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("reset", f"controlvm {SKUNK1} reset"),
        ("press_power_button", f"controlvm {SKUNK1} acpipowerbutton"),
        ("pause", f"controlvm {SKUNK1} pause"),
        ("resume", f"controlvm {SKUNK1} resume"),
        ("power_cut", f"controlvm {SKUNK1} poweroff"),
    ],
)
def test_verbs(virtualbox: VirtualBox, programs: Programs, verb: str, expected: str) -> None:
    getattr(virtualbox, verb)("skunk1")
    assert orders(programs) == [expected]


def test_the_cable_of_a_running_machine_and_of_one_that_is_off(
    virtualbox: VirtualBox, programs: Programs
) -> None:
    virtualbox.set_link("skunk1", plugged=False)
    programs.make("VBoxManage", OFF)
    virtualbox.set_link("skunk1", plugged=True)
    virtualbox.power_cut("skunk1")
    assert orders(programs) == [
        f"controlvm {SKUNK1} setlinkstate2 off",
        f"modifyvm {SKUNK1} --cableconnected2 on",
    ]


@pytest.mark.parametrize(
    ("state", "power"),
    [("running", Power.RUNNING), ("paused", Power.PAUSED), ("aborted", Power.OFF)],
)
def test_power(virtualbox: VirtualBox, programs: Programs, state: str, power: Power) -> None:
    programs.make("VBoxManage", (RUNNING[0], f'VMState="{state}"\nVMStateChangeTime="2026"'))
    assert virtualbox.power("skunk1") is power


def test_an_unknown_state_is_an_error(virtualbox: VirtualBox, programs: Programs) -> None:
    programs.make("VBoxManage", (RUNNING[0], 'VMState="gurumeditation"'))
    with pytest.raises(LabError, match="gurumeditation"):
        virtualbox.power("skunk1")


def test_snapshots(virtualbox: VirtualBox, programs: Programs) -> None:
    listing = f"snapshot {SKUNK1} list --machinereadable"
    programs.make("VBoxManage", (listing, "This machine does not have any snapshots", 1))
    assert not virtualbox.has_snapshot("skunk1", "fresh")
    virtualbox.save("skunk1", "fresh")
    programs.make("VBoxManage", (listing, 'SnapshotName="fresh"'))
    assert virtualbox.has_snapshot("skunk1", "fresh")
    assert not virtualbox.has_snapshot("skunk1", "fres")
    programs.forget()
    virtualbox.save("skunk1", "fresh")
    assert orders(programs) == [
        listing,
        f"snapshot {SKUNK1} delete fresh",
        f"snapshot {SKUNK1} take fresh --live",
    ]


def test_restore_powers_off_first_and_leaves_the_machine_paused(
    virtualbox: VirtualBox, programs: Programs
) -> None:
    virtualbox.restore("skunk1", "fresh")
    assert orders(programs) == [
        f"controlvm {SKUNK1} poweroff",
        f"snapshot {SKUNK1} restore fresh",
        f"controlvm {SKUNK1} setlinkstate2 on",  # the stand-in goes on saying that it is running
        f"startvm {SKUNK1} --type headless",
        f"controlvm {SKUNK1} pause",
    ]


def test_a_start_keeps_what_the_console_had(
    virtualbox: VirtualBox, programs: Programs, tmp_path: Path
) -> None:
    """VirtualBox begins the file anew with each start."""
    for boot in ("first", "second"):
        (tmp_path / "skunk1.console").write_text(boot)
        virtualbox.power_on("skunk1")
    assert (tmp_path / "skunk1.console.1").read_text() == "first"
    assert (tmp_path / "skunk1.console.2").read_text() == "second"
    assert orders(programs) == [f"startvm {SKUNK1} --type headless"] * 2


def test_only_this_pairs_machines_are_removed(virtualbox: VirtualBox, programs: Programs) -> None:
    programs.make(
        "VBoxManage",
        (
            "list vms",
            f'"Windows" {{1}}\n"{SKUNK1}" {{2}}\n"skunk-try-ffffffff-skunk1" {{3}}\n'
            f'"my {SKUNK1}" {{4}}',
        ),
    )
    virtualbox.remove_all()
    assert orders(programs) == [
        "list vms",
        f"controlvm {SKUNK1} poweroff",
        f"unregistervm {SKUNK1} --delete",
    ]


def test_no_virtualbox(settings: Settings, tmp_path: Path, programs: Programs) -> None:
    with pytest.raises(MissingTool, match="no VirtualBox"):
        VirtualBox(settings, PREFIX, tmp_path).check()


def test_no_kernel_module(virtualbox: VirtualBox, programs: Programs) -> None:
    programs.make(
        "VBoxManage", ("--version", "WARNING: The vboxdrv kernel module is not loaded.\n7.0.20r1")
    )
    with pytest.raises(LabError, match="vboxdrv"):
        virtualbox.check()
