"""The synchronisation: one thread of a primary that copies what is dirty, chunk by chunk.

One request is in flight at a time, so that a chunk takes a read, its way over the cable, a write
and the answer: latency rules the rate. (sync_thread() in sbin/hastd/primary.c, 13.2)
"""

from __future__ import annotations

from harness.lab.simulated.hardware.disk import BLOCK, LocalDisk, Op
from harness.lab.simulated.hast.replication.metadata import DATA
from harness.lab.simulated.hast.replication.primary_state import Hio, PrimaryState
from harness.lab.simulated.hast.replication.secondary import Secondary
from harness.lab.simulated.hast.replication.wire import HEADER, data_size
from harness.lab.simulated.hast.replication.worker import strerror
from harness.lab.simulated.hast.text import duration, humanize
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.network.tcp import Socket

AHEAD = 0.25
"""Seconds that whole chunks may be copied at once when nothing happens meanwhile: for speed."""


class SyncThread:
    """It sleeps until the nodes have connected, and again when they are in sync or parted."""

    def __init__(self, worker: PrimaryState) -> None:
        self._worker = worker
        self.in_progress = False
        self.range: tuple[int, int] | None = None
        """Offset and end of the chunk being copied; writes to it wait."""
        self.hio: Hio | None = None
        """The request in flight."""
        self._running = False
        self._synced = 0
        self._started_at = 0.0
        self._rewind = True
        self._waits_for_range = False

    def start(self) -> None:
        """The nodes have connected."""
        self.in_progress = True
        if not self._running:
            self._running = True
            self._rewind = True
            self._synced = 0
            self._worker.later(self._worker.guest.rng.uniform(0.0005, 0.002), self._next)

    def stop(self) -> None:
        """The nodes have parted: the request in flight ends with an error, and then it stops."""
        self.in_progress = False

    # --- the loop -------------------------------------------------------------------------------

    def _next(self) -> None:
        if not self.in_progress:
            self._interrupted()
            return
        worker = self._worker
        amap = worker.amap
        rewind, self._rewind = self._rewind, False
        if rewind:
            amap.rewind()
        offset, length, done = amap.next_chunk()
        if done != -1 and amap.extent_complete(done):
            worker.flush_map()
        if rewind:
            self._announce(nothing=offset == -1)
        if offset == -1:
            self._complete()
            return
        self.range = (offset, offset + length)
        self._begin()

    def _announce(self, *, nothing: bool) -> None:
        worker = self._worker
        if nothing:
            worker.log("info", "Nodes are in sync.")
            return
        worker.log("info", f"Synchronization started. {humanize(worker.dirty)}B to go.")
        worker.event("syncstart")
        self._started_at = worker.world.now

    def _interrupted(self) -> None:
        self._running = False
        took = duration(self._worker.world.now - self._started_at)
        self._worker.log(
            "info",
            f"Synchronization interrupted after {took}. "
            f"{humanize(self._synced)}B synchronized so far.",
        )
        self._worker.event("syncintr")

    def _complete(self) -> None:
        worker = self._worker
        self.in_progress = False
        self._running = False
        if not worker.is_connected:
            return
        if self._synced:
            took = max(worker.world.now - self._started_at, 1e-6)
            worker.log(
                "info",
                f"Synchronization complete. {humanize(self._synced)}B synchronized in "
                f"{duration(took)} ({humanize(int(self._synced / took))}B/sec).",
            )
            worker.event("syncdone")
        worker.in_sync()

    # --- one chunk ------------------------------------------------------------------------------

    def range_free(self) -> None:
        """A write has ended: perhaps the chunk that it kept waiting can go on."""
        if self._waits_for_range:
            self._waits_for_range = False
            self._worker.later(0.0, self._begin)

    def _begin(self) -> None:
        assert self.range is not None
        worker = self._worker
        if worker.is_writing(*self.range):
            self._waits_for_range = True
            return
        if self._copy_ahead():
            return
        offset, end = self.range
        self.hio = worker.sync_hio(Op.READ, offset, end - offset)
        if worker.counters.source == "secondary":
            worker.send_remote(self.hio)
        else:
            worker.send_local(self.hio)

    def request_done(self, hio: Hio) -> None:
        """The read or the write of the chunk has ended."""
        worker = self._worker
        from_secondary = worker.counters.source == "secondary"
        reading = hio.bio.op is Op.READ
        error = hio.errors[1 if reading == from_secondary else 0]
        if error is not None:
            what = "read" if reading else "write"
            worker.log("error", f"Unable to {what} synchronization data: {strerror(error)}.")
        elif reading:
            self.hio = worker.sync_hio(
                Op.WRITE, hio.bio.offset, hio.bio.length, dict(hio.bio.blocks)
            )
            if from_secondary:
                worker.send_local(self.hio)
            else:
                worker.send_remote(self.hio)
            return
        else:
            self._synced += hio.bio.length
        self._chunk_done()

    def _chunk_done(self) -> None:
        self.range = None
        self.hio = None
        self._worker.range_free()
        self._next()

    # --- many chunks at once --------------------------------------------------------------------

    def _copy_ahead(self) -> bool:
        """Copy several chunks in one go, if nothing else happens in the time that they take.

        What it does is what the single steps do; only that data are up to `AHEAD` seconds early.
        """
        ahead = _Ahead.plan(self._worker)
        if ahead is None:
            return False
        worker = self._worker
        amap = worker.amap
        assert self.range is not None
        offset, length = self.range[0], self.range[1] - self.range[0]
        took, copied, complete = 0.0, 0, False
        while True:
            took += ahead.copy(offset, length)
            copied += length
            if took >= ahead.until:
                break
            following, size, done = amap.next_chunk()
            if done != -1:
                complete |= amap.extent_complete(done)
            if following == -1:
                break
            offset, length = following, size
        self.range = (offset, offset + length)
        if complete:
            worker.flush_map()
        worker.later(took, self._copied_ahead, copied)
        return True

    def _copied_ahead(self, copied: int) -> None:
        self._synced += copied
        self._chunk_done()


def _secondary_at(end: Socket) -> Secondary | None:
    """The worker that reads from an end of a connection."""
    daemons = end.owner.daemons.values() if isinstance(end.owner, Guest) else ()
    for daemon in daemons:
        if isinstance(daemon, Secondary) and daemon.incoming is end:
            return daemon
    return None


class _Ahead:
    """The two disks and the cable between them, when nothing but the synchronisation uses them."""

    def __init__(
        self,
        worker: PrimaryState,
        disks: tuple[LocalDisk, LocalDisk],
        other: Secondary,
        until: float,
    ) -> None:
        self.until = until
        self._worker = worker
        self._near, self._far = disks
        self._other = other
        self._from_secondary = worker.counters.source == "secondary"

    @classmethod
    def plan(cls, worker: PrimaryState) -> _Ahead | None:
        """None when something else goes on or could be disturbed."""
        outgoing = worker.outgoing
        if outgoing is None or outgoing.peer is None or worker.is_busy:
            return None
        other = _secondary_at(outgoing.peer)
        world = worker.world
        if other is None or other.stopped or other.busy or outgoing.nic is None:
            return None
        link = outgoing.segment
        near, far = worker.device, other.device
        if type(near) is not LocalDisk or type(far) is not LocalDisk:
            return None
        if (
            link.loss
            or link.is_shaped()
            or outgoing.unsent
            or other.outgoing.unsent
            or not outgoing.is_through(outgoing.peer)
        ):
            return None
        following = world.next_at()
        until = AHEAD if following is None else min(AHEAD, following - world.now)
        return cls(worker, (near, far), other, until) if until > 0.05 else None

    def copy(self, offset: int, length: int) -> float:
        """Copy a chunk and return the seconds that it takes."""
        first, count = offset // BLOCK + DATA, length // BLOCK
        near, far = self._near, self._far
        source, target = (far, near) if self._from_secondary else (near, far)
        blocks = source.disk.read(first, count)
        target.disk.write(first, count, blocks)
        other, outgoing = self._other, self._worker.outgoing
        assert outgoing is not None
        assert outgoing.peer is not None
        sender, receiver, link = outgoing.nic, outgoing.peer.nic, outgoing.segment
        assert sender is not None
        assert receiver is not None
        other.heard()
        other.clear_map()
        other.statistics.count("read" if self._from_secondary else "write")
        size = data_size(length, blocks, self._worker.config.compression)
        if self._from_secondary:
            sender, receiver = receiver, sender
        link.count(receiver, sender, HEADER)
        link.count(sender, receiver, size)
        disks = sum(each.latency + length / each.rate for each in (near, far))
        return disks + (size + HEADER) / link.rate + 2 * link.delay
