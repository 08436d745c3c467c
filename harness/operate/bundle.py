"""The evidence of one failed scenario in one archive, to be sent to somebody. No key is in it."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

_PRIVATE_KEY = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL
)
_OPEN_END = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*", re.DOTALL)
_LEFT_OUT = b"(a private key, left out)"

_OF_THE_RUN = ("run.json",)
"""What a reader needs of the whole run: lab, release, hypervisor, seed."""


def pack(folder: Path) -> Path:
    """Write FOLDER.tar.gz beside the folder of a test, with what says which lab and release.

    Everything in it is under one folder of that name. Where a file has a private key, a note
    stands in its place; a symbolic link is left out.
    """
    target = folder.with_name(f"{folder.name}.tar.gz")
    with tarfile.open(target, "w:gz") as archive:
        for path in _files(folder):
            content = without_keys(path.read_bytes())
            member = tarfile.TarInfo(f"{folder.name}/{_name(path, folder)}")
            member.size = len(content)
            member.mtime = path.stat().st_mtime
            archive.addfile(member, io.BytesIO(content))
    return target


def without_keys(content: bytes) -> bytes:
    """The content with every private key in PEM taken out, also one whose end is missing."""
    return _OPEN_END.sub(_LEFT_OUT, _PRIVATE_KEY.sub(_LEFT_OUT, content))


def _files(folder: Path) -> Iterator[Path]:
    for name in _OF_THE_RUN:
        if (folder.parent / name).is_file():
            yield folder.parent / name
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path.name)
