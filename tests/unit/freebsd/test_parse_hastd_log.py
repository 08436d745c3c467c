"""hastd's log lines: every wording becomes its event, every other line stays as it is."""

from __future__ import annotations

import pytest

from harness.freebsd.hast import Role
from harness.freebsd.hastd_log import (
    ConnectFailed,
    DeviceRecovered,
    Event,
    HookFailed,
    Level,
    LogLine,
    PeerWrongRole,
    ResourceUniqueIdMismatch,
    RoleFellBack,
    SizeMismatch,
    StartingAnyway,
    SyncComplete,
    SyncInterrupted,
    WaitingForPeer,
    WorkerExited,
    WorkerRestarted,
    parse_line,
)

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
            "Resource unique ID mismatch (primary=17923174510321947215, secondary=1).",
            ResourceUniqueIdMismatch(primary=17923174510321947215, secondary=1),
        ),
        (
            "Data size differs between nodes (local=536862720, remote=1073725440).",
            SizeMismatch("Data", 536862720, 1073725440),
        ),
        ("Worker process killed (pid=812, signal=9).", WorkerExited(812, signal=9)),
        ("Restarting worker process.", WorkerRestarted()),
        ("Device hast/mirror recovered.", DeviceRecovered("mirror")),
        ("Changing resource role back to init.", RoleFellBack(Role.PRIMARY, Role.INIT)),
        ("Waiting for remote node to become secondary for 20s.", WaitingForPeer(20)),
        ("Remote node is still primary, starting anyway.", StartingAnyway()),
        (
            "Remote node acts as primary for the resource and not as secondary.",
            PeerWrongRole(Role.PRIMARY),
        ),
        (
            "Unable to connect to 192.168.0.2: Connection refused.",
            ConnectFailed("192.168.0.2", "Connection refused"),
        ),
        (
            "Hook exited ungracefully (pid=9, exitcode=1, cmd=[/usr/local/sbin/hook connect x]).",
            HookFailed(9, "/usr/local/sbin/hook connect x", exitcode=1),
        ),
    ],
)
def test_a_wording_of_the_source_becomes_its_event(message: str, event: Event) -> None:
    assert parse_line(f"[INFO] [mirror] (primary) {message}").event == event


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


def test_the_priority_of_rfc_5424_is_the_level() -> None:
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
