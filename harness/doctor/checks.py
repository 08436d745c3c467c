"""What each lab needs of this host, what of that is missing, and what mends it. Changes nothing.

The checks are the labs' own, which they make again before they start; here each of them is made,
not only up to the first that fails. Asking takes seconds, so a lab is told of once it is asked.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import psutil
from rich.table import Table
from rich.text import Text

from harness import __version__
from harness.config import paths
from harness.config import settings as settings_file
from harness.config.settings import Settings
from harness.doctor.mend import Family, Missing, command, host_family, host_name
from harness.errors import HarnessError, MissingTool
from harness.lab.choose import DoctorLab, is_model
from harness.lab.images import image as images
from harness.lab.pairs import PairFolder
from harness.lab.ports import check_ports
from harness.record.terminal import console_for

if TYPE_CHECKING:
    from harness.lab.qemu_host import Qemu

LABS = tuple(lab for lab in get_args(DoctorLab) if lab != "vagrant")

_KVM = Path("/dev/kvm")
_KVM_CREATE_VM = 0xAE01
"""linux/kvm.h."""


@dataclass(frozen=True)
class Check:
    """One thing that a lab needs, or (`needed` false) is better off with."""

    name: str
    ok: bool
    says: str
    needed: bool = True
    mend: str | None = None


@dataclass(frozen=True)
class LabReport:
    """All checks of one lab."""

    name: str
    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether a pair would start."""
        return all(check.ok for check in self.checks if check.needed)


@dataclass(frozen=True)
class Room:
    """What the host has for machines, and how much of it is free."""

    processors: int
    memory_mib: int
    free_memory_mib: int
    free_disk_mib: int

    @classmethod
    def look(cls) -> Room:
        """What there is now; the disk is that of the pairs."""
        memory = psutil.virtual_memory()
        return cls(
            processors=os.cpu_count() or 1,
            memory_mib=memory.total >> 20,
            free_memory_mib=memory.available >> 20,
            free_disk_mib=shutil.disk_usage(paths.existing_part(paths.state_dir())).free >> 20,
        )

    def __str__(self) -> str:
        return (
            f"{self.processors} processors; free: {self.free_memory_mib} of {self.memory_mib} MiB "
            f"of memory, {self.free_disk_mib} MiB of disk"
        )


def ready(labs: Sequence[LabReport], asked: str | None) -> bool:
    """Whether the lab asked for is ready, or any with real machines."""
    return any(lab.ready for lab in labs if asked or not is_model(lab.name))


def as_json(room: Room, labs: Sequence[LabReport], asked: str | None) -> str:
    """All of it for a program."""
    told: dict[str, Any] = {
        "host": f"{host_name()}, {platform.machine()}",
        "python": platform.python_version(),
        "harness": __version__,
        **asdict(room),
        "asked": asked,
        "labs": [asdict(lab) | {"ready": lab.ready} for lab in labs],
        "ready": ready(labs, asked),
    }
    return json.dumps(told, indent=2)


def examine(
    settings_path: Path, *, lab: str | None = None, image: Path | None = None, probe: bool = False
) -> Iterator[LabReport]:
    """Make every check of one lab, or of all, and give each lab once it has been asked.

    Raises `SettingsError` for wrong settings. `lab` vagrant is the one with the settings' provider.
    With `probe` KVM is tried with the image, as the first start does; it is the only thing here
    that leaves something, in the cache folder.
    """
    settings = settings_file.load(settings_path)
    if lab == "vagrant":
        lab = f"vagrant-{settings.box.provider}"
    family = host_family()
    for name in LABS:
        if lab not in (None, name):
            continue
        if is_model(name):
            checks = _simulated(settings, family)
        elif name == "qemu":
            checks = _qemu(settings, family, image, probe)
        else:
            checks = _vagrant(settings, family, name.removeprefix("vagrant-"))
        yield LabReport(name, tuple(checks))


def show(lab: LabReport) -> None:
    """Write what a lab has and lacks for a person."""
    console = console_for(None)
    word = "[green]ready[/green]" if lab.ready else "[red]not ready[/red]"
    console.print(f"\n[bold]{lab.name}[/bold]: {word}")
    lines = Table.grid(padding=(0, 1))
    for check in lab.checks:
        sign = ("no", "red") if check.needed else ("well", "yellow")
        said = Text(check.says)
        if not check.ok and check.mend:
            said.append_text(Text.assemble(("\nmend it: ", "bold"), check.mend))
        lines.add_row(Text.assemble("  ", ("ok", "green") if check.ok else sign), check.name, said)
    console.print(lines)


# --- the labs -----------------------------------------------------------------------------------


def _simulated(settings: Settings, family: Family) -> Iterator[Check]:
    yield Check(name="Python", ok=True, says=f"{platform.python_version()}, nothing else is needed")
    yield _made("ports", lambda: check_ports(settings), "free")
    yield _ssh(family)


def _qemu(settings: Settings, family: Family, image: Path | None, probe: bool) -> Iterator[Check]:
    from harness.lab.qemu import prepare  # noqa: PLC0415 - only where it is wanted
    from harness.lab.qemu_host import Qemu, check_room  # noqa: PLC0415

    found: list[Qemu] = []

    def qemu() -> str:
        found.append(Qemu.find())
        return str(found[0])

    yield _made("QEMU", qemu, mend=command("qemu", family))
    yield _made("UEFI firmware", prepare.firmware, mend=command("firmware", family))
    bases: list[Path] = []

    def base() -> str:
        path = image or images.find(settings.image)
        size = images.inspect(path).virtual_size >> 20 if found else path.stat().st_size >> 20
        bases.append(path)
        return f"{path}, {size} MiB"

    yield _made("FreeBSD image", base)
    yield _kvm(settings, family, found[0] if found else None, bases[0] if bases and probe else None)
    folder = paths.existing_part(paths.state_dir())
    yield _made("room", lambda: check_room(folder, settings.machine.memory_mib), _room(settings))
    yield _made("folder", PairFolder("qemu", "default").check, str(paths.state_dir()))
    yield _made("ports", lambda: check_ports(settings), "free")
    yield _ssh(family)


def _vagrant(settings: Settings, family: Family, provider: str) -> Iterator[Check]:
    from harness.lab.vagrant.boxes import check_box, with_box  # noqa: PLC0415
    from harness.lab.vagrant.commands import QUIET, Vagrant  # noqa: PLC0415
    from harness.lab.vagrant.lab import VagrantLab  # noqa: PLC0415 - only where it is wanted
    from harness.lab.vagrant.ssh_host import is_over_ssh  # noqa: PLC0415

    box = settings.box.model_copy(update={"provider": provider})
    settings = with_box(settings.model_copy(update={"box": box}))
    box = settings.box
    vagrant = Vagrant(Path("/"), QUIET)
    program = _made("Vagrant", lambda: str(vagrant.version()), mend=command("vagrant", family))
    yield program
    if provider == "libvirt":
        missing: Missing = "libvirt"
        if program.ok:
            plugins = {each.name: each.version for each in vagrant.plugin_list()}
            there = "vagrant-libvirt" in plugins
            yield Check(
                name="vagrant-libvirt",
                ok=there,
                says=plugins["vagrant-libvirt"] if there else "Vagrant has no such plugin",
                mend=command("vagrant-libvirt", family),
            )
    else:
        missing = "virtualbox"
    if program.ok:
        yield _made("box", lambda: check_box(box, vagrant.box_list()), str(box.name))
    lab = VagrantLab(settings)

    def hypervisor() -> str:
        lab.hypervisor.check()
        return f"{lab.hypervisor.describe()}, {lab.hypervisor.acceleration()}"

    answers = _made(provider, hypervisor, mend=command(missing, family))
    yield answers
    if provider == "libvirt" and not is_over_ssh(box.libvirt_uri):
        yield _kvm(settings, family, None, None)
    if answers.ok:
        yield _made("room", lab.check_room, _room(settings))
    yield _ssh(family)


# --- single checks ------------------------------------------------------------------------------


def _made(
    name: str, check: Callable[[], str | None], says: str = "there", mend: str | None = None
) -> Check:
    """The check of a lab: what it returns or `says` when it holds, else its error and advice."""
    try:
        said = check()
    except HarnessError as error:
        broken = error.what if error.node is None else f"{error.node}: {error.what}"
        advice = mend if isinstance(error, MissingTool) else error.advice
        return Check(name=name, ok=False, says=broken, mend=advice or mend)
    return Check(name=name, ok=True, says=said or says)


def _room(settings: Settings) -> str:
    return f"enough for two guests of {settings.machine.memory_mib} MiB"


def _ssh(family: Family) -> Check:
    program = shutil.which("ssh")
    if program is None:
        return Check(
            name="ssh",
            ok=False,
            needed=False,
            says="not there: the scenarios do without, `skunk ssh` does not",
            mend=command("ssh", family),
        )
    said = subprocess.run(
        [program, "-V"], capture_output=True, text=True, timeout=10, check=False
    ).stderr.strip()
    return Check(name="ssh", ok=True, needed=False, says=said or program)


def _kvm(settings: Settings, family: Family, qemu: Qemu | None, image: Path | None) -> Check:
    """Whether guests run on the processor itself; where they do not, they are emulated."""
    from harness.lab.qemu import prepare  # noqa: PLC0415 - only where it is wanted
    from harness.lab.qemu_host import choose_accelerator, found_out  # noqa: PLC0415

    chosen = settings.machine.accelerator
    trouble, mend, ok = None, None, f"{_KVM} makes a virtual machine"
    if chosen != "auto":
        ok = f"lab.yaml says machine.accelerator: {chosen}"
        trouble = ok if chosen == "tcg" else None
    elif (without := _no_kvm(family)) is not None:
        trouble, mend = without
    elif qemu is not None:
        if image is not None:
            choose_accelerator("auto", qemu, prepare.prepared(image), "qcow2")
        match found_out(qemu):
            case None:
                ok += (
                    "; whether FreeBSD runs in it is tried at the first start "
                    "(`skunk doctor --probe`: now)"
                )
            case "kvm":
                ok += ", and FreeBSD runs in it: tried since this host was booted"
            case "tcg":
                trouble = f"{ok}, and FreeBSD does not run in it: tried since this host was booted"
                mend = "on a virtual host, enable nested virtualisation where it runs"
    if trouble is not None:
        trouble += "; guests are emulated, which works and is several times slower"
    return Check(name="KVM", ok=trouble is None, needed=False, says=trouble or ok, mend=mend)


def _no_kvm(family: Family) -> tuple[str, str | None] | None:
    """Why KVM gives no virtual machine, and what mends it; None when it gives one."""
    if sys.platform != "linux":
        return "this system has none", None
    if not _KVM.exists():
        return f"there is no {_KVM}", _without_device()
    try:
        _create_vm()
    except PermissionError:
        return f"you may not open {_KVM}", command("kvm group", family)
    except OSError as error:
        return f"{_KVM} makes no virtual machine: {error.strerror}", None
    return None


def _without_device() -> str:
    flags = Path("/proc/cpuinfo").read_text(errors="replace")
    if " vmx" in flags:
        return "modprobe kvm_intel"
    if " svm" in flags:
        return "modprobe kvm_amd"
    return (
        "the processor shows no VT-x or AMD-V: switch it on in the firmware, or, on a virtual "
        "host, enable nested virtualisation where it runs"
    )


def _create_vm() -> None:
    """Let KVM make a virtual machine, and let it go. Raises `OSError`."""
    import fcntl  # noqa: PLC0415 - there is none on Windows, where nothing of this runs

    device = os.open(_KVM, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.close(fcntl.ioctl(device, _KVM_CREATE_VM, 0))
    finally:
        os.close(device)
