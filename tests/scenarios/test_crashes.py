"""hastd, its worker or a whole node crashes: what the other node sees, and what is lost."""

from collections.abc import Callable

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.faults.process import (
    Signal,
    hastd_killed,
    hastd_pid,
    send_signal,
    stopped,
    worker_pid,
)
from harness.freebsd.hast.hastctl import Role, Status
from harness.freebsd.hast.log import DeviceRecovered, WorkerExited
from harness.freebsd.zpool import Health
from harness.lab.choose import Feature
from harness.waiting.wait import settle, wait_until
from harness.workload.files import Files
from harness.workload.ledger import Ledger

pytestmark = pytest.mark.hast(timeout=5, media_mib=192)

SIGKILL = 9
LONGER_THAN_TIMEOUT = 8.0
"""Seconds. Less than the 20 s of silence after which a secondary gives its primary up."""

TIMED_OUT = 124
"""The status of timeout(1) when it had to end the command."""


def hastctl_hangs(node: Node) -> bool:
    """Whether hastd does not answer: hastctl itself would wait for it without a limit."""
    return node.run("timeout", "2", "hastctl", "status", check=False).status == TIMED_OUT


def kill_hastd(signal: Signal) -> Callable[[Pair], object]:
    """A death of the primary by the end of its hastd.

    The device goes from under the imported pool, and the node may answer no more (docs/findings.md,
    claim 2), so the secondary is asked when it is over.
    """

    def kill(pair: Pair) -> None:
        send_signal(pair.skunk1, hastd_pid(pair.skunk1), signal)
        wait_until(
            "skunk2 to have lost its primary", lambda: pair.status(pair.skunk2).status is None, 15
        )

    return kill


@pytest.mark.needs(Feature.POWER)
@pytest.mark.claim(5)
@pytest.mark.leaves("fault")  # the old primary is left without power: nobody waits for its boot
@pytest.mark.parametrize(
    "die",
    [
        pytest.param(lambda pair: pair.skunk1.panic(), id="panic"),
        pytest.param(lambda pair: pair.skunk1.reboot_without_shutdown(), id="reboot-nq"),
        pytest.param(lambda pair: pair.skunk1.reset(), id="reset"),
        pytest.param(kill_hastd("TERM"), id="hastd-TERM"),
        pytest.param(kill_hastd("KILL"), id="hastd-KILL"),
    ],
)
def test_primary_dies(pair: Pair, die: Callable[[Pair], object]) -> None:
    """However the primary dies, the secondary takes over with every acknowledged write."""
    skunk1, skunk2 = pair.nodes
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        ledger.wait_for(5)
        die(pair)
        pair.promote(skunk2)
        pair.import_pool(skunk2, "-f")
        skunk1.power_cut()
    assert pair.pool_health(skunk2) is Health.ONLINE
    ledger.check(skunk2)


@pytest.mark.needs(Feature.POWER)
@pytest.mark.leaves("fault")  # skunk1 is left off: nobody waits for its boot
def test_acpi_shutdown(pair: Pair) -> None:
    """With the pool exported the power button shuts the primary down in an orderly way.

    The pool imports on the other node without force.
    """
    skunk1, skunk2 = pair.nodes
    files = Files.write(skunk1, pair.mountpoint)
    pair.export_pool(skunk1)
    skunk1.shut_down()
    assert pair.status(skunk2).status is None
    pair.promote(skunk2)
    pair.import_pool(skunk2)
    files.check(skunk2)


def test_hastd_of_the_secondary_killed(pair: Pair) -> None:
    """The primary goes on alone; hastd, started again, has no role until it is given one.

    Then it catches up.
    """
    skunk1, skunk2 = pair.nodes
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        with hastd_killed(pair, skunk2, "KILL"):
            pair.wait_until_degraded(skunk1)
            ledger.wait_for(3)
        assert pair.role(skunk2) is Role.INIT
    pair.rejoin(skunk2)
    pair.fail_over(skunk1, skunk2)
    ledger.check(skunk2)


def test_hastd_stopped_on_both(pair: Pair) -> None:
    """With hastd stopped only hastctl hangs: the workers go on replicating by themselves."""
    skunk1, skunk2 = pair.nodes
    with stopped(skunk1, hastd_pid(skunk1)), stopped(skunk2, hastd_pid(skunk2)):
        files = Files.write(skunk1, pair.mountpoint)
        assert hastctl_hangs(skunk1)
        assert hastctl_hangs(skunk2)
    assert pair.status(skunk1).status is Status.COMPLETE
    pair.fail_over(skunk1, skunk2)
    files.check(skunk2)


def test_worker_of_the_primary_stopped(pair: Pair) -> None:
    """Nothing is acknowledged while it stands still, and hastctl hangs; the secondary sees nothing.

    It goes on as if nothing had been.
    """
    skunk1, skunk2 = pair.nodes
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        with stopped(skunk1, worker_pid(pair, skunk1)):
            before = len(ledger.acknowledged)
            settle(
                "skunk2 complete",
                lambda: pair.status(skunk2).status is Status.COMPLETE,
                LONGER_THAN_TIMEOUT,
            )
            assert hastctl_hangs(skunk1)
            assert len(ledger.acknowledged) <= before + 1, "one may have been on its way back"
        ledger.wait_for(3)
        assert pair.status(skunk1).status is Status.COMPLETE
    pair.fail_over(skunk1, skunk2)
    ledger.check(skunk2)


def test_worker_of_the_secondary_stopped(pair: Pair) -> None:
    """After HAST's timeout the primary goes on alone; on the secondary hastctl hangs.

    When the worker goes on, a new one takes its place and catches up by itself.
    """
    skunk1, skunk2 = pair.nodes
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        with stopped(skunk2, worker_pid(pair, skunk2)):
            pair.wait_until_degraded(skunk1)
            ledger.wait_for(3)
            assert hastctl_hangs(skunk2)
        pair.wait_until_complete(skunk1)
    pair.wait_until_in_sync(skunk1)
    pair.fail_over(skunk1, skunk2)
    ledger.check(skunk2)


def test_worker_of_the_primary_killed(pair: Pair) -> None:
    """hastd starts another one, which takes over the device: an imported pool only has to wait."""
    skunk1, skunk2 = pair.nodes
    old = worker_pid(pair, skunk1)
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        send_signal(skunk1, old, "KILL")
        ledger.wait_for(3)
        assert pair.said(skunk1, WorkerExited) == [WorkerExited(old, signal=SIGKILL)]
        assert pair.said(skunk1, DeviceRecovered) == [DeviceRecovered(pair.resource)]
    assert pair.has_device(skunk1)
    assert pair.pool_health(skunk1) is Health.ONLINE
    pair.wait_until_in_sync(skunk1)
    pair.fail_over(skunk1, skunk2)
    ledger.check(skunk2)


def test_worker_of_the_secondary_killed(pair: Pair) -> None:
    """The primary goes on alone and finds the secondary again by itself, with another worker."""
    skunk1, skunk2 = pair.nodes
    old = worker_pid(pair, skunk2)
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        send_signal(skunk2, old, "KILL")
        pair.wait_until_degraded(skunk1)
        ledger.wait_for(3)
        pair.wait_until_complete(skunk1)
        assert WorkerExited(old, signal=SIGKILL) in pair.said(skunk2, WorkerExited)
        assert pair.role(skunk2) is Role.SECONDARY
    pair.wait_until_in_sync(skunk1)
    pair.fail_over(skunk1, skunk2)
    ledger.check(skunk2)
