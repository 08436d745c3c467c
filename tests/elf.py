"""Small ELF files, made by hand: as much of a program as is looked at before a node has it."""

from __future__ import annotations

import struct

FREEBSD = 9
"""ELFOSABI_FREEBSD (sys/sys/elf_common.h)."""

HASTD = b"hastd\0[-dFh] [-c config] [-P pidfile]\0"
HASTCTL = b"usage: %s create [-d] [-c config] [-e extentsize]\0"

EXECUTABLE, SHARED, OBJECT = 2, 3, 1
AMD64, I386, AARCH64 = 62, 3, 183

_INTERP, _DYNAMIC, _NOTE = 3, 2, 4
_DT_FLAGS_1, _DF_1_PIE = 0x6FFFFFFB, 0x08000000


def program(
    text: bytes = HASTD,
    *,
    osabi: int = FREEBSD,
    machine: int = AMD64,
    kind: int = SHARED,
    interpreter: bool = True,
    static_pie: bool = False,
    note: bytes | None = None,
) -> bytes:
    """A program of 64 bits, little endian, with these marks and `text` at its end."""
    segments = []
    if interpreter:
        segments.append((_INTERP, b"/libexec/ld-elf.so.1\0"))
    if static_pie:
        segments.append((_DYNAMIC, struct.pack("<4Q", _DT_FLAGS_1, _DF_1_PIE, 0, 0)))
    if note is not None:
        padded = note + bytes(-len(note) % 4)
        segments.append((_NOTE, struct.pack("<3I", len(note), 4, 1) + padded + bytes(4)))
    ident = b"\x7fELF" + bytes([2, 1, 1, osabi]) + bytes(8)
    head = ident + struct.pack(
        "<2HI3QI6H", kind, machine, 1, 0x1000, 64, 0, 0, 64, 56, len(segments), 64, 0, 0
    )
    place = len(head) + 56 * len(segments)
    headers, contents = b"", b""
    for type_, content in segments:
        at, size = place + len(contents), len(content)
        headers += struct.pack("<2I6Q", type_, 4, at, at, at, size, size, 8)
        contents += content
    return head + headers + contents + text
