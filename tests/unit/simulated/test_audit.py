"""The audit after a scenario: it finds everything that can be left, and nothing on a quiet pair."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.cluster.pair import Pair
from harness.errors import ClaimFailed
from harness.faults.process import hastd_pid, send_signal
from harness.faults.shaping import shaped_link
from harness.freebsd.zpool import Health
from harness.run.audit import Finding, Left, audit, raise_unannounced
from harness.waiting.wait import wait_until
from tests.unit.simulated.glass import GLASS


def both_primary(pair: Pair) -> None:
    pair.export_pool(pair.skunk1)
    pair.promote(pair.skunk2)


def suspended_pool(pair: Pair) -> None:
    skunk1 = pair.skunk1
    pair.disconnect_role(skunk1)
    wait_until("the suspension", lambda: pair.pool_health(skunk1) is Health.SUSPENDED, 60, every=1)


def panic(pair: Pair) -> None:
    pair.skunk2.panic()
    pair.skunk2.wait_for_ssh()
    pair.skunk2._panics_after = 0  # as if nobody had asked for it


def crashed_hastd(pair: Pair) -> None:
    with pair.skunk2.machine.console.open("a") as console:
        console.write("pid 612 (hastd), jid 0, uid 0: exited on signal 11 (core dumped)\n")


def unhealed_fault(pair: Pair) -> None:
    pair.skunk1.broken.append(GLASS)


def cable_out(pair: Pair) -> None:
    pair.skunk1.machine.unplug_link()


def power_off(pair: Pair) -> None:
    pair.skunk2.power_cut()


def stopped_hastd(pair: Pair) -> None:
    send_signal(pair.skunk2, hastd_pid(pair.skunk2), "STOP")


def firewall(pair: Pair) -> None:
    pair.skunk2.sh("kldload -n pf && echo 'block drop in quick on vtnet9 all' | pfctl -q -e -f -")


def shaped_link_left(pair: Pair) -> None:
    shaped_link("delay", "10ms").break_on(pair.skunk2)
    pair.skunk2.broken.clear()


def silent_node(pair: Pair) -> None:
    pair.skunk2.machine.pause()


@pytest.mark.parametrize(
    ("leave", "left", "node", "what"),
    [
        (both_primary, Left.BOTH_PRIMARY, "pair", "primary of mirror"),
        (suspended_pool, Left.SUSPENDED_POOL, "skunk1", "failover"),
        (panic, Left.PANIC, "skunk2", "panic: "),
        (crashed_hastd, Left.CRASHED_HASTD, "skunk2", "exited on signal 11 (core dumped)"),
        (unhealed_fault, Left.FAULT, "skunk1", "glass on the floor"),
        (cable_out, Left.FAULT, "skunk1", "the private link: vtnet1 says no carrier"),
        (power_off, Left.FAULT, "skunk2", "the machine is off"),
        (stopped_hastd, Left.FAULT, "skunk2", "of hastd is stopped"),
        (firewall, Left.FAULT, "skunk2", "pf filters"),
        (shaped_link_left, Left.FAULT, "skunk2", "the private link is shaped: ipfw has 00100 pipe"),
        (silent_node, Left.FAULT, "skunk2", "the machine is paused"),
    ],
)
def test_what_is_left_is_found(
    pair: Pair, leave: Callable[[Pair], None], left: Left, node: str, what: str
) -> None:
    assert audit(pair) == []
    leave(pair)
    found = audit(pair)
    assert any((f.left, f.node) == (left, node) and what in f.what for f in found), found


def test_a_node_that_does_not_answer_is_a_finding(pair: Pair) -> None:
    """It boots, and nobody has waited for it."""
    pair.skunk2.power_cut()
    pair.skunk2.power_on()
    (found,) = audit(pair)
    assert (found.left, found.node) == (Left.SILENT_NODE, "skunk2")


def test_only_what_is_announced_may_be_left() -> None:
    found = [Finding(Left.FAULT, "skunk1", "a"), Finding(Left.SUSPENDED_POOL, "skunk1", "b")]
    raise_unannounced(found, {Left.FAULT, Left.SUSPENDED_POOL})
    with pytest.raises(ClaimFailed, match="skunk1: suspended pool: b") as failed:
        raise_unannounced(found, {Left.FAULT})
    assert "skunk1: fault: a" not in str(failed.value)
