"""ZFS on a node: the pools that are imported, their mounts, and the file that lists them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import Signal
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.zfs.dataset import Dataset
from harness.lab.simulated.zfs.loading import Candidate, LabelScan, Loading, on_devices
from harness.lab.simulated.zfs.pool import Pool, hostid_of

if TYPE_CHECKING:
    from harness.lab.simulated.hardware.disk import BlockDevice

CACHEFILE = "/etc/zfs/zpool.cache"


class Zfs(Part):
    """The ZFS of a running kernel. Made anew at each boot: no pool is imported then."""

    def __init__(self, guest: Guest) -> None:
        """`guest` is whose kernel it is in."""
        self.guest = guest
        self.pools: dict[str, Pool] = {}
        """The imported pools by name."""
        self._boot: _BootImport | None = None
        guest.syncer_blockers.append(self.is_suspended)

    # --- what others want to know ---------------------------------------------------------------

    def is_suspended(self) -> bool:
        """Whether an imported pool waits for its device, and so does the syncer (13.2)."""
        return any(pool.suspended for pool in self.pools.values())

    @property
    def hostid(self) -> int:
        """kern.hostid: four bytes of the MD5 of the UUID in /etc/hostid (rc.d/hostid, 13.2)."""
        return hostid_of(self.guest)

    def dataset(self, name: str) -> Dataset | None:
        """An imported file system by its whole name."""
        pool, _, relative = name.partition("/")
        return self.pools[pool].datasets.get(relative) if pool in self.pools else None

    # --- for rc(8) ------------------------------------------------------------------------------

    def boot_import(self) -> None:
        """What rc.d/zpool does with `zfs_enable=YES`: import the pools that the cachefile lists.

        A pool whose device is not there, such as one on HAST, is dropped from the file
        (recorded run, 13.2). Writes to the console what zpool(8) does.
        """
        listed = self._listed()
        if not listed:
            return
        missing = [name for name, path in listed if path not in self.guest.devices]
        for name in missing:
            self.guest.say(
                f"cannot import '{name}': no such pool or dataset\n"
                "\tDestroy and re-create the pool from\n\ta backup source."
            )
        if missing:
            self.guest.say("cachefile import failed, retrying")
            if len(missing) == len(listed):
                self.guest.say("no pools available to import")
        self.write_cachefile()
        self._boot = _BootImport(self, {path: name for name, path in listed})

    def shutdown(self, done: Callable[[], None]) -> None:
        """Unmount everything and write it out at an orderly shutdown, then call `done`.

        `done` is a bound method. With a suspended pool it is never called: the node hangs
        (docs/findings.md, claim 2).
        """
        _Shutdown(self, done)

    # --- pools ----------------------------------------------------------------------------------

    def create(self, name: str, path: str, device: BlockDevice, guid: int) -> Pool:
        """A new pool with its top file system; `wait_synced` on it writes it to the device."""
        pool = Pool(self.guest, name, guid, path, device)
        pool.datasets[""] = Dataset(pool, "")
        pool.config_changed()
        self.pools[name] = pool
        return pool

    def load(self, candidate: Candidate, name: str, *, read_only: bool = False) -> ImportTask:
        """Start to import a pool that was found."""
        return ImportTask(self, candidate, name, read_only=read_only)

    def release(self, pool: Pool, state: str) -> ExportTask:
        """Start to write a pool's last transaction group and let it go."""
        return ExportTask(self, pool, state)

    # --- mounts ---------------------------------------------------------------------------------

    def mount(self, dataset: Dataset) -> str | None:
        """Mount a file system where its mountpoint says; returns the errno's name of a failure."""
        path = dataset.mountpoint
        try:
            if self.guest.tree.entry(path) is None:
                self.guest.tree.make_directory(path, parents=True)
        except FileError as error:
            return error.errno
        dataset.read_only = dataset.pool.read_only or dataset.setting("readonly") == "on"
        dataset.mounted_on = path
        self.guest.tree.mounts[path] = dataset
        return None

    def mount_all(self, pool: Pool) -> list[str]:
        """Mount all that is to be; returns the names of those that could not be."""
        order = sorted(pool.datasets.values(), key=_mount_order)
        return [
            dataset.device
            for dataset in order
            if dataset.mounted_on is None
            and dataset.mountpoint not in {"none", "legacy"}
            and dataset.setting("canmount") in {"on", "-"}
            and self.mount(dataset) is not None
        ]

    def busy(self, dataset: Dataset) -> bool:
        """Whether another file system is mounted below it."""
        at = dataset.mounted_on
        return at is not None and any(each.startswith(at + "/") for each in self.guest.tree.mounts)

    def unmount(self, dataset: Dataset) -> None:
        """Take a file system away from the tree."""
        if dataset.mounted_on is not None:
            self.guest.tree.mounts.pop(dataset.mounted_on, None)
            dataset.mounted_on = None

    def unmount_all(self, pool: Pool, *, remove: bool) -> None:
        """Unmount all of a pool; with `remove` the directories that ZFS made itself go too."""
        for dataset in sorted(pool.datasets.values(), key=_mount_order, reverse=True):
            at = dataset.mounted_on
            self.unmount(dataset)
            if at is None or not remove or dataset.mountpoint_source()[1] == "local":
                continue
            try:
                filesystem, inner = self.guest.tree.locate(at)
                if not isinstance(filesystem, Dataset):
                    filesystem.remove(inner)
            except FileError:
                continue

    # --- the cachefile --------------------------------------------------------------------------

    def write_cachefile(self) -> None:
        """List the imported pools in /etc/zfs/zpool.cache; nobody makes it durable.

        Its content here is `name path` lines, where ZFS has a packed list.
        """
        pools = [pool for pool in self.pools.values() if pool.cachefile in {None, CACHEFILE}]
        tree = self.guest.tree
        try:
            if pools:
                tree.make_directory(posixpath.dirname(CACHEFILE), parents=True)
                text = "".join(f"{pool.name} {pool.path}\n" for pool in pools)
                tree.write(CACHEFILE, text.encode())
            elif tree.entry(CACHEFILE) is not None:
                filesystem, inner = tree.locate(CACHEFILE)
                filesystem.remove(inner)
        except FileError:
            return

    def _listed(self) -> list[tuple[str, str]]:
        try:
            text = self.guest.tree.read(CACHEFILE).decode("utf-8", "replace")
        except FileError:
            return []
        words = [line.split() for line in text.splitlines()]
        return [(line[0], line[1]) for line in words if len(line) == 2]


def _mount_order(dataset: Dataset) -> str:
    return dataset.mountpoint


class ImportTask:
    """A pool on its way in. When `finished` is fired `pool` is imported, or `error` is set."""

    def __init__(self, zfs: Zfs, candidate: Candidate, name: str, *, read_only: bool) -> None:
        self.finished = Signal()
        self.pool: Pool | None = None
        self.error: str | None = None
        self.read_only = read_only
        self._zfs = zfs
        Loading(zfs.guest, candidate, name, self._loaded).start()

    def _loaded(self, loading: Loading) -> None:
        pool, self.error = loading.pool, loading.error
        if pool is None:
            self.finished.fire()
            return
        self.pool = pool
        pool.read_only = self.read_only
        self._zfs.pools[pool.name] = pool
        pool.config_changed()
        pool.call_when_synced([self.finished.fire])


@dataclass
class ExportTask:
    """A pool on its way out; `finished` is fired when its last transaction group is written."""

    zfs: Zfs
    pool: Pool
    state: str

    def __post_init__(self) -> None:
        self.finished = Signal()
        self.pool.call_when_synced([self._synced])

    def _synced(self) -> None:
        self.pool.state = self.state
        self.pool.config_changed()
        self.pool.call_when_synced([self._ended])

    def _ended(self) -> None:
        self.pool.close()
        self.zfs.pools.pop(self.pool.name, None)
        self.zfs.write_cachefile()
        self.finished.fire()


class _Shutdown:
    """Writes all pools at the end of a boot."""

    def __init__(self, zfs: Zfs, done: Callable[[], None]) -> None:
        pools, guest = list(zfs.pools.values()), zfs.guest
        self._left = len(pools)
        self._done = done
        if not pools:
            guest.world.schedule(guest, 0.0, done)
        for pool in pools:
            zfs.unmount_all(pool, remove=False)
            pool.call_when_synced([self._one])

    def _one(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._done()


class _BootImport:
    """The import of those pools at boot whose devices are there."""

    def __init__(self, zfs: Zfs, wanted: dict[str, str]) -> None:
        self._zfs = zfs
        self._wanted = wanted
        self._tasks: list[ImportTask] = []
        devices = [each for each in on_devices(zfs.guest) if each[0] in wanted]
        self._scan = LabelScan(zfs.guest, devices)
        zfs.guest.world.schedule(zfs.guest, 0.0, self._wait)

    def _wait(self) -> None:
        """Look again and again, since nothing else is notified here."""
        guest = self._zfs.guest
        if not self._scan.finished.fired:
            guest.world.schedule(guest, 0.01, self._wait)
            return
        if not self._tasks:
            for each in self._scan.found:
                name = self._wanted[each.path]
                mine = each.label.hostid == self._zfs.hostid
                if each.label.name == name and mine and each.label.state == "ACTIVE":
                    self._tasks.append(self._zfs.load(each, name))
        if not all(task.finished.fired for task in self._tasks):
            guest.world.schedule(guest, 0.01, self._wait)
            return
        for task in self._tasks:
            if task.pool is not None:
                self._zfs.mount_all(task.pool)
        if self._tasks:
            self._zfs.write_cachefile()
