"""kldstat(8): the kernel and the modules loaded into it.

Modules that were compiled into the kernel are not listed; `kldstat -q -m NAME` knows them too.
The format is that of sbin/kldstat/kldstat.c of FreeBSD 13.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.freebsd.output import Output

COMMAND = ("kldstat",)


@dataclass(frozen=True)
class KernelFile:
    """A file linked into the running kernel. `size` is in bytes."""

    id: int
    refs: int
    address: int
    size: int
    name: str


def parse(text: str) -> tuple[KernelFile, ...]:
    """Read `kldstat`. Raises `UnrecognisedOutput` when it is not its table."""
    output = Output("kldstat", text)
    lines = output.lines()
    if not lines or lines[0].split() != ["Id", "Refs", "Address", "Size", "Name"]:
        raise output.unrecognised("it has not the header of a table")
    files = []
    for line in lines[1:]:
        row = re.fullmatch(
            r" *([0-9]{1,9}) +([0-9]{1,9}) +0x([0-9a-f]{1,16}) +([0-9a-f]{1,16}) (\S+)", line
        )
        if row is None:
            raise output.unrecognised(f"the line {line!r} is no row of its table")
        files.append(
            KernelFile(
                id=int(row[1]),
                refs=int(row[2]),
                address=int(row[3], 16),
                size=int(row[4], 16),
                name=row[5],
            )
        )
    return tuple(files)
