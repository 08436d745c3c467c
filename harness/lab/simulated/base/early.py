"""The services that only do something, early in a boot: hostid, zpool, hostname, kld, netif."""

from __future__ import annotations

import ipaddress

from harness.lab.simulated.base.rc.rc_conf import conf
from harness.lab.simulated.base.rc.services import Service, Start, register
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.network.interfaces import MANAGEMENT, Network
from harness.lab.simulated.zfs.zfs import Zfs


def _set_host_id(begin: Start) -> int:
    """As rc.d/hostid: from /etc/hostid, else from the firmware."""
    kernel = begin.guest.part(Kernel)
    entry = begin.guest.root.entries.get("/etc/hostid")
    text = entry.data.decode("ascii", "replace").strip() if entry is not None else ""
    kernel.set_host_uuid(text or kernel.environment["smbios.system.uuid"])
    begin.say(f"Setting hostuuid: {kernel.host_uuid}.")
    begin.say(f"Setting hostid: 0x{kernel.host_id:08x}.")
    return 0


def _import_pools(begin: Start) -> int:
    begin.guest.part(Kernel).load("zfs")
    begin.guest.part(Zfs).boot_import()
    return 0


def _set_hostname(begin: Start) -> int:
    name = begin.conf["hostname"]
    kernel = begin.guest.part(Kernel)
    if name:
        begin.say(f"Setting hostname: {name}.")
        kernel.hostname = name
    elif not kernel.hostname and not dhcp_interfaces(begin.guest):
        begin.warn("/etc/rc: WARNING: $hostname is not set -- see rc.conf(5).")
    return 0


def _load_modules(begin: Start) -> int:
    """Load what kld_list names."""
    begin.say("Loading kernel modules:")
    for name in begin.conf["kld_list"].split():
        if begin.guest.part(Kernel).load(name) == "ENOENT":
            begin.say(f"kldload: can't load {name}: No such file or directory")
    return 0


register(
    Service(
        *("hostid", "Generate a unique host ID", "hostid_enable"),
        extra=("reset",),
        start=_set_host_id,
    ),
    Service(
        "hostname", "Set the system's hostname", None, honours=("hostname",), start=_set_hostname
    ),
    Service("kld", "Load kernel modules", None, honours=("kld_list",), start=_load_modules),
    Service("zpool", "Import ZPOOLs", "zfs_enable", start=_import_pools),
)


# --- netif --------------------------------------------------------------------------------------


def dhcp_interfaces(guest: Guest) -> list[str]:
    """The interfaces that rc.conf wants DHCP for."""
    settings = conf(guest, "netif")
    return [
        name
        for name in guest.part(Network).interfaces
        if {"DHCP", "SYNCDHCP"} & set(settings.get(f"ifconfig_{name}", "").upper().split())
    ]


def configure(guest: Guest, name: str) -> None:
    """Give an interface the addresses that rc.conf has for it."""
    network = guest.part(Network)
    settings = conf(guest, "netif")
    wanted = [settings.get(f"ifconfig_{name}", "")]
    while alias := settings.get(f"ifconfig_{name}_alias{len(wanted) - 1}"):
        wanted.append(alias)
    for number, setting in enumerate(wanted):
        if setting.upper() in {"", "DHCP", "SYNCDHCP"} and name == MANAGEMENT:
            continue
        if (words := setting.split()) in ([], ["up"], ["down"]):
            if words:
                network.set_up(name, up=words == ["up"])
            continue
        try:
            address = _address(words)
        except ValueError:
            guest.say(f"ifconfig: {words[1].partition('/')[0]}: bad value")
            continue
        if address is None:
            what = f"ifconfig_{name}{f'_alias{number - 1}' if number else ''}={setting}"
            guest.world.note_gap(guest.name, "/etc/rc.conf", what)
            continue
        network.add(name, address, alias=number > 0)


def _address(words: list[str]) -> ipaddress.IPv4Interface | None:
    """The address in `inet 192.0.2.1/24` or with a netmask; None for words of another kind.

    Raises `ValueError` for one that is none. Without a length it is of the class that it is in.
    """
    if words[:1] != ["inet"] or len(words) < 2 or not words[1][:1].isdigit():
        return None
    rest = [word for word in words[2:] if word not in {"up", "alias"}]
    if "/" in words[1] and not rest:
        return ipaddress.IPv4Interface(words[1])
    if not rest:
        first = int(words[1].partition(".")[0])
        length = 8 if first < 128 else 16 if first < 192 else 24
        return ipaddress.IPv4Interface(f"{words[1]}/{length}")
    if len(rest) != 2 or rest[0] != "netmask":
        return None
    mask = str(ipaddress.IPv4Address(int(rest[1], 16))) if rest[1].startswith("0x") else rest[1]
    return ipaddress.IPv4Interface(f"{words[1]}/{mask}")
