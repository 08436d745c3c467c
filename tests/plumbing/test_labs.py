"""What every lab promises of its hardware, seen from inside a small Linux guest.

Needs QEMU, and for the Vagrant lab a running libvirtd; no FreeBSD.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from harness.cluster.node import Node
from harness.errors import (
    CommandTimedOut,
    LabError,
    NodePanicked,
    NodeUnreachable,
    WaitExpired,
)
from harness.lab import console
from harness.lab.base import Lab, Power
from harness.lab.ssh import Result
from harness.waiting.wait import scaled, wait_until
from tests.plumbing.conftest import ALIVE

NOTICED = ALIVE + 6.0
"""A lost node is noticed within so many seconds: two of silence, a probe, and a margin."""

UP = "is up"
"""The end of the line that the guest says on the console when it has booted."""
GOING_DOWN = "The system is going down"
"""What the guest's init says on the console at an orderly shutdown."""


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def boot_id(node: Node) -> str:
    """Linux's name of one boot; it lives in memory alone."""
    return node.run("cat", "/proc/sys/kernel/random/boot_id").stdout.strip()


def reaches(node: Node, peer: int) -> bool:
    """Whether a ping over the private link is answered."""
    return node.run("ping", "-c", "1", "-W", "1", f"192.168.0.{peer}", check=False).ok


def start_endless(node: Node, pool: ThreadPoolExecutor) -> Future[Result]:
    """Run a command that never ends, and return once it has begun."""
    future = pool.submit(node.sh, "touch /tmp/began; exec sleep 1000")
    wait_until(
        "the endless command to begin",
        lambda: node.run("test", "-e", "/tmp/began", check=False).ok,
        10,
        every=0.05,
    )
    return future


def assert_lost(future: Future[Result]) -> None:
    """A pending command fails because its node is gone, within seconds and without hanging."""
    began = time.monotonic()
    with pytest.raises(NodeUnreachable):
        future.result(timeout=scaled(60))
    assert time.monotonic() - began < scaled(NOTICED)


# --- start, SSH, console ------------------------------------------------------------------------


def test_both_machines_boot_side_by_side(lab: Lab, skunk1: Node, skunk2: Node) -> None:
    """Each is the machine that its name says, and they got power at the same time."""
    assert {name: machine.power() for name, machine in lab.machines.items()} == {
        "skunk1": Power.RUNNING,
        "skunk2": Power.RUNNING,
    }
    assert reaches(skunk1, 2)
    assert reaches(skunk2, 1)
    for node, number in ((skunk1, 1), (skunk2, 2)):
        assert f"192.168.0.{number}/24" in node.run("ip", "address").stdout
        assert node.run("ls", f"/dev/disk/by-id/virtio-{node.name}-data").ok
    ages = [float(node.run("cat", "/proc/uptime").stdout.split()[0]) for node in (skunk1, skunk2)]
    assert abs(ages[0] - ages[1]) < scaled(10)


def test_a_slow_command_is_not_a_dead_node(skunk1: Node) -> None:
    with pytest.raises(CommandTimedOut):
        skunk1.run("sleep", "1000", within=1)
    assert skunk1.run("echo", "here").stdout == "here\n"


def test_the_console_is_recorded_from_the_first_byte(skunk1: Node) -> None:
    """The boot loader comes before the kernel, and the kernel before its first program."""
    text = console.read(skunk1.machine.console)
    places = [text.find(words) for words in ("SYSLINUX", "Linux version", UP)]
    assert -1 not in places
    assert places == sorted(places)
    assert text[: places[0]].strip() == ""


# --- the private link ---------------------------------------------------------------------------


def test_an_unplugged_link_cuts_the_peer_off_and_leaves_ssh(skunk1: Node, skunk2: Node) -> None:
    carriers = "cat /sys/class/net/eth*/carrier"
    assert reaches(skunk1, 2)
    with skunk1.link_unplugged():
        assert not reaches(skunk1, 2)
        assert not reaches(skunk2, 1)
        assert skunk1.sh(carriers).stdout.split().count("0") == 1, "of that NIC alone"
    wait_until("the private link to carry a ping again", lambda: reaches(skunk1, 2), 10)
    assert reaches(skunk2, 1)
    assert "0" not in skunk1.sh(carriers).stdout


# --- pause --------------------------------------------------------------------------------------


def test_a_paused_node_says_nothing_and_goes_on(
    skunk1: Node, skunk2: Node, background: ThreadPoolExecutor
) -> None:
    """It is noticed within seconds, by a command that was running too; then all is as before."""
    before = boot_id(skunk1)
    pending = start_endless(skunk1, background)
    with skunk1.paused():
        assert_lost(pending)
        assert skunk1.machine.power() is Power.PAUSED
        assert not reaches(skunk2, 1)
        began = time.monotonic()
        with pytest.raises(NodeUnreachable):
            skunk1.run("true")
        assert time.monotonic() - began < scaled(NOTICED)
        with pytest.raises(WaitExpired, match=r"last lines of its console ---\n.*\S"):
            skunk1.wait_for_ssh(within=0.1)
    skunk1.wait_for_ssh()
    assert skunk1.machine.power() is Power.RUNNING
    assert boot_id(skunk1) == before
    assert skunk1.run("pidof", "sleep").ok
    assert reaches(skunk2, 1)


# --- snapshots ----------------------------------------------------------------------------------


SAVED = ("/tmp/saved", "/root/saved")
LATER = ("/tmp/later", "/root/later")
"""Files in memory and on the system disk."""


def test_a_cable_that_is_out_stays_out_over_a_power_cut(skunk1: Node, skunk2: Node) -> None:
    with skunk1.link_unplugged():
        skunk1.power_cut()
        skunk1.power_on()
        skunk1.wait_for_ssh()
        assert not reaches(skunk1, 2)
    wait_until("the private link to carry a ping again", lambda: reaches(skunk1, 2), 10)
    assert reaches(skunk2, 1)


@pytest.mark.parametrize("meanwhile", ["running", "paused", "off", "unplugged"])
def test_restore_brings_both_back_to_the_saved_moment(
    lab: Lab, skunk1: Node, skunk2: Node, meanwhile: str
) -> None:
    """Memory and disks of both, whatever state one of them is in; its link comes back plugged."""
    before = [boot_id(node) for node in (skunk1, skunk2)]
    for node in (skunk1, skunk2):
        node.run("touch", *SAVED)
    if meanwhile == "unplugged":
        skunk1.machine.unplug_link()
    moment = f"before-{meanwhile}"
    lab.save(moment)
    for node in (skunk1, skunk2):
        node.run("touch", *LATER)
        node.run("rm", *SAVED)
        node.run("sync")
    if meanwhile == "paused":
        skunk1.machine.pause()
    elif meanwhile == "off":
        skunk1.power_cut()

    for node in (skunk1, skunk2):
        node.disconnect()
    lab.restore(moment)
    for node in (skunk1, skunk2):
        node.wait_for_ssh()
        assert node.machine.power() is Power.RUNNING
        left = node.run("ls", *SAVED, *LATER, check=False).stdout.split()
        assert left == sorted(SAVED)
    assert [boot_id(node) for node in (skunk1, skunk2)] == before
    wait_until("the private link to carry a ping", lambda: reaches(skunk1, 2), 10)


def test_restore_of_an_unknown_moment_changes_nothing(lab: Lab) -> None:
    with pytest.raises(LabError, match="never-saved"):
        lab.restore("never-saved")
    assert {machine.power() for machine in lab.machines.values()} == {Power.RUNNING}


# --- power --------------------------------------------------------------------------------------


def write_and_sync(node: Node) -> None:
    """Two files on the system disk: one synced, one that exists in the guest's memory alone."""
    node.sh(
        "echo kept >/root/synced; dd if=/root/synced of=/dev/disk/by-id/virtio-$1 conv=fsync; sync;"
        "echo lost >/root/unsynced",
        f"{node.name}-data",
    )


def assert_only_synced_is_left(node: Node) -> None:
    assert node.run("cat", "/root/synced").stdout == "kept\n"
    disk = f"/dev/disk/by-id/virtio-{node.name}-data"
    assert node.run("head", "-c", "5", disk).stdout == "kept\n"
    # Linux writes the content of a small file out after 30 s (vm.dirty_expire_centisecs).
    assert "lost" not in node.sh("cat /root/unsynced", check=False).stdout


def test_a_power_cut_takes_what_was_not_synced(
    skunk1: Node, skunk2: Node, background: ThreadPoolExecutor
) -> None:
    """No guest code runs, what was synced stays, and the machine boots again when it gets power."""
    before = boot_id(skunk1)
    pending = start_endless(skunk1, background)
    write_and_sync(skunk1)
    skunk1.machine.power_cut()
    assert skunk1.machine.power() is Power.OFF
    assert_lost(pending)
    assert not reaches(skunk2, 1)
    assert GOING_DOWN not in skunk1.console_text()

    skunk1.power_on()
    assert skunk1.machine.power() is Power.RUNNING
    skunk1.wait_for_ssh()
    assert boot_id(skunk1) != before
    assert_only_synced_is_left(skunk1)
    assert reaches(skunk2, 1)
    whole = console.read(skunk1.machine.console)
    assert whole.count("Linux version") > skunk1.console_text().count("Linux version") == 1


def test_a_reset_starts_over_at_once(
    skunk1: Node, skunk2: Node, background: ThreadPoolExecutor
) -> None:
    """The machine keeps its power and loses its memory."""
    before = boot_id(skunk1), boot_id(skunk2)
    pending = start_endless(skunk1, background)
    write_and_sync(skunk1)
    skunk1.machine.reset()
    assert skunk1.machine.power() is Power.RUNNING
    assert_lost(pending)
    skunk1.disconnect()
    wait_until("the boot loader on the console", lambda: "SYSLINUX" in skunk1.console_text(), 20)
    skunk1.wait_for_ssh()
    assert boot_id(skunk1) != before[0]
    assert boot_id(skunk2) == before[1]
    assert_only_synced_is_left(skunk1)


def test_the_power_button_shuts_down_in_order(skunk1: Node, skunk2: Node) -> None:
    skunk1.run("true")
    skunk1.shut_down()
    assert skunk1.machine.power() is Power.OFF
    assert GOING_DOWN in skunk1.console_text()
    assert skunk2.machine.power() is Power.RUNNING


# --- panic --------------------------------------------------------------------------------------


def test_a_panic_is_told_from_a_dead_node(skunk1: Node) -> None:
    """The command that was running fails with the panic's text from the console."""
    skunk1.raise_if_panicked()
    began = time.monotonic()
    with pytest.raises(NodePanicked, match="sysrq triggered crash"):
        skunk1.sh("echo c >/proc/sysrq-trigger")
    assert time.monotonic() - began < scaled(NOTICED)
    with pytest.raises(NodePanicked, match="sysrq triggered crash"):
        skunk1.wait_for_ssh()
