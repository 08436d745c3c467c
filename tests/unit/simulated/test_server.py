"""The SSH server of a simulated node: whom it lets in, where it listens, what it runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import psutil
import pytest

from harness.cluster.node import Node
from harness.errors import CommandTimedOut, LabError, NodeUnreachable
from harness.lab.base import Power
from harness.lab.keys import KeyPair
from harness.lab.simulated import server
from harness.lab.simulated.lab import SimulatedLab

Nodes = tuple[Node, Node]


@contextlib.contextmanager
def stranger(
    node: Node, user: str = "root", key: Path | None = None
) -> Iterator[paramiko.Transport]:
    """A client that the harness knows nothing of."""
    endpoint = node.machine.endpoint()
    transport = paramiko.Transport((endpoint.host, endpoint.port))
    try:
        transport.connect(username=user, pkey=paramiko.PKey.from_path(key or endpoint.key))
        yield transport
    finally:
        transport.close()


def test_only_the_labs_key_and_only_root(nodes: Nodes, tmp_path: Path) -> None:
    other = tmp_path / "other"
    KeyPair.generate("other").write_private(other)
    with pytest.raises(paramiko.AuthenticationException), stranger(nodes[0], key=other):
        pass
    with pytest.raises(paramiko.AuthenticationException), stranger(nodes[0], user="toor"):
        pass
    endpoint = nodes[0].machine.endpoint()
    with (
        contextlib.closing(paramiko.Transport((endpoint.host, endpoint.port))) as transport,
        pytest.raises(paramiko.BadAuthenticationType),
    ):
        transport.connect(username="root", password="")
    with stranger(nodes[0]) as transport:
        assert transport.is_authenticated()


def test_it_listens_on_loopback_only(nodes: Nodes) -> None:
    ports = {node.machine.endpoint().port for node in nodes}
    listening = {
        socket.laddr.port: socket.laddr.ip
        for socket in psutil.Process().net_connections("inet")
        if socket.status == psutil.CONN_LISTEN
    }
    assert {listening[port] for port in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("kind", ["direct-tcpip", "forwarded-tcpip", "x11", "nosuch"])
def test_nothing_but_sessions(nodes: Nodes, kind: str) -> None:
    address = ("127.0.0.1", 1)
    with stranger(nodes[0]) as transport, pytest.raises(paramiko.ChannelException):
        transport.open_channel(kind, dest_addr=address, src_addr=address)


@pytest.mark.parametrize(
    "ask",
    [
        paramiko.Channel.get_pty,
        paramiko.Channel.invoke_shell,
        paramiko.Channel.request_x11,
        lambda channel: channel.invoke_subsystem("netconf"),
    ],
    ids=["terminal", "shell", "x11", "subsystem"],
)
def test_a_session_runs_commands_and_nothing_else(
    nodes: Nodes, ask: Callable[[paramiko.Channel], object]
) -> None:
    with stranger(nodes[0]) as transport:
        channel = transport.open_session()
        with pytest.raises((paramiko.SSHException, EOFError)):
            ask(channel)


def test_files_are_copied_and_are_the_models_own(
    lab: SimulatedLab, nodes: Nodes, tmp_path: Path
) -> None:
    """By SFTP, as scp(1) does it, at any length, there and back; never the host's files."""
    skunk1, _ = nodes
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(bytes(range(256)) * 2000)
    with lab.clock.parked(), stranger(skunk1) as transport:
        sftp = paramiko.SFTPClient.from_transport(transport)
        assert sftp is not None
        sftp.put(str(sent), "here")
        sftp.get("/root/here", str(back))
        assert back.read_bytes() == sent.read_bytes()
        with sftp.open("here", "a") as file:
            file.write("more")
        sftp.mkdir("/tmp/folder")
        sftp.posix_rename("here", "/tmp/folder/there")
        sftp.chmod("/tmp/folder/there", 0o600)
        assert sftp.listdir("/tmp/folder") == ["there"]
        for path in (str(sent), "/dev/nosuch", "/nosuch/file"):
            with pytest.raises(FileNotFoundError):
                sftp.stat(path)
        with pytest.raises(FileNotFoundError):
            sftp.put(str(sent), "/nosuch/file")
        with pytest.raises(OSError, match="Failure"):
            sftp.rmdir("/tmp/folder")
    assert skunk1.run("stat", "-f", "%z %Lp", "/tmp/folder/there").stdout == "512004 600\n"
    assert skunk1.run("cat", "/tmp/folder/there").raw == sent.read_bytes() + b"more"


def test_what_the_model_lacks_is_a_gap_to_sftp_too(
    lab: SimulatedLab, nodes: Nodes, tmp_path: Path
) -> None:
    """The file is there, and what is in it nobody knows: that is not `No such file`."""
    with lab.clock.parked(), stranger(nodes[0]) as transport:
        sftp = paramiko.SFTPClient.from_transport(transport)
        assert sftp is not None
        assert {"services", "hosts", "rc.d"} <= set(sftp.listdir("/etc"))
        assert sftp.stat("/etc/protocols").st_size is None
        with pytest.raises(OSError, match="Failure"):
            sftp.get("/etc/protocols", str(tmp_path / "services"))
    assert [(gap.command, gap.what) for gap in lab.gaps()] == [
        ("sftp-server", "what is in /etc/protocols")
    ]


def test_a_command_needs_no_end_of_its_standard_input(lab: SimulatedLab, nodes: Nodes) -> None:
    """Somebody at a terminal types nothing, and the command ends all the same."""
    with lab.clock.parked(), stranger(nodes[0]) as transport:
        for command, typed, said in (("hostname", b"", b"freebsd\n"), ("cat", b"more", b"more")):
            channel = transport.open_session(timeout=60)
            channel.settimeout(60)
            channel.exec_command(command)
            if typed:
                channel.sendall(typed)
                channel.shutdown_write()
            assert channel.makefile("rb").read() == said
            assert channel.recv_exit_status() == 0


def test_an_answer_comes_after_the_word_that_the_command_was_accepted(
    lab: SimulatedLab, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the server's thread for the connection is slow to say so."""
    accept = server._Login.check_channel_exec_request

    def slowly(login: server._Login, channel: paramiko.Channel, command: bytes) -> bool:
        accepted = accept(login, channel, command)
        time.sleep(0.2)
        return accepted

    monkeypatch.setattr(server._Login, "check_channel_exec_request", slowly)
    with lab.clock.parked(), stranger(nodes[0]) as transport:
        channel = transport.open_session(timeout=60)
        channel.settimeout(60)
        channel.exec_command("hostname")
        assert channel.makefile("rb").read() == b"freebsd\n"
        assert channel.recv_exit_status() == 0


def test_the_hosts_files_are_not_there(nodes: Nodes, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("host")
    assert nodes[0].run("cat", str(secret), check=False).status == 1
    nodes[0].sh('mkdir -p "$1" && echo guest > "$2"', str(tmp_path), str(secret))
    assert secret.read_text() == "host"
    assert nodes[0].run("cat", str(secret)).stdout == "guest\n"


def test_an_unknown_command_is_a_gap_in_the_model(lab: SimulatedLab, nodes: Nodes) -> None:
    done = nodes[0].run("bectl", "list", check=False)
    assert done.status == 127
    assert [(gap.node, gap.what) for gap in lab.world.gaps] == [("skunk1", "bectl")]


def test_a_command_is_bounded_in_virtual_time(lab: SimulatedLab, nodes: Nodes) -> None:
    start, host_start = lab.clock.monotonic(), time.monotonic()
    with pytest.raises(CommandTimedOut):
        nodes[0].run("sleep", "3600", within=60)
    assert 60 <= lab.clock.monotonic() - start < 65
    assert time.monotonic() - host_start < 20


def test_a_node_that_loses_power_is_unreachable_until_it_has_booted(nodes: Nodes) -> None:
    skunk1, _ = nodes
    skunk1.machine.power_cut()
    assert skunk1.machine.power() is Power.OFF
    with pytest.raises(NodeUnreachable):
        skunk1.run("true")
    skunk1.power_on()
    skunk1.wait_for_ssh()
    skunk1.run("true")


def test_a_frozen_node_says_nothing_and_wakes_up_as_it_was(nodes: Nodes) -> None:
    skunk1, skunk2 = nodes
    skunk1.run("touch", "/tmp/here")
    with skunk1.paused():
        with pytest.raises(NodeUnreachable):
            skunk1.run("true", within=30)
        skunk2.run("true")
    skunk1.wait_for_ssh()
    skunk1.run("test", "-f", "/tmp/here")


def test_a_snapshot_brings_everything_back_but_time(lab: SimulatedLab, nodes: Nodes) -> None:
    skunk1, skunk2 = nodes
    skunk1.run("touch", "/tmp/before")
    for node in nodes:
        node.disconnect()
    lab.save("here")
    skunk1.run("rm", "/tmp/before")
    skunk2.power_cut()
    moment = lab.clock.monotonic()
    lab.restore("here")
    assert lab.clock.monotonic() >= moment
    skunk1.run("test", "-f", "/tmp/before")
    skunk2.run("true")
    with pytest.raises(LabError, match=r"no snapshot 'nosuch'.*here"):
        lab.restore("nosuch")


def test_off_machines_have_no_buttons(lab: SimulatedLab, nodes: Nodes) -> None:
    nodes[0].power_cut()
    for verb in ("reset", "pause", "resume", "press_power_button"):
        with pytest.raises(LabError, match="skunk1: the machine is off"):
            getattr(nodes[0].machine, verb)()
    with pytest.raises(LabError, match="skunk1 has no power"):
        lab.save("now")


def test_nothing_is_left(settings: object, tmp_path: Path, lab: SimulatedLab, nodes: Nodes) -> None:
    ports = [node.machine.endpoint().port for node in nodes]
    lab.stop()
    assert not [entry for entry in os.scandir(tmp_path / "pairs") if entry.is_dir()]
    until = time.monotonic() + 10  # paramiko's threads close what they have accepted, on their own
    while (left := {each.laddr.port for each in psutil.Process().net_connections("inet")}) & {
        *ports
    } and time.monotonic() < until:
        time.sleep(0.01)
    assert not left.intersection(ports)


def test_any_bytes_may_go_to_the_console(nodes: Nodes) -> None:
    skunk1, _ = nodes
    skunk1.sh("hostname \"$(printf '\\251node')\"; logger -p kern.crit hello")
    skunk1.run("shutdown", "-r", "now")
    skunk1.wait_for_ssh()
    assert "\ufffdnode" in skunk1.console_text()
