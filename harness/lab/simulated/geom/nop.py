"""gnop(8)'s provider: another device through which a disk can be made slow (sys/geom/nop, 13.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.simulated.hardware.disk import Bio, LocalDisk, Op
from harness.lab.simulated.kernel.modules import HZ, Kernel

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

SUFFIX = ".nop"


class NopDevice(LocalDisk):
    """A disk's device under another name. It is gone after a reboot.

    A share of its reads and writes waits a number of ticks of the kernel, the one that has begun
    included, before the disk gets them; any number of them at the same time.
    """

    def __init__(self, guest: Guest, below: LocalDisk) -> None:
        """It delays nothing yet; the delay is a millisecond."""
        super().__init__(guest, below.disk, below.latency, below.rate)
        self.name = below.name + SUFFIX
        self._guest = guest
        self._below = below
        self.delay_ms = 1
        self.shares = {Op.READ: 0, Op.WRITE: 0}
        """Of a hundred reads and of a hundred writes, how many are delayed."""

    @property
    def opened(self) -> int:
        """Who opens it opens the disk."""
        return self._below.opened

    @opened.setter
    def opened(self, count: int) -> None:
        self._below.opened = count

    def submit(self, bio: Bio) -> None:
        """Hand a request to the disk, now or some ticks later."""
        if bio.ahead or not self._is_delayed(bio.op):
            self._below.submit(bio)
            return
        world = self._owner.world
        ticks = max(1, self.delay_ms * HZ // 1000)  # MSEC_2_TICKS() of sys/time.h
        wait = self._guest.part(Kernel).after_ticks(ticks, world.now)
        world.schedule(self._owner, wait, self._below.submit, bio)

    def _is_delayed(self, op: Op) -> bool:
        share = self.shares.get(op, 0)
        return share == 100 or (share > 0 and self._owner.rng.randrange(100) < share)
