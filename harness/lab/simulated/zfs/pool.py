"""An imported ZFS pool: transaction groups, and what happens when its only device fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import Signal
from harness.lab.simulated.hardware.disk import BlockDevice, Content
from harness.lab.simulated.hardware.requests import Pointer, Reading, Requests, flush, write_bios
from harness.lab.simulated.kernel.files import Entry
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.zfs.dataset import Dataset
from harness.lab.simulated.zfs.format import (
    DatasetRecord,
    Inode,
    Label,
    Root,
    Space,
    Uberblock,
    label_places,
    slop_bytes,
    uberblock_places,
    usable_bytes,
)

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

TXG_SECONDS = 5.0
"""vfs.zfs.txg.timeout of 13.2: at the latest every so often a transaction group is written."""

DIRTY_LIMIT = 100 << 20
"""Bytes that may wait to be written: a tenth of 1 GiB (zfs_dirty_data_max_percent)."""

DEFAULTS = {
    "altroot": "-",
    "bootfs": "-",
    "delegation": "on",
    "autoreplace": "off",
    "cachefile": "-",
    "failmode": "wait",
    "listsnapshots": "off",
    "autoexpand": "off",
    "ashift": "0",
    "comment": "-",
    "multihost": "off",
    "autotrim": "off",
    "compatibility": "off",
}
"""The pool's properties that can be set, and what they are until then (13.2)."""


@dataclass
class _Group:
    """A transaction group on its way to the disk."""

    number: int
    places: dict[int, Content | None] = field(default_factory=dict)
    heads: dict[int, Content | None] = field(default_factory=dict)
    """Uberblocks and labels: written when all the rest is on the disk."""
    freed: list[int] = field(default_factory=list)
    datasets: list[tuple[Dataset, dict[str, None], dict[str, Entry]]] = field(default_factory=list)
    waiters: list[Callable[[], None]] = field(default_factory=list)


@dataclass
class Scan:
    """A scrub that is running."""

    began: float
    waiters: list[Callable[[], None]] = field(default_factory=list)


def pool_of(dataset: Dataset) -> Pool:
    """The pool that a file system is in."""
    assert isinstance(dataset.pool, Pool)
    return dataset.pool


def hostid_of(guest: Guest) -> int:
    """kern.hostid: four bytes of the MD5 of the UUID in /etc/hostid (rc.d/hostid, 13.2)."""
    entry = guest.root.entries.get("/etc/hostid")
    text = entry.data.decode("ascii", "replace").strip() if entry is not None else ""
    if not text:
        text = f"{guest.world.seed}/{guest.name}"
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16)


class Pool:
    """A pool on one device, as the kernel that has it imported knows it.

    Nothing that is in use is ever overwritten: a group's blocks go to free places, are flushed, and
    only then does the uberblock that leads to them follow. So the pool is always as it was after
    some group, with what was synced by fsync(2) since.
    """

    def __init__(self, guest: Guest, name: str, guid: int, path: str, device: BlockDevice) -> None:
        """`path` is the device's name without /dev/. The device is opened."""
        self.guest = guest
        self.name = name
        self.guid = guid
        self.vdev_guid = guid ^ 0x5A5A5A5A5A5A5A5A
        self.path = path
        self.device = device
        self.mediasize = device.mediasize
        self.size = usable_bytes(device.mediasize)
        self.space = Space(device.mediasize)
        self.txg = 3
        self.state = "ACTIVE"
        self.altroot = ""
        self.cachefile: str | None = None
        """As set by hand: a path, `none`, or None for the default."""
        self.read_only = False
        self.properties: dict[str, str] = {}
        self.datasets: dict[str, Dataset] = {}
        """File systems by their name in the pool; "" is the top."""
        self.snapshots: dict[str, DatasetRecord] = {}
        """By `relative@snapshot`."""
        self.history: list[str] = []
        self.scan: str | None = None
        self.scrubbing: Scan | None = None
        self.damaged: dict[str, None] = {}
        self.suspended = False
        self.resumed = Signal()
        self.read_errors = self.write_errors = self.cksum_errors = 0
        self.dirty = False
        self._config_dirty = False
        self._dirty_bytes = 0
        self._syncing: _Group | None = None
        self._again = False
        self._after_log = False
        self._waiters: list[Callable[[], None]] = []
        self._deferred: list[tuple[int, list[int]]] = []
        self._drained = Signal()
        self._closed = False
        self._root: Pointer | None = None
        device.opened += 1
        guest.world.schedule(guest, TXG_SECONDS, self._tick)

    # --- what is known about it -----------------------------------------------------------------

    @property
    def gone(self) -> bool:
        """Whether its device was taken away."""
        return self.guest.devices.get(self.path) is not self.device

    @property
    def vdev_state(self) -> str:
        """The device in `zpool status`."""
        return "REMOVED" if self.gone else "ONLINE"

    @property
    def health(self) -> str:
        """The pool in `zpool list`."""
        if self.suspended and self.setting("failmode") == "wait":
            return "SUSPENDED"
        return "UNAVAIL" if self.gone else "ONLINE"

    @property
    def allocated(self) -> int:
        """Bytes in use. The part that is no file fits what 13.2 showed for pools of this size."""
        own = 69120 + (27648 if self.size > 256 << 20 else 0)
        own += sum(17408 if "zpool import" in each else 512 for each in self.history[1:])
        logs = sum(each.log.bytes for each in self.datasets.values())
        return own + logs + sum(each.referenced for each in self.datasets.values())

    @property
    def available(self) -> int:
        """Bytes that files can still take."""
        return max(0, self.size - slop_bytes(self.size) - self.allocated)

    def setting(self, name: str) -> str:
        """A property's value in force."""
        if name == "cachefile":
            return self.cachefile or "-"
        if name == "altroot":
            return self.altroot or "-"
        return self.properties.get(name, DEFAULTS[name])

    def full_name(self, relative: str) -> str:
        """A dataset's whole name."""
        return f"{self.name}/{relative}" if relative else self.name

    # --- changes --------------------------------------------------------------------------------

    def changed(self, size: int) -> None:
        """Note that the open transaction group has something to write, of about `size` bytes."""
        self.dirty = True
        self._dirty_bytes += size

    def config_changed(self) -> None:
        """Note that the labels are to be written again with the next transaction group."""
        self._config_dirty = True
        self.dirty = True

    def add_history(self, line: str) -> None:
        """Note a command for `zpool history`."""
        when = self.guest.now_utc().strftime("%Y-%m-%d.%H:%M:%S")
        self.history.append(f"{when} {line}")
        self.dirty = True

    def count_damage(self, file: str) -> None:
        """Note that a file was found damaged when it was read."""
        self.cksum_errors += 2
        self.damaged[file] = None

    def writers_wait(self) -> Signal | None:
        """What a program that wants to write has to wait for, if anything."""
        if self.suspended:
            return self.resumed if self.setting("failmode") == "wait" else None
        if self._dirty_bytes > DIRTY_LIMIT and self._syncing is not None:
            return self._drained
        return None

    def wait_synced(self) -> Signal:
        """Have everything until now written; the signal is fired when it is, which may be never."""
        done = Signal()
        self.call_when_synced([done.fire])
        return done

    def call_when_synced(self, callbacks: list[Callable[[], None]]) -> None:
        """Call bound methods when everything until now is on the disk."""
        if self.dirty:
            self._waiters += callbacks
            self._sync_soon()
        elif self._syncing is not None:
            self._syncing.waiters += callbacks
        else:
            for each in callbacks:
                self.guest.world.schedule(self.guest, 0.0, each)

    def close(self) -> None:
        """Let the device go. Nothing is written any more."""
        self._closed = True
        self.device.opened -= 1

    # --- transaction groups ---------------------------------------------------------------------

    def _tick(self) -> None:
        """Time for a transaction group; also when ZFS notices that the device is gone."""
        if self._closed:
            return
        self.guest.world.schedule(self.guest, TXG_SECONDS, self._tick)
        if self.gone:
            self._config_dirty = self.dirty = True
        if self.dirty:
            self._sync_soon()

    def _sync_soon(self) -> None:
        if self.read_only:
            self.dirty = False
            self._group_done(self._waiters)
            self._waiters = []
        elif self._syncing is not None:
            self._again = True
        elif any(dataset.log.is_placing for dataset in self.datasets.values()):
            self._after_log = True
        elif not self.suspended:
            self._syncing = self._build()
            self._write_group()

    def log_has_placed(self) -> None:
        """Go on with the transaction group that waited for an intent log."""
        if self._after_log:
            self._after_log = False
            self._sync_soon()

    def _write_group(self) -> None:
        assert self._syncing is not None
        self._requests(self._syncing.places, self._data_written)

    def _requests(
        self, places: dict[int, Content | None], done: Callable[[Requests], None]
    ) -> None:
        Requests(write_bios(places), done).start(self.device)

    def _data_written(self, requests: Requests) -> None:
        if self._ended_well(requests):
            Requests([flush()], self._data_flushed).start(self.device)

    def _data_flushed(self, requests: Requests) -> None:
        if self._ended_well(requests):
            assert self._syncing is not None
            self._requests(self._syncing.heads, self._heads_written)

    def _heads_written(self, requests: Requests) -> None:
        if self._ended_well(requests):
            Requests([flush()], self._heads_flushed).start(self.device)

    def _heads_flushed(self, requests: Requests) -> None:
        if not self._ended_well(requests):
            return
        group, self._syncing = self._syncing, None
        assert group is not None
        for dataset, paths, entries in group.datasets:
            dataset.log.committed(paths, entries)
        self._deferred.append((group.number, group.freed))
        while self._deferred and self._deferred[0][0] <= group.number - 2:
            self.space.free(self._deferred.pop(0)[1])
        drained, self._drained = self._drained, Signal()
        drained.fire()
        self._group_done(group.waiters)
        if self._again:
            self._again = False
            if self.dirty and not self._closed:
                self._sync_soon()

    def _group_done(self, waiters: list[Callable[[], None]]) -> None:
        for each in waiters:
            each()

    def _ended_well(self, requests: Requests) -> bool:
        if requests.error is None:
            return True
        self.device_failed(requests.error, wrote=True)
        return False

    # --- building a group -----------------------------------------------------------------------

    def _build(self) -> _Group:
        self.txg += 1
        group = _Group(self.txg, waiters=self._waiters)
        self._waiters = []
        self.dirty = False
        self._dirty_bytes = 0
        self.history = self.history[-200:]
        records = [
            self._build_dataset(group, self.datasets[each]) for each in sorted(self.datasets)
        ]
        records += [self.snapshots[each] for each in sorted(self.snapshots)]
        root = Root(
            dict(self.properties),
            tuple(records),
            tuple(self.history),
            self.scan,
            tuple(self.damaged),
        )
        if self._root is not None:
            group.freed += [self._root.at, self._root.copy]
        self._root = self._place(group, Content(f"{self.name} root", value=root))
        self._build_heads(group)
        return group

    def adopt(self, root: Pointer, txg: int) -> None:
        """Go on from a transaction group that was read from the device."""
        self._root = root
        self.txg = txg
        self.space.take(root.at, root.copy)

    def _build_heads(self, group: _Group) -> None:
        assert self._root is not None
        now = self.guest.wall_clock()
        uberblock = Uberblock(self.guid, group.number, now, self._root)
        content = Content(f"{self.name} uberblock {group.number}", value=uberblock)
        for at in uberblock_places(self.mediasize, group.number):
            group.heads[at] = content
        if self._config_dirty:
            self._config_dirty = False
            hostid = hostid_of(self.guest)
            label = Label(
                self.name,
                self.guid,
                self.vdev_guid,
                group.number,
                self.state,
                hostid,
                self.guest.name,
            )
            for at in label_places(self.mediasize):
                group.heads[at] = Content(f"{self.name} label", value=label)

    def _build_dataset(self, group: _Group, dataset: Dataset) -> DatasetRecord:
        header = dataset.log.quiesce()
        group.freed += dataset.log.take_blocks()
        if dataset.dirty or dataset.objects is None:
            paths, dataset.dirty = dataset.dirty, {}
            keep = any(each.startswith(dataset.relative + "@") for each in self.snapshots)
            freed: list[int] = []
            for path in paths:
                self._build_inode(group, freed, dataset, path)
            if dataset.objects is not None:
                freed += [dataset.objects.at, dataset.objects.copy]
            value = dict(dataset.inodes)
            dataset.objects = self._place(group, Content(f"{dataset.device} objects", value=value))
            group.datasets.append((dataset, paths, dict(dataset.entries)))
            if not keep:
                group.freed += freed
        return DatasetRecord(
            dataset.relative,
            dataset.guid,
            dataset.created,
            dataset.created_txg,
            dataset.objects,
            dict(dataset.properties),
            header,
        )

    def _build_inode(self, group: _Group, freed: list[int], dataset: Dataset, path: str) -> None:
        old = dataset.inodes.pop(path, None)
        before: Inode | None = None
        if old is not None:
            assert old.content is not None
            assert isinstance(old.content.value, Inode)
            before = old.content.value
            freed += [old.at, old.copy]
        entry = dataset.entries.get(path)
        placed = dataset.log.take_placed(path)
        kept: set[int] = set()
        if entry is not None:
            inode = dataset.make_inode(entry, placed or before, group.places)
            kept = {pointer.at for pointer in inode.blocks}
            label = f"{dataset.device}{path}"
            dataset.inodes[path] = self._place(group, Content(label, value=inode))
        for each in (before, placed):
            if each is not None:
                freed += [pointer.at for pointer in each.blocks if pointer.at not in kept]

    def _place(self, group: _Group, content: Content) -> Pointer:
        """Write metadata to two places."""
        pointer = Pointer(self.space.allocate(), content, self.space.allocate_copy())
        group.places[pointer.at] = content
        group.places[pointer.copy] = content
        return pointer

    def forget(self, relative: str) -> None:
        """Destroy a file system: its blocks are free some transaction groups later."""
        dataset = self.datasets.pop(relative)
        pointers = [] if dataset.objects is None else [dataset.objects]
        freed = dataset.log.take_blocks()
        for pointer in [*pointers, *dataset.inodes.values()]:
            freed += [pointer.at, pointer.copy]
            if pointer.content is not None and isinstance(pointer.content.value, Inode):
                freed += [each.at for each in pointer.content.value.blocks]
        self._deferred.append((self.txg + 1, freed))
        self.dirty = True

    # --- failure --------------------------------------------------------------------------------

    def device_failed(self, error: str, *, wrote: bool) -> None:
        """A request failed: with its only device gone the pool waits for it."""
        if error != "ENXIO":
            self.write_errors += wrote
            self.read_errors += not wrote
        if self.suspended:
            return
        self.suspended = True
        self.resumed = Signal()
        if self.setting("failmode") == "panic":
            # zio_suspend() of sys/contrib/openzfs/module/zfs/zio.c
            why = (
                f"Pool '{self.name}' has encountered an uncorrectable I/O failure "
                "and the failure mode property for this pool is set to panic."
            )
            self.guest.world.schedule(self.guest, 0.0, self.guest.part(Kernel).panic, why)
            return
        self.guest.part(Kernel).say(
            f"Solaris: WARNING: Pool '{self.name}' has encountered an uncorrectable I/O failure "
            "and has been suspended."
        )
        self.guest.say("")
        # devd(8) runs logger(1) for it (/etc/devd/zfs.conf, 13.2).
        text = f"catastrophic pool I/O failure, zpool={self.name}"
        self.guest.log("ZFS", self.guest.next_pid(), "local7.alert", text)

    def clear(self) -> bool:
        """Reset the counts and, if suspended, go on. Whether it could.

        Once its device was taken away it cannot, even when a device of that name with the same
        content is back: `I/O error` (md(4) removed by force and attached again, 13.2).
        """
        if self.gone:
            return False
        self.read_errors = self.write_errors = self.cksum_errors = 0
        if not self.suspended:
            return True
        self.suspended = False
        if self._syncing is not None:
            self._write_group()
        elif self.dirty:
            self._sync_soon()
        self.resumed.fire()
        return True

    # --- scrub ----------------------------------------------------------------------------------

    def scrub(self) -> Signal:
        """Read everything and compare checksums; the signal is fired at its end."""
        done = Signal()
        self.scrubbing = Scan(self.guest.world.now, [done.fire])
        Reading(self.device, self._pointers(), self._scrubbed).start()
        return done

    def _pointers(self) -> list[Pointer]:
        found = [] if self._root is None else [self._root]
        for dataset in self.datasets.values():
            if dataset.objects is not None:
                found.append(dataset.objects)
            for pointer in dataset.inodes.values():
                found.append(pointer)
                assert pointer.content is not None
                assert isinstance(pointer.content.value, Inode)
                found += pointer.content.value.blocks
        return found

    def _scrubbed(self, reading: Reading) -> None:
        scan, self.scrubbing = self.scrubbing, None
        assert scan is not None
        if reading.errors:
            self.device_failed("ENXIO", wrote=False)
        records = self._bad_records(reading.bad)
        self.cksum_errors += len(records) + len(reading.repaired)
        for file, _ in records:
            self.damaged[file] = None
        self._heal(reading)
        seconds = int(self.guest.world.now - scan.began)
        took = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        healed = human(len(reading.repaired) * 4096)
        self.scan = (
            f"scrub repaired {healed} in {took} with {len(records)} errors on "
            f"{ctime(self.guest.now_utc())}"
        )
        self.dirty = True
        for each in scan.waiters:
            each()

    def _bad_records(self, bad: dict[int, None]) -> dict[tuple[str, int], None]:
        """The damaged records of files: (file, number of the record of 128 KiB)."""
        found: dict[tuple[str, int], None] = {}
        if not bad:
            return found
        for dataset in self.datasets.values():
            for path, pointer in dataset.inodes.items():
                assert pointer.content is not None
                assert isinstance(pointer.content.value, Inode)
                for number, each in enumerate(pointer.content.value.blocks):
                    if each.at in bad:
                        found[dataset.file_name(path), number // 32] = None
        return found

    def _heal(self, reading: Reading) -> None:
        """Write what only its copy was good of."""
        places: dict[int, Content | None] = {
            at: reading.wanted[at].content for at in reading.repaired
        }
        if places:
            self._requests(places, self._healed)

    def _healed(self, requests: Requests) -> None:
        """Whether it worked shows when it is read again."""


def ctime(when: datetime) -> str:
    """A time as ctime(3) has it, without the newline."""
    when = when.astimezone(UTC)
    return f"{when:%a %b} {when.day:2} {when:%H:%M:%S %Y}"


def human(size: int) -> str:
    """Bytes as ZFS prints them: 93696 is 91.5K, 0 is 0B (zfs_nicenum, OpenZFS 2.1)."""
    if size < 1024:
        return f"{size}B"
    value, unit = float(size), ""
    for unit in "KMGTPE":  # noqa: B007 - used after the loop
        value /= 1024
        if value < 1024:
            break
    if value == int(value):
        return f"{int(value)}{unit}"
    for digits in (2, 1, 0):
        text = f"{value:.{digits}f}{unit}"
        if len(text) <= 5:
            return text
    return text
