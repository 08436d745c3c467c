"""Disks and file systems that lie (the model)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import Signal
from harness.lab.simulated.hardware.disk import Disk
from harness.lab.simulated.hast.rc_script import Stop
from harness.lab.simulated.kernel.files import Entries
from harness.lab.simulated.ufs.ufs import Ufs
from harness.lab.simulated.zfs.dataset import Dataset
from harness.lab.simulated.zfs.loading import Loading
from harness.lab.simulated.zfs.zfs import ImportTask, Zfs
from harness.trials.mutations.mutation import mutation, nothing
from harness.trials.mutations.replication import LOST

if TYPE_CHECKING:
    import pytest


@mutation("a pool is empty when it is imported", LOST)
def pool_imports_empty(patch: pytest.MonkeyPatch) -> None:
    """Its file systems are there, without a file."""
    loaded = ImportTask._loaded

    def without_files(task: ImportTask, loading: Loading) -> None:
        for dataset in loading.pool.datasets.values() if loading.pool else ():
            dataset.entries = Entries({"/": dataset.entries["/"]})
        loaded(task, loading)

    patch.setattr(ImportTask, "_loaded", without_files)


@mutation("fsync(2) on ZFS returns before anything is written", LOST)
def fsync_does_not_reach_the_disk(patch: pytest.MonkeyPatch) -> None:
    """A crash loses up to a transaction group."""

    def fsync(dataset: Dataset, _: str) -> Signal:
        done = Signal()
        guest = dataset.pool.guest
        guest.world.schedule(guest, 0.0, done.fire)
        return done

    patch.setattr(Dataset, "fsync", fsync)


@mutation("fsync(2) on UFS returns before anything is written", LOST + "|fsync|survive")
def fsync_on_ufs_does_not_reach_the_disk(patch: pytest.MonkeyPatch) -> None:
    """A crash loses what was written lately."""

    def fsync(filesystem: Ufs, _: str) -> Signal:
        done = Signal()
        guest = filesystem.guest
        guest.world.schedule(guest, 0.0, done.fire)
        return done

    patch.setattr(Ufs, "fsync", fsync)


@mutation("a disk says that its cache is flushed, and a power cut loses what was in it", LOST)
def disk_does_not_flush(patch: pytest.MonkeyPatch) -> None:
    """Of the last 16 MiB any part may be gone."""
    lose_power = Disk.lose_power

    def lose(disk: Disk, rng: random.Random) -> None:
        lose_power(disk, rng)
        disk._unflushed.clear()
        disk._cached = 0

    patch.setattr(Disk, "flush", nothing)
    patch.setattr(Disk, "lose_power", lose)


@mutation(
    "`shutdown -r` with the pool imported exports it and reboots",
    r"the hang did not last|rc\.shutdown",
)
def shutdown_with_a_pool_does_not_hang(patch: pytest.MonkeyPatch) -> None:
    """The pools are let go before their device is."""
    begin = Stop.begin

    def let_go_first(stop: Stop) -> None:
        zfs = stop.guest.part(Zfs)
        for pool in list(zfs.pools.values()):
            zfs.unmount_all(pool, remove=False)
            zfs.release(pool, "EXPORTED")
        stop.ending.after(3.0, begin, stop)

    patch.setattr(Stop, "begin", let_go_first)
