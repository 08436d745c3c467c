"""What the guests rely on when QEMU emulates their CPU. Needs QEMU; boots no operating system."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.lab.qemu.machine import Hardware
from harness.lab.qemu_host import Qemu

FENCES = bytes.fromhex(
    "0faef0"  # mfence: how FreeBSD orders its accesses to a virtio ring
    "f08306000501"  # lock add word [0x500], 1: how Linux does
    "b000e6f4"  # mov al, 0; out 0xf4, al: the end
)
ENTRY = bytes.fromhex("ea000000f0")
"""jmp 0xf000:0, at the address where a CPU starts."""

ROM_SIZE = 1 << 16
ENDED = 1
"""QEMU's exit status when the guest writes 0 to the port of isa-debug-exit."""


def emulated(folder: Path, cpus: int) -> Hardware:
    return Hardware(
        name="skunk1",
        number=1,
        folder=folder,
        qemu=Qemu.find(),
        accelerator="tcg",
        cpus=cpus,
        memory_mib=512,
        private_mac="52:54:00:c0:a8:01",
        public_mac="52:54:00:cb:71:01",
        data_disk_serial="data",
        ssh_port=None,
    )


@pytest.mark.parametrize("cpus", [1, 2])
def test_emulation_keeps_memory_barriers(tmp_path: Path, cpus: int) -> None:
    """A machine of the lab has them also with one CPU: QEMU's own threads see its memory too.

    Without them a NIC falls silent for good once in some million frames.
    """
    rom = tmp_path / "fences.rom"
    rom.write_bytes(FENCES.ljust(ROM_SIZE - 16, b"\xf4") + ENTRY.ljust(16, b"\xf4"))
    hardware = emulated(tmp_path, cpus)
    command = hardware.command({})
    log = tmp_path / "translated.log"
    done = subprocess.run(
        [
            *(hardware.qemu.system, "-nodefaults", "-no-user-config", "-display", "none"),
            *(part for name in ("-machine", "-cpu", "-smp") for part in _option(command, name)),
            *("-bios", str(rom), "-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
            *("-d", "op", "-D", str(log)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ENDED, done.stderr
    operations = [line.split() for line in log.read_text().splitlines()]
    assert any(words[:1] == ["mb"] for words in operations), "mfence became nothing"
    assert any(
        words[0] == "call" and words[1].startswith("atomic_") for words in operations if words
    ), "a locked instruction became a load and a store"


def _option(command: list[str], name: str) -> list[str]:
    place = command.index(name)
    return command[place : place + 2]
