"""geom(8) and diskinfo(8) of FreeBSD 13.2, as far as they show the virtio disks."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hardware.disk import Disk, LocalDisk
from harness.lab.simulated.shell.programs import Context, command

_USAGE = "usage: geom <class> <command> [options]\n       geom -p <provider-name>\n       geom -t"


@command("geom")
def geom(context: Context, arguments: list[str]) -> int:
    """Print the disks."""
    if not arguments:
        context.complain(_USAGE)
        return 1
    if arguments[0] != "disk" or len(arguments) < 2 or arguments[1] not in {"list", "status"}:
        if arguments[0].startswith("-") or arguments[0] == "disk":
            raise NotModelled(f"geom {' '.join(arguments[:2])}")
        known = "part md label eli mirror stripe concat nop gate raid3 shsec journal mountver"
        if arguments[0] in known.split():
            raise NotModelled(f"geom {arguments[0]}")
        context.complain(f"geom: Invalid class name '{arguments[0]}'.")
        return 1
    disks = context.guest.disks
    if arguments[1] == "status":
        if len(arguments) > 2:
            raise NotModelled("geom disk status of one disk")
        context.print(" Name  Status  Components")
        for name in disks:
            context.print(f"{name}     N/A  N/A")
        return 0
    for name in arguments[2:]:
        if name not in disks:
            context.complain(f"geom: Class 'DISK' does not have an instance named '{name}'.")
            return 1
    for name in arguments[2:] or list(disks):
        _print_disk(context, disks[name])
    return 0


def _print_disk(context: Context, disk: Disk) -> None:
    context.print(
        f"Geom name: {disk.name}\nProviders:\n1. Name: {disk.name}\n"
        f"   Mediasize: {disk.size} ({_human(disk.size)})\n   Sectorsize: 512\n"
        f"   Mode: {_mode(context, disk)}\n   descr: (null)\n"
        f"   ident: {disk.serial or '(null)'}\n   rotationrate: unknown\n"
        "   fwsectors: 63\n   fwheads: 16\n"
    )


def _mode(context: Context, disk: Disk) -> str:
    """How often it is open: for reading, writing and exclusively.

    A file system has its disk open as r1w1e1 (13.2).
    """
    if disk.name == "vtbd0":
        return "r3w3e8"
    device = context.guest.devices.get(disk.name)
    opened = 0 if device is None else device.opened
    if disk.reserved is not None and not opened:
        return context.guest.opened_by(disk.name) or "r0w0e0"
    return f"r{opened}w{opened}e{opened}"


@command("diskinfo")
def diskinfo(context: Context, arguments: list[str]) -> int:
    """Print a device's sizes."""
    if not arguments or arguments[0].startswith("-"):
        raise NotModelled(f"diskinfo {' '.join(arguments)}".rstrip())
    status = 0
    for name in arguments:
        device = context.guest.devices.get(name.removeprefix("/dev/"))
        if device is None:
            context.complain(f"diskinfo: {name}: No such file or directory")
            status = 1
            continue
        if not isinstance(device, LocalDisk):
            raise NotModelled(f"diskinfo {name}")
        sectors = device.mediasize // 512
        shape = f"{sectors // 1008}\t16\t63" if sectors >= 1008 else "0\t16\t63"
        context.print(f"{name}\t512\t{device.mediasize}\t{sectors}\t0\t0\t{shape}")
    return status


def _human(size: int) -> str:
    """As humanize_number(3) with a decimal below 10."""
    value = float(size)
    for unit in ("B", "K", "M", "G", "T"):
        if value < 999.5 or unit == "T":
            return f"{value:.1f}{unit}" if value < 9.95 and unit != "B" else f"{value:.0f}{unit}"
        value /= 1024
    return str(size)
