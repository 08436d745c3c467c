"""geom(8): the disks of a node, found by their serial number whatever their bus calls them.

The format is that of sbin/geom/core/geom.c and sys/geom/geom_disk.c of FreeBSD 13.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.freebsd.output import Output

DISK_LIST_COMMAND = ("geom", "disk", "list")


@dataclass(frozen=True)
class Disk:
    """One disk. Sizes are in bytes; `ident` is the serial number the hardware tells, if any.

    `mode` counts who has it open, as in `r1w1e2`. `others` are further `name: value` lines.
    """

    name: str
    mediasize: int
    sectorsize: int
    mode: str
    descr: str | None
    ident: str | None
    others: tuple[tuple[str, str], ...] = ()
    unrecognised: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its device, as hast.conf(5) wants it for `local`."""
        return f"/dev/{self.name}"


def parse_disks(text: str) -> tuple[Disk, ...]:
    """Read `geom disk list`. Raises `UnrecognisedOutput` when a disk has no name or no size."""
    output = Output("geom disk list", text)
    blocks: list[list[str]] = []
    for line in output.lines():
        if line.startswith("Geom name: "):
            blocks.append([])
        elif line and not blocks:
            raise output.unrecognised(f"the line {line!r} belongs to no disk")
        elif line and line != "Providers:":
            blocks[-1].append(line)
    return tuple(_disk(output, block) for block in blocks)


def _disk(output: Output, lines: list[str]) -> Disk:
    fields: dict[str, str] = {}
    unrecognised = []
    for line in lines:
        match = re.fullmatch(r"(?:1\. |   )(\w+): ?(.*)", line)
        if match is None or match[1] in fields:
            unrecognised.append(line)
        else:
            fields[match[1]] = match[2]

    def take(key: str) -> str:
        try:
            return fields.pop(key)
        except KeyError:
            raise output.unrecognised(f"a disk has no `{key}:`") from None

    def known(key: str) -> str | None:
        value = fields.pop(key, None)
        return None if value in {None, "", "(null)"} else value

    name = take("Name")
    size = re.sub(r" \(\S+\)$", "", take("Mediasize"))
    return Disk(
        name=name,
        mediasize=output.integer(size, f"Mediasize of {name}"),
        sectorsize=output.integer(take("Sectorsize"), f"Sectorsize of {name}"),
        mode=take("Mode"),
        descr=known("descr"),
        ident=known("ident"),
        others=tuple(fields.items()),
        unrecognised=tuple(unrecognised),
    )
