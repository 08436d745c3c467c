"""Every fault breaks what it says, heals it on leaving, and says so while it lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.cluster.fault import Fault, not_seen
from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.cluster.private_link import private_nic
from harness.errors import ClaimFailed, HarnessError, LabError
from harness.faults.link import deaf, flapping
from harness.faults.process import hastd_killed, hastd_pid, stopped, worker_pid
from harness.freebsd import ifconfig
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast.hastctl import Role
from harness.waiting import clock


class Glass:
    def __init__(self) -> None:
        self.broken: list[Fault[Any]] = []
        self.done: list[str] = []

    @property
    def faults(self) -> list[str]:
        return [fault.what for fault in self.broken]

    @contextlib.contextmanager
    def timed(self, *_: object, **__: object) -> Iterator[None]:
        yield

    def begin(self) -> None:
        self.done.append("begin")

    def heal(self) -> None:
        self.done.append("heal")

    def fail(self) -> None:
        self.done.append("heal")
        raise LabError("no glue")


def fault(begin: Callable[[Glass], None], heal: Callable[[Glass], None]) -> Fault[Glass]:
    return Fault("glass", "broken", begin, heal, not_seen)


def test_a_fault_heals_also_when_its_block_fails() -> None:
    glass = Glass()
    seen = []
    with (
        contextlib.suppress(ClaimFailed),
        fault(Glass.begin, Glass.heal).on(glass),
    ):
        seen += glass.faults
        raise ClaimFailed("the claim")
    assert (seen, glass.done, glass.faults) == (["broken"], ["begin", "heal"], [])


def test_what_could_not_be_healed_stays_a_fault_and_does_not_hide_why() -> None:
    glass = Glass()
    with (
        pytest.raises(ClaimFailed, match="the claim") as failed,
        fault(Glass.begin, Glass.fail).on(glass),
    ):
        raise ClaimFailed("the claim")
    assert failed.value.__notes__ == ["and broken could not be healed: no glue"]
    assert glass.faults == ["broken"]
    with pytest.raises(LabError, match="no glue"), fault(Glass.begin, Glass.fail).on(glass):
        pass


def test_a_fault_that_did_not_quite_begin_is_healed() -> None:
    glass = Glass()
    with pytest.raises(LabError), fault(Glass.fail, Glass.heal).on(glass):
        pytest.fail("it has not begun")
    assert glass.faults == []


def carrier(node: Node, pair: Pair) -> str:
    nic = private_nic(node, pair.settings)
    found = {each.name: each for each in ifconfig.parse(node.run(*ifconfig.COMMAND).stdout)}
    return found[nic].link or ""


def test_a_cable_that_flaps_is_in_at_the_end(pair: Pair) -> None:
    skunk1 = pair.skunk1
    seen = []
    with flapping(skunk1, down=3, up=2):
        for _ in range(10):
            seen.append((carrier(skunk1, pair), "private link unplugged" in skunk1.faults))
            clock.current().sleep(1)
    assert set(seen) == {("active", False), ("no carrier", True)}
    assert (carrier(skunk1, pair), skunk1.faults) == ("active", [])


def reaches(node: Node, pair: Pair) -> bool:
    """Whether the node's peer hears it, and it its peer: a write needs both."""
    with contextlib.suppress(HarnessError):
        pair.write_device(node, 0)
    return pair.info(node).in_sync


def test_a_deaf_secondary_is_lost_and_heard_again(pair: Pair) -> None:
    skunk1, skunk2 = pair.nodes
    pair.export_pool(skunk1)
    with deaf(skunk2):
        assert not reaches(skunk1, pair)
        assert skunk2.faults == ["deaf on the private link"]
    pair.wait_until_in_sync(skunk1)
    assert skunk2.faults == []


def test_a_killed_hastd_is_started_again_without_a_role(pair: Pair) -> None:
    skunk2 = pair.skunk2
    before = hastd_pid(skunk2)
    with hastd_killed(pair, skunk2, "KILL"):
        assert not skunk2.run(*hast.STATUS_COMMAND, check=False).ok
    assert hastd_pid(skunk2) != before
    assert pair.role(skunk2) is Role.INIT


def test_a_stopped_worker_goes_on(pair: Pair) -> None:
    skunk2 = pair.skunk2
    pid = worker_pid(pair, skunk2)

    def state() -> str:
        return skunk2.run("ps", "-o", "state=", "-p", str(pid)).stdout.strip()[0]

    with stopped(skunk2, pid):
        assert state() == "T"
    assert state() != "T"
    pair.wait_until_in_sync(pair.skunk1)


def test_a_node_without_a_role_has_no_worker(pair: Pair) -> None:
    pair.disconnect_role(pair.skunk2)
    with pytest.raises(ClaimFailed, match="skunk2: hastd has no worker"):
        worker_pid(pair, pair.skunk2)
