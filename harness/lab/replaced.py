"""Programs of the user's own in the place of the image's: hastd and hastctl, as a patch is tried.

A file is read once, here, before anything starts: what is checked is what the nodes get, whatever
becomes of the file meanwhile. Whether a node can load it shows on the node
(harness/cluster/programs.py).
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config.settings import NODES, PROGRAMS
from harness.config.software import ReplacedProgram
from harness.errors import SettingsError

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

    from harness.config.settings import Program, Settings

LARGEST = 64 << 20
"""Bytes. FreeBSD's own have 0.2 MB; statically linked with all that helps to debug, some."""

USAGE: Mapping[str, re.Pattern[str]] = {
    "hastd": re.compile(r"\[-dFh\]|\[-P pidfile\]"),
    "hastctl": re.compile(r"\bcreate \[-"),
}
"""What each program says of its own use (`usage` in sbin/hastd/hastd.c, sbin/hastctl/hastctl.c)."""

_MACHINE = "EM_X86_64"
_FREEBSD = "ELFOSABI_FREEBSD"
_TYPES = {"ET_REL": "an object file", "ET_CORE": "a core dump"}
_DT_FLAGS_1 = 0x6FFFFFFB
_DF_1_PIE = 0x08000000


@dataclass(frozen=True)
class Replacement:
    """A program that takes the place of another one, with what is in its file."""

    about: ReplacedProgram
    content: bytes


def read(settings: Settings) -> tuple[Replacement, ...]:
    """What the settings replace, checked as far as a host can.

    Raises `SettingsError` for a file that is none, cannot be read, is no program of FreeBSD for the
    image's architecture, or is the other program.
    """
    files: dict[tuple[Program, Path], bytes] = {}
    found = []
    for program in PROGRAMS:
        for node in NODES:
            path = settings.program_for(node, program)
            if path is None:
                continue
            if (program, path) not in files:
                files[program, path] = _checked(program, path)
            content = files[program, path]
            digest = hashlib.sha256(content).hexdigest()
            found.append(Replacement(ReplacedProgram(node, program, path.name, digest), content))
    return tuple(found)


class _Unfit(Exception):
    """Why a file cannot be the program, in words."""


def _checked(program: Program, path: Path) -> bytes:
    """The content of a file that can be the program."""
    try:
        content = _content(path)
        _check_elf(content)
        _check_program(program, content)
    except _Unfit as why:
        raise SettingsError(
            f"{path} cannot take the place of {program}: {why}",
            advice=f"give a {program} that was built for FreeBSD on amd64",
        ) from None
    return content


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise _Unfit("this is a folder, and no program")
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise _Unfit("this is not a regular file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise _Unfit("there is no such file") from None
    except OSError as error:
        raise _Unfit(f"it cannot be read: {error.strerror}") from None
    if not content:
        raise _Unfit("the file is empty")
    if len(content) > LARGEST:
        raise _Unfit(f"it is larger than {LARGEST >> 20} MiB")
    return content


def _check_elf(content: bytes) -> None:
    """Raise `_Unfit` for what FreeBSD on amd64 cannot execute."""
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - few runs replace a program

    if not content.startswith(b"\x7fELF"):
        raise _Unfit("this is no ELF file, and so no program of FreeBSD")
    try:
        elf = ELFFile(io.BytesIO(content))
        header = elf.header
        if (machine := header["e_machine"]) != _MACHINE or elf.elfclass != 64:
            raise _Unfit(f"it is for {elf.get_machine_arch()} ({machine}), the nodes are amd64")
        if header["e_ident"]["EI_OSABI"] != _FREEBSD and not _has_freebsd_note(elf):
            raise _Unfit("it is a program, but none of FreeBSD")
        _check_kind(elf)
        ends = [each["p_offset"] + each["p_filesz"] for each in elf.iter_segments()]
        if max(ends, default=0) > len(content):
            raise _Unfit(
                f"it is cut off: it has {len(content)} bytes of at least {max(ends)}; a linker or "
                "a copy may still be writing it"
            )
    except _Unfit:
        raise
    except Exception as error:  # whatever the library stumbles over in a file that is none
        raise _Unfit(f"the ELF file is damaged: {error or type(error).__name__}") from None


def _has_freebsd_note(elf: ELFFile) -> bool:
    """Whether a note says `FreeBSD`, as the linker's script leaves it (lib/csu, crtbrand.S)."""
    from elftools.elf.segments import NoteSegment  # noqa: PLC0415 - as above

    return any(
        str(note["n_name"]).rstrip("\x00") == "FreeBSD"
        for segment in elf.iter_segments("PT_NOTE")
        if isinstance(segment, NoteSegment)
        for note in segment.iter_notes()
    )


def _check_kind(elf: ELFFile) -> None:
    """Raise `_Unfit` unless it is an executable, position independent or not."""
    kind = elf.header["e_type"]
    if kind == "ET_EXEC":
        return
    if kind != "ET_DYN":
        raise _Unfit(f"it is {_TYPES.get(kind, kind)}, and no program")
    if any(True for _ in elf.iter_segments("PT_INTERP")):
        return
    for dynamic in elf.iter_segments("PT_DYNAMIC"):
        for tag, value in struct.iter_unpack("<2Q", dynamic.data()):
            if tag == _DT_FLAGS_1 and value & _DF_1_PIE:  # a static one, position independent
                return
    raise _Unfit("it is a shared library, and no program")


def _check_program(program: Program, content: bytes) -> None:
    """Raise `_Unfit` for what tells by its usage that it is the other program."""
    text = content.decode("latin-1")
    if USAGE[program].search(text) is not None:
        return
    for other, usage in USAGE.items():
        if usage.search(text) is not None:
            raise _Unfit(f"this is a {other}, by the usage that it would print")
