"""/dev/hast/NAME: the device that the kernel's GEOM gate makes for a primary."""

from __future__ import annotations

from typing import Protocol

from harness.lab.simulated.geom.gpt import hide, show, table_of
from harness.lab.simulated.hardware.disk import BLOCK, Bio, BlockDevice, Op
from harness.lab.simulated.hast.replication.metadata import DATA, whole
from harness.lab.simulated.kernel.guest import Guest

TASTES = 24
"""Reads by which the kernel's GEOM classes look at a new device, one after another (13.2).

A primary without a secondary serves them all; otherwise only the first one, which waits until the
nodes have connected, because after that the kernel reads directly.
"""


class _DirectRead(Bio):
    """A read that the kernel serves from the local disk by itself."""

    original: Bio


class Server(Protocol):
    """The worker that serves a device."""

    def pump(self) -> None:
        """Take what waits at the device."""


class GateDevice(BlockDevice):
    """Requests wait here until a worker takes them; those that were taken wait for their answer.

    If the worker is killed, the device stays with all of its requests until another worker takes
    it over. If it is destroyed, which hastd does by force, they all end with ENXIO, as does
    every later one of somebody who still has it open.
    """

    def __init__(self, guest: Guest, name: str, mediasize: int, local: BlockDevice) -> None:
        """`mediasize` is in bytes; `local` is where direct reads go."""
        self.name = name
        self.mediasize = mediasize
        self.worker: Server | None = None
        self.direct_reads = False
        """Whether the kernel serves reads from the local disk without hastd."""
        self.destroyed = False
        self._guest = guest
        self._local = local
        self._waiting: list[Bio] = []
        self._taken: dict[Bio, None] = {}
        self._tastes_left = TASTES
        guest.devices[name] = self
        self._taste(None)

    def submit(self, bio: Bio) -> None:
        """Take a request, now or when a worker comes."""
        if self.destroyed:
            self._guest.world.schedule(self._guest, 0.0, bio.end, "ENXIO")
        elif bio.op is not Op.FLUSH and bio.offset + bio.length > self.mediasize:
            self._guest.world.schedule(self._guest, 0.0, bio.end, "EIO")
        elif self.direct_reads and bio.op is Op.READ:
            self._read_directly(bio)
        else:
            self._waiting.append(bio)
            if self.worker is not None:
                self._guest.world.schedule(self._guest, 0.0, self.worker.pump)

    def take(self) -> Bio | None:
        """The next request, for the worker."""
        if not self._waiting:
            return None
        bio = self._waiting.pop(0)
        self._taken[bio] = None
        return bio

    def done(self, bio: Bio, error: str | None) -> None:
        """The worker has an answer. Nobody waits for it if the device is gone."""
        if bio in self._taken:
            del self._taken[bio]
            bio.end(error)

    def take_over(self) -> None:
        """A new worker begins with what the old one left."""
        self._waiting = [*self._taken, *self._waiting]
        self._taken = {}

    def destroy(self) -> None:
        """Remove it, whoever has it open."""
        self.destroyed = True
        self.worker = None
        if self._guest.devices.get(self.name) is self:
            del self._guest.devices[self.name]
            hide(self._guest, self)
        left = [*self._taken, *self._waiting]
        self._taken, self._waiting = {}, []
        for bio in left:
            self._guest.world.schedule(self._guest, 0.0, bio.end, "ENXIO")

    def _taste(self, before: Bio | None) -> None:
        if before is not None and self._tastes_left == TASTES - 1 and before.error is None:
            show(self._guest, self, table_of(before))
        if self._tastes_left and (before is None or before.error is None):
            self._tastes_left -= 1
            self.submit(Bio(Op.READ, 0, BLOCK, done=self._taste))

    def _read_directly(self, bio: Bio) -> None:
        read = _DirectRead(
            Op.READ,
            bio.offset + DATA * BLOCK,
            whole(bio.length),
            done=self._was_read,
            ahead=bio.ahead,
        )
        read.original = bio
        self._local.submit(read)

    def _was_read(self, read: Bio) -> None:
        assert isinstance(read, _DirectRead)
        read.original.blocks = {at - DATA: each for at, each in read.blocks.items()}
        read.original.end("ENXIO" if self.destroyed else read.error)
