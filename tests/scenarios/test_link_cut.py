"""The link between the nodes is cut while the primary writes: what the secondary has afterwards."""

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import ClaimFailed, ReplicasDiffer
from harness.freebsd.hast.log import PeerLost
from harness.lab.choose import Feature
from harness.waiting.wait import wait_until
from harness.workload.files import Files, sha256_of_files

pytestmark = pytest.mark.hast(timeout=5, media_mib=192)

NEVER_RESYNCHRONISED = (
    "hastd of 13.2 never resynchronises a write that was in flight when the link was cut "
    "(docs/findings.md; no FreeBSD bug number known)"
)

FAR_INTO_THE_DISK = 160 << 20
"""Bytes. No other write is near, so nothing else makes this part dirty."""

SOMEWHERE_ELSE = 120 << 20


def replicas(pair: Pair) -> set[str]:
    """The SHA-256 of that part on each node's own disk: one value if they are equal."""

    def replica(node: Node) -> str:
        return pair.replica(node, FAR_INTO_THE_DISK)

    return {replica(node) for node in pair}


@pytest.mark.needs(Feature.LINK)
@pytest.mark.smoke
def test_write_while_degraded(pair: Pair) -> None:
    """What the primary writes once it has noticed the cut is on the secondary after the resync."""
    skunk1 = pair.skunk1
    pair.export_pool(skunk1)
    with skunk1.link_unplugged():
        pair.write_device(skunk1, SOMEWHERE_ELSE)  # an idle primary would not notice the cut
        pair.wait_until_degraded(skunk1)
        pair.write_device(skunk1, FAR_INTO_THE_DISK)
        assert len(replicas(pair)) == 2
    pair.wait_until_in_sync(skunk1)
    assert len(replicas(pair)) == 1


@pytest.mark.needs(Feature.LINK)
@pytest.mark.xfail(strict=True, raises=ReplicasDiffer, reason=NEVER_RESYNCHRONISED)
def test_write_in_flight(pair: Pair) -> None:
    """A write that is under way when the link is cut is acknowledged after HAST's timeout.

    Once both nodes say that they are in sync again, it is on the secondary too.
    """
    skunk1, skunk2 = pair.nodes
    pair.export_pool(skunk1)
    with skunk1.link_unplugged():
        pair.write_device(skunk1, FAR_INTO_THE_DISK)
        pair.wait_until_degraded(skunk1)
        # Until then TCP could still deliver the write, if the link came back in time.
        wait_until("skunk2 to give up", lambda: pair.said(skunk2, PeerLost), 40)
    pair.wait_until_in_sync(skunk1)
    pair.check_replicas_equal()


@pytest.mark.needs(Feature.LINK)
@pytest.mark.hast(extent_kib=4)
@pytest.mark.xfail(strict=True, raises=ClaimFailed, reason=NEVER_RESYNCHRONISED)
def test_file_in_flight(pair: Pair) -> None:
    """The same with ZFS: a file for which fsync(1) returned can be read after a failover.

    Extents of 4 KiB, because whatever ZFS writes later into the same extent repairs it.
    """
    skunk1, skunk2 = pair.nodes
    path = f"{pair.mountpoint}/file"
    skunk1.run("zpool", "sync", pair.pool)  # nothing else is to be written
    with skunk1.link_unplugged():
        # One block of 64 KiB, which ZFS writes where it stays, and only then its intent log.
        skunk1.run("dd", "if=/dev/random", f"of={path}", "bs=64k", "count=1", "conv=fsync")
        files = Files(pair.mountpoint, sha256_of_files(skunk1, pair.mountpoint))
        pair.wait_until_degraded(skunk1)
        # As if the cut had lasted until skunk2 gives up by itself: see test_write_in_flight.
        pair.disconnect_role(skunk2)
        pair.demote(skunk2)
    pair.wait_until_in_sync(skunk1)
    pair.fail_over(skunk1, skunk2)
    files.check(skunk2)
