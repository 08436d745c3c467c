"""The services that only do something, early in a boot: hostid, zpool, hostname, kld, netif."""

from __future__ import annotations

from harness.lab.simulated.base.rc.rc_conf import conf
from harness.lab.simulated.base.rc.services import Service, Start, register
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.guest import MANAGEMENT, Guest
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.network.commands.ifconfig import change
from harness.lab.simulated.network.interfaces import Network
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
    settings = conf(guest, "netif")
    wanted = [settings.get(f"ifconfig_{name}", "")]
    while alias := settings.get(f"ifconfig_{name}_alias{len(wanted) - 1}"):
        wanted.append(alias)
    for number, setting in enumerate(wanted):
        if setting.upper() in {"", "DHCP", "SYNCDHCP"} and name == MANAGEMENT:
            continue
        words = setting.split()
        if number and "alias" not in words:
            words.append("alias")
        try:
            if words and (complaint := change(guest, name, words)) is not None:
                guest.say(complaint)
        except NotModelled:
            what = f"ifconfig_{name}{f'_alias{number - 1}' if number else ''}={setting}"
            guest.world.note_gap(guest.name, "/etc/rc.conf", what)
