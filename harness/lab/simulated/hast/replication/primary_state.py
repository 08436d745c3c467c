"""What the threads of a primary's worker share: its counters, its requests, its connections."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

from harness.lab.simulated.hardware.disk import Bio, BlockDevice, Blocks, Op
from harness.lab.simulated.hast.replication import metadata as hast_metadata
from harness.lab.simulated.hast.replication.activemap import ActiveMap
from harness.lab.simulated.hast.replication.metadata import Metadata
from harness.lab.simulated.hast.replication.wire import Accepted
from harness.lab.simulated.hast.replication.worker import Parent, Resource, Worker
from harness.lab.simulated.network.tcp import Socket

SYNC_SEQUENCE = 1
"""The number of every request of the synchronisation; there is only one at a time."""


@dataclass
class Counters:
    """Modification counters as the primary knows them, and who has the newer data."""

    primary_local: int = 0
    primary_remote: int = 0
    secondary_local: int = 0
    secondary_remote: int = 0
    source: str | None = None


@dataclass(eq=False)
class Hio:
    """A request and how far its two components are. An error of EINVAL means: never tried."""

    bio: Bio
    sequence: int
    replication: str
    sync: bool = False
    countdown: int = 2
    writecount: int = 2
    errors: list[str | None] = None  # type: ignore[assignment]
    acknowledged: bool = False
    """Whether the kernel has its answer."""
    received: bool = False
    """Whether the secondary has said that it has the data."""

    def __post_init__(self) -> None:
        self.errors = ["EINVAL", "EINVAL"]

    @property
    def memsync_write(self) -> bool:
        """Whether two answers are expected from the secondary."""
        return self.replication == "memsync" and self.bio.op is Op.WRITE and not self.sync

    @property
    def range(self) -> tuple[int, int]:
        """Offset and end."""
        return self.bio.offset, self.bio.offset + self.bio.length


class PrimaryState(Worker):
    """A primary's worker, as its handshake and its synchronisation know it."""

    amap: ActiveMap
    device: BlockDevice

    def __init__(self, hastd: Parent, resource: Resource) -> None:
        super().__init__(hastd, resource, "primary")
        self.counters = Counters()
        self.incoming: Socket | None = None
        self.outgoing: Socket | None = None
        self.replication = self.config.replication
        self.busy = 0
        """Requests of the kernel that are under way."""
        self.writing: dict[Hio, None] = {}
        """Writes that are under way."""
        self.receiving: dict[int, Hio] = {}
        """Requests whose answer the secondary owes, by their sequence number."""

    @property
    def meta(self) -> Metadata:
        """The metadata."""
        assert self.metadata is not None
        return self.metadata

    @property
    def is_connected(self) -> bool:
        """Whether it believes so."""
        return self.outgoing is not None

    @property
    def is_busy(self) -> bool:
        """Whether there is any request but those of the synchronisation."""
        return bool(self.busy or self.receiving)

    @property
    def dirty(self) -> int:
        """Bytes in extents that are dirty."""
        return self.amap.dirty_bytes

    def is_writing(self, offset: int, end: int) -> bool:
        """Whether a write to this range is on its way."""
        return any(overlap(each.range, (offset, end)) for each in self.writing)

    def sync_hio(self, op: Op, offset: int, length: int, blocks: Blocks | None = None) -> Hio:
        """A request of the synchronisation, which goes to one component only."""
        bio = Bio(op, offset, length, blocks or {})
        return Hio(bio, SYNC_SEQUENCE, self.replication, sync=True, countdown=1)

    # --- metadata -------------------------------------------------------------------------------

    def make_resuid(self) -> bool:
        """Give the resource its unique ID, just before the nodes meet for the first time."""
        if self.meta.resuid:
            return False
        self.metadata = replace(self.meta, resuid=self.guest.rng.getrandbits(64) or 1)
        self.write_metadata()
        return True

    def write_metadata(self) -> None:
        """Store the counters."""
        self.metadata = replace(
            self.meta,
            localcnt=self.counters.primary_local,
            remotecnt=self.counters.primary_remote,
            prevrole="primary",
        )
        hast_metadata.write(self.device, self.metadata)

    def flush_map(self) -> None:
        """Store the map of dirty extents, and with metaflush flush the disk's cache."""
        hast_metadata.write_map(self.device, self.amap.on_disk)
        if self.config.metaflush and self.can_flush():
            self.device.submit(Bio(Op.FLUSH))

    @property
    def on_a_file(self) -> bool:
        """Whether the local component is a file."""
        return not self.config.localpath.startswith("/dev/")

    def can_flush(self) -> bool:
        """A file has no cache of its own to flush (13.2)."""
        if self.on_a_file:
            self.log(
                "error",
                "Unable to flush disk cache on activemap update: Inappropriate ioctl for device.",
            )
        return not self.on_a_file

    # --- what a thread has to say to the worker -------------------------------------------------

    @abstractmethod
    def connected(self, incoming: Socket, outgoing: Socket, answer: Accepted) -> None:
        """The handshake has succeeded."""

    @abstractmethod
    def not_connected(self, *, wait: bool) -> None:
        """The handshake has failed; `wait` when the other node is primary as well."""

    @abstractmethod
    def on_message(self, message: object) -> None:
        """An answer of the secondary."""

    @abstractmethod
    def on_close(self, error: str | None) -> None:
        """One of the connections was closed by the other side."""

    @abstractmethod
    def send_local(self, hio: Hio) -> None:
        """Give a request to the local disk."""

    @abstractmethod
    def send_remote(self, hio: Hio) -> None:
        """Send a request to the secondary, or note that it has to be sent later."""

    @abstractmethod
    def range_free(self) -> None:
        """The synchronisation has moved on: a write that it kept waiting can begin."""

    @abstractmethod
    def in_sync(self) -> None:
        """The synchronisation is complete: both sets of counters become equal."""


def overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two ranges have something in common."""
    return one[0] < other[1] and other[0] < one[1]
