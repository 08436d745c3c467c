"""Block storage: what is on a disk, block by block, and what a power cut leaves of it."""

from __future__ import annotations

import enum
import functools
import hashlib
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.lab.simulated.engine.timeline import Owner

BLOCK = 4096
"""Bytes in a block of the model. FreeBSD's disks have sectors of 512; nothing here is smaller."""

_CHUNK = 256
"""Blocks that are kept together, 1 MiB: what hastd's synchronisation moves at once."""

CACHE = 4096
"""Blocks that a disk's write cache has room for, 16 MiB: a common size."""


@functools.lru_cache(maxsize=64)
def zeros(count: int) -> bytes:
    """So many zeros: the same object each time, which compares with itself at once."""
    return bytes(count)


def is_zeros(data: bytes) -> bool:
    """Whether all bytes are zero; comparing is much faster than counting."""
    return data == zeros(len(data))


class Content:
    """What one block holds. Two blocks are equal when they hold the same object.

    A block that holds nothing is a block of zeros. `label` is for people who debug; `data` are the
    block's bytes where they matter (a file's), else bytes are made up from the label, the same
    each time.
    """

    __slots__ = ("_data", "label", "value")

    def __init__(self, label: str, data: bytes | None = None, value: object = None) -> None:
        """`value` is what the block means to the file system that wrote it; it never changes."""
        self.label = label
        self.value = value
        self._data = data

    def __deepcopy__(self, memo: object) -> Content:
        return self

    def __repr__(self) -> str:
        return f"Content({self.label!r})"

    @property
    def data(self) -> bytes:
        """The block's 4096 bytes."""
        data = hashlib.sha256(self.label.encode()).digest() if self._data is None else self._data
        return data.ljust(BLOCK, b"\0")[:BLOCK]


Blocks = Mapping[int, Content]
"""Blocks by their number on the device (its offset in bytes divided by BLOCK)."""


class BlockMap:
    """Sparse blocks, kept in chunks of 1 MiB so that whole ranges move quickly."""

    def __init__(self) -> None:
        self._chunks: dict[int, dict[int, Content]] = {}

    def read(self, first: int, count: int) -> dict[int, Content]:
        """The blocks from number `first` on; those not in the result are zeros."""
        found: dict[int, Content] = {}
        end = first + count
        for number in range(first // _CHUNK, (end + _CHUNK - 1) // _CHUNK):
            chunk = self._chunks.get(number)
            if not chunk:
                continue
            if first <= number * _CHUNK and (number + 1) * _CHUNK <= end:
                found.update(chunk)
            elif count < len(chunk):
                found.update({at: chunk[at] for at in range(first, end) if at in chunk})
            else:
                found.update({at: each for at, each in chunk.items() if first <= at < end})
        return found

    def write(self, first: int, count: int, blocks: Blocks) -> None:
        """Replace the whole range; what `blocks` does not have becomes zeros."""
        self.clear(first, count)
        for at, content in blocks.items():
            self._chunks.setdefault(at // _CHUNK, {})[at] = content

    def clear(self, first: int, count: int) -> None:
        """Make a range zeros."""
        end = first + count
        if count >= _CHUNK:
            numbers: Iterable[int] = range(first // _CHUNK, (end + _CHUNK - 1) // _CHUNK)
            if count > _CHUNK * len(self._chunks):
                numbers = list(self._chunks)
            for number in numbers:
                chunk = self._chunks.get(number)
                if chunk is None or number * _CHUNK >= end or (number + 1) * _CHUNK <= first:
                    continue
                if first <= number * _CHUNK and (number + 1) * _CHUNK <= end:
                    del self._chunks[number]
                else:
                    for at in [at for at in chunk if first <= at < end]:
                        del chunk[at]
            return
        for at in range(first, end):
            chunk = self._chunks.get(at // _CHUNK, {})
            chunk.pop(at, None)

    def __iter__(self) -> Iterator[tuple[int, Content]]:
        for number in sorted(self._chunks):
            yield from sorted(self._chunks[number].items())


class Disk:
    """A disk with a volatile write cache: what was not flushed may be lost with the power.

    `reserved` is what a program keeps at the start of the disk in a format of its own (HAST's
    metadata); it is written through and survives a power cut. Who writes block 0 overwrites it.
    """

    def __init__(self, name: str, size: int, serial: str | None) -> None:
        """`size` is in bytes; `name` is FreeBSD's, as in vtbd1."""
        self.name = name
        self.size = size
        self.serial = serial
        self.reserved: object = None
        self.limit: float | None = None
        """Bytes a second that the hypervisor lets it carry at most."""
        self._blocks = BlockMap()
        self._unflushed: deque[tuple[int, int, dict[int, Content]]] = deque()
        """What the range held before each write that is in the cache, oldest first."""
        self._cached = 0
        self.reads = self.writes = self.bytes_read = self.bytes_written = 0
        """Since the machine was made (devstat(9))."""

    def read(self, first: int, count: int) -> dict[int, Content]:
        """The blocks from number `first` on, as written last."""
        self.reads += 1
        self.bytes_read += count * BLOCK
        return self._blocks.read(first, count)

    def write(self, first: int, count: int, blocks: Blocks) -> None:
        """Write a range into the cache, which pushes older writes out of it."""
        self.writes += 1
        self.bytes_written += count * BLOCK
        self._unflushed.append((first, count, self._blocks.read(first, count)))
        self._cached += count
        while self._cached > CACHE and len(self._unflushed) > 1:
            self._cached -= self._unflushed.popleft()[1]
        self._blocks.write(first, count, blocks)
        if first == 0:
            self.reserved = None

    def flush(self) -> None:
        """Make everything written so far durable."""
        self._unflushed.clear()
        self._cached = 0

    def lose_power(self, rng: random.Random) -> None:
        """Undo a part of the writes that were never flushed: which ones, nobody can tell."""
        for first, count, before in reversed(self._unflushed):
            if rng.random() < 0.5:
                self._blocks.write(first, count, before)
        self.flush()

    def __iter__(self) -> Iterator[tuple[int, Content]]:
        """Every block that is not zeros, in order."""
        return iter(self._blocks)


# --- devices ------------------------------------------------------------------------------------


class Op(enum.Enum):
    """What a request asks of a device (bio(9))."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    FLUSH = "flush"


@dataclass(eq=False)
class Bio:
    """One request to a device. `done` is called with it when it has ended.

    `offset` and `length` are in bytes and multiples of BLOCK; block numbers are those of the device
    (offset // BLOCK). `error` is None or an errno's name such as ENXIO or EIO; a read leaves its
    blocks in `blocks`. `done` is a bound method or None, so that a request in flight can be saved.
    """

    op: Op
    offset: int = 0
    length: int = 0
    blocks: Blocks = field(default_factory=dict)
    done: Callable[[Bio], None] | None = None
    error: str | None = None
    ahead: bool = False
    """Whether FreeBSD reads this later, when it needs it: it takes no time and is not counted."""

    @property
    def first(self) -> int:
        """The number of its first block."""
        return self.offset // BLOCK

    @property
    def count(self) -> int:
        """How many blocks it covers."""
        return self.length // BLOCK

    def end(self, error: str | None = None) -> None:
        """Report the request as done."""
        self.error = error
        if self.done is not None:
            self.done(self)


class BlockDevice(ABC):
    """Something in /dev that a file system can be on. `name` is without the /dev/."""

    name: str
    mediasize: int
    opened: int = 0
    """How often it is open for writing."""

    @abstractmethod
    def submit(self, bio: Bio) -> None:
        """Start a request; `bio.end` is called later, never before this returns."""


class LocalDisk(BlockDevice):
    """A node's own disk as a device: each request takes a latency and its length over a rate."""

    def __init__(self, owner: Owner, disk: Disk, latency: float, rate: float) -> None:
        """`latency` is in seconds, `rate` in bytes a second. Requests are served one by one."""
        self.name = disk.name
        self.mediasize = disk.size
        self.disk = disk
        self.latency = latency
        self._rate = rate
        self._owner = owner
        self._free_at = 0.0

    @property
    def rate(self) -> float:
        """Bytes a second that it carries now."""
        limit = self.disk.limit
        return self._rate if limit is None else min(self._rate, limit)

    def submit(self, bio: Bio) -> None:
        """Queue a request behind those before it."""
        world = self._owner.world
        took = self.latency + (bio.length / self.rate if bio.op in {Op.READ, Op.WRITE} else 0.0)
        if bio.ahead:
            took = 0.0
        self._free_at = max(self._free_at, world.now) + took
        world.schedule(self._owner, self._free_at - world.now, self._serve, bio)

    def _serve(self, bio: Bio) -> None:
        if bio.offset + bio.length > self.mediasize:
            bio.end("EIO")
            return
        match bio.op:
            case Op.READ:
                bio.blocks = self.disk.read(bio.first, bio.count)
            case Op.WRITE:
                self.disk.write(bio.first, bio.count, bio.blocks)
            case Op.DELETE:
                self.disk.write(bio.first, bio.count, {})
            case Op.FLUSH:
                self.disk.flush()
        bio.end()
