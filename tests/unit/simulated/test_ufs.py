"""UFS on a device of the simulated nodes, and the commands about mounts and disks, as on 13.2."""

from __future__ import annotations

import pytest

from harness.freebsd import df, geom
from harness.lab.simulated import features
from harness.lab.simulated.hardware.disk import BLOCK, Op
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.guest import Guest, World
from harness.lab.simulated.ufs.ufs import Ufs
from tests.unit.freebsd.recordings import recorded
from tests.unit.simulated import storage
from tests.unit.simulated.storage import MIB, Shared, fsync, refused, run, said, wait

features.load_all()

DEVICE = "/dev/hast/mirror"


def with_ufs(options: str = "-U", size: int = 128 * MIB) -> tuple[World, Guest, Shared]:
    """A node with a UFS mounted on /m."""
    world, skunk1, _ = storage.make(size=size)
    device = Shared(skunk1, skunk1.disks["vtbd1"])
    said(skunk1, f"newfs {options} {DEVICE}")
    skunk1.tree.make_directory("/m")
    said(skunk1, f"mount {DEVICE} /m")
    return world, skunk1, device


def reset(world: World) -> Guest:
    """Start the CPU of a copy of the world's skunk1 over: its disk keeps what it was given."""
    skunk1 = storage.twin(world).guests["skunk1"]
    skunk1.root.write_all()
    skunk1.reset()
    Shared(skunk1, skunk1.disks["vtbd1"])
    return skunk1


def checked(world: World) -> Guest:
    """The same, with the file system checked and mounted."""
    skunk1 = reset(world)
    said(skunk1, f"fsck_ffs -y {DEVICE}")
    said(skunk1, f"mount {DEVICE} /m")
    return skunk1


def test_newfs_and_a_clean_file_system_look_as_on_13_2() -> None:
    _, skunk1, _ = storage.make(size=128 * MIB)
    Shared(skunk1, skunk1.disks["vtbd1"])
    assert said(skunk1, f"newfs -U {DEVICE}") == (
        "/dev/hast/mirror: 128.0MB (262144 sectors) block size 32768, fragment size 4096\n"
        "\tusing 4 cylinder groups of 32.03MB, 1025 blks, 4224 inodes.\n"
        "\twith soft updates\n"
        "super-block backups (for fsck_ffs -b #) at:\n 192, 65792, 131392, 196992\n"
    )
    free = "31621 free (21 frags, 3950 blocks, 0.1% fragmentation)"
    assert said(skunk1, f"fsck_ffs -p {DEVICE}") == (
        f"{DEVICE}: FILE SYSTEM CLEAN; SKIPPING CHECKS\n{DEVICE}: clean, {free}\n"
    )
    assert said(skunk1, f"fsck_ffs -y {DEVICE}") == (
        f"** {DEVICE}\n** Last Mounted on \n** Phase 1 - Check Blocks and Sizes\n"
        "** Phase 2 - Check Pathnames\n** Phase 3 - Check Connectivity\n"
        "** Phase 4 - Check Reference Counts\n** Phase 5 - Check Cyl groups\n"
        f"2 files, 2 used, {free}\n\n***** FILE SYSTEM IS CLEAN *****\n"
    )


@pytest.mark.parametrize(
    ("sectors", "line"),
    [
        (1048560, "using 4 cylinder groups of 128.00MB, 4096 blks, 16384 inodes."),
        (1048576, "using 4 cylinder groups of 128.03MB, 4097 blks, 16512 inodes."),
        (2097152, "using 4 cylinder groups of 256.03MB, 8193 blks, 32896 inodes."),
        (8388608, "using 7 cylinder groups of 625.22MB, 20007 blks, 80128 inodes."),
        (83886080, "using 66 cylinder groups of 625.22MB, 20007 blks, 80128 inodes."),
    ],
)
def test_newfs_divides_larger_devices_as_on_13_2(sectors: int, line: str) -> None:
    _, skunk1, _ = storage.make(size=sectors * 512)
    Shared(skunk1, skunk1.disks["vtbd1"])
    assert line in said(skunk1, f"newfs -U {DEVICE}")


def test_sizes_as_on_13_2() -> None:
    """The same files as on a running guest: 3 bytes, and 5 MB in a directory."""
    _, skunk1, _ = with_ufs()
    skunk1.tree.write("/m/a", b"hi\n")
    skunk1.tree.make_directory("/m/d")
    skunk1.tree.write("/m/d/b", bytes(5 * MIB))
    rows = {each.mounted_on: each for each in df.parse(said(skunk1, "df --libxo json -kT"))}
    row = rows["/m"]
    assert (row.total_kib, row.used_kib, row.available_kib) == (126492, 5168, 111208)
    assert f"{DEVICE} on /m (ufs, local, soft-updates)\n" in said(skunk1, "mount")
    said(skunk1, "umount /m")
    assert "5 files, 1292 used, 30331 free" in said(skunk1, f"fsck_ffs -y {DEVICE}")


def test_files_are_there_after_unmount_and_mount() -> None:
    world, skunk1, device = with_ufs()
    data = bytes(range(256)) * 300
    skunk1.tree.write("/m/a", data)
    said(skunk1, "umount /m")
    assert device.opened == 0
    skunk2 = world.guests["skunk2"]
    for at, content in skunk1.disks["vtbd1"]:
        skunk2.disks["vtbd1"].write(at, 1, {at: content})
    Shared(skunk2, skunk2.disks["vtbd1"])
    skunk2.tree.make_directory("/m")
    said(skunk2, f"mount {DEVICE} /m")
    assert skunk2.tree.read("/m/a") == data


@pytest.mark.parametrize(
    ("options", "more", "way"),
    [
        ("", "", f"{DEVICE}: 3 files, 3 used, "),
        ("-j", " Forced mount will invalidate journal contents", "** SU+J Recovering"),
    ],
)
def test_after_a_crash_it_has_to_be_checked(options: str, more: str, way: str) -> None:
    world, skunk1, _ = with_ufs(options)
    skunk1.tree.write("/m/a", b"kept")
    fsync(skunk1, "/m/a")
    skunk1.tree.write("/m/b", b"lost")
    again = reset(world)
    assert refused(again, f"mount {DEVICE} /m") == (
        f"mount: {DEVICE}: R/W mount on /m denied. Filesystem is not clean - run fsck.{more}: "
        "Operation not permitted\n"
    )
    assert said(again, f"fsck_ffs -p {DEVICE}").startswith(way)
    assert said(again, f"fsck_ffs -p {DEVICE}").startswith(f"{DEVICE}: FILE SYSTEM CLEAN")
    said(again, f"mount {DEVICE} /m")
    assert set(again.tree.names("/m")) - {".sujournal"} == {".snap", "a"}
    assert again.tree.read("/m/a") == b"kept"


def test_with_soft_updates_alone_it_can_be_used_before_the_check() -> None:
    world, skunk1, _ = with_ufs("-U")
    skunk1.tree.write("/m/a", b"kept")
    fsync(skunk1, "/m/a")
    again = reset(world)
    said(again, f"mount {DEVICE} /m")
    assert again.tree.read("/m/a") == b"kept"
    said(again, "umount /m")
    assert said(again, f"fsck_ffs -p {DEVICE}").startswith(f"{DEVICE}: 3 files, 3 used, ")


@pytest.mark.parametrize("options", ["-U", "-j"])
def test_a_new_directory_is_lost_although_what_is_in_it_was_synced(options: str) -> None:
    world, skunk1, _ = with_ufs(options)
    skunk1.tree.make_directory("/m/new")
    skunk1.tree.write("/m/new/a", b"lost")
    fsync(skunk1, "/m/new/a")
    assert "new" not in checked(world).tree.names("/m")


def test_the_last_names_of_a_directory_that_grew_are_lost_although_synced() -> None:
    world, skunk1, _ = with_ufs()
    for directory in ("/m/d", "/m/e"):
        skunk1.tree.make_directory(directory)
    for number in range(130):  # so that new inodes are in another block than the directory's
        skunk1.tree.write(f"/m/e/{number}", b"")
    synced = skunk1.tree.mounts["/m"].sync()
    wait(world, lambda: synced.fired)
    names = [f"write-{number:05d}" for number in range(1, 31)]
    for name in names:
        skunk1.tree.write(f"/m/d/{name}", b"synced")
        fsync(skunk1, f"/m/d/{name}")
    assert checked(world).tree.names("/m/d") == names[:24]  # 20 bytes each, of 512 - 24


def test_all_that_fsync_was_asked_for_is_named() -> None:
    """The first of two new files in a directory does not take the other's name away."""
    world, skunk1, _ = with_ufs()
    for name in "ab":
        skunk1.tree.write(f"/m/{name}", b"kept")
    for name in "ab":
        fsync(skunk1, f"/m/{name}")
    assert checked(world).tree.names("/m") == [".snap", "a", "b"]


def test_at_every_step_of_a_sync_the_check_repairs_it() -> None:
    """Soft updates: a name is there only with its file; what has no name is freed."""
    world, skunk1, _ = with_ufs()
    skunk1.tree.make_directory("/m/d")
    skunk1.tree.write("/m/d/a", b"x" * 9000)
    done = skunk1.tree.mounts["/m"].sync()
    seen, unreferenced = set(), 0
    while not done.fired:
        unreferenced += "UNREF" in said(reset(world), f"fsck_ffs -y {DEVICE}")
        again = checked(world)
        names = again.tree.names("/m")
        if "d" in names and again.tree.names("/m/d"):
            assert again.tree.read("/m/d/a") == b"x" * 9000
            names.append("d/a")
        seen.add(tuple(names))
        assert said(again, "umount /m") == ""
        assert "FILE SYSTEM IS CLEAN" in said(again, f"fsck_ffs -y {DEVICE}")
        world.step()
    assert (".snap",) in seen
    assert unreferenced
    assert checked(world).tree.read("/m/d/a") == b"x" * 9000


def test_with_a_journal_the_check_is_short() -> None:
    """And a full one takes the longer the more files there are."""
    took = {}
    for options in ("-U", "-Uj"):
        for files in (10, 4000):
            world, skunk1, _ = with_ufs(options)
            for number in range(files):
                skunk1.tree.write(f"/m/{number}", b"")
            synced = skunk1.tree.mounts["/m"].sync()
            wait(world, lambda synced=synced: synced.fired)  # type: ignore[misc]
            again = reset(world)
            began = again.world.now
            text = said(again, f"fsck -t ufs -p {DEVICE}")
            took[options, files] = again.world.now - began
            assert text.startswith("** SU+J Recovering") == (options == "-Uj")
    assert took["-U", 4000] > 1.5 * took["-U", 10]
    assert took["-Uj", 4000] < 1.2 * took["-Uj", 10]


def test_the_syncer_writes_within_half_a_minute_and_nothing_flushes() -> None:
    """UFS never asks the disk to flush: fsync(2) leaves the file in a volatile cache."""
    world, skunk1, device = with_ufs()
    device.seen.clear()
    skunk1.tree.write("/m/a", b"x" * BLOCK)
    world.pass_time(25)
    assert device.seen == []
    world.pass_time(10)
    assert set(device.seen) == {Op.WRITE}
    assert checked(world).tree.read("/m/a") == b"x" * BLOCK


def test_a_lost_device_unmounts_it() -> None:
    world, skunk1, device = with_ufs()
    skunk1.tree.write("/m/a", b"x")
    device.remove()
    done = skunk1.tree.mounts["/m"].fsync("/a")
    world.pass_time(1)
    assert not done.fired
    assert "UFS: forcibly unmounting /dev/hast/mirror from /m\n" in storage.console(skunk1)
    assert refused(skunk1, "umount /m") == "umount: /m: not a file system root directory\n"


def test_a_failing_device_is_tried_again() -> None:
    world, skunk1, device = with_ufs()
    skunk1.tree.write("/m/a", b"x")
    device.error = "EIO"
    done = skunk1.tree.mounts["/m"].fsync("/a")
    world.pass_time(3)
    assert "g_vfs_done():hast/mirror[WRITE(offset=" in storage.console(skunk1)
    assert not done.fired
    device.error = None
    wait(world, lambda: done.fired)
    assert checked(world).tree.read("/m/a") == b"x"


def test_a_snapshot_of_the_world_goes_on_in_the_same_way() -> None:
    world, skunk1, _ = with_ufs()
    skunk1.tree.write("/m/a", bytes(range(256)) * 9999)
    skunk1.tree.mounts["/m"].sync()
    world.pass_time(0.002)
    skunk1.tree.write("/m/b", b"b")
    results = []
    for each in (storage.twin(world), world):
        guest = each.guests["skunk1"]
        each.pass_time(40)
        said(guest, "umount /m")
        results.append((said(guest, f"fsck_ffs -y {DEVICE}"), each.now))
        assert isinstance(guest.tree.mounts["/"], type(guest.root))
    assert results[0] == results[1]


def test_it_can_be_full() -> None:
    _, skunk1, _ = with_ufs()
    with pytest.raises(FileError, match="No space left on device"):
        skunk1.tree.write("/m/a", bytes(130 * MIB))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("newfs /dev/nosuch", "newfs: /dev/nosuch: could not find special device\n"),
        (f"newfs {DEVICE}", f"newfs: {DEVICE}: failed to open disk for writing\n"),
        (f"mount {DEVICE} /m", f"mount: {DEVICE}: Device busy\n"),
        ("mount /dev/vtbd2 /m", "mount: /dev/vtbd2: Invalid fstype: Invalid argument\n"),
        (f"mount {DEVICE} /nosuch", "mount: /nosuch: No such file or directory\n"),
        ("mount /mnt", "mount: /mnt: unknown special file or file system\n"),
        ("umount /dev/vtbd2", "umount: /dev/vtbd2: unknown file system\n"),
        (
            "umount /nosuch",
            "umount: /nosuch: statfs: No such file or directory\n"
            "umount: /nosuch: unknown file system\n",
        ),
        ("zpool create tank hast/mirror", "cannot create 'tank': no such pool or dataset\n"),
        ("geom disk list md0", "geom: Class 'DISK' does not have an instance named 'md0'.\n"),
    ],
)
def test_complaints(line: str, complaint: str) -> None:
    """Each was seen on 13.2."""
    _, skunk1, _ = with_ufs()
    assert refused(skunk1, line) == complaint


def test_a_check_of_a_mounted_file_system_writes_nothing() -> None:
    _, skunk1, _ = with_ufs()
    process = run(skunk1, f"fsck_ffs -p {DEVICE}")
    assert process.status == 8
    assert process.stdout.decode() == (
        f"{DEVICE}: NO WRITE ACCESS\n{DEVICE}: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n"
    )
    assert said(skunk1, f"fsck_ffs -y {DEVICE}").startswith(f"** {DEVICE} (NO WRITE)\n")
    assert isinstance(skunk1.tree.mounts["/m"], Ufs)


def test_disks_as_recorded() -> None:
    """The recorded node had a serial on its system disk and no disk for a seed."""
    _, skunk1, _ = storage.make()
    skunk1.disks["vtbd0"].serial = "skunk1-os"
    text = said(skunk1, "geom disk list vtbd0 vtbd1")
    assert text == recorded("geom_disk_list")
    assert {each.name for each in geom.parse_disks(said(skunk1, "geom disk list"))} == {
        "vtbd0",
        "vtbd1",
        "vtbd2",
    }
    assert said(skunk1, "diskinfo vtbd1") == "vtbd1\t512\t536870912\t1048576\t0\t0\t1040\t16\t63\n"


def test_df_as_recorded_without_a_pool() -> None:
    _, skunk1, _ = storage.make()
    mine = df.parse(said(skunk1, "df --libxo json -kT"))
    theirs = df.parse(recorded("df_no_pool"))
    assert mine[1:] == theirs[1:]
    assert (mine[0].device, mine[0].total_kib) == (theirs[0].device, theirs[0].total_kib)
    assert said(skunk1, "df --libxo json -kT").startswith(recorded("df_no_pool")[:120])
