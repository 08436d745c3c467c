"""Which extents of a resource are dirty, and which have to be sent again (activemap.c, 13.2)."""

from __future__ import annotations

CHUNK = 1048576
"""Bytes that the synchronisation moves at once: MAXPHYS on 64 bits."""


class KeepDirtyAborted(Exception):
    """An assertion of hastd's fails: it can keep two extents dirty, or more, but not one (13.2)."""


class ActiveMap:
    """The three maps of a primary, as bits of integers, and the list of extents kept dirty.

    `dirty` has the extents with writes in flight or to be synchronised, `to_sync` those to be
    synchronised; on disk are those that are dirty and those that are kept dirty.
    """

    def __init__(self, datasize: int, extentsize: int, keepdirty: int, on_disk: int) -> None:
        """`on_disk` is the map as it was found: after a crash all of it is sent again."""
        self.datasize = datasize
        self.extentsize = extentsize
        self.keepdirty = keepdirty
        self.extents = (datasize - 1) // extentsize + 1
        self.dirty = self.to_sync = on_disk & self.all
        self._pending = {extent: self._requests(extent) for extent in bits_of(self.dirty)}
        self._kept: dict[int, None] = {}
        self._kept_map = 0
        self._sync_at = -1 if self.to_sync else -2

    @property
    def all(self) -> int:
        """A map with every extent set."""
        return (1 << self.extents) - 1

    @property
    def on_disk(self) -> int:
        """What belongs on the disk now."""
        return self.dirty | self._kept_map

    @property
    def dirty_bytes(self) -> int:
        """As `hastctl list` prints it: whole extents."""
        return self.dirty.bit_count() * self.extentsize

    # --- writes ---------------------------------------------------------------------------------

    def write_start(self, offset: int, length: int) -> bool:
        """Note a write that begins; whether the map on disk has to be updated first."""
        modified = False
        for extent in self._extents_of(offset, length):
            pending = self._pending.get(extent, 0)
            self._pending[extent] = pending + 1
            if not pending:
                self.dirty |= 1 << extent
            modified |= self._keep(extent)
        return modified

    def write_complete(self, offset: int, length: int) -> bool:
        """Note a write that has ended; whether the map on disk has to be updated."""
        modified = False
        for extent in self._extents_of(offset, length):
            self._pending[extent] -= 1
            if not self._pending[extent]:
                self.dirty &= ~(1 << extent)
                modified |= extent not in self._kept
        return modified

    def need_sync(self, offset: int, length: int) -> bool:
        """Note a write that did not go to the other node; whether to update the map on disk."""
        modified = False
        for extent in self._extents_of(offset, length):
            bit = 1 << extent
            if self.to_sync & bit:
                continue
            self.to_sync |= bit
            self.dirty |= bit
            self._pending[extent] = self._pending.get(extent, 0) + self._requests(extent)
            modified = True
        return modified

    def merge(self, other: int) -> None:
        """Take over the dirty extents of the other node."""
        other &= self.all
        if not other:
            return
        for extent in bits_of(other & ~self.to_sync):
            self._pending[extent] = self._requests(extent)
        self.to_sync |= other
        self.dirty |= other
        self.rewind()

    # --- synchronisation ------------------------------------------------------------------------

    def rewind(self) -> None:
        """Begin with the first extent again."""
        self._sync_at = -1 if self.to_sync else -2

    def next_chunk(self) -> tuple[int, int, int]:
        """Offset and length of what to synchronise next, and the extent that is done with that.

        The offset is -1 at the end, the extent -1 when none is done.
        """
        done = -1
        if self._sync_at == -2:
            return -1, 0, done
        at, size = self._sync_at, self.extentsize
        if at >= 0 and (at + CHUNK >= self.datasize or at // size != (at + CHUNK) // size):
            done = at // size
            self.to_sync &= ~(1 << done)
            at = -1
        if at == -1:
            if not self.to_sync:
                self._sync_at = -2
                return -1, 0, done
            at = ((self.to_sync & -self.to_sync).bit_length() - 1) * size
        else:
            at += CHUNK
        self._sync_at = at
        left = min((at // size + 1) * size, self.datasize) - at
        return at, min(left, CHUNK), done

    def extent_complete(self, extent: int) -> bool:
        """Note that an extent is synchronised; whether to update the map on disk."""
        self._pending[extent] -= self._requests(extent)
        if self._pending[extent]:
            return False
        self.dirty &= ~(1 << extent)
        return True

    # --- inside ---------------------------------------------------------------------------------

    def _extents_of(self, offset: int, length: int) -> range:
        return range(offset // self.extentsize, (offset + length - 1) // self.extentsize + 1)

    def _requests(self, extent: int) -> int:
        """Chunks in an extent."""
        left = self.extentsize
        if extent == self.extents - 1:
            left = self.datasize % self.extentsize or self.extentsize
        return (left - 1) // CHUNK + 1

    def _keep(self, extent: int) -> bool:
        """Put an extent at the head of the list of those kept dirty; whether it was not there."""
        if extent in self._kept:
            del self._kept[extent]
            self._kept[extent] = None
            return False
        if len(self._kept) >= self.keepdirty == 1:
            raise KeepDirtyAborted
        if len(self._kept) >= self.keepdirty:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._kept_map &= ~(1 << oldest)
        self._kept[extent] = None
        self._kept_map |= 1 << extent
        return True


def bits_of(bits: int) -> list[int]:
    """The numbers of the bits that are set."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found
