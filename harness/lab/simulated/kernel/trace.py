"""What ktrace(1) writes of a program: its read(2) and write(2), nothing else of it.

Records are as in sys/sys/ktrace.h of 13.2 on amd64: a header, then what was called or returned.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.simulated.kernel.files import STRERROR

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

_HEADER = struct.Struct("<ihxxi20s4xqqq")
_CALL = struct.Struct("<hh4xqqq")
_RETURN = struct.Struct("<hhiq")
_KTR_SYSCALL, _KTR_SYSRET = 1, 2
_READ, _WRITE = 3, 4
"""Numbers of the system calls (sys/sys/syscall.h)."""

_NAMES = {_READ: "read", _WRITE: "write"}
_ERRORS = {"EIO": 5, "ENXIO": 6, "EINVAL": 22, "ENOSPC": 28}
_BUFFER = 0x801048000
"""Where the program has its data."""


@dataclass(frozen=True)
class Record:
    """One record; `time` is in seconds since 1970. `text` is what kdump(1) shows behind it."""

    pid: int
    program: str
    time: float
    kind: str
    text: str


class Trace:
    """The trace of one program of a guest, which has `pid`."""

    def __init__(self, guest: Guest, program: str, pid: int) -> None:
        self.program = program
        self.data = bytearray()
        self._guest = guest
        self._pid = pid

    def read(self, called: float, descriptor: int, wanted: int, got: int) -> None:
        """Note a read(2) that has returned now; `called` is the guest's time of the call."""
        self._note(called, (_READ, descriptor, wanted), got, None)

    def write(self, called: float, descriptor: int, size: int, error: str | None = None) -> None:
        """Note a write(2) that has returned now, with an errno's name or all that was given."""
        self._note(called, (_WRITE, descriptor, size), size, error)

    def _note(
        self, called: float, call: tuple[int, int, int], result: int, error: str | None
    ) -> None:
        code, descriptor, size = call
        self._add(_KTR_SYSCALL, called, _CALL.pack(code, 3, descriptor, _BUFFER, size))
        number = 0 if error is None else _ERRORS.get(error, 5)
        returned = result if error is None else -1
        now = self._guest.wall_clock()
        self._add(_KTR_SYSRET, now, _RETURN.pack(code, 0, number, returned))

    def _add(self, kind: int, time: float, record: bytes) -> None:
        seconds, micros = divmod(int(time * 1e6), 1_000_000)
        name = self.program.encode()[:19]
        header = _HEADER.pack(len(record), kind, self._pid, name, seconds, micros, 100000)
        self.data += header + record


class BadTrace(Exception):
    """The file ends within a record."""


def records(data: bytes) -> Iterator[Record]:
    """Read a trace. Raises `BadTrace`."""
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            return
        length, kind, pid, name, seconds, micros, _ = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if at + length > len(data) or kind not in {_KTR_SYSCALL, _KTR_SYSRET}:
            raise BadTrace
        shown = _called(data, at) if kind == _KTR_SYSCALL else _returned(data, at)
        what = "CALL" if kind == _KTR_SYSCALL else "RET "
        program = name.rstrip(b"\0").decode("ascii", "replace")
        yield Record(pid, program, seconds + micros / 1e6, what, shown)
        at += length


def _called(data: bytes, at: int) -> str:
    code, _, descriptor, buffer, size = _CALL.unpack_from(data, at)
    return f"{_NAMES.get(code, f'[{code}]')}({descriptor:#x},{buffer:#x},{size:#x})"


def _returned(data: bytes, at: int) -> str:
    code, _, error, result = _RETURN.unpack_from(data, at)
    if error:
        word = next(name for name, number in _ERRORS.items() if number == error)
        return f"{_NAMES.get(code, f'[{code}]')} -1 errno {error} {STRERROR[word]}"
    shown = f"{result}/{result:#x}" if result > 9 else str(result)
    return f"{_NAMES.get(code, f'[{code}]')} {shown}"
