"""Disks and file systems that lie (the model)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.mutations.mutation import around, mutation, replace
from harness.mutations.replication import LOST

if TYPE_CHECKING:
    import pytest

_MODEL = "harness.lab.simulated"


@mutation("a pool is empty when it is imported", LOST)
def pool_imports_empty(patch: pytest.MonkeyPatch) -> None:
    """Its file systems are there, without a file."""
    from harness.lab.simulated.files import Entries  # noqa: PLC0415 - the model

    def make(loaded: Callable[..., Any]) -> Any:
        def without_files(task: Any, loading: Any) -> None:
            for dataset in loading.pool.datasets.values() if loading.pool else ():
                dataset.entries = Entries({"/": dataset.entries["/"]})
            loaded(task, loading)

        return without_files

    around(patch, f"{_MODEL}.zfs:ImportTask._loaded", make)


@mutation("fsync(2) on ZFS returns before anything is written", LOST)
def fsync_does_not_reach_the_disk(patch: pytest.MonkeyPatch) -> None:
    """A crash loses up to a transaction group."""
    from harness.lab.simulated.process import Signal  # noqa: PLC0415 - the model, where it is wanted

    def fsync(dataset: Any, _: str) -> Signal:
        done = Signal()
        guest = dataset.pool.guest
        guest.world.schedule(guest, 0.0, done.fire)
        return done

    replace(patch, f"{_MODEL}.dataset:Dataset.fsync", fsync)


@mutation("fsync(2) on UFS returns before anything is written", LOST + "|fsync|survive")
def fsync_on_ufs_does_not_reach_the_disk(patch: pytest.MonkeyPatch) -> None:
    """A crash loses what was written lately."""
    from harness.lab.simulated.process import Signal  # noqa: PLC0415

    def fsync(filesystem: Any, _: str) -> Signal:
        done = Signal()
        guest = filesystem.guest
        guest.world.schedule(guest, 0.0, done.fire)
        return done

    replace(patch, f"{_MODEL}.ufs:Ufs.fsync", fsync)


@mutation("a disk says that its cache is flushed, and a power cut loses what was in it", LOST)
def disk_does_not_flush(patch: pytest.MonkeyPatch) -> None:
    """Of the last 16 MiB any part may be gone."""

    def flush(_: Any) -> None:
        return

    def make(lose_power: Callable[..., Any]) -> Any:
        def lose(disk: Any, rng: Any) -> None:
            lose_power(disk, rng)
            disk._unflushed.clear()
            disk._cached = 0

        return lose

    replace(patch, f"{_MODEL}.disk:Disk.flush", flush)
    around(patch, f"{_MODEL}.disk:Disk.lose_power", make)


@mutation(
    "`shutdown -r` with the pool imported exports it and reboots",
    r"the hang did not last|rc\.shutdown",
)
def shutdown_with_a_pool_does_not_hang(patch: pytest.MonkeyPatch) -> None:
    """The pools are let go before their device is."""
    from harness.lab.simulated.shutdown import Shutdown  # noqa: PLC0415

    def let_go_first(shutdown: Any) -> None:
        zfs = shutdown._guest.zfs
        for pool in list(zfs.pools.values()):
            zfs.unmount_all(pool, remove=False)
            zfs.release(pool, "EXPORTED")
        shutdown._after(3.0, shutdown.stop_hastd)

    patch.setattr(Shutdown, "stop_hastd", Shutdown._stop_hastd, raising=False)
    replace(patch, f"{_MODEL}.shutdown:Shutdown._stop_hastd", let_go_first)
