"""What the qemu lab alone promises: it is safe beside others and cleans up after a killed run.

Needs QEMU; no FreeBSD.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.cluster.hardware_faults import PUBLIC_LINK
from harness.cluster.node import Node
from harness.config import paths
from harness.config.settings import NodeSettings, Settings
from harness.errors import PairInUse, PortInUse
from harness.lab.base import Lab
from harness.lab.qemu.lab import QemuLab
from harness.waiting.wait import wait_until
from tests.plumbing import guest
from tests.plumbing.conftest import PAIR, nodes_of, qemu_lab

only_qemu = pytest.mark.parametrize("bench", ["qemu"], indirect=True)

ABANDONED = "abandoned"
START_AND_STAY = """
import signal, sys
from pathlib import Path
from harness.lab.qemu.lab import QemuLab
from harness.waiting.wait import wait_until
from harness.config.settings import Settings

lab = QemuLab(Settings.model_validate_json(sys.argv[1]), Path(sys.argv[2]), pair=sys.argv[3])
print("starting", flush=True)
lab.start()
print("started", flush=True)
signal.pause()
"""


def processes(pair: str) -> list[psutil.Process]:
    """The QEMU processes that run in the folder of `pair`."""
    folder = str(paths.state_dir() / "pairs" / f"qemu-{pair}")
    found = []
    for process in psutil.process_iter():
        try:
            if "qemu" in process.exe() and process.cwd().startswith(f"{folder}/"):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@only_qemu
def test_each_guest_reads_its_own_seed(skunk1: Node, skunk2: Node) -> None:
    assert skunk1.run("hostname").stdout == "skunk1\n"
    assert skunk2.run("hostname").stdout == "skunk2\n"


@only_qemu
def test_nothing_listens_beyond_loopback(lab: Lab) -> None:
    sockets = [
        connection
        for process in [psutil.Process(), *processes(PAIR)]
        for connection in process.net_connections("inet")
    ]
    listening = [each for each in sockets if each.status == psutil.CONN_LISTEN]
    assert len(listening) == 3, "SSH of each node, and the client's way to the service"
    for each in sockets:
        assert ipaddress.ip_address(each.laddr.ip).is_loopback, each


@only_qemu
def test_a_guest_reaches_nothing_on_the_host(skunk1: Node) -> None:
    """10.0.2.2 is the host as QEMU's user networking shows it to a guest."""
    connect = "timeout 3 nc $1 $2 </dev/null"
    assert "OpenSSH" in skunk1.sh(connect, "127.0.0.1", "22", check=False).stdout
    with socket.create_server(("127.0.0.1", 0)) as server:
        skunk1.sh(connect, "10.0.2.2", str(server.getsockname()[1]), check=False)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@only_qemu
def test_the_image_is_never_written(lab: Lab, skunk1: Node) -> None:
    before = guest.cached().stat()
    skunk1.sh("dd if=/dev/urandom of=/root/noise bs=1M count=8; sync")
    after = guest.cached().stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)


@only_qemu
def test_a_limited_data_disk_is_as_slow_as_that_and_then_quick_again(skunk1: Node) -> None:
    """3 MiB at 1 MB/s take 3 s, but for what QEMU's throttle lets through at once."""

    def seconds() -> float:
        read = f"dd if=/dev/disk/by-id/virtio-{skunk1.name}-data of=/dev/null bs=64k count=48"
        begun = time.monotonic()
        skunk1.sh(f"{read} iflag=direct")
        return time.monotonic() - begun

    seconds()
    skunk1.machine.limit_data_disk(1e6)
    try:
        assert 1.5 < seconds() < 10
    finally:
        skunk1.machine.limit_data_disk(None)
    assert seconds() < 1.5


@only_qemu
def test_a_pair_belongs_to_one_run(lab: Lab, small: Settings) -> None:
    """The second run is told who has the pair, and does the first no harm."""
    second = qemu_lab(small)
    running = {process.pid for process in processes(PAIR)}
    with pytest.raises(PairInUse, match=f"process {os.getpid()}"), second:
        pass
    assert {process.pid for process in processes(PAIR)} == running


def test_a_port_that_is_taken_is_told_before_anything_starts(
    own_state: None, small: Settings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        skunk2 = NodeSettings(private_address=small.nodes["skunk2"].private_address, ssh_port=port)
        wanted = small.model_copy(update={"nodes": small.nodes | {"skunk2": skunk2}})
        with pytest.raises(PortInUse, match=str(port)):
            qemu_lab(wanted, ABANDONED).check()
    assert processes(ABANDONED) == []


def test_the_next_run_removes_what_a_killed_one_left(own_state: None, small: Settings) -> None:
    """The harness is killed at nine random moments of its start, and when it has started."""
    folder = paths.state_dir() / "pairs" / f"qemu-{ABANDONED}"
    image = guest.cached()
    dice = random.Random(1)
    moments = [dice.uniform(0, 1.5) for _ in range(9)]
    for moment in (*moments, None):
        _start_and_kill(small, image, after=moment)
    left = processes(ABANDONED)
    assert len(left) == 3, "two machines, and the hub of the public network"

    with qemu_lab(small, ABANDONED) as lab:
        assert not any(process.is_running() for process in left)
        assert len(processes(ABANDONED)) == 3
        for node in nodes_of(lab, small).values():
            node.wait_for_ssh()
    assert processes(ABANDONED) == []
    assert not folder.exists()


def _start_and_kill(small: Settings, image: Path, *, after: float | None) -> None:
    """Let a process of its own start a lab, and SIGKILL it `after` seconds, or once it is done."""
    with subprocess.Popen(
        [sys.executable, "-c", START_AND_STAY, small.model_dump_json(), str(image), ABANDONED],
        stdout=subprocess.PIPE,
        text=True,
        cwd=paths.PROJECT,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "starting\n"
        try:
            if after is None:
                assert child.stdout.readline() == "started\n"
            else:
                child.wait(after)
        except subprocess.TimeoutExpired:
            pass
        else:
            assert after is None, "it was to be killed while it starts, and ended by itself"
        finally:
            child.kill()


def test_each_node_of_a_mixed_pair_boots_its_own_image(
    own_state: None, small: Settings, tmp_path: Path
) -> None:
    image, other = guest.cached(), tmp_path / "other.qcow2"
    shutil.copy(image, other)
    with QemuLab(small, {"skunk2": other, "skunk1": image}, pair=ABANDONED) as lab:
        assert lab.describe().image == f"{image.name} on skunk1, other.qcow2 on skunk2"
        for node in nodes_of(lab, small).values():
            node.wait_for_ssh()
            assert node.run("hostname").stdout == f"{node.name}\n"
        backing = {
            name: json.loads(
                subprocess.check_output(
                    ["qemu-img", "info", "--force-share", "--output=json", str(disk)]
                )
            )["full-backing-filename"]
            for name in lab.machines
            for disk in [paths.state_dir() / "pairs" / f"qemu-{ABANDONED}" / name / "os.qcow2"]
        }
        assert backing == {"skunk1": str(image), "skunk2": str(other)}
    assert processes(ABANDONED) == []


# --- the public network -------------------------------------------------------------------------

SERVICE = "203.0.113.10"


def reaches(node: Node, address: str) -> bool:
    return node.run("ping", "-c", "1", "-W", "1", address, check=False).ok


def serve(node: Node) -> None:
    """Take the service address over and answer whoever connects, as a failover does it."""
    nic = node.sh("ip -o address | sed -n 's|^[0-9]*: \\([a-z0-9]*\\) .* 203.0.113.*|\\1|p'").stdout
    name = nic.split()[0]
    node.run("ip", "address", "add", f"{SERVICE}/32", "dev", name)
    node.sh(f"nc -ll -p 7777 -e /bin/hostname >/dev/null 2>&1 & arping -U -c 1 -I {name} {SERVICE}")


def answer(lab: Lab) -> str:
    """What a client on the host is told at the service address."""
    try:
        with socket.create_connection(lab.service(), 2) as client:
            return client.recv(100).decode().strip()
    except OSError:
        return ""


@only_qemu
def test_a_client_reaches_whoever_has_the_service_address(
    lab: Lab, skunk1: Node, skunk2: Node
) -> None:
    assert reaches(skunk1, "203.0.113.2")
    assert answer(lab) == "", "nobody has the address yet"
    serve(skunk1)
    wait_until("skunk1 to answer a client", lambda: answer(lab), 10, accept="skunk1".__eq__)
    skunk1.power_cut()
    serve(skunk2)
    wait_until("skunk2 to answer a client", lambda: answer(lab), 10, accept="skunk2".__eq__)


@only_qemu
def test_each_network_has_cables_of_its_own(skunk1: Node, skunk2: Node) -> None:
    with PUBLIC_LINK.on(skunk1):
        assert not reaches(skunk1, "203.0.113.2")
        assert reaches(skunk1, "192.168.0.2")
    wait_until("the public network to carry a ping", lambda: reaches(skunk1, "203.0.113.2"), 10)
    with skunk1.link_unplugged():
        assert not reaches(skunk1, "192.168.0.2")
        assert reaches(skunk1, "203.0.113.2")


@only_qemu
def test_nothing_beyond_the_host_is_reached_through_it(skunk1: Node) -> None:
    """The hub's user-mode network answers for the client, and is shut (restrict=on)."""
    skunk1.run("ip", "route", "add", "default", "via", "203.0.113.254", check=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = skunk1.run("nc", "-w", "2", "203.0.113.254", str(port), check=False, stdin=b"x")
        assert not said.ok
