"""The guest's disk: file systems that are filled without being mounted, so without root."""

from __future__ import annotations

from pathlib import Path

from harness.waiting.wait import Deadline
from tests.plumbing.guest.steps import run

MIB = 1 << 20
SECTOR = 512
BOOT_START, BOOT_SIZE = 1 * MIB, 32 * MIB
ROOT_START, ROOT_SIZE = 33 * MIB, 96 * MIB

COMMAND_LINE = "console=ttyS0 printk.time=0 panic=0 oops=panic mitigations=off tsc=reliable"
"""Lines of the console begin with the message itself, as FreeBSD's do; a kernel that panicked stays
where it is, so that a test can see it; a guest that was frozen does not wonder about its clock."""

MASTER_BOOT_RECORD = Path("/usr/lib/syslinux/mbr/mbr.bin")
"""SYSLINUX's, which starts the active partition; of Debian's package syslinux-common."""

_SYSLINUX = f"""\
SERIAL 0 115200
PROMPT 0
DEFAULT guest
LABEL guest
  LINUX vmlinuz
  INITRD initrd
  APPEND {COMMAND_LINE}
"""
_UUID = "736b756e-6b70-4c75-8d62-696e67000001"


def initramfs(stage: Path, out: Path, deadline: Deadline) -> None:
    """Pack `stage` as the kernel's first file system."""
    names = "".join(f"{path.relative_to(stage)}\n" for path in sorted(stage.rglob("*")))
    out.write_bytes(
        run(
            ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0", "--reproducible"],
            deadline,
            cwd=stage,
            stdin=names,
        )
    )


def root_partition(stage: Path, out: Path, deadline: Deadline) -> None:
    """Make an ext4 file system of `stage`."""
    run(
        [
            *("mke2fs", "-q", "-t", "ext4", "-L", "plumbing", "-m", 0, "-J", "size=4"),
            *("-U", _UUID, "-E", f"lazy_itable_init=0,nodiscard,hash_seed={_UUID}"),
            *("-d", stage, out, ROOT_SIZE // 1024),
        ],
        deadline,
    )
    # Whoever runs the build owns the files; in the guest root must, or sshd refuses them.
    owned = "".join(
        f"set_inode_field /{path.relative_to(stage)} {field} 0\n"
        for path in stage.rglob("*")
        for field in ("uid", "gid")
    )
    run(["debugfs", "-w", "-f", "/dev/stdin", out], deadline, stdin=owned)


def whole_disk(out: Path, kernel: Path, initrd: Path, root: Path, deadline: Deadline) -> None:
    """Make a raw disk that a BIOS boots: a FAT partition with SYSLINUX, and `root`."""
    with out.open("wb") as file:
        file.truncate(ROOT_START + ROOT_SIZE)
    run(
        ["sfdisk", "--quiet", out],
        deadline,
        stdin="label: dos\nlabel-id: 0x736b756e\n"
        f"start={BOOT_START // SECTOR}, size={BOOT_SIZE // SECTOR}, type=e, bootable\n"
        f"start={ROOT_START // SECTOR}, size={ROOT_SIZE // SECTOR}, type=83\n",
    )
    boot = f"{out}@@{BOOT_START}"
    geometry = ("-h", 64, "-s", 32, "-T", BOOT_SIZE // SECTOR, "-H", BOOT_START // SECTOR)
    run(["mformat", "-i", boot, *geometry, "-N", "736b756e", "::"], deadline)
    configuration = out.with_name("syslinux.cfg")
    configuration.write_text(_SYSLINUX)
    for source, name in ((kernel, "vmlinuz"), (initrd, "initrd"), (configuration, "syslinux.cfg")):
        run(["mcopy", "-i", boot, source, f"::{name}"], deadline)
    run(["syslinux", "--install", "--offset", BOOT_START, out], deadline)
    with out.open("r+b") as file:
        file.write(MASTER_BOOT_RECORD.read_bytes())
        file.seek(ROOT_START)
        file.write(root.read_bytes())
