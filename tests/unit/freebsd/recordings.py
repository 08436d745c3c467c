"""What was recorded from running FreeBSD nodes; see ../recorded/README.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from harness.freebsd import df, fsck, geom, ifconfig, kld, zfs, zpool
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast import log as hastd_log

RECORDED = Path(__file__).resolve().parent.parent / "recorded"

PARSERS: dict[str, Callable[[str], object]] = {
    "df": df.parse,
    "fsck_preen": fsck.parse,
    "geom_disk_list": geom.parse_disks,
    "hastctl_dump": hast.parse_dump,
    "hastctl_list": hast.parse_list,
    "hastctl_status": hast.parse_status,
    "hastd_log": hastd_log.parse_log,
    "ifconfig": ifconfig.parse,
    "kldstat": kld.parse,
    "zfs_list": zfs.parse_list,
    "zpool_import": zpool.parse_import_list,
    "zpool_list": zpool.parse_list,
    "zpool_status": zpool.parse_status,
}
"""Which parser reads which recordings, by the start of their names."""


def recorded(name: str, release: str = "13.2") -> str:
    """The standard output of a recorded command."""
    return (RECORDED / release / f"{name}.txt").read_text(encoding="utf-8")


def command(name: str, release: str = "13.2") -> dict[str, str | int]:
    """Its `node`, `command`, `exit_status`, `stderr` and `situation`."""
    index = json.loads((RECORDED / release / "commands.json").read_text(encoding="utf-8"))
    entry: dict[str, str | int] = index[name]
    return entry


def all_with_parsers(release: str = "13.2") -> list[tuple[str, Callable[[str], object]]]:
    """Every recording of a release that has a parser, with it."""
    found = []
    for path in sorted((RECORDED / release).glob("*.txt")):
        for start, parser in PARSERS.items():
            if path.stem.startswith(start):
                found.append((path.stem, parser))
    return found
