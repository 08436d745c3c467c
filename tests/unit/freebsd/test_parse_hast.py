"""hastctl: status, list and dump of nodes in every state that a pair gets into."""

from __future__ import annotations

import dataclasses

import pytest

from harness.errors import ClaimFailed, UnrecognisedOutput
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast.hastctl import (
    ExitCode,
    LocalErrors,
    Metadata,
    Queues,
    ReplicationMode,
    ResourceError,
    ResourceInfo,
    Role,
    Statistics,
    Status,
    StatusRow,
)
from tests.unit.freebsd.recordings import command, recorded


def info(name: str, release: str = "13.2") -> ResourceInfo:
    return hast.parse_list(recorded(name, release)).resource("mirror")


def metadata(name: str) -> Metadata:
    return hast.parse_dump(recorded(name))[0]


def test_a_connected_primary_with_all_its_fields() -> None:
    assert info("hastctl_list_primary_resync") == ResourceInfo(
        name="mirror",
        role=Role.PRIMARY,
        provname="mirror",
        localpath="/dev/vtbd1",
        extentsize=2097152,
        keepdirty=64,
        remoteaddr="192.168.0.2",
        sourceaddr=None,
        replication=ReplicationMode.MEMSYNC,
        status=Status.COMPLETE,
        workerpid=1089,
        dirty=291504128,
        statistics=Statistics(
            reads=91,
            writes=3235,
            deletes=0,
            flushes=110,
            activemap_updates=177,
            local_errors=LocalErrors(read=0, write=0, delete=0, flush=0),
            queues=Queues(local=0, send=0, recv=1, done=0, idle=254),
        ),
    )


@pytest.mark.parametrize(
    ("name", "in_sync"),
    [
        ("hastctl_list_primary_complete", True),
        ("hastctl_list_primary_resync", False),
        ("hastctl_list_primary_alone", False),
        ("hastctl_list_secondary_resync", False),
        ("hastctl_list_secondary_complete", False),
        ("hastctl_list_init", False),
    ],
)
def test_in_sync_is_said_by_a_connected_primary_without_dirty_extents_only(
    name: str, in_sync: bool
) -> None:
    assert info(name).in_sync is in_sync


def test_a_secondary_prints_that_nothing_is_dirty_even_in_a_resync() -> None:
    secondary = info("hastctl_list_secondary_resync")
    assert (secondary.status, secondary.dirty) == (Status.COMPLETE, 0)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("hastctl_list_init", Role.INIT),
        ("hastctl_list_secondary_unconnected", Role.SECONDARY),
        ("hastctl_list_secondary_split_brain", Role.SECONDARY),
    ],
)
def test_without_a_worker_there_is_no_status(name: str, role: Role) -> None:
    node = info(name)
    assert (node.role, node.status, node.workerpid) == (role, None, None)


def test_the_status_table_has_a_row_for_each_resource() -> None:
    table = hast.parse_status(recorded("hastctl_status_two_resources"))
    assert table.rows == (
        StatusRow("mirror", Status.COMPLETE, Role.PRIMARY, "/dev/vtbd1", "192.168.0.2"),
        StatusRow("second", Status.COMPLETE, Role.SECONDARY, "/var/tmp/second", "192.168.0.2"),
    )


def test_a_dash_in_the_status_table_is_no_status() -> None:
    row = hast.parse_status(recorded("hastctl_status_secondary_split_brain")).resource("mirror")
    assert (row.role, row.status) == (Role.SECONDARY, None)


def test_what_only_some_resources_have() -> None:
    second = hast.parse_list(recorded("hastctl_list_two_resources")).resource("second")
    assert second.sourceaddr == "192.168.0.1"
    assert second.provname == "other"
    assert second.replication is ReplicationMode.ASYNC


def test_a_resource_that_hastd_does_not_know_is_an_error_beside_the_others() -> None:
    answers = (
        hast.parse_list(recorded("hastctl_list_known_and_unknown_resource")),
        hast.parse_status(recorded("hastctl_status_known_and_unknown_resource")),
    )
    for answer in answers:
        assert answer.resource("mirror").role is Role.INIT
        assert answer.errors == (ResourceError("nosuch", ExitCode.EHAST_NOENTRY),)
        with pytest.raises(ClaimFailed, match=r"EHAST_NOENTRY.*nosuch"):
            answer.resource("nosuch")
        with pytest.raises(ClaimFailed, match="other"):
            answer.resource("other")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("hastctl_status_no_hastd", ExitCode.EX_OSERR),
        ("hastctl_role_no_hastd", ExitCode.EX_OSERR),
        ("hastctl_list_unknown_resource", ExitCode.EHAST_NOENTRY),
        ("hastctl_role_unknown_resource", ExitCode.EHAST_NOENTRY),
        ("hastctl_dump_unknown_resource", ExitCode.EX_DATAERR),
        ("hastctl_create_unknown_resource", ExitCode.EX_DATAERR),
        ("hastctl_dump_no_metadata", ExitCode.METADATA_UNREADABLE),
        ("hastctl_usage", ExitCode.EX_USAGE),
    ],
)
def test_the_exit_codes_have_names(name: str, code: ExitCode) -> None:
    assert ExitCode(int(command(name)["exit_status"])) is code


def test_the_metadata_with_all_its_fields() -> None:
    assert metadata("hastctl_dump_secondary_complete") == Metadata(
        name="mirror",
        datasize=536866304,
        extentsize=2097152,
        keepdirty=64,
        localoff=4608,
        resuid=6738131601019503000,
        localcnt=0,
        remotecnt=0,
        prevrole=Role.SECONDARY,
    )


def test_both_disks_of_a_split_brain_were_modified_alone() -> None:
    for node in ("primary", "secondary"):
        dump = metadata(f"hastctl_dump_{node}_split_brain")
        assert (dump.localcnt, dump.remotecnt, dump.prevrole) == (1, 0, Role.PRIMARY)


def test_nothing_is_counted_on_a_new_disk_before_the_pair_first_met() -> None:
    assert info("hastctl_list_primary_alone_written").dirty == 331350016
    dump = metadata("hastctl_dump_primary_alone_written")
    assert (dump.resuid, dump.localcnt) == (0, 0)


def test_the_format_of_2011_is_read_and_is_not_in_sync() -> None:
    node = info("hastctl_status_primary_complete", release="2011")
    assert (node.status, node.dirty) == (Status.COMPLETE, 17142120448)
    assert (node.extentsize, node.statistics, node.workerpid) == (2097152, None, None)
    assert not node.in_sync


def test_releases_between_lack_the_last_lines_of_the_statistics() -> None:
    text = recorded("hastctl_list_primary_complete")
    older = "".join(
        line
        for line in text.splitlines(keepends=True)
        if "queues:" not in line and "local errors:" not in line
    )
    statistics = hast.parse_list(older).resource("mirror").statistics
    assert statistics is not None
    assert statistics.writes == 3235
    assert (statistics.queues, statistics.local_errors) == (None, None)


def test_lines_of_a_later_release_are_kept() -> None:
    text = recorded("hastctl_list_primary_complete")
    later = text.replace("  status:", "  colour: blue\n  status:").replace(
        "    deletes:", "    zebras: 4\n    deletes:"
    )
    known = info("hastctl_list_primary_complete")
    node = hast.parse_list(later).resource("mirror")
    assert node.unrecognised == ("colour: blue",)
    assert node.statistics is not None
    assert node.statistics.unrecognised == ("zebras: 4",)
    assert dataclasses.replace(node, unrecognised=(), statistics=known.statistics) == known


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("role: primary", "role: king"),
        ("status: complete", "status: fine"),
        ("dirty: 0 (0B)", "dirty: some"),
        ("  dirty: 0 (0B)\n", ""),
        ("idle: 255\n", "idle: 25"),
        ("read: 0, write: 0,", "read: 0,"),
        ("mirror:\n", ""),
    ],
)
def test_nonsense_is_refused_with_the_whole_text(old: str, new: str) -> None:
    text = recorded("hastctl_list_primary_complete")
    assert old in text
    nonsense = text.replace(old, new)
    with pytest.raises(UnrecognisedOutput) as refused:
        hast.parse_list(nonsense)
    assert refused.value.text == nonsense
    assert nonsense in str(refused.value)
