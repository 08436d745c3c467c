"""A mounted ZFS file system: the files that programs see, its intent log, and its size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from harness.lab.simulated.engine.signal import Signal
from harness.lab.simulated.hardware.disk import BLOCK, BlockDevice, Content, is_zeros
from harness.lab.simulated.hardware.requests import Pointer, Requests, flush, write_bios
from harness.lab.simulated.kernel.files import DIRECTORY, Entries, Entry, FileError, FileSystem
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.zfs.format import (
    DatasetRecord,
    Inode,
    LogBlock,
    LogHeader,
    Space,
    file_bytes,
)

EMPTY_BYTES = 24576
"""What a file system without files takes (13.2)."""

DEFAULTS = {
    "recordsize": "128K",
    "checksum": "on",
    "compression": "off",
    "atime": "on",
    "exec": "on",
    "setuid": "on",
    "readonly": "off",
    "canmount": "on",
    "copies": "1",
    "sync": "standard",
    "quota": "none",
    "reservation": "none",
    "logbias": "latency",
    "primarycache": "all",
}
"""Properties that can be set and what they are until then (13.2)."""


WRITTEN_IN_PLACE = 32768
"""Bytes from which on fsync(2) writes data where they stay (zfs_immediate_write_sz)."""


class DatasetPool(Protocol):
    """What a dataset asks of the pool that it is in."""

    name: str
    altroot: str
    txg: int
    read_only: bool
    suspended: bool
    device: BlockDevice
    space: Space

    @property
    def guest(self) -> Guest:
        """Whose kernel has it imported."""

    @property
    def datasets(self) -> Mapping[str, Dataset]:
        """Its file systems by their name in the pool; "" is the top."""

    @property
    def available(self) -> int:
        """Bytes that can be written."""

    def setting(self, name: str) -> str:
        """A property's value in force."""

    def full_name(self, relative: str) -> str:
        """The whole name of a file system."""

    def changed(self, size: int) -> None:
        """So many bytes more are to be written."""

    def count_damage(self, file: str) -> None:
        """A file could not be read."""

    def writers_wait(self) -> Signal | None:
        """What whoever changes a file has to wait for."""

    def call_when_synced(self, callbacks: list[Callable[[], None]]) -> None:
        """Call them when what has changed so far is durable."""

    def log_has_placed(self) -> None:
        """The intent log has written a file's data where they stay."""

    def device_failed(self, error: str, *, wrote: bool) -> None:
        """A request failed."""


class Dataset(FileSystem):
    """A file system of an imported pool. `relative` is its name in the pool, "" for the top."""

    kind = "zfs"

    def __init__(
        self, pool: DatasetPool, relative: str, record: DatasetRecord | None = None
    ) -> None:
        """A new one, or one that the pool's root has."""
        self.pool: DatasetPool = pool
        self.relative = relative
        super().__init__(pool.full_name(relative))
        self.properties: dict[str, str] = dict(record.properties) if record else {}
        self.guid = record.guid if record else pool.guest.rng.getrandbits(64)
        self.created = record.created if record else pool.guest.wall_clock()
        self.created_txg = record.created_txg if record else max(1, pool.txg)
        self.inodes: dict[str, Pointer] = {}
        """As the last transaction group that was built has them."""
        self.objects: Pointer | None = record.objects if record else None
        self.dirty: dict[str, None] = {"/": None} if record is None else {}
        self.damaged: dict[str, None] = {}
        """Files with blocks that could not be read."""
        self.mounted_on: str | None = None
        self._sizes: dict[str, int] = {}
        self._file_bytes = 0
        self.log = IntentLog(self, record.log if record else None)
        if record is None:
            self.entries["/"] = Entry("dir", mode=0o755, mtime=self.created)

    # --- what programs do -----------------------------------------------------------------------

    def ready(self) -> Signal | None:
        """Wait while the pool is suspended or has too much that is not written yet."""
        return self.pool.writers_wait()

    def settled(self, path: str) -> Signal | None:
        """With `sync=always` a change is done when it is durable, otherwise at once."""
        if self.setting("sync") == "always" and path in self.log.pending:
            return self.fsync(path)
        return None

    def read(self, path: str) -> bytes:
        """The content of a file. Raises `FileError` EIO when blocks of it are damaged."""
        if path in self.damaged:
            self.pool.count_damage(self.file_name(path))
            raise FileError("EIO", path)
        return self.entries[path].data

    def changed(self, path: str) -> None:
        """Note it for the next transaction group and for the intent log."""
        entry = self.entries.get(path)
        self.damaged.pop(path, None)
        self.dirty[path] = None
        self.log.changed(path)
        self._measure(path, entry)
        self.pool.changed(0 if entry is None else len(entry.data))

    def put(self, path: str, entry: Entry) -> None:
        """Make or replace an entry. Raises `FileError` ENOSPC when the pool is full."""
        self._check_writable(path)
        more = file_bytes(len(entry.data)) - self._sizes.get(path, 0)
        if more > self.pool.available:
            raise FileError("ENOSPC", path)
        super().put(path, entry)

    def _check_writable(self, path: str) -> None:
        """Also raise `FileError` EIO where a suspended pool does not let anybody wait."""
        super()._check_writable(path)
        if self.pool.suspended and self.pool.setting("failmode") == "continue":
            raise FileError("EIO", path)

    def fsync(self, path: str) -> Signal:
        """Have the intent log make the file, and every name in the file system, durable."""
        done = Signal()
        self.log.commit([path], done)
        return done

    def sync(self) -> Signal:
        """Have the intent log make everything durable; it does not wait for a transaction group."""
        done = Signal()
        self.log.commit(list(self.log.pending), done)
        return done

    # --- sizes ----------------------------------------------------------------------------------

    @property
    def referenced(self) -> int:
        """Bytes that it takes itself."""
        count = len(self._sizes)
        extra = max(1536, -(-count * 133 // 512) * 512) if count else 0
        return EMPTY_BYTES + self._file_bytes + extra

    def size_blocks(self) -> tuple[int, int, int]:
        """As df(1) shows it: the total is what it has and what is left, so it changes."""
        have, left = self.referenced, self.pool.available
        return (have + left) // 1024, have // 1024, left // 1024

    def _measure(self, path: str, entry: Entry | None) -> None:
        self._file_bytes -= self._sizes.pop(path, 0)
        if entry is not None and entry.kind != "dir":
            size = self._sizes[path] = file_bytes(len(entry.data))
            self._file_bytes += size

    # --- properties -----------------------------------------------------------------------------

    def setting(self, name: str) -> str:
        """The value in force: its own, else its nearest ancestor's, else the default."""
        return self.setting_source(name)[0]

    def setting_source(self, name: str) -> tuple[str, str]:
        """The value in force, and where it is from as `zfs get` says it."""
        if name in self.properties:
            return self.properties[name], "local"
        if name != "canmount":
            for each in self.ancestors():
                if name in each.properties:
                    return each.properties[name], f"inherited from {each.device}"
        return DEFAULTS.get(name, "-"), "default"

    def ancestors(self) -> list[Dataset]:
        """Those above it, the nearest first."""
        if not self.relative:
            return []
        parts = self.relative.split("/")
        names = ["/".join(parts[:count]) for count in range(len(parts) - 1, -1, -1)]
        return [self.pool.datasets[name] for name in names]

    @property
    def mountpoint(self) -> str:
        """Where it is to be mounted: a path, `none` or `legacy`."""
        return self.mountpoint_source()[0]

    def mountpoint_source(self) -> tuple[str, str]:
        """Where it is to be mounted, and where that is from."""
        below: list[str] = []
        source = "local"
        at = None
        for each in [self, *self.ancestors()]:
            if "mountpoint" in each.properties:
                at = each.properties["mountpoint"]
                break
            below.insert(0, each.relative.rsplit("/", 1)[-1])
            source = f"inherited from {each.ancestors()[0].device}" if each.relative else "default"
        if at in {"none", "legacy"}:
            return str(at), source
        if at is None:
            at, source = "/" + self.pool.name, "default"
            below = below[1:]
        path = "/".join([at.rstrip("/"), *below]) or "/"
        return (self.pool.altroot.rstrip("/") + path).rstrip("/") or "/", source

    def file_name(self, path: str) -> str:
        """How `zpool status -v` calls a file."""
        return (self.mounted_on or self.device + ":").rstrip("/") + path

    # --- to and from blocks ---------------------------------------------------------------------

    def load(self, entries: dict[str, Entry], inodes: dict[str, Pointer]) -> None:
        """Take over what was read from the device."""
        self.entries = Entries(entries)
        self.entries.setdefault("/", DIRECTORY)
        self.inodes = inodes
        for path, entry in self.entries.items():
            self._measure(path, entry)
        self.log.begin_with(self.entries)

    def make_inode(
        self, entry: Entry, before: Inode | None, places: dict[int, Content | None]
    ) -> Inode:
        """The inode of an entry; the blocks that differ from those of `before` go to `places`."""
        old = before.blocks if before is not None else ()
        pointers = []
        data = entry.data
        for number in range(-(-len(data) // BLOCK)):
            chunk = data[number * BLOCK : (number + 1) * BLOCK]
            if number < len(old) and _holds(old[number], chunk):
                pointers.append(old[number])
                continue
            content = None if is_zeros(chunk) else Content("data", chunk)
            at = self.pool.space.allocate()
            places[at] = content
            pointers.append(Pointer(at, content))
        return Inode(entry.kind, entry.mode, entry.mtime, entry.target, len(data), tuple(pointers))


def _holds(pointer: Pointer, chunk: bytes) -> bool:
    if pointer.content is None:
        return is_zeros(chunk)
    data = pointer.content.data
    return data.startswith(chunk) and is_zeros(data[len(chunk) :])


class IntentLog:
    """Makes single files durable before their transaction group (ZIL).

    A commit has the data of the files asked for and every name that was made, removed or moved in
    the file system. The data of a large file are written where they stay: the transaction group
    then waits for that and only points to them (WR_INDIRECT and dmu_sync in OpenZFS).

    Deviation: its first block is there from the start, where ZFS makes it with the first fsync(2),
    which waits for a transaction group.
    """

    def __init__(self, dataset: Dataset, header: LogHeader | None) -> None:
        """`header` is where the log went on, None for a new file system."""
        self.dataset = dataset
        self.header = header
        self.pending: dict[str, None] = {}
        """Paths that are not durable as they are now."""
        self.bytes = 0
        """What the log takes until the next transaction group."""
        self._durable = Entries()
        self._newer: dict[str, Entry | None] = {}
        self._queue: list[tuple[list[str], Signal]] = []
        self._writing: _LogWrite | None = None
        self._blocks: list[int] = []
        self._in_place: dict[str, Inode] = {}
        """Large files whose data are already where the next transaction group wants them."""

    def begin_with(self, entries: dict[str, Entry]) -> None:
        """Note what is durable."""
        self._durable = Entries(entries)

    def changed(self, path: str) -> None:
        """Note a change that is not durable."""
        self.pending[path] = None

    def commit(self, paths: list[str], done: Signal) -> None:
        """Start to make paths durable."""
        pool = self.dataset.pool
        if self.dataset.setting("sync") == "disabled" or pool.read_only:
            pool.guest.world.schedule(pool.guest, 0.0, done.fire)
            return
        self._queue.append((paths, done))
        if self._writing is None:
            self._next()

    def quiesce(self) -> LogHeader:
        """Where the log goes on after what the transaction group has that is being built."""
        self._newer = {}
        if self.header is None:
            guid = self.dataset.pool.guest.rng.getrandbits(64)
            self.header = LogHeader(guid, 1, self.dataset.pool.space.allocate())
        return self.header

    def take_blocks(self) -> list[int]:
        """The blocks that are free once the transaction group is on the disk."""
        blocks, self._blocks = self._blocks, []
        self.bytes = 0
        return blocks

    @property
    def is_placing(self) -> bool:
        """Whether data are being written where a transaction group is to point to them."""
        return self._writing is not None and bool(self._writing.large)

    def take_placed(self, path: str) -> Inode | None:
        """The inode of a large file that a transaction group is about to have, if it is written."""
        return self._in_place.pop(path, None)

    def committed(self, paths: Iterable[str], entries: dict[str, Entry]) -> None:
        """Note that a transaction group made these durable as they are in `entries`."""
        for path in paths:
            entry = self._newer.get(path, entries.get(path))
            if entry is None:
                self._durable.pop(path, None)
            else:
                self._durable[path] = entry
            if self.dataset.entries.get(path) is entry:
                self.pending.pop(path, None)

    def _next(self) -> None:
        pool = self.dataset.pool
        queue, self._queue = self._queue, []
        signals = [signal for _, signal in queue]
        entries = self._gather({path for paths, _ in queue for path in paths})
        if not entries:
            for signal in signals:
                pool.guest.world.schedule(pool.guest, 0.0, signal.fire)
        elif pool.suspended or self.header is None:
            pool.call_when_synced([signal.fire for signal in signals])
        else:
            self._write(entries, signals)

    def _gather(self, asked: set[str]) -> dict[str, Entry | None]:
        """What the next block of the log has to have."""
        found: dict[str, Entry | None] = {}
        stored: set[int] | None = None
        for path in self.pending:
            old, new = self._durable.get(path), self.dataset.entries.get(path)
            if new is None:
                if old is not None:
                    found[path] = None
                continue
            if path in asked:
                found[path] = new
                continue
            if stored is None:
                stored = {id(entry) for entry in self._durable.values()}
            if id(new) in stored:
                found[path] = new
            elif old is None or old.kind != new.kind:
                found[path] = Entry(new.kind, b"", new.mode, new.mtime, new.target)
        return found

    def _write(self, entries: dict[str, Entry | None], signals: list[Signal]) -> None:
        dataset, header = self.dataset, self.header
        assert header is not None
        places: dict[int, Content | None] = {}
        next_at = dataset.pool.space.allocate()
        records: list[tuple[str, Inode | None]] = []
        large: dict[str, Inode] = {}
        for path, entry in entries.items():
            data: dict[int, Content | None] = {}
            inode = None if entry is None else dataset.make_inode(entry, None, data)
            records.append((path, inode))
            if inode is not None and inode.size >= WRITTEN_IN_PLACE:
                large[path] = inode
            else:
                self._blocks += data
            places |= data
        block = LogBlock(header.guid, header.sequence, next_at, tuple(records))
        places[header.at] = Content("intent log", value=block)
        self._blocks.append(header.at)
        self.bytes += len(places) * BLOCK
        self.header = LogHeader(header.guid, header.sequence + 1, next_at)
        self._writing = _LogWrite(self, entries, signals, large)
        Requests(write_bios(places), self._writing.written).start(dataset.pool.device)

    def write_ended(self, write: _LogWrite, error: str | None) -> None:
        """Go on after a write to the log."""
        self._writing = None
        pool = self.dataset.pool
        for path, inode in write.large.items():
            self._keep_in_place(path, inode, write.entries[path] if error is None else None)
        if write.large:
            pool.log_has_placed()
        if error is not None:
            pool.device_failed(error, wrote=True)
            pool.call_when_synced([signal.fire for signal in write.signals])
        else:
            for path, entry in write.entries.items():
                self._newer[path] = entry
                if entry is None:
                    self._durable.pop(path, None)
                else:
                    self._durable[path] = entry
                if self.dataset.entries.get(path) is entry:
                    self.pending.pop(path, None)
            for signal in write.signals:
                signal.fire()
        if self._queue:
            self._next()

    def _keep_in_place(self, path: str, inode: Inode, entry: Entry | None) -> None:
        """Leave a large file's data for the next transaction group if it is still to have them."""
        wanted = path in self.dataset.dirty and self.dataset.entries.get(path) is entry
        unused = self._in_place.pop(path, None) if wanted else inode
        if wanted:
            self._in_place[path] = inode
        if unused is not None:
            self._blocks += [pointer.at for pointer in unused.blocks]


class _LogWrite:
    """One block of the log with its data on its way to the disk."""

    def __init__(
        self,
        log: IntentLog,
        entries: dict[str, Entry | None],
        signals: list[Signal],
        large: dict[str, Inode],
    ) -> None:
        self.entries = entries
        self.large = large
        self.signals = signals
        self._log = log

    def written(self, requests: Requests) -> None:
        if requests.error is not None:
            self._log.write_ended(self, requests.error)
            return
        device = self._log.dataset.pool.device
        Requests([flush()], self._flushed).start(device)

    def _flushed(self, requests: Requests) -> None:
        self._log.write_ended(self, requests.error)
