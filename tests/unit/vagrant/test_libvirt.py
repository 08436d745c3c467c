"""What the Vagrant lab asks of libvirt before a start, and what it removes after one."""

from __future__ import annotations

import ipaddress

import pytest

from harness.config.settings import Settings
from harness.errors import LabError, MissingTool, SettingsError
from harness.lab.base import Power
from harness.lab.vagrant import libvirt as module
from harness.lab.vagrant.lab import VagrantLab
from harness.lab.vagrant.libvirt import Libvirt, find_driver, free_network
from harness.waiting import wait
from tests.unit.vagrant.conftest import Programs, with_box

PREFIX = "skunk-try-0123abcd-"
SKUNK1 = f"{PREFIX}skunk1"
VIRSH = "--connect qemu:///system --quiet"
BOX = "freebsd/FreeBSD-13.2-RELEASE"
COPY = "freebsd-VAGRANTSLASH-FreeBSD-13.2-RELEASE_vagrant_box_image_0"


@pytest.fixture
def libvirt(programs: Programs, settings: Settings) -> Libvirt:
    programs.make("virsh")
    programs.make("dnsmasq")
    return Libvirt(settings, PREFIX, "qemu")


def answer(programs: Programs, arguments: str, output: str, status: int = 0) -> None:
    programs.make("virsh", (f"{VIRSH} {arguments}", output, status))


def calls(programs: Programs) -> list[str]:
    return [call.removeprefix(f"{VIRSH} ") for call in programs.calls("virsh")]


# --- verbs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "power"),
    [("running", Power.RUNNING), ("paused", Power.PAUSED), ("shut off", Power.OFF)],
)
def test_power(libvirt: Libvirt, programs: Programs, state: str, power: Power) -> None:
    answer(programs, f"domstate {SKUNK1}", state)
    assert libvirt.power("skunk1") is power


def test_an_error_names_the_node(libvirt: Libvirt, programs: Programs) -> None:
    answer(programs, f"reset {SKUNK1}", "error: Requested operation is not valid", 1)
    with pytest.raises(LabError, match="operation is not valid") as error:
        libvirt.reset("skunk1")
    assert error.value.node == "skunk1"


def test_a_cable_stays_as_it_is_over_a_power_cut(libvirt: Libvirt, programs: Programs) -> None:
    """By its Ethernet address: for the next start always, and at once where the machine runs."""
    link = f"domif-setlink {SKUNK1} 52:54:00:c0:a8:01"
    answer(programs, f"domstate {SKUNK1}", "running")
    libvirt.set_link("skunk1", plugged=False)
    assert calls(programs) == [f"{link} down --config", f"domstate {SKUNK1}", f"{link} down"]
    programs.forget()
    answer(programs, f"domstate {SKUNK1}", "shut off")
    libvirt.set_link("skunk1", plugged=True)
    assert calls(programs) == [f"{link} up --config", f"domstate {SKUNK1}"]


# --- leftovers ----------------------------------------------------------------------------------


def test_only_what_has_the_prefix_is_removed(libvirt: Libvirt, programs: Programs) -> None:
    other = "skunk-try-ffffffff-skunk1"
    answer(programs, "list --all --name", f"{SKUNK1}\n{other}\nWindows 11\n")
    answer(programs, f"domstate {SKUNK1}", "paused")
    answer(programs, "net-list --all --name", f"default\n{PREFIX}private\n{PREFIX}management")
    answer(programs, "net-list --name", f"default\n{PREFIX}private")
    answer(programs, "pool-list --all --name", "default")
    answer(programs, "vol-list default", f" {SKUNK1}.img  /a\n {other}.img  /b\n {COPY}.img  /c")
    libvirt.remove_all()
    changed = [call for call in calls(programs) if not call.startswith(("domstate", "pool-"))]
    assert [call for call in changed if "list" not in call] == [
        f"destroy {SKUNK1}",
        f"undefine {SKUNK1} --managed-save --snapshots-metadata --nvram",
        f"net-destroy {PREFIX}private",
        f"net-undefine {PREFIX}private",
        f"net-undefine {PREFIX}management",
        f"vol-delete {SKUNK1}.img --pool default",
    ]


def volume(name: str, size: int, base: str | None = None) -> str:
    backing = f"<backingStore><path>{base}</path></backingStore>" if base else ""
    return (
        f"<volume><name>{name}</name><physical unit='bytes'>{size}</physical>"
        f"<target><path>/images/{name}</path></target>{backing}</volume>"
    )


def test_a_copy_of_a_box_that_was_cut_short_is_removed(
    libvirt: Libvirt, programs: Programs
) -> None:
    """Unless a disk of some pair stands on it; and never what is no copy of this box."""
    volumes = {
        f"{COPY}_1_box.img": volume(f"{COPY}_1_box.img", 1000),
        f"{COPY}_2_box.img": volume(f"{COPY}_2_box.img", 999),
        f"{COPY}_3_box.img": volume(f"{COPY}_3_box.img", 998),
        "other_vagrant_box_image_0_box.img": volume("other_vagrant_box_image_0_box.img", 5),
        "skunk-x-skunk1.img": volume("skunk-x-skunk1.img", 7, base=f"/images/{COPY}_3_box.img"),
    }
    answer(programs, "pool-list *--name", "default")
    answer(programs, "vol-list default", "\n".join([*volumes, "gone.img"]))
    answer(programs, "vol-dumpxml gone.img --pool default", "error: not found", 1)
    for name, description in volumes.items():
        answer(programs, f"vol-dumpxml {name} --pool default", description)
    libvirt.remove_broken_box_images(BOX, [1000])
    deleted = [call for call in calls(programs) if call.startswith("vol-delete")]
    assert deleted == [f"vol-delete {COPY}_2_box.img --pool default"]


# --- checks -------------------------------------------------------------------------------------


def test_all_is_well(libvirt: Libvirt) -> None:
    libvirt.check()


@pytest.mark.parametrize("there", ["virsh", "dnsmasq"])
def test_one_of_libvirts_programs_is_missing(
    programs: Programs, settings: Settings, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    monkeypatch.setattr(module, "SYSTEM_PROGRAMS", ())
    programs.make(there)
    missing = "dnsmasq" if there == "virsh" else "virsh"
    with pytest.raises(MissingTool, match=rf"no {missing} .*\n.*apt-get install"):
        Libvirt(settings, PREFIX, "qemu").check()


def test_libvirtd_does_not_answer(libvirt: Libvirt, programs: Programs) -> None:
    answer(programs, "version", "error: failed to connect to the hypervisor", 1)
    with pytest.raises(LabError, match=r"failed to connect.*\n.*systemctl start libvirtd"):
        libvirt.check()


def test_no_kvm(programs: Programs, settings: Settings, libvirt: Libvirt) -> None:
    refusal = "error: invalid argument: KVM is not supported by '/usr/bin/qemu-system-x86_64'"
    answer(programs, "domcapabilities --virttype kvm --arch x86_64", refusal, 1)
    with pytest.raises(LabError, match=r"KVM is not supported.*\n.*box.driver to qemu"):
        Libvirt(settings, PREFIX, "kvm").check()


def test_libvirt_asks_qemu_anew_each_time(
    libvirt: Libvirt, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once is right, after an update of QEMU; twice means that its cache is never valid."""
    monkeypatch.setattr(module, "CACHED_SECONDS", 0.0)
    with pytest.raises(LabError, match="chgrp kvm /dev/kvm"):
        libvirt.check()
    assert sum("domcapabilities" in call for call in calls(programs)) == 2


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///session",
        "xen:///system",
        "qemu://host/system",
        "qemu+tls://host/system",
        "qemu+tcp://host/system",
        "qemu+libssh2://user@host/system",
        "qemu+ssh:///system",
        "qemu+ssh://user@host/session",
    ],
)
def test_a_libvirt_that_cannot_serve(programs: Programs, settings: Settings, uri: str) -> None:
    lab = VagrantLab(with_box(settings, libvirt_uri=uri), driver="qemu")
    with pytest.raises(SettingsError, match="libvirt_uri is"):
        lab.hypervisor.check()


def test_a_libvirtd_that_hangs(libvirt: Libvirt, programs: Programs) -> None:
    programs.script("virsh", "/bin/sleep 987")
    wait.set_time_scale(0.01)
    try:
        with pytest.raises(LabError, match="did not end within"):
            libvirt.check()
    finally:
        wait.set_time_scale(1)


# --- what is chosen -----------------------------------------------------------------------------


def test_the_network_for_ssh_overlaps_no_other() -> None:
    taken = [ipaddress.IPv4Network(net) for net in ("10.157.0.0/24", "10.157.1.128/25")]
    assert str(free_network(taken)) == "10.157.2.0/24"
    with pytest.raises(LabError):
        free_network([ipaddress.IPv4Network("10.0.0.0/8")])


def test_networks_that_libvirt_has_are_taken(
    libvirt: Libvirt, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inactive one too: Vagrant would take it for its own and find another name on it."""
    monkeypatch.setattr(libvirt, "_host_networks", list)
    answer(programs, "net-list --all --name", "other")
    answer(
        programs,
        "net-dumpxml other",
        "<network><ip address='10.157.0.1' netmask='255.255.255.0'/>"
        "<ip family='ipv6' address='fd00::1' prefix='64'/></network>",
    )
    assert libvirt.prepare() == {
        "SKUNK_DRIVER": "qemu",
        "SKUNK_MANAGEMENT_NETWORK": "10.157.1.0/24",
    }


def test_the_driver_of_the_settings_is_not_tried(settings: Settings) -> None:
    for driver in ("kvm", "qemu"):
        assert find_driver(with_box(settings, driver=driver).box) == driver


def test_kvm_without_the_right_to_open_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert find_driver(with_box(settings, driver="auto").box) == "qemu"
