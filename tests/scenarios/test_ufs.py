"""Claim 9 of the field notes: UFS instead of ZFS, which they reject because fsck takes too long."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.freebsd.fsck import Way
from harness.node import Node
from harness.pair import Pair
from harness.workload.files import Files, sha256_of_files
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

BOTH_UFS = [FileSystem(kind, files=10, mib=40) for kind in (Kind.SOFT_UPDATES, Kind.JOURNAL)]

NAMES_ARE_LOST = (
    "UFS of 13.2: fsync(2) of a new file writes its name, but not the size of a directory that "
    "grew by 512 bytes for it; until the syncer does, a crash loses the file (docs/findings.md; "
    "no FreeBSD bug number known)"
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


def write_in_folders(node: Node, filesystem: FileSystem) -> tuple[Files, Files]:
    """Write and fsync(1) files in a folder that has long been there, and in one just made."""
    node.run("mkdir", f"{filesystem.mountpoint}/new")
    old, new = (Files.write(node, f"{filesystem.mountpoint}/{each}") for each in ("old", "new"))
    return old, new


@pytest.mark.hast(timeout=5)
@pytest.mark.leaves("fault")  # skunk1 stays off: nothing is claimed about its return
def test_power_cut(provisioned_pair: Pair, record_property: Callable[[str, object], None]) -> None:
    """Without its journal a UFS is checked the longer the more files it has; it mounts before, too.

    With the journal, and on ZFS, their number does not matter. What fsync(2) wrote is on all of
    them, but on UFS not a folder that was made just before, nor anything that is in it.
    """
    pair = provisioned_pair
    skunk1, skunk2 = pair.nodes
    pair.set_up_replication()
    made = partition(pair, skunk1, SIZES)
    for filesystem in made:
        filesystem.fill(skunk1)
    written = [filesystem for filesystem in made if filesystem.files == FEW]
    soft_updates, journal, zfs = written

    with Ledger.writing(skunk1, f"{zfs.mountpoint}/ledger") as ledger:
        files = {each: write_in_folders(skunk1, each) for each in written}
        ledger.wait_for(1)
        skunk1.power_cut()
    pair.promote(skunk2)
    wait_for_partitions(pair, skunk2, made)

    refused = journal.mount(skunk2, check=False)
    assert "Filesystem is not clean - run fsck." in refused.stderr
    soft_updates.mount(skunk2)
    files[soft_updates][0].check(skunk2)
    soft_updates.unmount(skunk2)

    needed = {each: bring_back(pair, skunk2, each) for each in made}
    ledger.check(skunk2)
    for filesystem, (old, new) in files.items():
        old.check(skunk2)
        assert new.read_back(skunk2) == (new.sha256 if filesystem is zfs else {})

    for filesystem, each in needed.items():
        record_property(str(filesystem), each)
        assert each.check + each.mount < HAST_TIMEOUT
    few = {each.kind: needed[each].reads for each in made if each.files == FEW}
    more = {each.kind: needed[each].reads - few[each.kind] for each in made if each.files == MANY}
    assert more[Kind.SOFT_UPDATES] > (MANY - FEW) // INODES_A_READ
    assert max(more[Kind.JOURNAL], more[Kind.ZFS]) < more[Kind.SOFT_UPDATES]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=NAMES_ARE_LOST)
@pytest.mark.hast(timeout=5, media_mib=192)
@pytest.mark.leaves("fault")
def test_fsync_of_many_new_files(pair: Pair) -> None:
    """Each of 40 new files is fsynced after it was written: after a power cut all are there."""
    skunk1, skunk2 = pair.nodes
    skunk1.run("zpool", "destroy", pair.pool)
    made = partition(pair, skunk1, BOTH_UFS)
    script = 'for name in $(jot -w write- 40); do echo "$name" > "$name" && fsync "$name"; done'
    for each in made:
        each.fill(skunk1)
        skunk1.sh(f"cd {each.mountpoint}/old && {script}")
    skunk1.power_cut()
    pair.promote(skunk2)
    wait_for_partitions(pair, skunk2, made)
    there = {}
    for each in made:
        each.check(skunk2)
        each.mount(skunk2)
        there[each.kind] = len(sha256_of_files(skunk2, f"{each.mountpoint}/old"))
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
