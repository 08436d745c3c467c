"""hast.conf and the options of `hastctl create`, one line of a table each."""

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.cluster.provision import LOCAL_FILE
from harness.cluster.wire import capturing
from harness.faults.process import stopped, worker_pid
from harness.freebsd.hast.log import SyncStarted, WorkerExited

pytestmark = pytest.mark.hast(timeout=5, media_mib=16)

AWAY_MIB = 6
"""Written while the secondary is away."""

ALL_MIB = 10
"""Written in all, in whole extents of 2 MiB."""

COMPRESSED: dict[str, list[str]] = {"none": [], "hole": ["hole"], "lzf": ["hole", "lzf"]}
"""How random bytes, zeros and text travel in each mode: zeros are a hole for lzf as well."""

CANNOT_FLUSH = "Unable to flush disk cache on activemap update: Inappropriate ioctl for device."
NO_DIRECT_READS = "Failed to enable direct reads: Invalid argument."


def line(**options: object) -> object:
    """A line of the table: the options, which are also its name."""
    name = ",".join(f"{key}={value}" for key, value in options.items())
    return pytest.param(marks=pytest.mark.hast(**options), id=name)


def copy(pair: Pair, node: Node, source: str, at: int, mib: int = 2) -> None:
    """Write `mib` MiB of random bytes or zeros to the device, `at` MiB from its start."""
    node.run(
        *("dd", f"if=/dev/{source}", f"of={pair.device}", "bs=1m", f"count={mib}", f"seek={at}")
    )


def write_three_kinds(pair: Pair, node: Node) -> None:
    """Three writes of 64 KiB: random bytes, zeros, and a word over and over."""
    script = (
        'dd if=/dev/random of="$1" bs=64k count=1 seek=128\n'
        'dd if=/dev/zero of="$1" bs=64k count=1 seek=129\n'
        'jot -b skunk 20000 | dd of="$1" bs=64k count=1 seek=130 iflag=fullblock'
    )
    node.sh(script, pair.device)


def replicas(pair: Pair, at: int) -> set[str]:
    """The SHA-256 of 64 KiB, `at` MiB into each node's data: one value if they are equal."""
    return {pair.replica(node, at << 20) for node in pair}


def content(pair: Pair, node: Node) -> str:
    """The SHA-256 of all that was written, as a reader of the primary's device sees it."""
    script = 'dd if="$1" bs=1m count="$2" 2>/dev/null | sha256'
    return node.sh(script, pair.device, str(ALL_MIB)).stdout


def assert_in_use(pair: Pair) -> None:
    """What hastctl shows is what was asked for; what is not asked for is FreeBSD's default."""
    hast = pair.settings.hast
    extent, keepdirty = (hast.extent_kib or 2048) << 10, hast.keep_dirty or 64
    info = pair.info(pair.skunk1)
    assert (info.replication, info.extentsize) == (hast.replication, extent)
    assert info.keepdirty == keepdirty
    for node in pair:
        metadata = pair.metadata(node)
        assert (metadata.extentsize, metadata.keepdirty) == (extent, keepdirty)
        assert metadata.localoff + metadata.datasize == (hast.media_mib or 0) << 20
        path = pair.info(node).localpath
        assert (path == LOCAL_FILE) == (hast.local == "file")
        assert path.endswith("p1") == (hast.local == "partition")


def assert_on_the_wire(pair: Pair, checksums: list[str], compressions: list[str]) -> None:
    """hastctl says nothing of checksum and compression, but each message does."""
    hast = pair.settings.hast
    named = hast.checksum not in {None, "none"}
    assert checksums == ([hast.checksum] * 3 if named else [])
    assert compressions == COMPRESSED[hast.compression or "hole"]


def assert_complaints(pair: Pair, node: Node) -> None:
    """Only a file has no write cache to flush, which metaflush asks for, and no direct reads."""
    hast = pair.settings.hast
    said = {line.message for line in pair.hastd_log(node)}
    assert (CANNOT_FLUSH in said) == (hast.local == "file" and hast.metaflush is not False)
    assert (NO_DIRECT_READS in said) == (hast.local == "file")


@pytest.mark.parametrize(
    (),
    [
        line(replication="memsync", checksum="none", compression="hole", metaflush=True),
        line(replication="fullsync"),
        line(replication="async"),
        line(checksum="crc32"),
        line(checksum="sha256"),
        line(compression="none"),
        line(compression="lzf"),
        line(metaflush=False),
        line(extent_kib=64),
        line(keep_dirty=2),
        line(local="partition"),
        line(local="file"),
        line(local="file", metaflush=False),
    ],
)
def test_option(provisioned_pair: Pair) -> None:
    """The nodes use the option, and after a resync both have the same, block for block.

    Then the roles are swapped, and the new primary reads the same.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    hast = pair.settings.hast
    pair.create_resource()
    pair.start_hastd()
    pair.demote(skunk2)
    pair.promote(skunk1)
    pair.wait_until_complete(skunk1)
    assert_in_use(pair)

    with capturing(skunk1, pair.settings) as wire:
        write_three_kinds(pair, skunk1)
    assert_on_the_wire(pair, wire.values("checksum"), wire.values("compression"))
    copy(pair, skunk1, "random", at=0)
    copy(pair, skunk1, "zero", at=2)
    pair.wait_until_in_sync(skunk1)
    assert len(replicas(pair, at=0)) == 1

    pair.disconnect_role(skunk2)
    pair.write_device(skunk1, 4 << 20)  # an idle primary would not notice
    pair.wait_until_degraded(skunk1)
    copy(pair, skunk1, "random", at=4, mib=4)
    copy(pair, skunk1, "zero", at=0)
    assert len(replicas(pair, at=0)) == len(replicas(pair, at=4)) == 2
    pair.disconnect_role(skunk1)  # as primary anew it connects at once, not within 10 s
    pair.demote(skunk2)
    pair.promote(skunk1)
    pair.wait_until_in_sync(skunk1)
    pair.check_replicas_equal()
    kept_mib = (hast.keep_dirty or 64) * (hast.extent_kib or 2048) >> 10
    sent_mib = AWAY_MIB if kept_mib <= AWAY_MIB else ALL_MIB
    assert pair.said(skunk1, SyncStarted)[-1].about_bytes == sent_mib << 20

    before = content(pair, skunk1)
    pair.demote(skunk1)
    pair.promote(skunk2)
    assert content(pair, skunk2) == before
    assert_complaints(pair, skunk1)


@pytest.mark.hast(keep_dirty=1)
@pytest.mark.leaves("crashed hastd")
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="hastd of 13.2 aborts when it is to keep one extent dirty (docs/findings.md)",
)
def test_keep_dirty_of_one(provisioned_pair: Pair) -> None:
    """`hastctl create -k 1` is accepted, and a primary can write to more than one extent."""
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.create_resource()
    pair.start_hastd()
    pair.demote(skunk2)
    pair.promote(skunk1)
    pair.wait_until_complete(skunk1)
    for extent in range(2):
        pair.write_device(skunk1, extent * (2 << 20))
    assert pair.said(skunk1, WorkerExited) == []


@pytest.mark.hast(timeout=3)
@pytest.mark.parametrize(
    (), [line(replication="memsync"), line(replication="fullsync"), line(replication="async")]
)
def test_acknowledgement(provisioned_pair: Pair) -> None:
    """While the secondary's worker stands still, async acknowledges a write at once.

    memsync and fullsync wait for `timeout` seconds, and then go on without the secondary.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.create_resource()
    pair.start_hastd()
    pair.demote(skunk2)
    pair.promote(skunk1)
    pair.wait_until_complete(skunk1)
    pair.write_device(skunk1, 0)
    with stopped(skunk2, worker_pid(pair, skunk2)):
        before = skunk1.run("date", "+%s")
        pair.write_device(skunk1, 1 << 20)
        waited = int(skunk1.run("date", "+%s").stdout) - int(before.stdout)
        pair.wait_until_degraded(skunk1)
    if pair.settings.hast.replication == "async":
        assert waited < 2
    else:
        assert 3 <= waited <= 5
