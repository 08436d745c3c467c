"""ZFS of the simulated nodes: what survives, what suspends, and what zpool(8) says, as on 13.2."""

from __future__ import annotations

import pytest

from harness.freebsd import df, zpool
from harness.freebsd import zfs as zfs_parser
from harness.lab.simulated import features
from harness.lab.simulated.hardware.disk import Op
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.guest import Guest, World
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.zfs.zfs import Zfs
from tests.unit.freebsd.recordings import command, recorded
from tests.unit.simulated import storage
from tests.unit.simulated.storage import Shared, fsync, refused, run, said, start, wait

features.load_all()


def with_pool(seed: int = 1, options: str = "") -> tuple[World, Guest, Shared]:
    """A node with the pool `failover` on a device as HAST makes it."""
    world, skunk1, _ = storage.make(seed)
    device = Shared(skunk1, skunk1.disks["vtbd1"])
    said(skunk1, f"zpool create {options} failover /dev/hast/mirror")
    return world, skunk1, device


def crash(world: World) -> Guest:
    """Take the power from a copy of the world's skunk1, start it, and import the pool."""
    skunk1 = storage.twin(world).guests["skunk1"]
    skunk1.power_cut()
    skunk1.power_on()
    Shared(skunk1, skunk1.disks["vtbd1"])
    said(skunk1, "zpool import -f failover")
    return skunk1


def test_a_crash_leaves_a_whole_transaction_group() -> None:
    """At whatever event of a commit the power goes, both files are old, or both are new."""
    seen = set()
    for seed in range(4):
        world, skunk1, _ = with_pool(seed)
        for version in (b"old", b"new"):
            for name in ("a", "b"):
                skunk1.tree.write(f"/failover/{name}", version * 50_000)
            if version == b"old":
                said(skunk1, "zpool sync")
        synced = skunk1.part(Zfs).pools["failover"].wait_synced()
        while not synced.fired:
            again = crash(world)
            found = tuple(again.tree.read(f"/failover/{name}")[:3] for name in ("a", "b"))
            assert found in {(b"old", b"old"), (b"new", b"new")}
            assert len(again.tree.read("/failover/a")) == 150_000
            seen.add(found)
            world.step()
        assert crash(world).tree.read("/failover/b")[:3] == b"new"
    assert seen >= {(b"old", b"old")}


def test_fsynced_files_survive_a_power_cut() -> None:
    """With the name changes before them; what nobody synced is gone."""
    world, skunk1, _ = with_pool()
    tree = skunk1.tree
    tree.make_directory("/failover/d")
    tree.write("/failover/d/kept", b"x" * 10_000)
    tree.write("/failover/lost", b"y" * 10_000)
    tree.write("/failover/moved", b"z")
    fsync(skunk1, "/failover/moved")
    filesystem, _ = tree.locate("/failover")
    filesystem.rename("/moved", "/elsewhere")
    fsync(skunk1, "/failover/d/kept")
    tree.write("/failover/d/kept", b"later")

    again = crash(world).tree
    assert again.read("/failover/d/kept") == b"x" * 10_000
    assert again.read("/failover/lost") == b""
    assert again.read("/failover/elsewhere") == b"z"
    assert "moved" not in again.names("/failover")


def test_the_log_goes_on_after_transaction_groups_and_imports() -> None:
    """Each fsync is there after a crash, whatever was committed in between."""
    world, skunk1, _ = with_pool()
    for number in range(12):
        skunk1.tree.write("/failover/count", b"%d" % number)
        fsync(skunk1, "/failover/count")
        if number % 3 == 0:
            world.pass_time(6)
        assert crash(world).tree.read("/failover/count") == b"%d" % number
    skunk1 = crash(world)
    skunk1.tree.write("/failover/count", b"again")
    fsync(skunk1, "/failover/count")
    assert crash(skunk1.world).tree.read("/failover/count") == b"again"


def test_a_background_transaction_group_within_five_seconds() -> None:
    world, skunk1, device = with_pool()
    world.pass_time(6)
    device.seen.clear()
    world.pass_time(30)
    assert device.seen == [], "an idle pool writes nothing"
    skunk1.tree.write("/failover/a", b"x")
    world.pass_time(5.5)
    assert device.seen.count(Op.FLUSH) == 2
    assert crash(world).tree.read("/failover/a") == b"x"


def test_sync_always_ends_a_write_when_it_is_durable() -> None:
    world, skunk1, device = with_pool(options="-O sync=always")
    filesystem, _ = skunk1.tree.locate("/failover")
    skunk1.tree.write("/failover/a", b"x")
    device.stalled = []
    settled = filesystem.settled("/a")
    assert settled is not None
    world.pass_time(3)
    assert not settled.fired
    device.go_on()
    wait(world, lambda: settled.fired)
    assert crash(world).tree.read("/failover/a") == b"x"


def test_a_snapshot_of_the_world_goes_on_in_the_same_way() -> None:
    """With a transaction group on its way and another one open."""
    world, skunk1, _ = with_pool()
    skunk1.tree.write("/failover/a", b"a" * 3_000_000)
    skunk1.part(Zfs).pools["failover"].wait_synced()
    world.pass_time(0.003)
    skunk1.tree.write("/failover/b", b"b")
    copies = [world, storage.twin(world), storage.twin(world)]
    outputs = []
    for each in copies:
        guest = each.guests["skunk1"]
        each.pass_time(11)
        guest.tree.write("/failover/c", b"c")
        outputs.append(said(guest, "zpool export failover") + said(guest, "zpool import"))
        said(guest, "zpool import failover")
        outputs[-1] += (
            said(guest, "zpool list") + str(guest.tree.names("/failover")) + str(each.now)
        )
    assert outputs[0] == outputs[1] == outputs[2]
    assert "['a', 'b', 'c']" in outputs[0]


# --- losing the device ----------------------------------------------------------------------------


def test_losing_the_device_suspends_an_idle_pool() -> None:
    """UNAVAIL at once, SUSPENDED with the next transaction group; then the recorded answers."""
    world, skunk1, device = with_pool()
    world.pass_time(6)
    device.remove()
    (row,) = zpool.parse_list(
        said(skunk1, "zpool list -Hp -o name,guid,size,allocated,free,capacity,health")
    )
    assert row.health is zpool.Health.UNAVAIL
    assert not skunk1.syncer_held_up()
    world.pass_time(6)
    assert skunk1.syncer_held_up()
    line = (
        "Solaris: WARNING: Pool 'failover' has encountered an uncorrectable I/O failure and has "
        "been suspended.\n\n"
    )
    assert storage.console(skunk1).count(line) == 1
    status = run(skunk1, "zpool status -p")
    assert status.stdout.decode() == recorded("zpool_status_suspended").replace("8 data", "3 data")
    assert status.stderr.decode() == command("zpool_status_suspended")["stderr"]
    assert (
        said(skunk1, "zfs list -Hp -o name,type,used,available,referenced,mounted,mountpoint") == ""
    )
    assert "failover" in {each.device for each in df.parse(said(skunk1, "df --libxo json -kT"))}
    assert said(skunk1, "zpool list -H -o health") == "SUSPENDED\n"


def test_with_failmode_panic_the_node_panics_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """zio_suspend() of OpenZFS's zio.c."""
    world, skunk1, device = with_pool()
    panics: list[str] = []
    monkeypatch.setattr(skunk1.part(Kernel), "panic", panics.append)
    assert said(skunk1, "zpool set failmode=panic failover") == ""
    assert said(skunk1, "zpool get -H -o value failmode failover") == "panic\n"
    world.pass_time(6)
    device.remove()
    world.pass_time(12)
    assert panics == [
        "Pool 'failover' has encountered an uncorrectable I/O failure and the failure mode "
        "property for this pool is set to panic."
    ]


@pytest.mark.parametrize(
    "line",
    [
        "zpool export failover",
        "zpool export -f failover",
        "zpool destroy failover",
        "umount /failover",
    ],
)
def test_what_blocks_on_a_suspended_pool(line: str) -> None:
    world, skunk1, device = with_pool()
    device.remove()
    world.pass_time(10)
    process = start(skunk1, line)
    world.pass_time(3600)
    assert process.status is None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("zpool scrub failover", "cannot scrub failover: pool I/O is currently suspended"),
        ("zpool sync failover", "sync 'failover' failed: pool I/O is currently suspended"),
        ("zfs get sync failover", "cannot open 'failover': pool I/O is currently suspended"),
        ("zfs create failover/x", "cannot create 'failover/x': pool I/O is currently suspended"),
        ("zfs unmount failover", "cannot open 'failover': pool I/O is currently suspended"),
        ("zpool clear failover", "cannot clear errors for failover: I/O error"),
        (
            "zpool set failmode=continue failover",
            "cannot set property for 'failover': pool I/O is currently suspended",
        ),
    ],
)
def test_what_a_suspended_pool_refuses(line: str, complaint: str) -> None:
    world, skunk1, device = with_pool()
    device.remove()
    world.pass_time(10)
    Shared(skunk1, skunk1.disks["vtbd1"])
    assert refused(skunk1, line) == complaint + "\n"


def test_writers_wait_for_a_suspended_pool_and_fsync_never_ends() -> None:
    world, skunk1, device = with_pool()
    filesystem, _ = skunk1.tree.locate("/failover")
    assert filesystem.ready() is None
    skunk1.tree.write("/failover/a", b"x")
    device.remove()
    synced = filesystem.fsync("/a")
    world.pass_time(60)
    ready = filesystem.ready()
    assert ready is not None
    assert not ready.fired
    assert not synced.fired
    done: list[int] = []
    skunk1.part(Zfs).shutdown(lambda: done.append(1))
    world.pass_time(600)
    assert not done, "an orderly shutdown with a suspended pool hangs"


def test_an_error_of_the_device_is_cleared() -> None:
    """EIO instead of a lost device: zpool clear goes on, and nothing is lost."""
    world, skunk1, device = with_pool()
    skunk1.tree.write("/failover/a", b"x" * 5000)
    synced = skunk1.part(Zfs).pools["failover"].wait_synced()
    device.error = "EIO"
    world.pass_time(1)
    (status,) = zpool.parse_status(run(skunk1, "zpool status -p").stdout.decode())
    assert status.state is zpool.Health.SUSPENDED
    assert [(each.name, each.state, each.write) for each in status.config[0].walk()] == [
        ("failover", zpool.Health.ONLINE, 0),
        ("hast/mirror", zpool.Health.ONLINE, 1),
    ]
    device.error = None
    said(skunk1, "zpool clear failover")
    wait(world, lambda: synced.fired)
    assert crash(world).tree.read("/failover/a") == b"x" * 5000


def test_failmode_continue_refuses_new_writes() -> None:
    world, skunk1, device = with_pool(options="-o failmode=continue")
    device.remove()
    world.pass_time(10)
    with pytest.raises(FileError, match="Input/output error"):
        skunk1.tree.write("/failover/a", b"x")
    assert "ZFS-8000-JQ" in said(skunk1, "zpool status")


# --- the other node -------------------------------------------------------------------------------


def other_node(world: World, source: Guest) -> Guest:
    """skunk2 with a copy of what skunk1's disk holds, as after a failover."""
    skunk2 = world.guests["skunk2"]
    copy_blocks(source, skunk2)
    Shared(skunk2, skunk2.disks["vtbd1"])
    return skunk2


def copy_blocks(source: Guest, target: Guest, *, without: range = range(0)) -> None:
    """What HAST does; the blocks in `without` stay behind."""
    for at, content in source.disks["vtbd1"]:
        if at not in without:
            target.disks["vtbd1"].write(at, 1, {at: content})
    target.disks["vtbd1"].flush()


def test_importing_a_pool_that_another_node_uses() -> None:
    world, skunk1, _ = with_pool()
    skunk1.tree.write("/failover/a", b"x")
    fsync(skunk1, "/failover/a")
    skunk2 = other_node(world, skunk1)
    pool = skunk1.part(Zfs).pools["failover"]

    shown = recorded("zpool_import_of_other_host").replace("25500011315464247", str(pool.guid))
    assert said(skunk2, "zpool import") == shown
    refusal = str(command("zpool_import_refused")["stderr"])
    refusal = refusal.replace("968f945a", f"{skunk1.part(Zfs).hostid:x}")
    refusal = refusal.replace("Sun Nov 22 18:37:29 2026", "Thu Jan  1 00:00:00 2026")
    assert refused(skunk2, "zpool import failover") == refusal
    said(skunk2, "zpool import -f failover")
    assert skunk2.tree.read("/failover/a") == b"x"
    assert "failover" in skunk1.part(Zfs).pools, "and skunk1 has it as well, which is the danger"


def test_export_hands_a_pool_over_without_force() -> None:
    world, skunk1, _ = with_pool()
    skunk1.tree.write("/failover/a", b"x")
    said(skunk1, "zpool export -f failover")
    assert skunk1.tree.entry("/failover") is None
    skunk2 = other_node(world, skunk1)
    (shown,) = zpool.parse_import_list(said(skunk2, "zpool import"))
    guid = str(shown.guid)
    assert said(skunk2, "zpool import") == recorded("zpool_import_exported").replace(
        "25500011315464247", guid
    )
    said(skunk2, "zpool import failover")
    assert skunk2.tree.read("/failover/a") == b"x"


def test_an_extent_that_was_not_synchronised_shows_as_a_checksum_error() -> None:
    world, skunk1, _ = with_pool()
    skunk1.tree.write("/failover/good", b"g" * 4096)
    said(skunk1, "zpool sync")
    skunk1.tree.write("/failover/bad", bytes(range(256)) * 8192)
    said(skunk1, "zpool export failover")
    extent = next(
        at
        for at, content in skunk1.disks["vtbd1"]
        if content.label == "data" and content.data.startswith(bytes(range(256)))
    )
    skunk2 = world.guests["skunk2"]
    copy_blocks(skunk1, skunk2, without=range(extent + 40, extent + 60))
    Shared(skunk2, skunk2.disks["vtbd1"])

    said(skunk2, "zpool import failover")
    assert skunk2.tree.read("/failover/good") == b"g" * 4096
    assert "No known data errors" in said(skunk2, "zpool status")
    with pytest.raises(FileError, match="Input/output error"):
        skunk2.tree.read("/failover/bad")
    (status,) = zpool.parse_status(said(skunk2, "zpool status -pv"))
    assert status.errors is not None
    assert "/failover/bad" in status.errors
    assert [each.cksum for each in status.config[0].walk()] == [0, 2]
    said(skunk2, "zpool scrub -w failover")
    assert "scrub repaired 0B in 00:00:00 with 1 errors" in said(skunk2, "zpool status")


def test_a_lost_uberblock_means_an_older_transaction_group() -> None:
    world, skunk1, _ = with_pool()
    skunk1.tree.write("/failover/a", b"old")
    said(skunk1, "zpool sync")
    disk = skunk1.disks["vtbd1"]
    before = {at: disk.read(at, 1).get(at) for at in (*range(64), *range(130944, 131072))}
    skunk1.tree.write("/failover/a", b"new")
    said(skunk1, "zpool sync")
    for at, content in before.items():
        disk.write(at, 1, {} if content is None else {at: content})
    disk.flush()
    assert crash(world).tree.read("/failover/a") == b"old"


def test_metadata_is_read_from_its_copy_and_without_any_the_import_fails() -> None:
    world, skunk1, _ = with_pool()
    skunk1.tree.write("/failover/a", b"x")
    said(skunk1, "zpool export failover")
    for half, state in ((range(1024, 65000), "ONLINE"), (range(1024, 131072 - 128), "FAULTED")):
        skunk2 = storage.twin(world).guests["skunk2"]
        copy_blocks(skunk1, skunk2, without=half)
        Shared(skunk2, skunk2.disks["vtbd1"])
        assert f"state: {state}\n" in said(skunk2, "zpool import")
        process = run(skunk2, "zpool import failover")
        assert process.status == (0 if state == "ONLINE" else 1)
    assert process.stderr == b"cannot import 'failover': I/O error\n"
    assert process.stdout == b"\tDestroy and re-create the pool from\n\ta backup source.\n"


def test_an_import_takes_as_long_as_the_device() -> None:
    """Without its peer a HAST device answers only after a timeout."""
    world, skunk1, device = with_pool()
    said(skunk1, "zpool export failover")
    device.stalled = []
    process = start(skunk1, "zpool import failover")
    world.pass_time(20)
    assert process.status is None
    device.go_on()
    wait(world, lambda: process.status is not None, within=5)
    assert process.status == 0


# --- boot -----------------------------------------------------------------------------------------


def test_at_boot_a_pool_whose_device_is_not_there_is_dropped() -> None:
    world, skunk1, _ = with_pool()
    fsync(skunk1, "/etc/zfs/zpool.cache")
    skunk1.root.write_all()
    skunk1.reset()
    skunk1.part(Zfs).boot_import()
    world.pass_time(1)
    assert storage.console(skunk1) == (
        "cannot import 'failover': no such pool or dataset\n"
        "\tDestroy and re-create the pool from\n\ta backup source.\n"
        "cachefile import failed, retrying\nno pools available to import\n"
    )
    assert said(skunk1, "zpool list") == "no pools available\n"
    assert skunk1.tree.entry("/etc/zfs/zpool.cache") is None


def test_cachefile_none_leaves_no_trace_at_boot() -> None:
    _, skunk1, _ = with_pool()
    said(skunk1, "zpool set cachefile=none failover")
    skunk1.root.write_all()
    skunk1.reset()
    skunk1.part(Zfs).boot_import()
    assert storage.console(skunk1) == ""


def test_at_boot_a_pool_on_a_disk_of_its_own_is_imported() -> None:
    world, skunk1, _ = storage.make()
    said(skunk1, "zpool create tank vtbd1")
    skunk1.tree.write("/tank/a", b"x")
    said(skunk1, "zpool sync")
    skunk1.root.write_all()
    skunk1.power_cut()
    skunk1.power_on()
    skunk1.part(Zfs).boot_import()
    world.pass_time(2)
    assert skunk1.tree.read("/tank/a") == b"x"


# --- what it says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "zpool create tank nosuch",
            "cannot open 'nosuch': no such device in /dev\n"
            "must be a full path or shorthand device name\n",
        ),
        ("zpool create tank /dev/nosuch", "cannot resolve path '/dev/nosuch'\n"),
        (
            "zpool create tank /dev/hast/mirror",
            "invalid vdev specification\nuse '-f' to override the following errors:\n"
            "/dev/hast/mirror is part of active pool 'failover'\n",
        ),
        (
            "zpool create -f tank /dev/hast/mirror",
            "invalid vdev specification\nthe following errors must be manually repaired:\n"
            "/dev/hast/mirror is part of active pool 'failover'\n",
        ),
        (
            "zpool create tank/a vtbd1",
            "cannot create 'tank/a': invalid character '/' in pool name\n"
            "use 'zfs create' to create a dataset\n",
        ),
        (
            "zpool import failover",
            "cannot import 'failover': a pool with that name already exists\n"
            "use the form 'zpool import <pool | id> <newpool>' to give it a new name\n",
        ),
        ("zpool import tank", "cannot import 'tank': no such pool available\n"),
        ("zpool export tank", "cannot open 'tank': no such pool\n"),
        ("zpool status tank", "cannot open 'tank': no such pool\n"),
        ("zfs list tank", "cannot open 'tank': dataset does not exist\n"),
        (
            "zpool set failmode=foo failover",
            "cannot set property for 'failover': 'failmode' must be one of "
            "'wait | continue | panic'\n",
        ),
        ("umount /etc", "umount: /etc: not a file system root directory\n"),
        ("umount /", "umount: unmount of / failed: Invalid argument\n"),
    ],
)
def test_complaints(line: str, complaint: str) -> None:
    """Each was seen on 13.2."""
    _, skunk1, _ = with_pool()
    assert refused(skunk1, line) == complaint


@pytest.mark.parametrize(
    ("name", "to_open", "to_create"),
    [
        ("mirror", "name is reserved", "name is reserved"),
        ("raidz", "name is reserved", "name is reserved"),
        ("draid", "name is reserved", "name is reserved"),
        ("mirror1", "no such pool", "name is reserved"),
        ("spares", "no such pool", "name is reserved"),
        ("log", "no such pool", "name is reserved"),
        ("2nd", "name must begin with a letter", "name must begin with a letter"),
        ("a+b", "invalid character '+' in pool name", "invalid character '+' in pool name"),
        ("a" * 239, "no such pool", None),
        ("a" * 240, "name is too long", "name is too long"),
    ],
)
def test_a_name_that_no_pool_can_have(name: str, to_open: str, to_create: str | None) -> None:
    """libzfs_pool.c (13.2); what is said of a new pool was recorded."""
    _, skunk1, _ = with_pool()
    for verb in ("destroy", "export", "status", "list", "scrub", "clear", "get size"):
        line = f"zpool {verb} {name}"
        assert refused(skunk1, line) == f"cannot open '{name}': {to_open}\n", line
    if to_create is not None:
        said(skunk1, "zpool destroy failover")
        assert refused(skunk1, f"zpool create {name} hast/mirror") == (
            f"cannot create '{name}': {to_create}\npool name may have been omitted\n"
        )


def test_destroying_a_dataset_as_a_pool() -> None:
    _, skunk1, _ = with_pool()
    assert refused(skunk1, "zpool destroy failover/a") == (
        "cannot open 'failover/a': invalid character '/' in pool name\n"
        "use 'zfs destroy' to destroy a dataset\n"
    )


def test_a_pool_gets_no_reserved_name_when_it_is_imported() -> None:
    _, skunk1, _ = with_pool()
    said(skunk1, "zpool export failover")
    assert refused(skunk1, "zpool import failover mirror1") == (
        "cannot import 'mirror1': name is reserved\n"
    )
    said(skunk1, "zpool import failover second")


def test_a_healthy_pool_looks_as_recorded() -> None:
    _, skunk1, _ = with_pool()
    assert said(skunk1, "zpool status -p") == recorded("zpool_status_healthy")
    (row,) = zpool.parse_list(said(skunk1, " ".join(zpool.LIST_COMMAND)))
    assert (row.size, row.capacity_percent, row.health) == (503316480, 0, zpool.Health.ONLINE)
    (dataset,) = zfs_parser.parse_list(said(skunk1, " ".join(zfs_parser.LIST_COMMAND)))
    assert dataset.mounted
    assert dataset.mountpoint == "/failover"
    assert dataset.used == row.allocated
    assert dataset.available == 503316480 - 134217728 - (row.allocated or 0)
    for text, size in ((b"", 0), (b"x", 1), (b"x", 4096), (b"x", 131089), (b"x", 1048576)):
        skunk1.tree.write(f"/failover/{size}", text * size)
    mounted = {each.mounted_on: each for each in df.parse(said(skunk1, "df --libxo json -kT"))}
    assert mounted["/failover"].used_kib == 1314, "the same files were recorded on 13.2"


@pytest.mark.parametrize(
    ("line", "table"),
    [
        (
            "zpool get failmode,health failover",
            "NAME      PROPERTY  VALUE     SOURCE\n"
            "failover  failmode  wait      default\n"
            "failover  health    ONLINE    -\n",
        ),
        (
            "zpool get -p size failover",
            "NAME      PROPERTY  VALUE      SOURCE\nfailover  size      503316480  -\n",
        ),
        (
            "zpool get -o value,source,name autoexpand failover",
            "VALUE   SOURCE                  NAME\noff     default                 failover\n",
        ),
        (
            "zfs get sync failover",
            "NAME      PROPERTY  VALUE     SOURCE\nfailover  sync      standard  default\n",
        ),
        (
            "zfs get compression failover",
            "NAME      PROPERTY     VALUE           SOURCE\n"
            "failover  compression  off             default\n",
        ),
        (
            "zfs get mountpoint failover",
            "NAME      PROPERTY    VALUE       SOURCE\nfailover  mountpoint  /failover   default\n",
        ),
    ],
)
def test_a_value_has_room_for_the_longest_that_it_may_be(line: str, table: str) -> None:
    """The first was recorded; zprop_width() in OpenZFS has the others."""
    _, skunk1, _ = with_pool()
    assert said(skunk1, line) == table


def test_a_number_that_is_longer_than_its_column_moves_the_rest() -> None:
    _, skunk1, _ = with_pool()
    head, row = said(skunk1, "zpool get guid failover").splitlines()
    assert head == "NAME      PROPERTY  VALUE  SOURCE"
    assert row == f"failover  guid      {skunk1.part(Zfs).pools['failover'].guid}  -"


@pytest.mark.parametrize(("key", "value"), [("sync", "always"), ("atime", "off"), ("a:b", "c")])
def test_a_property_is_inherited_again(key: str, value: str) -> None:
    _, skunk1, _ = with_pool()
    get = f"zfs get -H -o value,source {key} failover"
    before = said(skunk1, get)
    said(skunk1, f"zfs set {key}={value} failover")
    assert said(skunk1, get) == f"{value}\tlocal\n"
    said(skunk1, f"zfs inherit {key} failover")
    assert said(skunk1, get) == before
    assert said(skunk1, "zpool history").splitlines()[-2].endswith(f" zfs inherit {key} failover")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("zfs inherit sync tank", "cannot open 'tank': dataset does not exist\n"),
        ("zfs inherit used failover", "used property is read-only\n"),
        ("zfs inherit canmount failover", "'canmount' property cannot be inherited\n"),
        (
            "zfs inherit quota failover",
            "'quota' property cannot be inherited\nuse 'zfs set quota=none' to clear\n"
            "use 'zfs inherit -S quota' to revert to received value\n",
        ),
        ("zfs destroy tank@now", "cannot open 'tank': dataset does not exist\n"),
        (
            "zfs destroy failover@now",
            "could not find any snapshots to destroy; check snapshot names.\n",
        ),
        (
            "zfs set compression=nosuch failover",
            "cannot set property for 'failover': 'compression' must be one of 'on | off | lzjb | "
            "gzip | gzip-[1-9] | zle | lz4 | zstd | zstd-[1-19] | zstd-fast | "
            "zstd-fast-[1-10,20,30,40,50,60,70,80,90,100,500,1000]'\n",
        ),
    ],
)
def test_complaints_of_zfs(line: str, complaint: str) -> None:
    """Recorded, or zfs_main.c (13.2)."""
    _, skunk1, _ = with_pool()
    assert refused(skunk1, line) == complaint


def test_the_snapshots_of_one_name_are_destroyed_together() -> None:
    _, skunk1, _ = with_pool()
    for line in ("create failover/a", "snapshot -r failover@now", "snapshot failover@then"):
        said(skunk1, f"zfs {line}")
    said(skunk1, "zfs destroy -r failover@now")
    assert said(skunk1, "zfs list -H -t snapshot -o name") == "failover@then\n"


def test_without_a_pool_all_is_as_recorded() -> None:
    _, skunk1, _ = storage.make()
    for name in (
        "zpool_list_no_pool",
        "zpool_status_no_pool",
        "zpool_import_nothing",
        "zfs_list_no_pool",
        "zpool_status_unknown_pool",
    ):
        process = run(skunk1, str(command(name)["command"]))
        assert process.stdout.decode() == recorded(name)
        assert process.stderr.decode() == command(name)["stderr"]
        assert process.status == command(name)["exit_status"]
