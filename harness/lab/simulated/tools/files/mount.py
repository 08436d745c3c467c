"""mount(8), umount(8), newfs(8) of FreeBSD 13.2 for UFS, and the list of what is mounted."""

from __future__ import annotations

import posixpath

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.hardware.disk import BlockDevice, LocalDisk
from harness.lab.simulated.hardware.requests import Requests, write_bios
from harness.lab.simulated.kernel.files import FileSystem
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.ufs.format import DENSITY, Superblock
from harness.lab.simulated.ufs.ufs import Ufs, Walk, fresh
from harness.lab.simulated.zfs.dataset import Dataset
from harness.lab.simulated.zfs.pool import pool_of
from harness.lab.simulated.zfs.zfs import Zfs

_UMOUNT_USAGE = (
    "usage: umount [-fNnv] special ... | node ... | fsid ...\n"
    "       umount -a | -A [-F fstab] [-fnv] [-h host] [-t type]"
)


# --- mount ----------------------------------------------------------------------------------------


@command("mount")
def mount(context: Context, arguments: list[str]) -> int | Program:
    """Mount a UFS, or list what is mounted."""
    try:
        options = Options(arguments, "rwfvp", "to")
    except BadOption as bad:
        raise NotModelled(f"mount -{bad.letter}") from None
    if not options.rest:
        return _list(context, options)
    if len(options.rest) == 1:
        name = options.rest[0]
        if name in {"/", "/boot/efi"}:
            raise NotModelled(f"mount {name}")
        context.complain(f"mount: {name}: unknown special file or file system")
        return 1
    for each in options.value("o").split(","):
        if each not in {"", "ro", "rw", "noatime"}:
            raise NotModelled(f"mount -o {each}")
    if len(options.rest) > 2 or options.value("t", "ufs") not in {"ufs", "zfs"}:
        raise NotModelled(f"mount {' '.join(arguments)}")
    return _mount(context, options)


def _list(context: Context, options: Options) -> int:
    if "v" in options or "o" in options:
        raise NotModelled("mount -v or -o without a file system")
    kinds = options.value("t").split(",") if "t" in options else []
    if "p" in options:
        return _list_as_fstab(context, kinds)
    for line in _lines(context):
        if not kinds or line.rpartition("(")[2].rstrip(")").split(",")[0] in kinds:
            context.print(line)
    return 0


def _list_as_fstab(context: Context, kinds: list[str]) -> int:
    """As fstab(5) has it (putfsent() of sbin/mount/mount.c)."""
    for at, each in context.guest.tree.mounts.items():
        rows = [(each.device, at, each.kind, _fstab_flags(each))]
        if at == "/":
            rows.append(("devfs", "/dev", "devfs", "rw"))
            rows.append(("/dev/gpt/efiesp", "/boot/efi", "msdosfs", "rw"))
        for device, where, kind, flags in rows:
            if kinds and kind not in kinds:
                continue
            passes = {"/": "1 1", "/boot/efi": "2 2"}.get(where, "2 2" if kind == "ufs" else "0 0")
            tab = "\t" if len(flags) < 8 else " "
            context.print(f"{_column(device)}{_column(where)}{kind}\t{flags}{tab}\t{passes}")
    return 0


def _fstab_flags(filesystem: FileSystem) -> str:
    flags = "ro" if filesystem.read_only else "rw"
    return f"{flags},nfsv4acls" if isinstance(filesystem, Dataset) else flags


def _column(text: str) -> str:
    return text + ("\t" * (3 - len(text) // 8) if len(text) < 24 else " ")


def _lines(context: Context) -> list[str]:
    found = []
    for at, each in context.guest.tree.mounts.items():
        found.append(f"{each.device} on {at} ({', '.join(_flags(each))})")
        if at == "/":
            found.append("devfs on /dev (devfs)")
            found.append("/dev/gpt/efiesp on /boot/efi (msdosfs, local)")
    return found


def _flags(filesystem: FileSystem) -> list[str]:
    """In the order of mount(8)."""
    flags = [filesystem.kind, "local"]
    if filesystem.read_only:
        flags.append("read-only")
    if isinstance(filesystem, Dataset):
        return [*flags, "nfsv4acls"]
    if not isinstance(filesystem, Ufs) or filesystem.superblock.soft_updates:
        flags.append("soft-updates")
    if isinstance(filesystem, Ufs) and filesystem.superblock.journal:
        flags.append("journaled soft-updates")
    return flags


def _mount(context: Context, options: Options) -> Program:
    guest = context.guest
    special, where = options.rest[0], posixpath.normpath(context.path(options.rest[1]))
    device = guest.devices.get(special.removeprefix("/dev/"))
    wrong = _wrong_place(context, where) or _wrong_device(context, device, options)
    if wrong is not None or device is None:
        context.complain(f"mount: {wrong}")
        return 1
    walk = Walk(guest, device)
    yield walk.finished
    read_only = "r" in options or "ro" in options.value("o").split(",")
    wrong = _wrong_content(walk, where, read_only=read_only)
    if wrong is not None or walk.superblock is None:
        context.complain(f"mount: /dev/{device.name}: {wrong}")
        return 1
    if not walk.superblock.clean:
        guest.part(Kernel).say(f"WARNING: {where} was not properly dismounted")
    filesystem = Ufs(guest, device, walk.superblock, where, read_only=read_only)
    filesystem.load(walk.entries, walk.inodes)
    if not read_only:
        yield filesystem.begin()
    guest.tree.mounts[where] = filesystem
    return 0


def _wrong_place(context: Context, where: str) -> str | None:
    entry = context.guest.tree.entry(where)
    if entry is None:
        return f"{where}: No such file or directory"
    return f"{where}: Not a directory" if entry.kind != "dir" else None


def _wrong_device(context: Context, device: BlockDevice | None, options: Options) -> str | None:
    special = options.rest[0]
    if device is None or options.value("t", "ufs") != "ufs":
        if options.value("t") == "zfs" and context.guest.part(Zfs).dataset(special) is not None:
            raise NotModelled("mount -t zfs of a file system of an imported pool")
        return f"{special}: Invalid fstype: Invalid argument"
    shown = f"/dev/{device.name}"
    if any(each.device == shown for each in context.guest.tree.mounts.values()):
        return f"{shown}: Device busy"
    return f"{shown}: Operation not permitted" if device.opened else None


def _wrong_content(walk: Walk, where: str, *, read_only: bool) -> str | None:
    if walk.superblock is None:
        return "Input/output error" if walk.error else "Invalid fstype: Invalid argument"
    superblock = walk.superblock
    # With soft updates an unclean file system lacks no more than some free blocks.
    if superblock.clean or read_only or (superblock.soft_updates and not superblock.journal):
        return None
    more = " Forced mount will invalidate journal contents" if superblock.journal else ""
    return (
        f"R/W mount on {where} denied. Filesystem is not clean - run fsck.{more}: "
        "Operation not permitted"
    )


# --- umount ---------------------------------------------------------------------------------------


@command("umount")
def umount(context: Context, arguments: list[str]) -> int | Program:
    """Unmount file systems: waits until they are written."""
    try:
        options = Options(arguments, "fv")
    except BadOption as bad:
        raise NotModelled(f"umount -{bad.letter}") from None
    if not options.rest:
        context.complain(_UMOUNT_USAGE)
        return 1
    return _umount_all(context, options)


def _umount_all(context: Context, options: Options) -> Program:
    status = 0
    for name in options.rest:
        status |= yield from _umount(context, name, force="f" in options)
    return status


def _umount(context: Context, name: str, *, force: bool) -> Program:
    tree = context.guest.tree
    by_device = {each.device: at for at, each in tree.mounts.items()}
    at = by_device.get(name) or posixpath.normpath(context.path(name))
    filesystem = tree.mounts.get(at)
    if filesystem is None:
        return _not_mounted(context, name, at)
    if at == "/":
        context.complain("umount: unmount of / failed: Invalid argument")
        return 1
    if not force and any(each.startswith(at + "/") for each in tree.mounts):
        context.complain(f"umount: unmount of {at} failed: Device busy")
        return 1
    if isinstance(filesystem, Dataset):
        if pool_of(filesystem).suspended:
            yield Signal()
        context.guest.part(Zfs).unmount(filesystem)
        yield pool_of(filesystem).wait_synced()
        return 0
    if not isinstance(filesystem, Ufs):
        raise NotModelled(f"umount {name}")
    ended = filesystem.end()
    yield ended
    tree.mounts.pop(at, None)
    return 0


def _not_mounted(context: Context, name: str, at: str) -> int:
    entry = context.guest.tree.entry(at)
    if entry is None:
        context.complain(f"umount: {name}: statfs: No such file or directory")
        context.complain(f"umount: {name}: unknown file system")
    elif entry.kind == "chr":
        context.complain(f"umount: {name}: unknown file system")
    elif entry.kind == "dir":
        context.complain(f"umount: {name}: not a file system root directory")
    else:
        raise NotModelled(f"umount of the file {name}")
    return 1


# --- newfs ----------------------------------------------------------------------------------------


@command("newfs")
def newfs(context: Context, arguments: list[str]) -> int | Program:
    """Make a UFS on a device."""
    try:
        options = Options(arguments, "UjN", "i")
    except BadOption as bad:
        raise NotModelled(f"newfs -{bad.letter}") from None
    if len(options.rest) != 1:
        raise NotModelled("newfs without one device")
    return _newfs(context, options)


def _newfs(context: Context, options: Options) -> Program:
    name = options.rest[0].removeprefix("/dev/")
    device = context.guest.devices.get(name)
    if device is None:
        context.complain(f"newfs: /dev/{name}: could not find special device")
        return 1
    if isinstance(device, LocalDisk) and device.disk.reserved is not None:
        raise NotModelled(f"newfs on {name}, which is HAST's")
    if device.opened:
        context.complain(f"newfs: /dev/{name}: failed to open disk for writing")
        return 1
    journal = "j" in options
    density = options.value("i", str(DENSITY))
    if density not in {"4096", "8192"}:
        raise NotModelled(f"newfs -i {density}")
    superblock = Superblock(
        device.mediasize, "U" in options or journal, journal, density=int(density)
    )
    shape = superblock.geometry
    context.print(
        f"/dev/{name}: {shape.fragments / 256:.1f}MB ({shape.sectors} sectors) "
        "block size 32768, fragment size 4096\n"
        f"\tusing {shape.groups} cylinder groups of {shape.group_blocks / 32:.2f}MB, "
        f"{shape.group_blocks} blks, {shape.group_inodes} inodes."
    )
    if superblock.soft_updates:
        context.print("\twith soft updates")
    context.print("super-block backups (for fsck_ffs -b #) at:")
    _print_backups(context, shape.backups(), newline=not journal)
    if "N" in options:
        return 0
    now = context.guest.wall_clock()
    ended = Signal()
    places = fresh(superblock, now)
    requests = Requests(write_bios(places), ended.fire)
    requests.start(device)
    yield ended
    if requests.error is not None:
        raise NotModelled(f"newfs on a device that fails with {requests.error}")
    yield 0.02 * shape.groups
    if journal:
        context.print(f"Using inode 4 in cg 0 for {superblock.journal_bytes} byte journal")
        context.complain("newfs: soft updates journaling set")
    return 0


def _print_backups(context: Context, sectors: list[int], *, newline: bool) -> None:
    """Eighty columns at most, as newfs(8) does it."""
    line = ""
    for number, sector in enumerate(sectors):
        text = f" {sector}" + ("," if number + 1 < len(sectors) else "")
        if len(line) + len(text) >= 80:
            context.print(line)
            line = ""
        line += text
    context.stdout += line.encode() + (b"\n" if newline else b"")
