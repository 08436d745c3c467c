"""df, ifconfig, geom and kldstat."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import pytest

from harness.errors import UnrecognisedOutput
from harness.freebsd import df, geom, ifconfig, kld
from harness.freebsd.df import FileSystem
from harness.freebsd.geom import Disk
from harness.freebsd.ifconfig import Carp, CarpState, Inet, Inet6, Interface, Vrrp
from harness.freebsd.kld import KernelFile
from tests.unit.freebsd.recordings import command, recorded


def private(name: str, node: int = 1) -> Interface:
    found = ifconfig.interface(ifconfig.parse(recorded(name)), ether=f"52:54:00:C0:A8:0{node}")
    assert found is not None
    return found


def test_the_mounted_file_systems() -> None:
    systems = {each.mounted_on: each for each in df.parse(recorded("df_pool"))}
    assert systems["/failover"] == FileSystem(
        device="failover",
        type="zfs",
        total_kib=360236,
        used_kib=307424,
        available_kib=52812,
        used_percent=85,
        mounted_on="/failover",
    )
    assert systems["/"].type == "ufs"
    assert "/failover" not in {each.mounted_on for each in df.parse(recorded("df_no_pool"))}
    assert command("df_pool")["command"] == " ".join(df.COMMAND)


@pytest.mark.parametrize("text", ["", "df: /failover: No such file", "{}", "[]", "null"])
def test_what_is_not_the_json_of_df_is_refused(text: str) -> None:
    with pytest.raises(UnrecognisedOutput):
        df.parse(text)


def test_an_interface_with_all_its_fields() -> None:
    assert private("ifconfig_plain") == Interface(
        name="vtnet1",
        flags=("UP", "BROADCAST", "RUNNING", "SIMPLEX", "MULTICAST"),
        metric=0,
        mtu=1500,
        options=("VLAN_MTU", "JUMBO_MTU", "LINKSTATE"),
        ether="52:54:00:c0:a8:01",
        inet=(Inet(IPv4Interface("192.168.0.1/24"), broadcast=IPv4Address("192.168.0.255")),),
        inet6=(
            Inet6(IPv6Interface("fe80::5054:ff:fec0:a801%vtnet1/64"), flags=("scopeid", "0x2")),
        ),
        media="Ethernet autoselect (10Gbase-T <full-duplex>)",
        link="active",
        nd6_options=("PERFORMNUD", "ACCEPT_RTADV", "AUTO_LINKLOCAL"),
    )


@pytest.mark.parametrize(
    ("name", "node", "state", "advskew"),
    [
        ("ifconfig_carp_master", 1, CarpState.MASTER, 0),
        ("ifconfig_carp_backup", 2, CarpState.BACKUP, 100),
        ("ifconfig_carp_init", 1, CarpState.INIT, 0),
    ],
)
def test_the_state_of_a_carp_group(name: str, node: int, state: CarpState, advskew: int) -> None:
    nic = private(name, node)
    assert nic.group(7) == Carp(state, vhid=7, advbase=1, advskew=advskew)
    assert nic.group(8) is None
    assert [inet.address for inet in nic.inet if inet.vhid == 7] == [IPv4Address("192.168.0.7")]


def test_several_carp_groups_each_with_its_address() -> None:
    nic = private("ifconfig_carp_two_groups", 2)
    assert [(carp.vhid, carp.state, carp.advbase) for carp in nic.carp] == [
        (7, CarpState.MASTER, 1),
        (8, CarpState.MASTER, 1),
        (9, CarpState.BACKUP, 2),
    ]
    assert [inet6.address for inet6 in nic.inet6 if inet6.vhid == 8] == [IPv6Address("2001:db8::7")]


def test_the_password_of_a_carp_group_when_asked_for() -> None:
    carp = private("ifconfig_carp_key").group(7)
    assert carp is not None
    assert carp.key == "mekmitasdigoat"


def test_the_peers_of_a_carp_group_from_14_on() -> None:
    # Not recorded: the line that sbin/ifconfig/carp.c of FreeBSD 14 adds under each group.
    text = recorded("ifconfig_carp_key").replace(
        '"mekmitasdigoat"\n', '"mekmitasdigoat"\n\t      peer 192.168.0.2 peer6 ff02::12\n'
    )
    (nic,) = ifconfig.parse(text)
    carp = nic.group(7)
    assert carp is not None
    assert (carp.peer, carp.peer6) == (IPv4Address("192.168.0.2"), IPv6Address("ff02::12"))
    assert nic.unrecognised == ()


def test_no_cable_is_told_from_an_interface_that_is_down() -> None:
    unplugged, down = private("ifconfig_no_carrier"), private("ifconfig_down", 2)
    assert (unplugged.up, unplugged.link) == (True, "no carrier")
    assert (down.up, down.link) == (False, "active")


def test_a_group_that_speaks_vrrp() -> None:
    # Not recorded: the line that lib/libifconfig of FreeBSD 15 prints instead of `carp:`.
    text = recorded("ifconfig_carp_key").replace(
        "\tstatus:", "\tvrrp: BACKUP vrid 9 prio 100 interval 100\n\tstatus:"
    )
    (nic,) = ifconfig.parse(text)
    assert nic.vrrp == (Vrrp(CarpState.BACKUP, vrid=9, priority=100, interval=100),)
    assert [(group.vhid, group.state) for group in nic.groups_of_carp] == [
        (7, CarpState.MASTER),
        (9, CarpState.BACKUP),
    ]


def test_lines_of_other_kinds_are_kept() -> None:
    text = recorded("ifconfig_carp_key").replace("\tstatus:", "\tplugged: SFP (LC)\n\tstatus:")
    (nic,) = ifconfig.parse(text)
    assert nic.unrecognised == ("\tplugged: SFP (LC)",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("carp: MASTER", "carp: KING"),
        ("inet 192.168.0.1 ", "inet 192.168.0.1000 "),
        ("vtnet1: flags", "flags"),
    ],
)
def test_nonsense_is_refused(old: str, new: str) -> None:
    text = recorded("ifconfig_carp_key")
    assert old in text
    with pytest.raises(UnrecognisedOutput):
        ifconfig.parse(text.replace(old, new))


def test_the_disks_and_their_serial_numbers() -> None:
    disks = geom.parse_disks(recorded("geom_disk_list"))
    assert disks[1] == Disk(
        name="vtbd1",
        mediasize=536870912,
        sectorsize=512,
        mode="r0w0e0",
        descr=None,
        ident="skunk1-data",
        others=(("rotationrate", "unknown"), ("fwsectors", "63"), ("fwheads", "16")),
    )
    assert [(disk.path, disk.ident) for disk in disks] == [
        ("/dev/vtbd0", "skunk1-os"),
        ("/dev/vtbd1", "skunk1-data"),
    ]


def test_a_disk_without_a_size_is_refused() -> None:
    text = recorded("geom_disk_list").replace("   Mediasize: 536870912 (512M)\n", "")
    with pytest.raises(UnrecognisedOutput, match="Mediasize"):
        geom.parse_disks(text)


def test_the_files_of_the_kernel() -> None:
    files = kld.parse(recorded("kldstat"))
    assert files[0] == KernelFile(
        id=1, refs=18, address=0xFFFFFFFF80200000, size=0x213E2A0, name="kernel"
    )
    assert {"zfs.ko", "geom_gate.ko"} <= {file.name for file in files}


@pytest.mark.parametrize("text", ["", "Id Refs Address Size Name\nkernel\n"])
def test_what_is_not_the_table_of_kldstat_is_refused(text: str) -> None:
    with pytest.raises(UnrecognisedOutput):
        kld.parse(text)
