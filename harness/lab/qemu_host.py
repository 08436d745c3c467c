"""What the host offers the qemu lab: the QEMU programs, room, and an accelerator that works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from harness.config import paths
from harness.errors import LabError, MissingTool, WaitExpired
from harness.lab import console
from harness.waiting.wait import wait_until

Accelerator = Literal["kvm", "tcg"]

OLDEST_QEMU = (7, 2)
"""The first QEMU with `-netdev dgram`, which carries the private link (QEMU 7.2 changelog)."""

_INSTALL = (
    "install QEMU: `apt-get install qemu-system-x86 qemu-utils` (Debian), `dnf install "
    "qemu-system-x86 qemu-img` (Fedora), `pkg install qemu` (FreeBSD), `brew install qemu` (macOS)"
)

DISK_ROOM_MIB = 4096
"""Room for both overlays, both data disks and a saved state of each."""


@dataclass(frozen=True)
class Qemu:
    """The QEMU programs of this host."""

    system: str
    img: str
    version: tuple[int, int]

    def __str__(self) -> str:
        return "QEMU " + ".".join(map(str, self.version))

    @classmethod
    def find(cls) -> Qemu:
        """Look them up on PATH. Raises `MissingTool` when one is missing or too old."""
        found = {name: shutil.which(name) for name in ("qemu-system-x86_64", "qemu-img")}
        for name, program in found.items():
            if program is None:
                raise MissingTool(f"there is no {name} on this host", advice=_INSTALL)
        system, img = str(found["qemu-system-x86_64"]), str(found["qemu-img"])
        said = subprocess.run(
            [system, "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout
        match = re.search(r"version (\d+)\.(\d+)", said)
        if match is None:
            raise MissingTool(f"`{system} --version` says {said!r}", advice=_INSTALL)
        version = (int(match[1]), int(match[2]))
        if version < OLDEST_QEMU:
            raise MissingTool(
                f"QEMU {version[0]}.{version[1]} is too old: the qemu lab needs "
                f"{OLDEST_QEMU[0]}.{OLDEST_QEMU[1]} or newer",
                advice=_INSTALL,
            )
        return cls(system, img, version)

    def create_overlay(self, path: Path, base: Path, base_format: str) -> None:
        """Make a qcow2 disk that starts as `base` and never writes to it."""
        self._img("create", "-q", "-f", "qcow2", "-F", base_format, "-b", str(base), str(path))

    def create_disk(self, path: Path, mib: int) -> None:
        """Make an empty qcow2 disk of `mib` MiB; it takes room on the host as it fills."""
        self._img("create", "-q", "-f", "qcow2", str(path), f"{mib}M")

    def _img(self, *arguments: str) -> None:
        done = subprocess.run(
            [self.img, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise LabError(f"qemu-img {' '.join(arguments)}: {done.stderr.strip()}")


def check_room(folder: Path, memory_mib: int) -> None:
    """Raise `LabError` unless the host has memory for two guests and disk for their overlays."""
    free_memory = psutil.virtual_memory().available >> 20
    if free_memory < 2 * memory_mib:
        raise LabError(
            f"two guests of {memory_mib} MiB do not fit into the {free_memory} MiB of free memory",
            advice="stop something, or lower machine.memory_mib in lab.yaml (at least 512)",
        )
    free_disk = shutil.disk_usage(folder).free >> 20
    if free_disk < DISK_ROOM_MIB:
        raise LabError(
            f"{folder} has {free_disk} MiB free, and a pair may need {DISK_ROOM_MIB} MiB",
            advice="make room, or point SKUNK_STATE_DIR to a larger disk",
        )


# --- the accelerator ----------------------------------------------------------------------------


def choose_accelerator(
    wanted: Literal["auto", "kvm", "tcg"], qemu: Qemu, image: Path, image_format: str
) -> Accelerator:
    """Return `wanted`, with `auto` resolved by starting a guest under KVM and watching it.

    /dev/kvm can exist, accept a virtual machine, and still not run FreeBSD (`KVM internal error.
    Suberror: 1`), so the device file alone proves nothing. The answer is kept until the host
    reboots or QEMU or the image changes.
    """
    if wanted != "auto":
        return wanted
    if not Path("/dev/kvm").exists():
        return "tcg"
    key = "|".join([_boot_id(), str(qemu), str(image), str(image.stat().st_mtime_ns)])
    known = _remembered()
    if key not in known:
        known = {key: "kvm" if _runs_under_kvm(qemu, image, image_format) else "tcg"}
        memory = _memory()
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(known))
    return known[key]


def found_out(qemu: Qemu) -> Accelerator | None:
    """What `choose_accelerator` found out last with this QEMU, if the host still runs since."""
    beginning = f"{_boot_id()}|{qemu}|"
    return next((one for key, one in _remembered().items() if key.startswith(beginning)), None)


def _memory() -> Path:
    return paths.cache_dir() / "accelerator.json"


def _remembered() -> dict[str, Accelerator]:
    if not _memory().exists():
        return {}
    known: dict[str, Accelerator] = json.loads(_memory().read_text())
    return known


def _boot_id() -> str:
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    return boot_id.read_text().strip() if boot_id.exists() else str(psutil.boot_time())


_KERNEL_SPOKE = re.compile(r"Copyright \(c\) 1992|Linux version|login:")
_PROBE_SECONDS = 30.0


def _runs_under_kvm(qemu: Qemu, image: Path, image_format: str) -> bool:
    """Boot the image under KVM, nothing of it kept, until its kernel speaks on the console."""
    with tempfile.TemporaryDirectory(prefix="skunk-kvm-") as folder:
        log = Path(folder) / "console.log"
        process = subprocess.Popen(
            [
                *(qemu.system, "-nodefaults", "-no-user-config", "-display", "none"),
                *("-accel", "kvm", "-cpu", "host", "-m", "512", "-net", "none", "-snapshot"),
                *("-drive", f"file={image},format={image_format},if=virtio"),
                *("-serial", f"file:{log}", "-monitor", "stdio"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
        try:
            wait_until(
                "a guest under KVM to reach its kernel, or to fail",
                lambda: process.poll() is not None or bool(_KERNEL_SPOKE.search(console.read(log))),
                _PROBE_SECONDS,
            )
        except WaitExpired:
            return False
        else:
            return process.poll() is None
        finally:
            process.kill()
            process.communicate(timeout=10)


def processors(cpus: int, accelerator: Accelerator) -> str:
    """Return the value of `-smp`: under emulation there is always room for a second CPU.

    With room for one only, QEMU's emulation leaves out the guest's memory barriers: mfence up to
    QEMU 8.0 (`tcg_gen_mb` in tcg/tcg-op.c), locked instructions in later ones too. But its own
    threads work on the rings of the virtio devices at the same time. Once in some million frames
    the guest asks for the next interrupt and does not see the frame that has just come, and QEMU
    does not see that it was asked; then the guest receives nothing more on that NIC until it
    resets the device. (13.2 on QEMU 7.2: used_event 256 behind used_idx, a whole ring.) A virtio
    disk has such a ring too. The second CPU is never plugged in; the guest has `cpus`.
    """
    if accelerator == "tcg" and cpus == 1:
        return "1,maxcpus=2"
    return str(cpus)
