"""A command over SSH: its result, its quoting, its deadline, and a peer that dies."""

import dataclasses
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import CommandFailed, CommandTimedOut, NodeUnreachable
from harness.lab.keys import KeyPair
from harness.lab.ssh import Connection, remote_command
from harness.waiting.interrupt import at_checkpoints
from harness.waiting.parallel import on_each
from harness.waiting.wait import wait_until
from tests.unit.sshd import Sshd, running_sshd

SHELLS = {"sh": ("/bin/sh", "-c")} | {
    name: (path, "-c") for name in ("csh", "tcsh") if (path := shutil.which(name))
}


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path) as server:
        yield server


@pytest.fixture
def connection(sshd: Sshd) -> Iterator[Connection]:
    opened = Connection("skunk1", sshd.endpoint, alive=1.0, within=10.0)
    yield opened
    opened.close()


def test_result_has_both_streams_status_and_times(connection: Connection) -> None:
    result = connection.run(("sh", "-c", "echo out; echo err >&2; exit 3"), within=10)
    assert (result.stdout, result.stderr, result.status) == ("out\n", "err\n", 3)
    assert 0 < result.duration < 10
    with pytest.raises(CommandFailed) as failed:
        result.check()
    for part in ("skunk1", "status 3", "out", "err", "exit 3"):
        assert part in str(failed.value)


def test_much_output_on_both_streams_does_not_block(connection: Connection) -> None:
    zeros = "dd if=/dev/zero bs=1000 count=3000"
    script = f"{zeros} 2>/dev/null; {zeros} >&2 2>/dev/null"
    result = connection.run(("sh", "-c", script), within=60)
    assert (len(result.raw), len(result.stderr)) == (3_000_000, 3_000_000)


def test_stdin_reaches_the_command(connection: Connection) -> None:
    content = bytes(range(256)) * 4000
    assert connection.run(("cat",), within=30, stdin=content).raw == content


def test_one_connection_serves_many_commands(sshd: Sshd, connection: Connection) -> None:
    for number in range(5):
        assert connection.run(("echo", str(number)), within=10).stdout == f"{number}\n"
    assert sshd.wire.connections == 1


WORDS = [
    "plain",
    "two words",
    "a'b",
    'a"b',
    "$HOME",
    "`id`",
    "a\\b",
    "bang!bang",
    "new\nline",
    "*",
    "é",
    "",
]


@pytest.mark.parametrize("shell", SHELLS)
def test_arguments_arrive_unchanged_whatever_the_login_shell(tmp_path: Path, shell: str) -> None:
    with running_sshd(tmp_path, SHELLS[shell]) as server:
        opened = Connection("skunk1", server.endpoint, alive=5.0, within=10.0)
        result = opened.run(("printf", "<%s>", *WORDS), within=10)
        opened.close()
    assert result.stdout == "".join(f"<{word}>" for word in WORDS)


def test_another_user_goes_through_sudo() -> None:
    assert remote_command(("hastctl", "list"), "vagrant") == "exec sudo -n hastctl list"


def test_a_command_past_its_deadline_is_told_from_a_dead_node(connection: Connection) -> None:
    with pytest.raises(CommandTimedOut, match=r"sleep 30.*1\.0 s"):
        connection.run(("sleep", "30"), within=1.0)
    assert connection.run(("true",), within=10).ok, "the connection is still of use"


@pytest.mark.parametrize("death", ["freeze", "cut"])
def test_a_node_that_dies_in_a_command_is_noticed_in_seconds(
    sshd: Sshd, connection: Connection, death: str
) -> None:
    kill = sshd.wire.frozen.set if death == "freeze" else sshd.wire.cut
    threading.Timer(0.3, kill).start()
    clock = time.monotonic()
    with pytest.raises(NodeUnreachable, match="skunk1"):
        connection.run(("sleep", "30"), within=25)
    assert time.monotonic() - clock < 6
    assert not connection.alive


def test_a_child_in_the_background_does_not_hold_the_result(connection: Connection) -> None:
    result = connection.run(("sh", "-c", "sleep 20 >/dev/null 2>&1 & echo done"), within=10)
    assert result.stdout == "done\n"


def test_nobody_listens(sshd: Sshd) -> None:
    sshd.wire.close()
    with pytest.raises(NodeUnreachable, match="no SSH login"):
        Connection("skunk1", sshd.endpoint, alive=1.0, within=3.0)


def test_a_wrong_host_key_is_refused(sshd: Sshd) -> None:
    other = dataclasses.replace(sshd.endpoint, host_key=KeyPair.generate("other").public)
    with pytest.raises(NodeUnreachable, match="is pinned"):
        Connection("skunk1", other, alive=1.0, within=5.0)


def test_a_frozen_server_does_not_hold_up_a_login(sshd: Sshd) -> None:
    sshd.wire.frozen.set()
    clock = time.monotonic()
    with pytest.raises(NodeUnreachable):
        Connection("skunk1", sshd.endpoint, alive=1.0, within=2.0)
    assert time.monotonic() - clock < 6


@pytest.mark.usefixtures("own_interrupts")
def test_ctrl_c_ends_a_login(sshd: Sshd) -> None:
    sshd.wire.frozen.set()
    threads = threading.active_count()
    clock = time.monotonic()

    def log_in(node: str) -> Connection:
        return Connection(node, sshd.endpoint, alive=1.0, within=60.0)

    with at_checkpoints():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            on_each(["skunk1"], log_in)
        assert time.monotonic() - clock < 30
        wait_until("its threads to end", lambda: threading.active_count() <= threads + 1, 30)


def test_a_command_killed_by_a_signal_has_no_exit_status(connection: Connection) -> None:
    assert connection.run(("sh", "-c", "kill -9 $$"), within=10).status == -1
