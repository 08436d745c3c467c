"""Claim 5 of the field notes, and beyond it: other nodes and other moments to lose the power at."""

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.faults.power import both_powered_off
from harness.freebsd.hast.hastctl import Role
from harness.freebsd.hast.log import SplitBrain, SyncStarted
from harness.freebsd.zpool import Health
from harness.lab.choose import Feature
from harness.waiting import clock
from harness.waiting.wait import wait_until
from harness.workload.ledger import Ledger

pytestmark = [pytest.mark.claim(5), pytest.mark.hast(timeout=5, media_mib=192)]

BULK_MIB = 40


def write_bulk(pair: Pair, node: Node) -> str:
    """Put a large file of chance on the pool, all of it on the disk, and return its path."""
    path = f"{pair.mountpoint}/bulk"
    node.run("dd", "if=/dev/random", f"of={path}", "bs=1m", f"count={BULK_MIB}", "conv=fsync")
    node.run("zpool", "sync", pair.pool)
    return path


def begin_resync(pair: Pair, primary: Node, *, mib: int) -> None:
    """Make the peer secondary, and wait until it has got some MiB of all that it lacks."""
    size = pair.metadata(primary).datasize
    pair.demote(pair.peer(primary))
    pair.wait_until_complete(primary)
    wait_until(
        f"{mib} MiB of the resync",
        lambda: pair.info(primary).dirty,
        pair.longest_resync,
        accept=lambda dirty: dirty < size - (mib << 20),
        every=0.05,
    )


@pytest.mark.needs(Feature.POWER)
@pytest.mark.leaves("fault")  # skunk2 is left off: another scenario is about its return
def test_power_cut_of_secondary(pair: Pair) -> None:
    """Nothing is acknowledged for HAST's timeout; then the primary goes on alone."""
    skunk1, skunk2 = pair.nodes
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        ledger.wait_for(3)
        skunk2.power_cut()
        start = clock.current().monotonic()
        ledger.wait_for(2)  # the answer to one may have been on its way
        assert clock.current().monotonic() - start > pair.settings.hast.timeout - 1
        pair.wait_until_degraded(skunk1)
        ledger.wait_for(3)
    assert pair.pool_health(skunk1) is Health.ONLINE
    ledger.check(skunk1)


@pytest.mark.needs(Feature.POWER)
def test_reset_of_secondary_in_a_resync(pair: Pair) -> None:
    """The primary writes on alone; the secondary that is back gets the rest, and not all again.

    Then the two replicas are equal block for block.
    """
    skunk1, skunk2 = pair.nodes
    write_bulk(pair, skunk1)
    pair.replace_disk(skunk2)
    begin_resync(pair, skunk1, mib=48)
    skunk2.reset()
    pair.wait_until_degraded(skunk1)
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        ledger.wait_for(3)
        skunk2.wait_for_ssh()
        assert pair.role(skunk2) is Role.INIT
        pair.rejoin(skunk2)
    first, second = pair.said(skunk1, SyncStarted)
    assert second.about_bytes < first.about_bytes
    ledger.check(skunk1)
    pair.export_pool(skunk1)
    pair.check_replicas_equal()


@pytest.mark.needs(Feature.POWER)
def test_power_cut_of_both_in_a_resync(pair: Pair) -> None:
    """hastd promotes the half synchronised node without a word; it is ZFS that cannot read there.

    What is written there makes a split-brain: the good node is safe, with every acknowledged write.
    """
    skunk1, skunk2 = pair.nodes
    bulk = write_bulk(pair, skunk1)
    digest = skunk1.run("sha256", "-q", bulk).stdout
    pair.replace_disk(skunk2)
    with Ledger.writing(skunk1, f"{pair.mountpoint}/ledger") as ledger:
        begin_resync(pair, skunk1, mib=2)  # less than the large file
        ledger.wait_for(1)  # its flush reaches both disks, and what was sent before it is on them
        with both_powered_off(pair):
            pass
    pair.promote(skunk2)
    assert pair.info(skunk2).dirty == 0, "hastd does not know what is missing"
    # The import may fail as well: it depends on what is in the part that has come over.
    skunk2.run("zpool", "import", "-f", pair.pool, check=False)
    assert not skunk2.run("sha256", "-q", bulk, check=False).ok
    skunk2.run("zpool", "export", "-f", pair.pool, check=False)
    pair.write_device(skunk2, 0)

    pair.demote(skunk1)
    wait_until(
        "both nodes to say split-brain",
        lambda: all(pair.said(node, SplitBrain) for node in pair),
        30,
    )
    pair.disconnect_role(skunk2)
    pair.promote(skunk1)
    pair.import_pool(skunk1)
    ledger.check(skunk1)
    assert skunk1.run("sha256", "-q", bulk).stdout == digest
    pair.recover_from_split_brain(skunk2)
    pair.export_pool(skunk1)
    pair.check_replicas_equal()
