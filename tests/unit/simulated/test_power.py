"""What is left of a node that lost its power, or whose kernel died: its disks, and nothing else."""

from __future__ import annotations

from harness.cluster.pair import Pair
from harness.faults.power import both_powered_off
from harness.faults.process import PID_FILE, hastd_pid
from harness.freebsd.hast.hastctl import Role
from harness.lab.simulated.hast.replication.primary import Primary
from tests.unit.simulated.hast_pair import Pair as Nodes


def test_both_nodes_boot_after_a_power_cut(pair: Pair) -> None:
    before = [node.boot_time() for node in pair]
    with both_powered_off(pair):
        assert [node.faults for node in pair] == [["without power"], ["without power"]]
    assert [node.faults for node in pair] == [[], []]
    assert all(node.boot_time() != time for node, time in zip(pair, before, strict=True))
    assert [pair.role(node) for node in pair] == [Role.INIT, Role.INIT]


def test_a_connection_is_forgotten_with_its_kernel() -> None:
    """What comes from the other side meets the next kernel, which answers with a reset."""
    pair = Nodes()
    pair.connect()
    near = next(each for each in pair.one.daemons.values() if isinstance(each, Primary)).outgoing
    assert near is not None
    far = near.peer
    assert far is not None
    heard: list[object] = []
    answers: list[object] = []
    near.listen_to(heard.append, heard.append)
    far.listen_to(answers.append, answers.append)
    pair.one.power_cut()
    pair.up(pair.one)
    far.send("a message")
    pair.world.pass_time(5.0)
    assert (heard, answers) == ([], ["ECONNRESET"])


def test_a_panic_that_is_wanted_is_no_finding(pair: Pair) -> None:
    skunk1 = pair.skunk1
    before = skunk1.boot_time()
    assert skunk1.panic().startswith("panic: kdb_sysctl_panic")
    skunk1.raise_if_panicked()
    skunk1.wait_for_ssh()
    assert skunk1.boot_time() != before


def test_a_reboot_without_shutdown_stops_nothing(pair: Pair) -> None:
    skunk1 = pair.skunk1
    before = skunk1.boot_time()
    skunk1.reboot_without_shutdown()
    skunk1.wait_for_ssh()
    assert skunk1.boot_time() != before
    assert "Stopping hastd" not in skunk1.console_text()


def test_a_pid_file_names_its_process(pair: Pair) -> None:
    skunk1 = pair.skunk1
    assert str(hastd_pid(skunk1)) == skunk1.get(PID_FILE).decode().strip()
    said = skunk1.run("pgrep", "-F", "/var/run/no.pid", check=False)
    assert (said.status, said.stderr) == (
        3,
        "pgrep: Cannot open pidfile `/var/run/no.pid': No such file or directory\n",
    )


def test_a_power_cut_is_a_fault_until_the_machine_has_power(pair: Pair) -> None:
    """By a verb of its own, in a block, and by the power button."""
    skunk1 = pair.skunk1
    skunk1.power_cut()
    assert skunk1.faults == ["without power"]
    skunk1.power_on()
    skunk1.wait_for_ssh()
    assert skunk1.faults == []
    with skunk1.powered_off():
        assert skunk1.faults == ["without power"]
    assert skunk1.faults == []
    skunk1.shut_down()
    assert skunk1.faults == ["switched off by its power button"]
    skunk1.power_on()
    skunk1.wait_for_ssh()
    assert skunk1.faults == []
