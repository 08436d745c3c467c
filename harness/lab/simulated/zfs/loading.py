"""Finding pools on a node's devices, and reading one from its blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import Signal
from harness.lab.simulated.hardware.disk import BLOCK, Bio, BlockDevice, Content, LocalDisk, Op
from harness.lab.simulated.hardware.requests import Pointer, Reading, Requests
from harness.lab.simulated.kernel.files import Entry
from harness.lab.simulated.zfs.dataset import Dataset
from harness.lab.simulated.zfs.format import (
    DatasetRecord,
    Inode,
    Label,
    LogBlock,
    LogHeader,
    Root,
    Uberblock,
    label_area,
    labels,
    uberblocks,
)
from harness.lab.simulated.zfs.pool import Pool, pool_of

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

SMALLEST = 64 << 20
"""SPA_MINDEVSIZE of 13.2: no pool is on a smaller device."""


@dataclass
class Candidate:
    """A pool that was found on a device. `path` is the device's name without /dev/."""

    path: str
    device: BlockDevice
    label: Label
    uberblocks: list[Uberblock]
    """Newest first."""
    damaged: bool = False
    """Whether its root could not be read."""
    datasets: int = 0


def on_devices(guest: Guest) -> list[tuple[str, BlockDevice]]:
    """The devices that could have a pool. A disk with HAST's metadata shows nothing of it."""
    return [
        (name, device)
        for name, device in sorted(guest.devices.items())
        if device.mediasize >= SMALLEST
        and name != "vtbd0"
        and not (isinstance(device, LocalDisk) and device.disk.reserved is not None)
    ]


class LabelScan:
    """Reads the labels of devices; `finished` is fired when the last has answered."""

    def __init__(self, guest: Guest, devices: list[tuple[str, BlockDevice]]) -> None:
        self.found: list[Candidate] = []
        self.finished = Signal()
        self._left = len(devices)
        if not devices:
            guest.world.schedule(guest, 0.0, self.finished.fire)
        for path, device in devices:
            _LabelRead(self, path, device)

    def read(self, candidate: Candidate | None) -> None:
        """Note what one device had."""
        if candidate is not None:
            self.found.append(candidate)
        self._left -= 1
        if self._left == 0:
            self.found.sort(key=_candidate_path)
            self.finished.fire()


def _candidate_path(candidate: Candidate) -> str:
    return candidate.path


class _LabelRead:
    """The labels of one device, and the root they lead to."""

    def __init__(self, scan: LabelScan, path: str, device: BlockDevice) -> None:
        self._scan = scan
        self._path = path
        self._device = device
        self._candidate: Candidate | None = None
        bios = [
            Bio(Op.READ, first * BLOCK, count * BLOCK)
            for first, count in label_area(device.mediasize)
        ]
        Requests(bios, self._read).start(device)

    def _read(self, requests: Requests) -> None:
        blocks = [
            content for bio in requests.bios if bio.error is None for content in bio.blocks.values()
        ]
        found = labels(blocks)
        if not found:
            self._scan.read(None)
            return
        newest = uberblocks(blocks, found[0].guid)
        self._candidate = Candidate(self._path, self._device, found[0], newest)
        if newest:
            Reading(self._device, [newest[0].root], self._root).start()
        else:
            self._candidate.damaged = True
            self._scan.read(self._candidate)

    def _root(self, reading: Reading) -> None:
        assert self._candidate is not None
        self._candidate.damaged = bool(reading.bad)
        self._scan.read(self._candidate)


class Loading:
    """Reads a pool from its device. At the end `pool` is there, or `error` is an errno's name.

    All files are read, where ZFS reads them when they are asked for: damage is found then, not now.
    """

    def __init__(
        self, guest: Guest, candidate: Candidate, name: str, done: Callable[[Loading], None]
    ) -> None:
        """`name` is what the pool is to be called; `done` is a bound method."""
        self.guest = guest
        self.candidate = candidate
        self.name = name
        self.pool: Pool | None = None
        self.error: str | None = None
        self._done = done
        self._root: Root | None = None
        self._records: list[DatasetRecord] = []
        self._objects: dict[str, dict[str, Pointer]] = {}
        self._repaired = 0
        self._logs: list[_Replay] = []
        self._data: Reading | None = None

    def start(self) -> None:
        """Begin with the root of the newest transaction group."""
        if not self.candidate.uberblocks:
            self.guest.world.schedule(self.guest, 0.0, self._fail, "EIO")
            return
        root = self.candidate.uberblocks[0].root
        Reading(self.candidate.device, [root], self._root_read).start()

    def _fail(self, error: str) -> None:
        self.error = error
        self._done(self)

    def _root_read(self, reading: Reading) -> None:
        root = self.candidate.uberblocks[0].root
        if reading.bad or root.content is None or not isinstance(root.content.value, Root):
            self._fail("ENXIO" if reading.errors else "EIO")
            return
        self._repaired += len(reading.repaired)
        self._root = root.content.value
        self._records = [each for each in self._root.datasets if "@" not in each.name]
        pointers = [record.objects for record in self._root.datasets]
        Reading(self.candidate.device, pointers, self._objects_read).start()

    def _objects_read(self, reading: Reading) -> None:
        self._repaired += len(reading.repaired)
        if any(record.objects.at in reading.bad for record in self._records):
            self._fail("EIO")
            return
        for record in self._records:
            assert record.objects.content is not None
            self._objects[record.name] = dict(record.objects.content.value)  # type: ignore[call-overload]
        pointers = [each for found in self._objects.values() for each in found.values()]
        Reading(self.candidate.device, pointers, self._inodes_read, ahead=True).start()

    def _inodes_read(self, reading: Reading) -> None:
        self._repaired += len(reading.repaired)
        pointers: list[Pointer] = []
        for found in self._objects.values():
            for path in [path for path, each in found.items() if each.at in reading.bad]:
                # Its attributes are gone: ls(1) would show an error, here it is not there.
                del found[path]
            for each in found.values():
                pointers += _inode(each).blocks
        if pointers:
            Reading(self.candidate.device, pointers, self._data_read, ahead=True).start()
        else:
            self._build(None)

    def _data_read(self, reading: Reading) -> None:
        self._build(reading)

    def _build(self, reading: Reading | None) -> None:
        assert self._root is not None
        candidate = self.candidate
        pool = Pool(self.guest, self.name, candidate.label.guid, candidate.path, candidate.device)
        pool.vdev_guid = candidate.label.vdev_guid
        pool.adopt(candidate.uberblocks[0].root, candidate.uberblocks[0].txg)
        pool.properties = dict(self._root.properties)
        pool.history = list(self._root.history)
        pool.scan = self._root.scan
        pool.damaged = dict.fromkeys(self._root.damaged)
        pool.cksum_errors = self._repaired
        self.pool = pool
        self._build_snapshots(pool)
        for record in self._records:
            dataset = Dataset(pool, record.name, record)
            pool.datasets[record.name] = dataset
            self._fill(dataset, self._objects[record.name], {} if reading is None else reading.bad)
            pool.space.take(record.objects.at, record.objects.copy)
            if record.log is not None:
                pool.space.take(record.log.at)
                self._logs.append(_Replay(self, dataset, record.log))
        self._replay()

    def _build_snapshots(self, pool: Pool) -> None:
        assert self._root is not None
        for record in self._root.datasets:
            if "@" not in record.name or record.objects.content is None:
                continue
            pool.snapshots[record.name] = record
            pool.space.take(record.objects.at, record.objects.copy)
            objects: dict[str, Pointer] = record.objects.content.value  # type: ignore[assignment]
            for each in objects.values():
                _take(pool, each)

    def _fill(self, dataset: Dataset, found: dict[str, Pointer], bad: dict[int, None]) -> None:
        entries: dict[str, Entry] = {}
        for path, pointer in found.items():
            inode = _inode(pointer)
            _take(pool_of(dataset), pointer)
            entries[path] = entry_of(inode, bad)
            if bad and any(each.at in bad for each in inode.blocks):
                dataset.damaged[path] = None
        dataset.load(entries, found)

    def _replay(self) -> None:
        """Play the intent logs, one file system after the other."""
        if self._logs:
            self._logs.pop(0).start()
        else:
            self._done(self)

    def replayed(self) -> None:
        """Go on after a log's end."""
        self._replay()


class _Replay:
    """Reads the intent log of a file system, block after block, and makes its changes again."""

    def __init__(self, loading: Loading, dataset: Dataset, header: LogHeader) -> None:
        self._loading = loading
        self._dataset = dataset
        self._header = header
        self._block: LogBlock | None = None

    def start(self) -> None:
        bio = Bio(Op.READ, self._header.at * BLOCK, BLOCK)
        Requests([bio], self._read).start(pool_of(self._dataset).device)

    def _read(self, requests: Requests) -> None:
        content: Content | None = requests.bios[0].blocks.get(self._header.at)
        block = None if content is None or requests.error else content.value
        if (
            not isinstance(block, LogBlock)
            or block.guid != self._header.guid
            or block.sequence != self._header.sequence
        ):
            self._end()
            return
        self._block = block
        pointers = [
            pointer for _, inode in block.records if inode is not None for pointer in inode.blocks
        ]
        if pointers:
            Reading(pool_of(self._dataset).device, pointers, self._data_read).start()
        else:
            self._apply()

    def _data_read(self, reading: Reading) -> None:
        if reading.bad:
            self._end()
        else:
            self._apply()

    def _apply(self) -> None:
        block, dataset = self._block, self._dataset
        assert block is not None
        for path, inode in block.records:
            if inode is None:
                dataset.entries.pop(path, None)
            else:
                dataset.entries[path] = entry_of(inode, {})
            dataset.changed(path)
        self._header = LogHeader(block.guid, block.sequence + 1, block.next_at)
        self.start()

    def _end(self) -> None:
        self._dataset.log.header = self._header
        pool_of(self._dataset).space.take(self._header.at)
        self._loading.replayed()


def entry_of(inode: Inode, bad: dict[int, None]) -> Entry:
    """What programs see of an inode; blocks that could not be read are zeros."""
    if inode.kind == "dir" and not inode.blocks:
        return Entry("dir", b"", inode.mode, inode.mtime)
    data = b"".join(
        bytes(BLOCK) if pointer.content is None or pointer.at in bad else pointer.content.data
        for pointer in inode.blocks
    )
    return Entry(inode.kind, data[: inode.size], inode.mode, inode.mtime, inode.target)


def _inode(pointer: Pointer) -> Inode:
    assert pointer.content is not None
    assert isinstance(pointer.content.value, Inode)
    return pointer.content.value


def _take(pool: Pool, pointer: Pointer) -> None:
    """Note what an inode takes."""
    pool.space.take(pointer.at, pointer.copy, *(each.at for each in _inode(pointer).blocks))
