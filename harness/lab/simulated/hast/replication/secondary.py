"""hastd's worker on a secondary: takes requests, writes them to its disk, answers (secondary.c)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.lab.simulated.hardware.disk import BLOCK, Bio, BlockDevice, Op
from harness.lab.simulated.hast.replication import metadata as hast_metadata
from harness.lab.simulated.hast.replication.decision import Hello, decide
from harness.lab.simulated.hast.replication.metadata import DATA, Metadata, whole
from harness.lab.simulated.hast.replication.wire import (
    HEADER,
    Accepted,
    Keepalive,
    Refusal,
    Reply,
    Request,
    data_size,
)
from harness.lab.simulated.hast.replication.worker import (
    EX_CONFIG,
    EX_TEMPFAIL,
    IDLE,
    KEEPALIVE,
    Worker,
    strerror,
)

if TYPE_CHECKING:
    from harness.lab.simulated.hast.replication.worker import Parent, Resource
    from harness.lab.simulated.network.tcp import Socket


@dataclass
class _DiskBio(Bio):
    """A request to the local disk, and what it answers to."""

    request: Request | None = None


class Secondary(Worker):
    """The worker of a resource that a primary has connected to."""

    def __init__(
        self, hastd: Parent, resource: Resource, incoming: Socket, outgoing: Socket, hello: Hello
    ) -> None:
        """`incoming` is where requests come from, `outgoing` where answers go."""
        super().__init__(hastd, resource, "secondary")
        self.incoming = incoming
        self.outgoing = outgoing
        self.device: BlockDevice | None = None
        self.busy = 0
        """Requests that are not answered yet."""
        self._hello = hello
        self._heard_at = 0.0
        self._map_cleared = False

    def sockets(self) -> list[Socket]:
        """Both connections."""
        return [self.incoming, self.outgoing]

    def terminated(self, number: int, /) -> None:
        """It has no handler: the signal ends it."""
        self._end(-number)

    @property
    def status(self) -> str:
        """A secondary's worker exists only while it is connected."""
        return "complete"

    @property
    def queues(self) -> tuple[int, int, int, int, int]:
        """There is no queue for replies."""
        waiting = max(0, self.busy - 1)
        return waiting, 0, 0, 0, IDLE - self.busy

    # --- starting -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Set up after the fork takes a moment."""
        self.later(self.guest.rng.uniform(0.01, 0.03), self._set_up)

    def _set_up(self) -> None:
        if not self._read_metadata():
            return
        self.device = hast_metadata.open_component(self.guest, self.config.localpath)
        self.dropped = True
        self.log("info", "Privileges successfully dropped.")
        if self._agree():
            self.event("connect")
            self.incoming.listen_to(self._on_message, self._on_close)
            self._heard_at = self.world.now
            self.later(2 * KEEPALIVE, self._check_heard)

    def _agree(self) -> bool:
        """Compare the counters and answer the primary; False when it comes to an exit."""
        assert self.metadata is not None
        assert self.device is not None
        own: Metadata = self.metadata
        decision = decide(self._hello, own.resuid, own.localcnt, own.remotecnt)
        if decision.log is not None:
            self.log(*decision.log)
        if decision.error is not None:
            self.incoming.send(Refusal(decision.error))
            if decision.error.startswith("Split"):
                self.event("split-brain")
            self.exit(EX_CONFIG)
            return False
        if own.resuid == 0:
            self.metadata = replace(own, resuid=self._hello.resuid, prevrole="secondary")
            hast_metadata.write(self.device, self.metadata)
        bits: int | None = None
        extents = (own.datasize - 1) // own.extentsize + 1
        if decision.map == "all":
            bits = (1 << extents) - 1
        elif decision.map == "disk":
            bits = hast_metadata.read(self.device, self.config.name, self.config.localpath).map
        size = HEADER if bits is None else HEADER + own.localoff - hast_metadata.METADATA_SIZE
        answer = Accepted(
            own.datasize,
            own.extentsize,
            own.localcnt,
            own.remotecnt,
            decision.source,
            decision.virgin,
            bits,
        )
        self.incoming.send(answer, size)
        return True

    # --- the primary ----------------------------------------------------------------------------

    def _on_message(self, message: object) -> None:
        self.call(self._take, message)

    def _on_close(self, error: str | None) -> None:
        self.call(self._lost, error)

    def _check_heard(self) -> None:
        """The connection's receive timeout: twice the keepalive, whatever hast.conf says."""
        silent = self.world.now - self._heard_at
        if silent >= 2 * KEEPALIVE - 1e-6:
            self._lost("ETIMEDOUT")
        else:
            self.later(2 * KEEPALIVE - silent, self._check_heard)

    def _lost(self, error: str | None) -> None:
        self._fail(f"Unable to receive request header: {strerror(error)}.")

    def _fail(self, text: str) -> None:
        self.log("error", text)
        self.event("disconnect")
        self.exit(EX_TEMPFAIL)

    def heard(self) -> None:
        """Note that the primary is there."""
        self._heard_at = self.world.now

    def _take(self, message: object) -> None:
        self._heard_at = self.world.now
        if isinstance(message, Keepalive):
            return
        assert isinstance(message, Request)
        self.statistics.count(message.op.value)
        self.busy += 1
        if message.memsync:
            self.outgoing.send(Reply(message.seq, received=True))
        self.clear_map()
        self._submit(message)

    def clear_map(self) -> None:
        """With the first request the primary has taken over this node's map."""
        if not self._map_cleared:
            assert self.device is not None
            hast_metadata.write_map(self.device, 0)
            self._map_cleared = True

    # --- the disk -------------------------------------------------------------------------------

    def _submit(self, request: Request) -> None:
        assert self.device is not None
        bio = _DiskBio(
            request.op,
            request.offset + DATA * BLOCK,
            whole(request.length),
            {at + DATA: content for at, content in request.blocks.items()},
            self._disk_done,
            request=request,
        )
        if request.op is Op.FLUSH:
            bio.offset = 0
        self.device.submit(bio)

    def _disk_done(self, bio: Bio) -> None:
        self.call(self._answer, bio)

    def _answer(self, bio: _DiskBio) -> None:
        request = bio.request
        assert request is not None
        self.busy -= 1
        reply = Reply(request.seq, error=bio.error)
        size = HEADER
        if bio.error is not None:
            self.log("error", f"Request failed: {describe(request)}: {strerror(bio.error)}.")
            self.statistics.errors[request.op.value] += 1
        elif request.op is Op.READ:
            reply.blocks = {at - DATA: content for at, content in bio.blocks.items()}
            size = data_size(request.length, reply.blocks, self.config.compression)
        self.outgoing.send(reply, size)


def describe(request: Request) -> str:
    """A request as hastd logs it: WRITE(0, 4096). or FLUSH."""
    if request.op is Op.FLUSH:
        return "FLUSH."
    return f"{request.op.name}({request.offset}, {request.length})."
