"""hastd's log lines: every wording becomes its event, every other line stays as it is."""

from __future__ import annotations

import pytest

from harness.freebsd.hast.hastctl import Role
from harness.freebsd.hast.log import (
    Connected,
    ConnectFailed,
    ConnectionAccepted,
    DeviceCreated,
    DeviceRecovered,
    Disconnected,
    Event,
    HookFailed,
    InSync,
    Level,
    ListenFailed,
    LogLine,
    NoConnection,
    NoMetadata,
    OtherResource,
    PeerLost,
    PeerWrongRole,
    Reconnected,
    ResourceUniqueIdMismatch,
    RoleChanged,
    RoleFellBack,
    SizeMismatch,
    SplitBrain,
    Started,
    StartingAnyway,
    Stopping,
    SyncComplete,
    SyncInterrupted,
    SyncStarted,
    UnknownPeer,
    WaitingForPeer,
    WorkerExited,
    WorkerRestarted,
    WrongRole,
    events,
    parse_line,
    parse_log,
)
from tests.unit.freebsd.recordings import recorded

KIB, MIB = 1024, 1024**2


# Wordings from sbin/hastd of FreeBSD 13.2 which the recorded runs did not provoke.
@pytest.mark.parametrize(
    ("message", "event"),
    [
        (
            "Synchronization complete. 1.5GB synchronized in 2h5m9s (27MB/sec).",
            SyncComplete(about_bytes=1536 * MIB, seconds=7509, about_rate=27 * MIB),
        ),
        (
            "Synchronization complete. 512KB synchronized in 1m (8.5KB/sec).",
            SyncComplete(about_bytes=512 * KIB, seconds=60, about_rate=8704),
        ),
        (
            "Synchronization interrupted after 0s. 0B synchronized so far.",
            SyncInterrupted(about_bytes=0, seconds=0),
        ),
        (
            "Data size differs between nodes (local=536862720, remote=1073725440).",
            SizeMismatch("Data", 536862720, 1073725440),
        ),
        ("Changing resource role back to init.", RoleFellBack(Role.PRIMARY, Role.INIT)),
        (
            "Hook was killed (pid=9, signal=15, cmd=[/usr/local/sbin/hook connect mirror]).",
            HookFailed(9, "/usr/local/sbin/hook connect mirror", signal=15),
        ),
        ("Waiting for remote node to become secondary for 20s.", WaitingForPeer(20)),
        ("Remote node is still primary, starting anyway.", StartingAnyway()),
        (
            "Remote node acts as primary for the resource and not as secondary.",
            PeerWrongRole(Role.PRIMARY),
        ),
        (
            "Unable to read metadata from /dev/vtbd1: No such file or directory.",
            NoMetadata("/dev/vtbd1", "No such file or directory"),
        ),
        (
            "Metadata read from /dev/da0 is invalid: Invalid argument.",
            NoMetadata("/dev/da0", "Invalid argument"),
        ),
        ("Provider /dev/da0 is not part of resource b.", OtherResource("/dev/da0", "b")),
        (
            "Unable to listen on address tcp6://[2001:db8::1]: Invalid argument.",
            ListenFailed("tcp6://[2001:db8::1]", "Invalid argument"),
        ),
        (
            "Unable to listen on control address /nosuch/c: No such file or directory.",
            ListenFailed("/nosuch/c", "No such file or directory"),
        ),
        (
            "Unable to create outgoing connection to skunk2:0: Invalid argument.",
            NoConnection("skunk2:0", "Invalid argument"),
        ),
        ("Client tcp://192.168.0.1:4711 isn't known.", UnknownPeer("tcp://192.168.0.1:4711")),
    ],
)
def test_a_wording_of_the_source_becomes_its_event(message: str, event: Event) -> None:
    assert parse_line(f"[INFO] [mirror] (primary) {message}").event == event


PEER = "192.168.0.2"


def log_events(name: str) -> list[Event]:
    """The events of a recorded log, without the connections that a primary's calls make."""
    found = events(parse_log(recorded(name)))
    return [event for event in found if not isinstance(event, ConnectionAccepted)]


def test_the_log_of_a_primary_through_resyncs_a_cut_link_and_a_split_brain() -> None:
    assert log_events("hastd_log_skunk1") == [
        Started(protocol=2),
        RoleChanged(Role.INIT, Role.PRIMARY),
        DeviceCreated("mirror"),
        PeerWrongRole(Role.INIT),
        Connected(PEER),
        Reconnected(PEER),
        SyncStarted(128 * MIB),
        Disconnected(PEER),
        SyncInterrupted(89 * MIB, seconds=12),
        Connected(PEER),
        Reconnected(PEER),
        SyncStarted(512 * MIB),
        Disconnected(PEER),
        SyncInterrupted(67 * MIB, seconds=6),
        Connected(PEER),
        Reconnected(PEER),
        SyncStarted(446 * MIB),
        SyncComplete(446 * MIB, seconds=30, about_rate=15 * MIB),
        Disconnected(PEER),
        *[ConnectFailed(PEER, "No route to host")] * 6,
        *[SplitBrain()] * 2,
        Connected(PEER),
        Reconnected(PEER),
        SyncStarted(512 * MIB),
        SyncComplete(512 * MIB, seconds=34, about_rate=15 * MIB),
    ]


def test_the_log_of_a_secondary_that_was_primary_meanwhile() -> None:
    assert log_events("hastd_log_skunk2")[7:] == [
        PeerLost("Operation timed out"),
        WorkerExited(1196, exitcode=75),
        RoleChanged(Role.SECONDARY, Role.PRIMARY),
        DeviceCreated("mirror"),
        *[ConnectFailed("192.168.0.1", "No route to host")] * 2,
        RoleChanged(Role.PRIMARY, Role.SECONDARY),
        Stopping(),
        SplitBrain(),
        WorkerExited(1222, exitcode=78),
        SplitBrain(),
        WorkerExited(1224, exitcode=78),
        RoleChanged(Role.SECONDARY, Role.INIT),
        RoleChanged(Role.INIT, Role.SECONDARY),
    ]


def test_the_log_of_a_primary_whose_worker_was_killed_and_whose_hook_fails() -> None:
    assert log_events("hastd_log_primary_worker_killed")[2:7] == [
        DeviceCreated("mirror"),
        HookFailed(1215, "/root/hook role mirror init primary", exitcode=3),
        ConnectFailed(PEER, "Connection refused"),
        WorkerExited(1214, signal=9),
        WorkerRestarted(),
    ]
    assert DeviceRecovered("mirror") in log_events("hastd_log_primary_worker_killed")


def test_the_logs_of_two_disks_that_never_were_a_pair() -> None:
    mismatch = ResourceUniqueIdMismatch(primary=6792064235225143961, secondary=12786906115267774721)
    assert log_events("hastd_log_foreign_disk_skunk1")[-1] == mismatch
    assert log_events("hastd_log_foreign_disk_skunk2")[-2:] == [
        mismatch,
        WorkerExited(1874, exitcode=78),
    ]


def test_a_primary_that_calls_a_node_in_another_role_is_seen_there() -> None:
    refused = [line for line in parse_log(recorded("hastd_log_skunk2")) if line.role is Role.INIT]
    assert refused[0].level is Level.WARNING
    assert refused[0].event == WrongRole(Role.INIT, "tcp://192.168.0.1:27473")


def test_writes_before_the_pair_first_met_make_no_split_brain() -> None:
    primary = log_events("hastd_log_unnoticed_split_brain_skunk1")
    other = log_events("hastd_log_unnoticed_split_brain_skunk2")
    assert RoleChanged(Role.SECONDARY, Role.PRIMARY) in other
    assert SplitBrain() not in primary + other
    assert primary[-2:] == [
        SyncStarted(512 * MIB),
        SyncComplete(512 * MIB, seconds=41, about_rate=12 * MIB),
    ]


def test_through_daemon_and_syslogd_the_same_is_read() -> None:
    lines = parse_log(recorded("hastd_log_daemon_syslog_skunk1"))
    assert list(events(lines))[2:] == [
        DeviceCreated("mirror"),
        Connected(PEER),
        SyncStarted(26 * MIB),
        SyncComplete(26 * MIB, seconds=1, about_rate=16 * MIB),
    ]
    assert {(line.host, line.program, line.pid, line.level) for line in lines} == {
        ("skunk1", "hastd", 922, Level.INFO)
    }
    assert lines[-1].stamp == "Nov 22 19:06:29"


def test_through_syslogd_with_rfc_5424_the_same_is_read() -> None:
    lines = parse_log(recorded("hastd_log_rfc5424_daemon_skunk1"))
    assert list(events(lines))[2:] == [DeviceCreated("mirror"), Connected(PEER), InSync()]
    assert {(line.host, line.program, line.pid, line.level) for line in lines} == {
        ("skunk1", "hastd", 1004, Level.INFO)
    }
    assert lines[-1].stamp == "2026-11-22T19:07:46.309601+00:00"


def test_as_a_daemon_of_its_own_hastd_loses_what_its_workers_say() -> None:
    lost = log_events("hastd_log_syslog_skunk1")
    assert DeviceCreated("mirror") in lost
    assert Connected(PEER) not in lost
    assert Connected(PEER) in log_events("hastd_log_daemon_syslog_skunk1")


def test_a_line_of_syslogd_says_who_and_when_and_the_rest_is_read_as_ever() -> None:
    line = parse_line(
        "Nov 22 17:10:36 skunk1 hastd[958]: [mirror] (secondary) Worker process exited "
        "ungracefully (pid=1002, exitcode=78)."
    )
    assert (line.stamp, line.host, line.program, line.pid) == (
        "Nov 22 17:10:36",
        "skunk1",
        "hastd",
        958,
    )
    assert (line.level, line.resource, line.role) == (None, "mirror", Role.SECONDARY)
    assert line.event == WorkerExited(1002, exitcode=78)


def test_the_priority_of_rfc_5424_is_the_level_where_hastd_prints_none() -> None:
    line = parse_line(
        "<28>1 2026-11-22T17:10:36.123456+00:00 skunk1 hastd 958 - - [mirror] (primary) Hello."
    )
    assert line.level is Level.WARNING
    assert line.stamp == "2026-11-22T17:10:36.123456+00:00"
    assert (line.host, line.pid, line.message) == ("skunk1", 958, "Hello.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kernel: something else",
        "[INFO] [mirror] (primary) A wording of a later release.",
        "[INFO] [mirror] (primary) Synchronization complete. 1.2.3MB synchronized in 5s (1B/sec).",
        "Worker process killed (pid=" + "9" * 5000 + ", signal=9).",
        "<999>1 - - - - - - ",
    ],
)
def test_what_is_not_known_stays_a_line_with_all_its_text(text: str) -> None:
    line = parse_line(text)
    assert line.text == text
    assert line.event is None


def test_a_debug_line_has_its_debug_level() -> None:
    assert parse_line("[DEBUG][2] [mirror] (primary) disk: x") == LogLine(
        text="[DEBUG][2] [mirror] (primary) disk: x",
        message="disk: x",
        level=Level.DEBUG,
        debug=2,
        resource="mirror",
        role=Role.PRIMARY,
    )


def test_lines_that_daemon_handed_on_together_are_taken_apart() -> None:
    """Seen on 15.1; behind the header of a syslogd, which is that of each of them."""
    header = "Nov 30 17:10:36 skunk1 hastd[958]: "
    log = (
        "[ERROR] [mirror] (primary) Unable to receive reply header: Operation timed out. "
        "[WARNING] [mirror] (primary) Disconnected from 192.168.0.2. [DEBUG][1] [mirror] x [y]."
    )
    for before in ("", header):
        lines = parse_log(f"{before}{log}\n")
        assert [line.level for line in lines] == [Level.ERROR, Level.WARNING, Level.DEBUG]
        assert list(events(lines)) == [Disconnected("192.168.0.2")]
        assert (
            lines[1].text == f"{before}[WARNING] [mirror] (primary) Disconnected from 192.168.0.2."
        )
        assert lines[2].message == "x [y]."
