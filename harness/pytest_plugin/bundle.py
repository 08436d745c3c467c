"""The evidence of one failed scenario in one archive, to be sent to somebody. No key is in it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from harness.record.outgoing import without_secrets_in

_OF_THE_RUN = ("run.json",)
"""What a reader needs of the whole run: lab, release, hypervisor, seed."""


def pack(folder: Path) -> Path:
    """Write FOLDER.tar.gz beside the folder of a test, with what says which lab and release.

    Everything in it is under one folder of that name. Where a file has a private key or a
    password, a note stands in its place (harness/record/outgoing.py); a symbolic link is left out.
    """
    target = folder.with_name(f"{folder.name}.tar.gz")
    with tarfile.open(target, "w:gz") as archive:
        for path in _files(folder):
            content = without_secrets_in(path.read_bytes())
            member = tarfile.TarInfo(f"{folder.name}/{_name(path, folder)}")
            member.size = len(content)
            member.mtime = path.stat().st_mtime
            archive.addfile(member, io.BytesIO(content))
    return target


def _files(folder: Path) -> Iterator[Path]:
    for name in _OF_THE_RUN:
        if (folder.parent / name).is_file():
            yield folder.parent / name
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path.name)
