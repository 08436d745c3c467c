"""A small Linux guest out of Debian packages: a boot disk for the tests of the labs themselves.

It stands in for FreeBSD where a test is about hardware only: it boots to SSH in seconds under
emulation, reads the same seed (`harness.lab.seed`), writes its console to the first serial port,
obeys the ACPI power button and has its root on a disk. What it does once it runs is in rootfs/.

Building one needs no root: `python -m tests.plumbing.guest OUT.qcow2`.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import filelock

from harness.config import paths
from harness.errors import MissingTool
from harness.waiting.wait import Deadline, scaled
from tests.plumbing.guest import disk
from tests.plumbing.guest.packages import BOOT_MODULES, LATE_MODULES, Programs
from tests.plumbing.guest.steps import GuestError, run, search_path

__all__ = ["GuestError", "build", "cached", "check_tools"]

HERE = Path(__file__).resolve().parent
ROOTFS = HERE / "rootfs"
VAGRANT_KEYS = HERE / "vagrant.pub"
"""Vagrant's well-known insecure keys, as in its own file keys/vagrant.pub."""

PROGRAMS = (
    "usr/sbin/sshd",
    "usr/lib/openssh/sftp-server",
    "usr/bin/scp",
    "usr/bin/ssh-keygen",
)

TOOLS = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "cpio": "cpio",
    "debugfs": "e2fsprogs",
    "depmod": "kmod",
    "mcopy": "mtools",
    "mformat": "mtools",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "sfdisk": "fdisk",
    "syslinux": "syslinux",
}
"""The programs that a build needs on the host, and the Debian package that has each."""

WITHIN = 300.0
"""Seconds that a whole build may take: 10 on the reference machine with a mirror near by."""


def cached(*, vagrant: bool = False) -> Path:
    """The guest as qcow2, built unless the cache has one of this recipe and Debian release.

    `vagrant` asks for the variant that lets Vagrant's insecure keys in, as every Vagrant box does.
    Raises `MissingTool` when the host lacks a program, `GuestError` when a step fails or the whole
    takes longer than `WITHIN`.
    """
    folder = paths.cache_dir() / "plumbing"
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / f"guest-{'vagrant' if vagrant else 'plain'}-{_recipe()}.qcow2"
    with filelock.FileLock(f"{image}.lock", timeout=scaled(WITHIN)):
        if not image.exists():
            build(image, vagrant=vagrant)
    return image


def build(out: Path, *, vagrant: bool = False) -> None:
    """Write a new image to `out`, which appears only when it is whole. See `cached`."""
    check_tools()
    deadline = Deadline.after(WITHIN)
    with tempfile.TemporaryDirectory(prefix="guest-", dir=out.parent) as folder:
        scratch = Path(folder)
        programs = Programs.fetch(scratch, deadline)
        initrd, root = scratch / "initrd", scratch / "root.ext4"
        disk.initramfs(_first_stage(scratch, programs), initrd, deadline)
        disk.root_partition(_root_stage(scratch, programs, vagrant=vagrant), root, deadline)
        raw, qcow2 = scratch / "disk.raw", scratch / "disk.qcow2"
        disk.whole_disk(raw, programs.kernel, initrd, root, deadline)
        run(["qemu-img", "convert", "-O", "qcow2", raw, qcow2], deadline)
        qcow2.replace(out)


def check_tools() -> None:
    """Raise `MissingTool` with the command that mends it unless all of `TOOLS` are here."""
    path = search_path()
    missing = {package for tool, package in TOOLS.items() if not shutil.which(tool, path=path)}
    if not disk.MASTER_BOOT_RECORD.exists():
        missing.add("syslinux-common")
    if missing & {"apt", "dpkg"}:
        raise MissingTool(
            "the plumbing guest is made of Debian packages, and this host has no apt",
            advice="run the plumbing tests on Debian, or in a container of it",
        )
    if missing:
        names = " ".join(sorted(missing))
        raise MissingTool(
            f"the plumbing guest cannot be built without these packages: {names}",
            advice=f"apt-get install --no-install-recommends {names}",
        )


def _first_stage(scratch: Path, programs: Programs) -> Path:
    stage = scratch / "initramfs"
    for folder in ("dev", "proc", "sys", "root"):
        (stage / folder).mkdir(parents=True)
    programs.add_busybox(stage)
    programs.add_modules(stage, "boot", BOOT_MODULES)
    shutil.copy(ROOTFS / "init", stage)
    return stage


def _root_stage(scratch: Path, programs: Programs, *, vagrant: bool) -> Path:
    stage = scratch / "root"
    for folder in ("dev", "proc", "sys", "run", "tmp", "root/.ssh"):
        (stage / folder).mkdir(parents=True)
    (stage / "root/.ssh").chmod(0o700)
    shutil.copytree(ROOTFS / "etc", stage / "etc")
    programs.add_busybox(stage)
    programs.add_modules(stage, "late", LATE_MODULES, loaded=BOOT_MODULES)
    for program in PROGRAMS:
        programs.add_program(stage, program)
    if vagrant:
        authorized = stage / "root/.ssh/authorized_keys"
        shutil.copy(VAGRANT_KEYS, authorized)
        authorized.chmod(0o600)
    return stage


def _recipe() -> str:
    """A digest of all that decides what is in an image, but for the packages' versions."""
    digest = hashlib.sha256()
    release = [path for path in [Path("/etc/os-release")] if path.exists()]
    ours = [path for path in HERE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in sorted(ours) + release:
        digest.update(f"{path.name} {path.stat().st_mode & 0o111}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
