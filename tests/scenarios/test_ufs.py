"""Claim 9 of the field notes: UFS instead of ZFS, which they reject because fsck takes too long."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.freebsd.fsck import Way
from harness.node import Node
from harness.pair import Pair
from harness.workload.files import Files
from harness.workload.filesystems import FileSystem, Kind, partition, wait_for_partitions
from harness.workload.ledger import Ledger

pytestmark = pytest.mark.claim(9)

MANY = 10_000

SIZES = (
    FileSystem(Kind.SOFT_UPDATES, files=1_000, mib=12),
    FileSystem(Kind.SOFT_UPDATES, files=4_000, mib=28),
    FileSystem(Kind.SOFT_UPDATES, files=MANY, mib=56),
    FileSystem(Kind.JOURNAL, files=1_000, mib=20),
    FileSystem(Kind.JOURNAL, files=MANY, mib=60),
    FileSystem(Kind.ZFS, files=1_000, mib=72),
    FileSystem(Kind.ZFS, files=MANY, mib=112),
)

HAST_TIMEOUT = 20.0
"""Seconds, hast.conf(5)'s default: what a failover after a power cut takes anyway."""

INODES_A_READ = 128
"""A block of 32 KiB with inodes of 256 bytes."""


@dataclass(frozen=True)
class Return:
    """What a file system needed to come back: seconds, and reads that hastd was asked for."""

    check: float
    mount: float
    reads: int

    def __str__(self) -> str:
        return f"check {self.check:.2f} s, mount {self.mount:.2f} s, {self.reads} reads"


def reads(pair: Pair, node: Node) -> int:
    """What hastd has read so far. A primary that never met its secondary reads all by itself."""
    statistics = pair.info(node).statistics
    assert statistics is not None
    return statistics.reads


def bring_back(pair: Pair, node: Node, filesystem: FileSystem) -> Return:
    """Check it if it is a UFS, mount it, and look for its files."""
    before, seconds = reads(pair, node), 0.0
    if filesystem.kind is not Kind.ZFS:
        check, seconds = filesystem.check(node)
        if filesystem.kind is Kind.JOURNAL:
            assert check.way is Way.JOURNAL
        else:
            assert check.way is Way.FULL
            assert check.files is not None
            assert check.files > filesystem.files
    said = filesystem.mount(node, *(["-f"] if filesystem.kind is Kind.ZFS else []))
    needed = Return(seconds, said.duration, reads(pair, node) - before)
    filesystem.check_files(node)
    return needed


@pytest.mark.hast(timeout=5)
@pytest.mark.leaves("fault")  # skunk1 stays off: nothing is claimed about its return
def test_power_cut(provisioned_pair: Pair, record_property: Callable[[str, object], None]) -> None:
    """Without its journal a UFS is checked the longer the more files it has, and can be used before.

    With the journal, as on ZFS, it does not matter. Every acknowledged write is on all of them.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.set_up_replication()
    made = partition(pair, skunk1, SIZES)
    for filesystem in made:
        filesystem.fill(skunk1)
    written = [filesystem for filesystem in made if filesystem.files == MANY]

    with contextlib.ExitStack() as stack:
        ledgers = [
            stack.enter_context(Ledger.writing(skunk1, f"{each.mountpoint}/ledger"))
            for each in written
        ]
        for ledger in ledgers:
            ledger.wait_for(3)
        skunk1.power_cut()
    pair.promote(skunk2)
    wait_for_partitions(pair, skunk2, made)

    soft_updates, journal, _ = written
    refused = journal.mount(skunk2, check=False)
    assert "Filesystem is not clean - run fsck." in refused.stderr
    assert soft_updates.mount(skunk2).status == 0
    ledgers[0].check(skunk2)
    soft_updates.unmount(skunk2)

    needed = {each: bring_back(pair, skunk2, each) for each in made}
    for ledger in ledgers:
        ledger.check(skunk2)
    for filesystem, each in needed.items():
        record_property(str(filesystem), each)
        assert each.check + each.mount < HAST_TIMEOUT


@pytest.mark.hast(timeout=5, media_mib=192)
def test_planned_failover(pair: Pair) -> None:
    """Unmounted on skunk1, a UFS is clean on skunk2: with the journal or without, fsck skips it."""
    skunk1, skunk2 = pair.nodes
    skunk1.run("zpool", "destroy", pair.pool)
    kinds = (Kind.SOFT_UPDATES, Kind.JOURNAL)
    made = partition(pair, skunk1, [FileSystem(kind, files=0, mib=40) for kind in kinds])
    written = []
    for each in made:
        folder = f"{each.mountpoint}/files"
        skunk1.run("mkdir", folder)
        written.append(Files.write(skunk1, folder))
        each.unmount(skunk1)

    pair.demote(skunk1)
    pair.promote(skunk2)
    wait_for_partitions(pair, skunk2, made)

    for each, files in zip(made, written, strict=True):
        check, _ = each.check(skunk2)
        assert check.way is Way.SKIPPED
        each.mount(skunk2)
        files.check(skunk2)
        each.unmount(skunk2)
