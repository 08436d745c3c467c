"""libvirt on another host: what it keeps there, with an ssh that does all of it here."""

from __future__ import annotations

import ipaddress
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.config.settings import Settings
from harness.errors import LabError
from harness.lab.base import Endpoint
from harness.lab.vagrant import libvirt as module
from harness.lab.vagrant import remote, ssh_host
from harness.lab.vagrant.lab import VagrantLab
from harness.lab.vagrant.remote import RemoteLibvirt
from harness.waiting.wait import wait_until
from tests.unit.vagrant.conftest import Programs, children, kill_children, with_box

URI = "qemu+ssh://me@hypervisor/system"
PREFIX = "skunk-try-0123abcd-"
VIRSH = f"--connect {URI} --quiet"
GUEST = Endpoint("10.157.3.7", 22, "root", Path("/key"), None)


@pytest.fixture
def away(settings: Settings) -> Settings:
    return with_box(settings, libvirt_uri=URI)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folder of the consoles is to be."""
    path = tmp_path / "there"
    path.mkdir()
    monkeypatch.setattr(remote, "CONSOLES", path)
    return path / f"{PREFIX}consoles"


@pytest.fixture
def libvirt(
    programs: Programs, away: Settings, there: Path, tmp_path: Path
) -> Iterator[RemoteLibvirt]:
    programs.ssh()
    programs.make("virsh")
    (tmp_path / "pair").mkdir()
    made = RemoteLibvirt(away, PREFIX, tmp_path / "pair", tmp_path / "log", "qemu")
    yield made
    programs.ssh()
    made.remove_all()


def answer(programs: Programs, arguments: str, output: str, status: int = 0) -> None:
    programs.make("virsh", (f"{VIRSH} {arguments}", output, status))


# --- checks -------------------------------------------------------------------------------------


def test_all_is_well_without_dnsmasq_here(
    libvirt: RemoteLibvirt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYSTEM_PROGRAMS", ())
    libvirt.check()


def test_no_login(libvirt: RemoteLibvirt, programs: Programs) -> None:
    programs.script("ssh", "echo 'Host key verification failed.' >&2; exit 255")
    with pytest.raises(LabError, match=r"Host key verification failed.*\n.*know its host key"):
        libvirt.check()
    assert not programs.calls("virsh")


def test_a_program_is_missing_there(
    libvirt: RemoteLibvirt, programs: Programs, tmp_path: Path
) -> None:
    programs.ssh(first=f"PATH={tmp_path}/bin")
    with pytest.raises(LabError, match="there is no tail and no df on hypervisor"):
        libvirt.check()


def test_libvirtd_does_not_answer_there(libvirt: RemoteLibvirt, programs: Programs) -> None:
    answer(programs, "version", "error: End of file while reading data", 1)
    with pytest.raises(LabError, match=r"End of file.*\n.*ssh to that host works.*group libvirt"):
        libvirt.check()


@pytest.mark.parametrize(("status", "driver"), [(0, "kvm"), (1, "qemu")])
def test_the_driver_is_what_libvirt_says_there(
    programs: Programs, away: Settings, tmp_path: Path, status: int, driver: str
) -> None:
    answer(programs, "domcapabilities --virttype kvm --arch x86_64", "", status)
    auto = with_box(away, driver="auto")
    assert RemoteLibvirt(auto, PREFIX, tmp_path, tmp_path / "log").driver == driver
    for told in ("kvm", "qemu"):
        libvirt = RemoteLibvirt(with_box(away, driver=told), PREFIX, tmp_path, tmp_path / "log")
        assert libvirt.driver == told


def test_room_is_that_of_its_host(
    libvirt: RemoteLibvirt, programs: Programs, tmp_path: Path
) -> None:
    """Where the pool's folder will be."""
    answer(programs, "pool-list --all --name", "default")
    pool = f"<pool><target><path>{tmp_path}/not/yet there</path></target></pool>"
    answer(programs, "pool-dumpxml default", pool)
    room = libvirt.room()
    assert (room.folder, room.host) == (str(tmp_path), "hypervisor")
    assert room.disk_mib == pytest.approx(shutil.disk_usage(tmp_path).free >> 20, rel=0.05)
    assert room.memory_mib == pytest.approx(psutil.virtual_memory().available >> 20, rel=0.2)


def test_the_errors_of_the_lab_name_the_host(
    libvirt: RemoteLibvirt, away: Settings, tmp_path: Path
) -> None:
    machine = away.machine.model_copy(update={"memory_mib": 1 << 30})
    lab = VagrantLab(away.model_copy(update={"machine": machine}), driver="qemu")
    with pytest.raises(LabError, match=r"MiB of free memory on hypervisor"):
        lab.check_room()


def test_networks_of_its_host_are_taken(libvirt: RemoteLibvirt, programs: Programs) -> None:
    addresses = (
        '[{"ifname":"lo","addr_info":[{"local":"127.0.0.1","prefixlen":8}]},{"addr_info":[]},'
        '{"addr_info":[{"local":"10.157.0.9","prefixlen":25},{"local":"192.0.2.9","prefixlen":24}]}]'
    )
    programs.ssh(first=f"case \"$*\" in *'ip -j'*) echo '{addresses}'; exit;; esac")
    assert list(libvirt._host_networks()) == [
        ipaddress.IPv4Network(net) for net in ("127.0.0.0/8", "10.157.0.0/25", "192.0.2.0/24")
    ]
    assert libvirt.prepare()["SKUNK_MANAGEMENT_NETWORK"] == "10.157.1.0/24"


def test_an_ip_that_has_no_json(libvirt: RemoteLibvirt, programs: Programs) -> None:
    programs.ssh(first="case \"$*\" in *'ip -j'*) echo 1: lo: mtu 65536; exit;; esac")
    with pytest.raises(LabError, match=r"1: lo: mtu.*\n.*iproute2"):
        libvirt.prepare()


# --- consoles -----------------------------------------------------------------------------------


def test_the_consoles_come_here(libvirt: RemoteLibvirt, there: Path, tmp_path: Path) -> None:
    assert libvirt.prepare()["SKUNK_CONSOLES"] == str(there)
    assert stat.S_IMODE(there.stat().st_mode) == 0o700
    for node in ("skunk1", "skunk2"):
        with (there / f"{node}.console").open("a") as file:  # there already, of this user
            file.write(f"here is {node}\n")
    here = tmp_path / "pair"
    wait_until(
        "both consoles",
        lambda: [path.read_text() for path in sorted(here.glob("*.console"))],
        10,
        accept=lambda texts: texts == ["here is skunk1\n", "here is skunk2\n"],
    )


def test_a_folder_that_somebody_else_made_is_not_taken(libvirt: RemoteLibvirt, there: Path) -> None:
    there.mkdir()
    with pytest.raises(LabError, match="File exists"):
        libvirt.prepare()


@pytest.mark.parametrize("verb", ["power cut", "restore"])
def test_a_machine_that_stands_still_has_nothing_left_to_say(
    libvirt: RemoteLibvirt, programs: Programs, there: Path, tmp_path: Path, verb: str
) -> None:
    """However slow the way is: what was on its console before is here when the verb returns."""
    programs.ssh(first="case $* in *tail*) sleep 0.7;; esac")
    answer(programs, f"domstate {PREFIX}skunk1", "shut off" if verb == "power cut" else "paused")
    libvirt.prepare()
    (there / "skunk1.console").write_text("panic: before\n")
    if verb == "power cut":
        libvirt.power_cut("skunk1")
    else:
        libvirt.restore("skunk1", "clean")
    assert (tmp_path / "pair" / "skunk1.console").read_text() == "panic: before\n"


def test_nothing_is_left(libvirt: RemoteLibvirt, programs: Programs, there: Path) -> None:
    answer(programs, "list --all --name", f"{PREFIX}skunk1\n{PREFIX[:-2]}-skunk1")
    answer(programs, f"domstate {PREFIX}skunk1", "running")
    before = children()
    libvirt.prepare()
    libvirt.reach("skunk1", GUEST)
    assert children() - before
    libvirt.remove_all()
    assert not there.exists()
    assert not children() - before
    destroyed = [call for call in programs.calls("virsh") if "destroy" in call]
    assert destroyed == [f"{VIRSH} destroy {PREFIX}skunk1"]


def test_a_later_run_removes_what_a_killed_one_left(
    libvirt: RemoteLibvirt, away: Settings, there: Path, tmp_path: Path
) -> None:
    libvirt.prepare()
    RemoteLibvirt(away, PREFIX, tmp_path / "pair", tmp_path / "log", "qemu").remove_all()
    assert not there.exists()


# --- SSH of the guests --------------------------------------------------------------------------


def test_guests_are_reached_through_the_loopback(
    libvirt: RemoteLibvirt, programs: Programs
) -> None:
    first, second = libvirt.reach("skunk1", GUEST), libvirt.reach("skunk2", GUEST)
    assert (first.host, first.user, first.key) == ("127.0.0.1", "root", Path("/key"))
    assert first.port != second.port
    assert libvirt.reach("skunk1", GUEST) == first
    made = programs.calls("ssh")
    assert len(made) == 2
    for call, endpoint in zip(made, (first, second), strict=True):
        assert f" -L 127.0.0.1:{endpoint.port}:10.157.3.7:22 " in call
        assert " -l me " in call


def test_no_way_to_the_host(
    libvirt: RemoteLibvirt, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the network that is broken and not the guest: no `NodeUnreachable`."""
    monkeypatch.setattr(ssh_host, "LINE_SECONDS", 4.0)  # in which it is tried again
    libvirt.reach("skunk1", GUEST)
    programs.script("ssh", "echo 'ssh: connect to host hypervisor: No route to host' >&2; exit 255")
    kill_children()
    with pytest.raises(LabError, match="No route to host"):
        wait_until("the break to be noticed", lambda: not libvirt.reach("skunk1", GUEST), 10)
    programs.ssh()
    monkeypatch.setattr(ssh_host, "LINE_SECONDS", 10)
    libvirt.reach("skunk1", GUEST)
