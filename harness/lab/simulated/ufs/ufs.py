"""UFS on any device, such as /dev/hast/mirror: mounted, unmounted, and after a power cut.

Data is overwritten in place, and written by the syncer within half a minute in the order of soft
updates: data, inodes, names. UFS has no checksums, and it never asks the disk to flush its cache
(debug.softdep.flushcache is 0, and nothing else in sys/ufs of 13.2 sends BIO_FLUSH): what
fsync(2) wrote can be lost with the power when the disk has a volatile cache.
"""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import Signal
from harness.lab.simulated.hardware.disk import BLOCK, Bio, BlockDevice, Content, Op, is_zeros
from harness.lab.simulated.hardware.requests import Requests, runs, write_bios
from harness.lab.simulated.kernel.files import Entries, Entry, FileError, FileSystem
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.ufs.format import (
    JOURNAL,
    ROOT,
    SNAP,
    SUPERBLOCK,
    Superblock,
    UfsInode,
    file_fragments,
    first_data_block,
    inode_place,
)

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

SYNC_SECONDS = 30.0
"""When the syncer writes a changed file (kern.filedelay, 13.2)."""

_DIRECTORY = 512
"""Bytes by which a directory grows (DIRBLKSIZ); no name crosses their borders."""

_INODES_IN_BLOCK = 128
"""A block of 32 KiB with inodes of 256 bytes."""

ERRNO = {"EIO": 5, "ENXIO": 6}


class Ufs(FileSystem):
    """A mounted UFS."""

    kind = "ufs"

    def __init__(
        self, guest: Guest, device: BlockDevice, superblock: Superblock, at: str, *, read_only: bool
    ) -> None:
        """What was read from the device comes with `load`. `at` is the mount point."""
        super().__init__("/dev/" + device.name)
        self.guest = guest
        self.lower = device
        self.superblock = superblock
        self.at = at
        self.read_only = read_only
        self.inodes: dict[str, UfsInode] = {}
        """By path, as they are on the device."""
        self._was_clean = superblock.clean
        self.gone = False
        """Whether the kernel unmounted it because its device went away."""
        self._numbers: dict[str, int] = {}
        self._dirty: dict[str, float] = {}
        self._cleared: dict[int, None] = {}
        self._next_number = superblock.highest + 1
        self._taken: set[int] = set()
        self._next_block = first_data_block(superblock)
        self._sizes: dict[str, int] = {}
        self._flushes: list[_Flush] = []
        self._ticking = False
        if not read_only:
            device.opened += 1

    def load(self, entries: dict[str, Entry], inodes: dict[str, UfsInode]) -> None:
        """Take over what was read from the device."""
        self.entries = Entries(entries)
        self.inodes = inodes
        self._numbers = {path: inode.number for path, inode in inodes.items()}
        for path, inode in inodes.items():
            self._taken.update(inode.blocks)
            self._sizes[path] = len(entries[path].data)

    def begin(self) -> Signal:
        """Mark it as not clean, which is what mounting for writing does first."""
        return self._mark(clean=False, mounted_on=self.at, replayed=False)

    def end(self) -> Signal:
        """Write everything and mark it clean, which is what unmounting does last."""
        done = Signal()
        _Unmounting(self, done)
        return done

    # --- what programs do -----------------------------------------------------------------------

    def put(self, path: str, entry: Entry) -> None:
        """Make or replace an entry. Raises `FileError` ENOSPC when it is full."""
        more = file_fragments(len(entry.data)) - file_fragments(self._sizes.get(path, 0))
        if more > 0 and more > self.free_fragments:
            raise FileError("ENOSPC", path)
        super().put(path, entry)

    def changed(self, path: str) -> None:
        """Leave it to the syncer, with the directory that has its name."""
        now = self.guest.world.now
        entry = self.entries.get(path)
        if entry is None:
            self._sizes.pop(path, None)
            number = self._numbers.pop(path, None)
            if number is not None:
                self._cleared[number] = None
        else:
            self._sizes[path] = len(entry.data)
            if path not in self._numbers:
                self._numbers[path] = self._next_number
                self._next_number += 1
                self._dirty.setdefault(posixpath.dirname(path), now)
        if entry is None:
            self._dirty.setdefault(posixpath.dirname(path), now)
        self._dirty.setdefault(path, now)
        if not self._ticking:
            self._ticking = True
            self.guest.world.schedule(self.guest, 1.0, self._tick)

    def fsync(self, path: str) -> Signal:
        """Write a file and its name; the disk is not told to flush.

        The name of a new directory is not written with what is in it, nor the size of a directory
        that grew within its fragment (softdep_fsync of sys/ufs/ffs/ffs_softdep.c), unless its inode
        is in the block of the file's: until the syncer comes by, a crash takes all of the one and
        the last names of the other.
        """
        parent = posixpath.dirname(path)
        blocks = {self._numbers.get(each, 0) // _INODES_IN_BLOCK for each in (path, parent)}
        return self._write_out([path, parent], grow=len(blocks) == 1)

    def sync(self) -> Signal:
        """Write everything that waits; sync(2) does not wait for it with soft updates."""
        return self._write_out(list(self._dirty))

    # --- sizes ----------------------------------------------------------------------------------

    @property
    def used_fragments(self) -> int:
        """Fragments of 4 KiB in use."""
        used = 1 + sum(
            1 if self.entries[path].kind == "dir" else file_fragments(size)
            for path, size in self._sizes.items()
            if path in self.entries and path != "/"
        )
        only_its_own = set(self.entries) <= {"/", "/.snap", "/.sujournal"}
        return used + (7 if self.superblock.journal and only_its_own else 0)

    @property
    def free_fragments(self) -> int:
        """Fragments that are free, the reserve among them."""
        return self.superblock.geometry.data_fragments - self.used_fragments

    def size_blocks(self) -> tuple[int, int, int]:
        """As df(1) shows it; 8 % are kept back."""
        total = self.superblock.geometry.data_fragments
        reserve = total * 8 // 100
        return total * 4, self.used_fragments * 4, (self.free_fragments - reserve) * 4

    # --- writing --------------------------------------------------------------------------------

    def _tick(self) -> None:
        """The syncer comes by every second."""
        self._ticking = False
        now = self.guest.world.now
        due = [path for path, since in self._dirty.items() if now - since >= SYNC_SECONDS]
        if due and not self.guest.syncer_held_up():
            self._write_out(due)
        if self._dirty and not self.gone:
            self._ticking = True
            self.guest.world.schedule(self.guest, 1.0, self._tick)

    def _write_out(self, paths: Iterable[str], *, grow: bool = True) -> Signal:
        done = Signal()
        flush = self._plan(paths, done, grow=grow)
        if self.gone:
            return done
        self._flushes.append(flush)
        if len(self._flushes) == 1:
            flush.next()
        return done

    def flushed(self, flush: _Flush) -> None:
        """Go on with the next one; called when one has been written."""
        self._flushes.remove(flush)
        flush.done.fire()
        if self._flushes:
            self._flushes[0].next()

    def failed(self, flush: _Flush, bio: Bio, error: str) -> None:
        """A write failed: without a device the kernel unmounts, otherwise it tries again."""
        if error != "ENXIO":
            self.guest.part(Kernel).say(
                f"g_vfs_done():{self.lower.name}[WRITE(offset={bio.offset}, "
                f"length={bio.length})]error = {ERRNO[error]}"
            )
            self.guest.world.schedule(self.guest, 1.0, flush.again)
            return
        if self.gone:
            return
        self.gone = True
        self.guest.part(Kernel).say(f"UFS: forcibly unmounting {self.device} from {self.at}")
        self.guest.tree.mounts.pop(self.at, None)
        self.lower.opened -= 1

    def _plan(self, paths: Iterable[str], done: Signal, *, grow: bool) -> _Flush:
        """Sort what is to be written: data, then inodes, then names, then what is removed."""
        flush = _Flush(self, done)
        for path in sorted({path for path in paths if path in self._dirty}):
            del self._dirty[path]
            entry = self.entries.get(path)
            if entry is None:
                self.inodes.pop(path, None)
            elif entry.kind != "dir":
                self._plan_file(path, entry, flush)
            else:
                flush.directories.append(path)
        for path in flush.directories:
            self._plan_directory(path, flush, grow=grow)
        if self._next_number - 1 > self.superblock.highest:
            self.superblock = replace(self.superblock, highest=self._next_number - 1)
            flush.phases[0][SUPERBLOCK] = Content("UFS superblock", value=self.superblock)
        for number in self._cleared:
            flush.phases[3][inode_place(number)] = None
        self._cleared = {}
        return flush

    def _plan_file(self, path: str, entry: Entry, flush: _Flush) -> None:
        before = self.inodes.get(path)
        count = -(-len(entry.data) // BLOCK)
        blocks = list(before.blocks[:count]) if before is not None else []
        while len(blocks) < count:
            blocks.append(self._allocate())
        for number, at in enumerate(blocks):
            chunk = entry.data[number * BLOCK : (number + 1) * BLOCK]
            flush.phases[0][at] = None if is_zeros(chunk) else Content("data", chunk)
        inode = UfsInode(
            self._numbers[path],
            entry.kind,
            entry.mode,
            entry.mtime,
            entry.target,
            len(entry.data),
            tuple(blocks),
        )
        self.inodes[path] = inode
        flush.phases[1][inode_place(inode.number)] = Content(f"inode of {path}", value=inode)

    def _plan_directory(self, path: str, flush: _Flush, *, grow: bool) -> None:
        entry, before = self.entries[path], self.inodes.get(path)
        prefix = path.rstrip("/") + "/"
        there = self.names(path)
        names = {
            name: self._numbers[prefix + name]
            for name in there
            if prefix + name in self.inodes or prefix + name in flush.directories
        }
        ends = directory_ends(names)
        size = max(ends.values(), default=_DIRECTORY)
        if before is not None and not grow and -(-size // BLOCK) == -(-before.size // BLOCK):
            size = before.size
            names = {name: number for name, number in names.items() if ends[name] <= size}
        if len(names) < len(there):
            self._dirty[path] = self.guest.world.now  # the others follow with their inodes
        inode = UfsInode(
            self._numbers[path], "dir", entry.mode, entry.mtime, size=size, names=names
        )
        self.inodes[path] = inode
        # A new directory has to be there before its name is.
        depth = 2 if path == "/" or self._is_named(path) else 1
        content = Content(f"directory {path}", value=inode)
        flush.phases[depth][inode_place(inode.number)] = content

    def _is_named(self, path: str) -> bool:
        parent = self.inodes.get(posixpath.dirname(path))
        return parent is not None and posixpath.basename(path) in parent.names

    def _allocate(self) -> int:
        while self._next_block in self._taken:
            self._next_block += 1
        if self._next_block >= self.superblock.mediasize // BLOCK:
            self._next_block = first_data_block(self.superblock)
            self._taken = {at for inode in self.inodes.values() for at in inode.blocks}
            return self._allocate()
        self._taken.add(self._next_block)
        return self._next_block

    def _mark(self, **changes: object) -> Signal:
        done = Signal()
        self.superblock = replace(self.superblock, **changes)  # type: ignore[arg-type]
        flush = _Flush(self, done)
        flush.phases[0][SUPERBLOCK] = Content("UFS superblock", value=self.superblock)
        self._flushes.append(flush)
        if len(self._flushes) == 1:
            flush.next()
        return done

    def mark_clean(self) -> Signal:
        """Say in the superblock that nothing is missing, unless it was mounted without a check."""
        return self._mark(clean=self._was_clean)

    @property
    def writing(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._dirty) or bool(self._cleared)


@dataclass
class _Flush:
    """Some writes in their order: data, inodes, names, removed inodes."""

    filesystem: Ufs
    done: Signal
    phases: list[dict[int, Content | None]] = field(default_factory=lambda: [{}, {}, {}, {}])
    directories: list[str] = field(default_factory=list)
    at: int = -1

    def next(self) -> None:
        """Write the next phase that has anything."""
        self.at += 1
        while self.at < len(self.phases) and not self.phases[self.at]:
            self.at += 1
        if self.at == len(self.phases):
            self.filesystem.guest.world.schedule(
                self.filesystem.guest, 0.0, self.filesystem.flushed, self
            )
        else:
            self.again()

    def again(self) -> None:
        """Write the phase, once more after an error."""
        Requests(write_bios(self.phases[self.at]), self._ended).start(self.filesystem.lower)

    def _ended(self, requests: Requests) -> None:
        for bio in requests.bios:
            if bio.error is not None:
                self.filesystem.failed(self, bio, bio.error)
                return
        self.next()


class _Unmounting:
    """Writes a file system out, then marks it clean."""

    def __init__(self, filesystem: Ufs, done: Signal) -> None:
        self._filesystem = filesystem
        self._done = done
        if filesystem.read_only:
            filesystem.guest.world.schedule(filesystem.guest, 0.0, done.fire)
            return
        self._wait_for(filesystem.sync(), self._clean)

    def _clean(self) -> None:
        self._filesystem.lower.opened -= 1
        self._wait_for(self._filesystem.mark_clean(), self._done.fire)

    def _wait_for(self, signal: Signal, then: Callable[[], None]) -> None:
        if signal.fired:
            then()
        elif not self._filesystem.gone:
            guest = self._filesystem.guest
            guest.world.schedule(guest, 0.001, self._wait_for, signal, then)


class Walk:
    """Reads a UFS from a device: superblock, all inodes, all data. `finished` is fired at the end.

    `superblock` is None where there is no UFS. `missing` are names whose inode is not there,
    `unreferenced` inodes that no directory has. FreeBSD reads no more than the superblock at once:
    whoever has to read more reads it again.
    """

    def __init__(self, guest: Guest, device: BlockDevice) -> None:
        self.finished = Signal()
        self.superblock: Superblock | None = None
        self.inodes: dict[str, UfsInode] = {}
        self.entries: dict[str, Entry] = {}
        self.missing: list[str] = []
        self.unreferenced: list[UfsInode] = []
        self.error: str | None = None
        self._guest = guest
        self._device = device
        self._table: dict[int, UfsInode] = {}
        self._data: dict[int, Content] = {}
        self._read([(SUPERBLOCK, 1)], self._superblock_read)

    def _read(self, ranges: list[tuple[int, int]], done: Callable[[Requests], None]) -> None:
        bios = [
            Bio(Op.READ, first * BLOCK, count * BLOCK, ahead=ranges[0][0] != SUPERBLOCK)
            for first, count in ranges
        ]
        Requests(bios, done).start(self._device)

    def _superblock_read(self, requests: Requests) -> None:
        content = requests.bios[0].blocks.get(SUPERBLOCK)
        self.error = requests.error
        if self.error or content is None or not isinstance(content.value, Superblock):
            self.finished.fire()
            return
        self.superblock = content.value
        count = content.value.highest + 1 - ROOT
        ranges = runs(range(inode_place(ROOT), inode_place(ROOT) + count))
        self._read(ranges, self._inodes_read)

    def _inodes_read(self, requests: Requests) -> None:
        self.error = self.error or requests.error
        for bio in requests.bios:
            for at, content in bio.blocks.items():
                inode = content.value
                if isinstance(inode, UfsInode) and inode_place(inode.number) == at:
                    self._table[inode.number] = inode
        wanted = [at for inode in self._table.values() for at in inode.blocks]
        if wanted:
            self._read(runs(wanted), self._data_read)
        else:
            self._resolve()

    def _data_read(self, requests: Requests) -> None:
        self.error = self.error or requests.error
        for bio in requests.bios:
            self._data.update(bio.blocks)
        self._resolve()

    def _resolve(self) -> None:
        seen: dict[int, None] = {}
        waiting = deque([("/", ROOT)])
        while waiting:
            path, number = waiting.popleft()
            inode = self._table.get(number)
            if inode is None or number in seen:
                self.missing.append(path)
                continue
            seen[number] = None
            self.inodes[path] = inode
            self.entries[path] = self._entry(inode)
            prefix = path.rstrip("/") + "/"
            waiting += [(prefix + name, each) for name, each in sorted(inode.names.items())]
        self.unreferenced = [
            self._table[number] for number in sorted(self._table) if number not in seen
        ]
        self.finished.fire()

    def _entry(self, inode: UfsInode) -> Entry:
        if inode.kind == "dir":
            return Entry("dir", b"", inode.mode, inode.mtime)
        if inode.number == JOURNAL and inode.size:
            return Entry("file", bytes(inode.size), inode.mode, inode.mtime)
        data = b"".join(
            self._data[at].data if at in self._data else bytes(BLOCK) for at in inode.blocks
        )
        return Entry(inode.kind, data[: inode.size], inode.mode, inode.mtime, inode.target)


def directory_ends(names: Mapping[str, int]) -> dict[str, int]:
    """How large a directory has to be for each name, if they came in the order of their inodes."""
    ends: dict[str, int] = {}
    end = _DIRECTORY
    room = _DIRECTORY - 24  # without . and ..
    for name in sorted(names, key=names.__getitem__):
        size = 8 + (len(name) + 4) // 4 * 4
        if size > room:
            end, room = end + _DIRECTORY, _DIRECTORY
        room -= size
        ends[name] = end
    return ends


def fresh(superblock: Superblock, now: float) -> dict[int, Content | None]:
    """The blocks of a new UFS."""
    names = {".snap": SNAP}
    inodes = [UfsInode(SNAP, "dir", 0o775, now, size=512)]
    if superblock.journal:
        names[".sujournal"] = JOURNAL
        size = superblock.journal_bytes
        inodes.append(UfsInode(JOURNAL, "file", 0o400, now, size=size))
    inodes.append(UfsInode(ROOT, "dir", 0o755, now, size=512, names=names))
    places: dict[int, Content | None] = {
        inode_place(inode.number): Content("UFS inode", value=inode) for inode in inodes
    }
    places[SUPERBLOCK] = Content("UFS superblock", value=superblock)
    if not superblock.journal:
        places[inode_place(JOURNAL)] = None
    # The labels of a pool that was there before do not survive.
    places.update(dict.fromkeys(range(SUPERBLOCK)))
    places.update(dict.fromkeys(range(SUPERBLOCK + 1, 48)))
    return places
