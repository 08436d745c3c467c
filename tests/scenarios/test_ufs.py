"""Claim 9 of the field notes: UFS instead of ZFS, which they reject because fsck takes too long."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.freebsd.fsck import Way
from harness.lab.choose import Feature
from harness.workload.files import Files, sha256_of_files
from harness.workload.filesystems import FileSystem, Kind, partition, wait_for_partitions
from harness.workload.ledger import Ledger

pytestmark = pytest.mark.claim(9)

FEW, SOME, MANY = 1_000, 4_000, 16_000

WRITTEN = (
    FileSystem(Kind.SOFT_UPDATES, files=SOME, mib=40),
    FileSystem(Kind.JOURNAL, files=SOME, mib=40),
    FileSystem(Kind.ZFS, files=SOME, mib=80),
)
"""What is being written to when the power is cut."""

COMPARED = (
    FileSystem(Kind.SOFT_UPDATES, files=FEW, mib=12),
    FileSystem(Kind.SOFT_UPDATES, files=MANY, mib=76),
    FileSystem(Kind.JOURNAL, files=FEW, mib=16),
    FileSystem(Kind.JOURNAL, files=MANY, mib=80),
    FileSystem(Kind.ZFS, files=MANY, mib=150),
)
"""What is only mounted then: they differ in nothing but the number of their files."""

BOTH_UFS = [FileSystem(kind, files=150, mib=40) for kind in (Kind.SOFT_UPDATES, Kind.JOURNAL)]

NAMES_ARE_LOST = (
    "UFS of 13.2: fsync(2) of a new file writes its name, but not the size of a directory that "
    "grew by 512 bytes for it, unless their inodes are in one block; until the syncer does, a "
    "crash loses the file (docs/findings.md; no FreeBSD bug number known)"
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


def write_in_new_folder(node: Node, filesystem: FileSystem) -> None:
    """Make a folder, and write and fsync(1) a file in it."""
    script = 'mkdir "$1/new" && echo "$1" > "$1/new/file" && fsync "$1/new/file"'
    node.sh(script, filesystem.mountpoint)


@pytest.mark.needs(Feature.POWER)
@pytest.mark.hast(timeout=5)
@pytest.mark.leaves("fault")  # skunk1 stays off: nothing is claimed about its return
def test_power_cut(provisioned_pair: Pair, note: Callable[[str, object], None]) -> None:
    """Without its journal fsck reads every inode of a UFS, but the UFS can be mounted before that.

    The journal spares it that. What fsync(2) wrote is on UFS as on ZFS, except in a folder made
    just before: on UFS that is lost with all that is in it.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.set_up_replication()
    made = partition(pair, skunk1, WRITTEN + COMPARED)
    for filesystem in made:
        filesystem.fill(skunk1)
    soft_updates, journal, zfs = written = made[: len(WRITTEN)]

    with Ledger.writing(skunk1, f"{zfs.mountpoint}/ledger") as ledger:
        files = {each: Files.write(skunk1, f"{each.mountpoint}/old") for each in written}
        for each in written:
            write_in_new_folder(skunk1, each)
        skunk1.power_cut()
    pair.promote(skunk2)
    wait_for_partitions(pair, skunk2, made)

    refused = journal.mount(skunk2, check=False)
    assert "Filesystem is not clean - run fsck." in refused.stderr
    soft_updates.mount(skunk2)
    files[soft_updates].check(skunk2)
    soft_updates.unmount(skunk2)

    needed = {each: bring_back(pair, skunk2, each) for each in made}
    ledger.check(skunk2)
    for filesystem, old in files.items():
        old.check(skunk2)
        new = skunk2.run("test", "-e", f"{filesystem.mountpoint}/new/file", check=False)
        assert new.ok == (filesystem is zfs)

    for filesystem, took in needed.items():
        note(str(filesystem), took)
        assert took.check + took.mount < HAST_TIMEOUT
    asked = {(each.kind, each.files): needed[each].reads for each in made}
    inodes = (MANY - FEW) // INODES_A_READ
    assert asked[Kind.SOFT_UPDATES, MANY] - asked[Kind.SOFT_UPDATES, FEW] >= inodes
    assert asked[Kind.JOURNAL, MANY] - asked[Kind.JOURNAL, FEW] < inodes


@pytest.mark.needs(Feature.POWER)
@pytest.mark.xfail(strict=True, raises=AssertionError, reason=NAMES_ARE_LOST)
@pytest.mark.hast(timeout=5, media_mib=192)
@pytest.mark.leaves("fault")
def test_fsync_of_many_new_files(pair: Pair) -> None:
    """Each of 40 new files in a large folder is fsynced: after a power cut all are there."""
    skunk1, skunk2 = pair.nodes
    skunk1.run("zpool", "destroy", pair.pool)
    made = partition(pair, skunk1, BOTH_UFS)
    script = 'cd "$1"; for each in $(jot -w write- 40); do echo > "$each"; fsync "$each"; done'
    for each in made:
        each.fill(skunk1)
        skunk1.sh(script, f"{each.mountpoint}/data")
    skunk1.power_cut()
    pair.promote(skunk2)
    wait_for_partitions(pair, skunk2, made)
    there = {}
    for each in made:
        each.check(skunk2)
        each.mount(skunk2)
        names = sha256_of_files(skunk2, f"{each.mountpoint}/data")
        there[each.kind] = sum(name.startswith("write-") for name in names)
    assert there == dict.fromkeys(there, 40)


@pytest.mark.hast(timeout=5, media_mib=192)
def test_planned_failover(pair: Pair) -> None:
    """Unmounted on skunk1, a UFS is clean on skunk2: with the journal or without, fsck skips it."""
    skunk1, skunk2 = pair.nodes
    skunk1.run("zpool", "destroy", pair.pool)
    made = partition(pair, skunk1, BOTH_UFS)
    written = []
    for each in made:
        each.fill(skunk1)
        written.append(Files.write(skunk1, f"{each.mountpoint}/old"))
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
