"""zpool and zfs: pools in good and bad states, their devices, and what could be imported."""

from __future__ import annotations

import pytest

from harness.errors import UnrecognisedOutput
from harness.freebsd import zfs, zpool
from harness.freebsd.zfs import Dataset
from harness.freebsd.zpool import Health, PoolRow, PoolStatus, Vdev
from tests.unit.freebsd.recordings import command, recorded


def status(name: str) -> PoolStatus:
    (pool,) = zpool.parse_status(recorded(name))
    return pool


def test_a_healthy_pool_on_hast() -> None:
    assert status("zpool_status_healthy") == PoolStatus(
        name="failover",
        state=Health.ONLINE,
        status=None,
        action=None,
        scan=None,
        errors="No known data errors",
        config=(
            Vdev(
                "failover",
                Health.ONLINE,
                0,
                0,
                0,
                children=(Vdev("hast/mirror", Health.ONLINE, 0, 0, 0),),
            ),
        ),
    )


def test_a_pool_that_lost_its_device_is_suspended() -> None:
    pool = status("zpool_status_suspended")
    assert pool.state is Health.SUSPENDED
    assert pool.status == "One or more devices are faulted in response to IO failures."
    assert pool.errors == "8 data errors, use '-v' for a list"
    (root,) = pool.config
    assert (root.state, root.note) == (Health.UNAVAIL, "insufficient replicas")
    assert [(vdev.name, vdev.state) for vdev in root.children] == [("hast/mirror", Health.REMOVED)]
    (row,) = zpool.parse_list(recorded("zpool_list_suspended"))
    assert row.health is Health.SUSPENDED


def test_the_tree_of_devices_and_its_headings() -> None:
    pool = status("zpool_status_mirror_offline")
    assert pool.state is Health.DEGRADED
    assert pool.scan is not None
    assert pool.scan.startswith("scrub repaired 0B in 00:00:00 with 0 errors on ")
    assert [vdev.name for vdev in pool.config] == ["tank", "logs", "cache", "spares"]
    assert [(vdev.name, vdev.state) for vdev in pool.config[0].walk()] == [
        ("tank", Health.DEGRADED),
        ("mirror-0", Health.DEGRADED),
        ("/var/tmp/d1", Health.ONLINE),
        ("/var/tmp/d2", Health.OFFLINE),
    ]
    assert pool.config[1] == Vdev("logs", children=(Vdev("/var/tmp/d3", Health.ONLINE, 0, 0, 0),))
    assert pool.config[3] == Vdev("spares", children=(Vdev("/var/tmp/d4", Health.AVAIL),))


def test_errors_are_counted_for_each_device() -> None:
    (root, *_) = status("zpool_status_checksum_errors").config
    assert {vdev.name: vdev.cksum for vdev in root.walk()}["/var/tmp/d1"] == 271


def test_the_damaged_files_are_listed() -> None:
    errors = status("zpool_status_verbose_data_errors").errors
    assert errors is not None
    assert errors.splitlines()[1:] == ["/bad/x"]


def test_each_pool_has_its_own_status() -> None:
    pools = zpool.parse_status(recorded("zpool_status_two_pools"))
    assert [(pool.name, pool.errors) for pool in pools] == [
        ("one", "No known data errors"),
        ("two", "No known data errors"),
    ]


def test_a_pool_of_another_host_can_be_imported_with_force() -> None:
    (pool,) = zpool.parse_import_list(recorded("zpool_import_of_other_host"))
    assert (pool.name, pool.guid) == ("failover", 25500011315464247)
    assert (pool.state, pool.destroyed) == (Health.ONLINE, False)
    assert pool.status == "The pool was last accessed by another system."
    assert pool.action is not None
    assert pool.action.endswith("numeric identifier and the '-f' flag.")
    assert pool.config == (
        Vdev("failover", Health.ONLINE, children=(Vdev("hast/mirror", Health.ONLINE),)),
    )


def test_an_exported_pool_can_be_imported_without_force() -> None:
    (pool,) = zpool.parse_import_list(recorded("zpool_import_exported"))
    assert pool.status is None


def test_what_is_missing_of_a_pool_is_said() -> None:
    (pool,) = zpool.parse_import_list(recorded("zpool_import_device_missing"))
    assert pool.state is Health.DEGRADED
    missing = [vdev for top in pool.config for vdev in top.walk() if vdev.note]
    assert missing == [Vdev("/var/tmp/d2", Health.UNAVAIL, note="cannot open")]
    assert Vdev("cache", children=(Vdev("md9"),)) in pool.config


def test_a_destroyed_pool_is_told_from_a_living_one() -> None:
    (pool,) = zpool.parse_import_list(recorded("zpool_import_destroyed"))
    assert (pool.state, pool.destroyed) == (Health.ONLINE, True)


def test_no_pool_is_no_output_and_no_failure() -> None:
    for name in ("zpool_list_no_pool", "zpool_status_no_pool", "zpool_import_nothing"):
        assert command(name)["exit_status"] == 0
    assert zpool.parse_list(recorded("zpool_list_no_pool")) == ()
    assert zpool.parse_status(recorded("zpool_status_no_pool")) == ()
    assert zpool.parse_import_list(recorded("zpool_import_nothing")) == ()


def test_the_list_of_pools() -> None:
    assert zpool.parse_list(recorded("zpool_list_healthy")) == (
        PoolRow(
            name="failover",
            guid=25500011315464247,
            size=503316480,
            allocated=315018752,
            free=188297728,
            capacity_percent=62,
            health=Health.ONLINE,
        ),
    )


def test_the_recorded_commands_are_those_that_the_parsers_name() -> None:
    assert command("zpool_list_healthy")["command"] == " ".join(zpool.LIST_COMMAND)
    assert command("zpool_status_healthy")["command"] == " ".join(zpool.STATUS_COMMAND)
    assert command("zfs_list_healthy")["command"] == " ".join(zfs.LIST_COMMAND)


def test_the_list_of_datasets() -> None:
    assert zfs.parse_list(recorded("zfs_list_healthy"))[1:] == (
        Dataset("failover/data", "filesystem", 24576, 54080000, 24576, True, "/failover/data"),
        Dataset("failover/volume", "volume", 12288, 54080000, 12288, None, None),
    )


def test_a_dataset_that_could_be_mounted_and_is_not() -> None:
    text = recorded("zfs_list_healthy")
    assert zfs.parse_list(text.replace("\tyes\t", "\tno\t"))[0].mounted is False
    with pytest.raises(UnrecognisedOutput, match="mounted"):
        zfs.parse_list(text.replace("\tyes\t", "\tmaybe\t"))


def test_a_remark_after_the_devices_is_no_device() -> None:
    # Not recorded: a remark of show_import() in cmd/zpool/zpool_main.c of OpenZFS 2.1.
    remark = "\n\tAdditional devices are known to be part of this pool.\n"
    (pool,) = zpool.parse_import_list(recorded("zpool_import_exported") + remark)
    assert [vdev.name for vdev in pool.config] == ["failover"]
    assert pool.others == (("config", "Additional devices are known to be part of this pool."),)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" state: ONLINE\n", ""),
        (" state: ONLINE", " state: GLORIOUS"),
        ("hast/mirror  ONLINE", "hast/mirror  HAPPY"),
        ("\t  hast/mirror", "\t      hast/mirror"),
        ("  pool: failover\n", ""),
    ],
)
def test_nonsense_is_refused_with_the_whole_text(old: str, new: str) -> None:
    text = recorded("zpool_status_healthy")
    assert old in text
    with pytest.raises(UnrecognisedOutput) as refused:
        zpool.parse_status(text.replace(old, new))
    assert refused.value.text == text.replace(old, new)
