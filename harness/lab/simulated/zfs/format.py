"""What a pool looks like in the blocks of its only device.

Everything but labels and uberblocks is written to free blocks only, and reached from the uberblock
through pointers with checksums, as in ZFS. What differs: two labels instead of four, rings of 16
uberblocks, one block a file for its attributes, and records of 4096 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.lab.simulated.hardware.disk import BLOCK, Content
from harness.lab.simulated.hardware.requests import Pointer

MIB = 1 << 20
START = 1024
"""The first block for data: 4 MiB of labels and boot block (VDEV_LABEL_START_SIZE, 13.2)."""

END = 128
"""Blocks of the labels at the end, 512 KiB (VDEV_LABEL_END_SIZE)."""

RING = 16
_RING_AT = 32


class _Kept:
    """Something that never changes, so that a copy of the world need not copy it."""

    def __deepcopy__(self, memo: object) -> _Kept:
        return self


@dataclass(frozen=True)
class Label(_Kept):
    """What identifies a pool on its device and says who used it last."""

    name: str
    guid: int
    vdev_guid: int
    txg: int
    state: str
    """ACTIVE, EXPORTED or DESTROYED"""
    hostid: int
    hostname: str


@dataclass(frozen=True)
class Uberblock(_Kept):
    """The root of a transaction group: whoever has the highest `txg` is the pool."""

    guid: int
    txg: int
    timestamp: float
    """Seconds since 1970, by the clock of the node that wrote it."""
    root: Pointer


@dataclass(frozen=True)
class Inode(_Kept):
    """A file, directory or symbolic link on the device."""

    kind: str
    mode: int
    mtime: float
    target: str
    size: int
    blocks: tuple[Pointer, ...] = ()


@dataclass(frozen=True)
class LogHeader(_Kept):
    """Where a dataset's intent log goes on: the next block that might be written."""

    guid: int
    sequence: int
    at: int


@dataclass(frozen=True)
class LogBlock(_Kept):
    """Changes that were made durable before their transaction group: path and new inode."""

    guid: int
    sequence: int
    next_at: int
    records: tuple[tuple[str, Inode | None], ...]


@dataclass(frozen=True)
class DatasetRecord(_Kept):
    """A file system or a snapshot of one (`name` has an @) as the pool's root has it."""

    name: str
    guid: int
    created: float
    created_txg: int
    objects: Pointer
    properties: Mapping[str, str] = field(default_factory=dict)
    log: LogHeader | None = None


@dataclass(frozen=True)
class Root(_Kept):
    """The meta object set: what is in the pool."""

    properties: Mapping[str, str]
    datasets: tuple[DatasetRecord, ...]
    history: tuple[str, ...]
    scan: str | None
    damaged: tuple[str, ...]
    """Files with errors that `zpool status -v` lists."""


def label_places(mediasize: int) -> tuple[int, int]:
    """The blocks of the two labels."""
    return 0, mediasize // BLOCK - END


def uberblock_places(mediasize: int, txg: int) -> tuple[int, int]:
    """The blocks that a transaction group's uberblock goes to."""
    slot = _RING_AT + txg % RING
    return slot, mediasize // BLOCK - END + slot


def label_area(mediasize: int) -> list[tuple[int, int]]:
    """What has to be read to find a pool: (first block, count)."""
    return [(0, 64), (mediasize // BLOCK - END, END)]


def labels(blocks: Iterable[Content]) -> list[Label]:
    """The labels among some blocks, newest first."""
    found = [content.value for content in blocks if isinstance(content.value, Label)]
    return sorted(found, key=_label_age)


def _label_age(label: Label) -> int:
    return -label.txg


def uberblocks(blocks: Iterable[Content], guid: int) -> list[Uberblock]:
    """A pool's uberblocks among some blocks, newest first."""
    found = {
        content.value.txg: content.value
        for content in blocks
        if isinstance(content.value, Uberblock) and content.value.guid == guid
    }
    return [found[txg] for txg in sorted(found, reverse=True)]


def usable_bytes(mediasize: int) -> int:
    """The size of a pool on a device: whole metaslabs (vdev_metaslab_set_size, 13.2).

    480 MiB on HAST's 512 MiB and 112 MiB on a disk of 128 MiB were seen on 13.2.
    """
    asize = mediasize // (256 << 10) * (256 << 10) - (START + END) * BLOCK
    shift = 29
    if asize >> shift < 16:
        shift = max((asize // 16).bit_length(), 24)
    elif asize >> shift > 200:
        shift = min((asize // 200).bit_length(), 34)
    return asize >> shift << shift


def slop_bytes(size: int) -> int:
    """What a pool keeps back for itself (spa_get_slop_space, 13.2)."""
    return max(min(size >> 5, 128 << 30), min(size >> 1, 128 * MIB))


def file_bytes(size: int) -> int:
    """What a file takes in records of 128 KiB, with the block that points to several of them.

    Fits what 13.2 showed: 1314 KiB for files of 0, 1, 4096, 131089 and 1048576 bytes.
    """
    record = 128 << 10
    if size <= record:
        return -(-size // 512) * 512
    return -(-size // record) * record + 2048


class Space:
    """Which blocks of the device are free. They are handed out in ascending order, in a circle."""

    def __init__(self, mediasize: int) -> None:
        self._first = START
        self._end = mediasize // BLOCK - END
        self._taken: set[int] = set()
        self._next = START
        self._next_copy = (START + self._end) // 2

    @property
    def taken(self) -> int:
        """How many blocks are in use."""
        return len(self._taken)

    def take(self, *numbers: int) -> None:
        """Note that blocks are in use."""
        self._taken.update(numbers)

    def free(self, numbers: Iterable[int]) -> None:
        """Give blocks back."""
        self._taken.difference_update(numbers)

    def allocate(self) -> int:
        """A free block; raises RuntimeError if there is none (the pool keeps a reserve)."""
        self._next = self._search(self._next)
        return self._next

    def allocate_copy(self) -> int:
        """A free block for a second copy, half of the device away from the first."""
        self._next_copy = self._search(self._next_copy)
        return self._next_copy

    def _search(self, start: int) -> int:
        taken = self._taken
        for numbers in (range(start, self._end), range(self._first, start)):
            for at in numbers:
                if at not in taken:
                    taken.add(at)
                    return at
        raise RuntimeError("the simulated pool has no free block left")
