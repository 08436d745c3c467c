"""What UFS looks like in the blocks of a device: superblock, inodes, data, all in fixed places.

The sizes are newfs(8)'s for 13.2 with blocks of 32 KiB and fragments of 4 KiB; where things are is
simpler than in UFS: one block of the model for each inode, which for a directory has its names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.lab.simulated.hardware.disk import BLOCK

SUPERBLOCK = 16
"""Its block, at 64 KiB."""

_INODES = 64
ROOT = 2
SNAP = 3
JOURNAL = 4
_FRAGS = 8
DENSITY = 8192
"""Bytes for each inode unless newfs(8) is told otherwise: two fragments."""
_MIB = 1 << 20


class _Kept:
    def __deepcopy__(self, memo: object) -> _Kept:
        return self


@dataclass(frozen=True)
class UfsInode(_Kept):
    """A file or directory. `blocks` are the numbers of its data blocks, `names` a directory's."""

    number: int
    kind: str
    mode: int
    mtime: float
    target: str = ""
    size: int = 0
    blocks: tuple[int, ...] = ()
    names: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Superblock(_Kept):
    """What makes a device a UFS. `clean` is False for as long as it is mounted for writing."""

    mediasize: int
    soft_updates: bool
    journal: bool
    clean: bool = True
    mounted_on: str = ""
    highest: int = JOURNAL
    """No inode above this number was ever in use."""
    replayed: bool = False
    """Whether the journal was used up since the last mount."""
    density: int = DENSITY
    """Bytes for each inode (newfs -i)."""

    @property
    def geometry(self) -> Geometry:
        """How the device is divided."""
        return Geometry(self.mediasize, self.density)

    @property
    def journal_bytes(self) -> int:
        """The size of .sujournal: a 1024th of the file system, 4 to 32 MiB (tunefs(8))."""
        return max(4 * _MIB, min(32 * _MIB, self.mediasize >> 10 >> 15 << 15))


class Geometry:
    """How newfs(8) divides a device into cylinder groups: that gives the sizes in df(1)."""

    def __init__(self, mediasize: int, density: int) -> None:
        self.sectors = mediasize // BLOCK * 8
        self.fragments = mediasize // BLOCK
        self.group_blocks = min(self.fragments // _FRAGS // 4 + 1, 20007)
        self.groups = -(-self.fragments // (self.group_blocks * _FRAGS))
        self.group_inodes = -(-self.group_blocks * _FRAGS * BLOCK // density // 128) * 128
        self.data_fragments = self.fragments - self.groups * (16 + self.group_inodes // 16) - 25

    def backups(self) -> list[int]:
        """The sectors of the copies of the superblock."""
        return [192 + group * self.group_blocks * 64 for group in range(self.groups)]


def inode_place(number: int) -> int:
    """The block of an inode."""
    return _INODES + number


def first_data_block(superblock: Superblock) -> int:
    """Where data begins. An inode takes a block here, so twice as many leave little else."""
    blocks = superblock.mediasize // BLOCK
    room = blocks // 4 if superblock.density >= DENSITY else blocks - blocks // 8
    return _INODES + min(room, 1 << 18)


def file_fragments(size: int) -> int:
    """Fragments that a file takes: 12 blocks directly, then whole blocks and one that points."""
    if size > 12 * _FRAGS * BLOCK:
        return -(-size // (_FRAGS * BLOCK)) * _FRAGS + _FRAGS
    return -(-size // BLOCK)
