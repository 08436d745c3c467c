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

FEW, MANY = 1_000, 10_000

SIZES = (
    FileSystem(Kind.SOFT_UPDATES, files=FEW, mib=40),
    FileSystem(Kind.SOFT_UPDATES, files=4_000, mib=28),
    FileSystem(Kind.SOFT_UPDATES, files=MANY, mib=56),
    FileSystem(Kind.JOURNAL, files=FEW, mib=40),
    FileSystem(Kind.JOURNAL, files=MANY, mib=60),
    FileSystem(Kind.ZFS, files=FEW, mib=72),
    FileSystem(Kind.ZFS, files=MANY, mib=112),
)

HAST_TIMEOUT = 20.0
"""Seconds, hast.conf(5)'s default: what a failover after a power cut takes anyway."""

INODES_A_READ = 256
"""fsck_ffs reads 64 KiB of them at once (INOBUFSIZE of sbin/fsck_ffs/fsck.h), 256 bytes each."""


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


def write_in_new_folder(node: Node, filesystem: FileSystem) -> Files:
    """Make a folder, and write and fsync(1) files in it."""
    folder = f"{filesystem.mountpoint}/new"
    node.run("mkdir", folder)
    return Files.write(node, folder)


@pytest.mark.hast(timeout=5)
@pytest.mark.leaves("fault")  # skunk1 stays off: nothing is claimed about its return
def test_power_cut(provisioned_pair: Pair, record_property: Callable[[str, object], None]) -> None:
    """Without its journal a UFS is checked the longer the more files it has; it mounts before, too.

    With the journal, and on ZFS, their number does not matter. What was acknowledged is on all of
    them, but that UFS loses a folder made just before with all that fsync(2) wrote into it.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.set_up_replication()
    made = partition(pair, skunk1, SIZES)
    for filesystem in made:
        filesystem.fill(skunk1)
    written = [filesystem for filesystem in made if filesystem.files == FEW]

    with contextlib.ExitStack() as stack:
        ledgers = [
            stack.enter_context(Ledger.writing(skunk1, f"{each.mountpoint}/ledger"))
            for each in written
        ]
        for ledger in ledgers:
            ledger.wait_for(3)
        in_new_folder = [write_in_new_folder(skunk1, each) for each in written]
        skunk1.power_cut()
    pair.promote(skunk2)
    wait_for_partitions(pair, skunk2, made)

    soft_updates, journal, zfs = written
    refused = journal.mount(skunk2, check=False)
    assert "Filesystem is not clean - run fsck." in refused.stderr
    assert soft_updates.mount(skunk2).status == 0
    ledgers[0].check(skunk2)
    soft_updates.unmount(skunk2)

    needed = {each: bring_back(pair, skunk2, each) for each in made}
    for ledger in ledgers:
        ledger.check(skunk2)
    for filesystem, files in zip(written, in_new_folder, strict=True):
        assert files.read_back(skunk2) == (files.sha256 if filesystem is zfs else {})

    for filesystem, each in needed.items():
        record_property(str(filesystem), each)
        assert each.check + each.mount < HAST_TIMEOUT
    few = {each.kind: needed[each].reads for each in made if each.files == FEW}
    more = {each.kind: needed[each].reads - few[each.kind] for each in made if each.files == MANY}
    assert more[Kind.SOFT_UPDATES] > (MANY - FEW) // INODES_A_READ
    assert max(more[Kind.JOURNAL], more[Kind.ZFS]) < more[Kind.SOFT_UPDATES]


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
