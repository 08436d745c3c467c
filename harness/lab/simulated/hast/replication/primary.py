"""hastd's worker on a primary: serves /dev/hast/NAME from two disks (primary.c, 13.2).

A write that is on its way when the connection breaks is acknowledged from the local disk alone
and *not* noted as dirty: after the next connection the nodes are `in sync` and differ. That is
what 13.2 does (seen on a running pair), so it is what this does. A write that hastd has not begun
to send is noted: `remote_send_thread` waits in send(2) once the socket's buffer is full.

Deviation: messages arrive whole or not at all. On 13.2 a secondary that is cut off in the middle of
a message takes what it has for all of it after 20 s, writes it, and, when the link is back, says
`Unable to receive request header: RPC version wrong.` (seen on a running pair).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.simulated.hardware.disk import BLOCK, Bio, Op
from harness.lab.simulated.hast.replication import metadata as hast_metadata
from harness.lab.simulated.hast.replication.activemap import ActiveMap, KeepDirtyAborted
from harness.lab.simulated.hast.replication.gate import GateDevice
from harness.lab.simulated.hast.replication.handshake import Handshake
from harness.lab.simulated.hast.replication.metadata import DATA, whole
from harness.lab.simulated.hast.replication.primary_state import (
    SYNC_SEQUENCE,
    Hio,
    PrimaryState,
    overlap,
)
from harness.lab.simulated.hast.replication.secondary import describe
from harness.lab.simulated.hast.replication.sync import SyncThread
from harness.lab.simulated.hast.replication.wire import (
    HEADER,
    Accepted,
    Keepalive,
    Reply,
    Request,
    data_fields,
    data_size,
)
from harness.lab.simulated.hast.replication.worker import IDLE, KEEPALIVE, strerror

if TYPE_CHECKING:
    from harness.lab.simulated.hast.conf import ResourceConfig
    from harness.lab.simulated.hast.replication.worker import Parent, Resource
    from harness.lab.simulated.network.tcp import Socket


SIGABRT = 6

GIVES_UP = 370.0
"""Seconds until TCP gives up a connection that nothing is acknowledged on (13.2, about)."""


@dataclass
class _LocalBio(Bio):
    """A request to the local disk."""

    hio: Hio | None = None


class Primary(PrimaryState):
    """The worker of a resource whose role is primary."""

    def __init__(self, hastd: Parent, resource: Resource) -> None:
        super().__init__(hastd, resource)
        self.gate: GateDevice | None = None
        self.sync = SyncThread(self)
        self._handshake: Handshake | None = None
        self._fully_started = False
        self._termination: int | None = None
        """A signal that arrived while it was connecting again."""
        self._wait_until: float | None = None
        self._admitting: Hio | None = None
        self._receiving_since = 0.0
        self._receive_timer = False
        self._sequence = SYNC_SEQUENCE
        self._sent_at = 0.0
        self._unsent_since: float | None = None
        self._peer_gone = 0

    # --- what others see ------------------------------------------------------------------------

    def sockets(self) -> list[Socket]:
        """Both connections, and those that are being made."""
        if self._handshake is not None:
            self._handshake.abandon()
        return [socket for socket in (self.outgoing, self.incoming) if socket is not None]

    @property
    def status(self) -> str:
        """Complete means connected."""
        return "complete" if self.is_connected else "degraded"

    @property
    def keepdirty(self) -> int:
        """Extents."""
        return self.meta.keepdirty

    @property
    def queues(self) -> tuple[int, int, int, int, int]:
        """Requests wait for the local disk or for an answer."""
        syncing = int(self.sync.range is not None)
        receiving = max(len(self.receiving), syncing)
        if not self._fully_started:
            return 0, 0, 0, 0, IDLE + 1
        return 0, 0, receiving, 0, IDLE - self.busy - syncing

    # --- starting -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Set up after the fork takes a moment: /dev/hast/NAME is not there at once."""
        self.later(self.guest.rng.uniform(0.008, 0.15), self._set_up)

    def _set_up(self) -> None:
        if not self._read_metadata():
            return
        self.device = hast_metadata.open_component(self.guest, self.config.localpath)
        metadata = self.meta
        self.counters.primary_local = metadata.localcnt
        self.counters.primary_remote = metadata.remotecnt
        found = hast_metadata.read(self.device, self.config.name, self.config.localpath)
        self.amap = ActiveMap(metadata.datasize, metadata.extentsize, metadata.keepdirty, found.map)
        if metadata.resuid == 0:
            self.counters.primary_local = self.counters.primary_remote = 0
            self.write_metadata()
        self._make_device()
        self.dropped = True
        self.log("info", "Privileges successfully dropped.")
        self.later(KEEPALIVE + 0.01, self._guard)
        if self.config.real_remote:
            self._connect()
        else:
            self._start_threads()

    def _make_device(self) -> None:
        name = f"hast/{self.config.provname}"
        there = self.guest.devices.get(name)
        if isinstance(there, GateDevice):
            there.take_over()
            self.gate = there
            self.log("info", f"Device {name} recovered.")
        else:
            self.gate = GateDevice(self.guest, name, self.meta.datasize, self.device)
            self.log("info", f"Device {name} created.")

    def _start_threads(self) -> None:
        self._fully_started = True
        self._sent_at = self.world.now
        self.later(KEEPALIVE, self._keepalive)
        assert self.gate is not None
        self.gate.worker = self
        self.pump()

    def terminated(self, number: int, /) -> None:
        """The device goes with it, whoever uses it.

        The thread that waits for signals is also the one that connects again: while it does, up to
        `timeout` seconds, it does not see the signal (13.2).
        """
        if self._handshake is not None and self._fully_started:
            self._termination = number
            return
        self.log("info", "Termination signal received, exiting.")
        if self.gate is not None:
            self.gate.destroy()
        self.exit(0)

    def _end(self, status: int) -> None:
        if self.gate is not None and self.gate.worker is self:
            self.gate.worker = None
        super()._end(status)

    def _read_directly(self, gate: GateDevice) -> None:
        """Have the kernel serve reads, which it cannot from a file (13.2)."""
        if self.on_a_file:
            self.log("warning", "Failed to enable direct reads: Invalid argument.")
        else:
            gate.direct_reads = True

    # --- the connection -------------------------------------------------------------------------

    def _guard(self) -> None:
        """Every ten seconds: connect again if the connection is lost."""
        if self._fully_started and not self.is_connected and self.config.real_remote:
            self._connect()
        else:
            self.later(KEEPALIVE + 0.01, self._guard)

    def _guard_again(self) -> None:
        """It has tried to connect; a signal may have come meanwhile."""
        if self._termination is not None:
            self.terminated(self._termination)
        else:
            self.later(KEEPALIVE + 0.01, self._guard)

    def _connect(self) -> None:
        self._handshake = Handshake(self)
        self._handshake.start()

    def connected(self, incoming: Socket, outgoing: Socket, answer: Accepted) -> None:
        """The handshake has succeeded."""
        self._handshake = None
        self.incoming, self.outgoing = incoming, outgoing
        self._peer_gone = 0
        self._unsent_since = None
        counters = self.counters
        counters.secondary_local = answer.localcnt
        counters.secondary_remote = answer.remotecnt
        counters.source = answer.source
        if answer.source == "primary" and self.gate is not None:
            self._read_directly(self.gate)
        if answer.virgin and counters.primary_local == 0:
            # The secondary is new, so only this node has the data.
            counters.primary_local += 1
            self.write_metadata()
        if answer.map is not None:
            self.amap.merge(answer.map)
            self.flush_map()
        remote = self.config.remoteaddr
        self.log("info", f"Connected to {remote}.")
        self.replication = self.config.replication
        self.event("connect")
        if self._fully_started:
            self.log("info", f"Successfully reconnected to {remote}.")
            self.sync.start()
            self._guard_again()
        else:
            self.sync.start()
            self._start_threads()

    def not_connected(self, *, wait: bool) -> None:
        """The handshake has failed; `wait` when the other node is primary as well."""
        self._handshake = None
        if self._fully_started:
            self._guard_again()
        elif not wait:
            self._start_threads()
        elif self._wait_until is None:
            self._wait_until = self.world.now + self.config.timeout
            self.log(
                "warning",
                f"Waiting for remote node to become secondary for {self.config.timeout}s.",
            )
            self.later(1.0, self._connect)
        elif self.world.now > self._wait_until:
            self.log("warning", "Remote node is still primary, starting anyway.")
            self._start_threads()
        else:
            self.later(1.0, self._connect)

    def disconnect(self) -> None:
        """Close both connections. What is on its way ends with ENOTCONN."""
        if self.outgoing is None or self.incoming is None:
            return
        self.incoming.close()
        # hastd sends one request after the other: those behind a full buffer are in its own queue.
        dropped = self.outgoing.drop_behind_buffer()
        self.outgoing.close()
        self.incoming = self.outgoing = None
        self.log("warning", f"Disconnected from {self.config.remoteaddr}.")
        self.sync.stop()
        self.event("disconnect")
        lost, self.receiving = list(self.receiving.values()), {}
        on_their_way = len(lost) - sum(isinstance(each, Request) for each in dropped)
        for number, hio in enumerate(lost):
            hio.errors[1] = "ENOTCONN"
            if number < on_their_way:
                self._remote_answered(hio)
            else:
                self._not_sent(hio)

    def on_message(self, message: object) -> None:
        """An answer of the secondary."""
        self.call(self._take_reply, message)

    def on_close(self, error: str | None) -> None:
        """One of the connections was closed by the other side."""
        self.call(self._closed, error)

    def _closed(self, error: str | None) -> None:
        """Nobody reads an idle connection, so that its end is noticed with the next request."""
        if not self.is_connected:
            return
        if self.receiving:
            self._broken(next(reversed(self.receiving.values())), error)
        else:
            self._peer_gone = max(self._peer_gone, 1 if error is None else 2)

    def _broken(self, hio: Hio, error: str | None) -> None:
        """The connection is found broken with a request on its way.

        A chunk of the synchronisation is large: it may then still be being sent, or wait for its
        answer; with a timeout it is always the receiving thread that sees it (13.2, all three).
        """
        size = data_size(hio.bio.length, hio.bio.blocks, self.config.compression)
        is_chunk = hio.sync and hio.bio.op is Op.WRITE and size > HEADER
        if is_chunk and error != "ETIMEDOUT" and self.guest.rng.random() < 0.5:
            reason, request = strerror("EPIPE"), describe(_request(hio))
            self.log("error", f"Unable to send request ({reason}): {request}")
        else:
            self.log("error", f"Unable to receive reply header: {strerror(error)}.")
        self.disconnect()

    def _keepalive(self) -> None:
        """Ten seconds after the last request: say that we are there."""
        idle = self.world.now - self._sent_at
        if idle < KEEPALIVE - 1e-6:
            self.later(KEEPALIVE - idle, self._keepalive)
            return
        self.later(KEEPALIVE, self._keepalive)
        self._sent_at = self.world.now
        outgoing = self.outgoing
        if outgoing is None:
            return
        if self._peer_gone == 1:
            self._peer_gone = 2  # the kernel takes this one; its answer is a reset
        elif self._peer_gone or self._has_given_up(outgoing):
            self.disconnect()
        else:
            outgoing.send(Keepalive(), HEADER)

    def _has_given_up(self, outgoing: Socket) -> bool:
        if not outgoing.unsent:
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = self.world.now
        return self._unsent_since is not None and self.world.now - self._unsent_since > GIVES_UP

    # --- requests of the kernel -----------------------------------------------------------------

    def pump(self) -> None:
        """Take what waits at the device."""
        self.call(self._pump)

    def _pump(self) -> None:
        gate = self.gate
        while (
            gate is not None
            and gate.worker is self
            and self._admitting is None
            and self.busy < IDLE
            and (bio := gate.take()) is not None
        ):
            self.busy += 1
            self._sequence += 1
            hio = Hio(bio, self._sequence, self.replication)
            if not bio.ahead:
                self.statistics.count(bio.op.value)
            if bio.op is Op.READ:
                hio.countdown = 1
                if self.counters.source == "secondary":
                    self.send_remote(hio)
                else:
                    self.send_local(hio)
            elif bio.op is Op.WRITE:
                self._admitting = hio
                self._admit_write()
            else:
                self._send_both(hio)

    def _admit_write(self) -> None:
        """Lock the range of a write and mark its extents dirty on disk; then it may begin."""
        hio = self._admitting
        assert hio is not None
        counters = self.counters
        if self.meta.resuid == 0 and counters.primary_local == 0:
            counters.primary_local = 1
        if self.sync.range is not None and overlap(self.sync.range, hio.range):
            return  # range_free() comes back here
        if self.is_writing(*hio.range):
            self.later(1.0, self._retry)
            return
        self.writing[hio] = None
        try:
            modified = self.amap.write_start(hio.bio.offset, hio.bio.length)
        except KeepDirtyAborted:
            self.log(
                "crit",
                "Assertion failed: (amp->am_nkeepdirty > 0), function keepdirty_add, "
                "file /usr/src/sbin/hastd/activemap.c, line 239.",
            )
            self.guest.say(f"pid {self.pid} (hastd), jid 0, uid 845: exited on signal {SIGABRT}")
            self._end(-SIGABRT)
            return
        if modified:
            self.statistics.activemap_updates += 1
            hast_metadata.write_map(self.device, self.amap.on_disk)
            if self.config.metaflush and self.can_flush():
                self.device.submit(Bio(Op.FLUSH, done=self._map_flushed))
                return
        self._admit()

    def range_free(self) -> None:
        """The synchronisation has moved on: a write that it kept waiting can begin."""
        if self._admitting is not None and self._admitting not in self.writing:
            self.later(0.0, self._retry)

    def _retry(self) -> None:
        if self._admitting is not None and self._admitting not in self.writing:
            self._admit_write()

    def _map_flushed(self, _: Bio) -> None:
        self.call(self._admit)

    def _admit(self) -> None:
        hio, self._admitting = self._admitting, None
        if hio is not None:
            self._send_both(hio)
        self._pump()

    def _send_both(self, hio: Hio) -> None:
        self.send_local(hio)
        self.send_remote(hio)

    # --- the local component --------------------------------------------------------------------

    def send_local(self, hio: Hio) -> None:
        """Give a request to the local disk."""
        bio = hio.bio
        offset = 0 if bio.op is Op.FLUSH else bio.offset + DATA * BLOCK
        blocks = {at + DATA: each for at, each in bio.blocks.items()}
        length = whole(bio.length)
        self.device.submit(
            _LocalBio(bio.op, offset, length, blocks, self._was_local, ahead=bio.ahead, hio=hio)
        )

    def _was_local(self, bio: Bio) -> None:
        self.call(self._local_answered, bio)

    def _local_answered(self, bio: _LocalBio) -> None:
        hio = bio.hio
        assert hio is not None
        op = hio.bio.op
        hio.errors[0] = bio.error
        if op is Op.READ:
            if bio.error is None:
                hio.bio.blocks = {at - DATA: each for at, each in bio.blocks.items()}
            elif not hio.sync:
                self.log(
                    "warning",
                    f"Local request failed ({strerror(bio.error)}), trying remote node. "
                    f"{describe(_request(hio))}",
                )
                self.send_remote(hio)
                return
        elif bio.error is not None:
            self.log(
                "warning",
                f"Local request failed ({strerror(bio.error)}): {describe(_request(hio))}",
            )
        elif op is Op.WRITE and hio.replication == "async" and not hio.sync:
            self._acknowledge(hio, None)
        if hio.memsync_write:
            hio.writecount -= 1
            if hio.writecount == 0:
                self._acknowledge(hio, None)
        self._count_down(hio)

    # --- the remote component -------------------------------------------------------------------

    def send_remote(self, hio: Hio) -> None:
        """Send a request to the secondary, or note that it has to be sent later."""
        self._sent_at = self.world.now
        outgoing = self.outgoing
        if outgoing is None:
            hio.errors[1] = "ENOTCONN"
            self._not_sent(hio)
            return
        bio = hio.bio
        if not self.receiving:
            self._receiving_since = self.world.now
        self.receiving[hio.sequence] = hio
        if self._peer_gone:
            self.later(outgoing.latency, self._sent_into_nothing, hio)
            return
        is_write = bio.op is Op.WRITE
        size = data_size(bio.length, bio.blocks, self.config.compression) if is_write else HEADER
        outgoing.send(_request(hio), size)
        if is_write:
            words = data_fields(bio.blocks, self.config.compression, self.config.checksum)
            for tap in self.guest.taps:
                tap(words)
        if not self._receive_timer:
            self._receive_timer = True
            self.later(self.config.timeout, self._check_receiving)

    def _sent_into_nothing(self, hio: Hio) -> None:
        if self.is_connected and hio.sequence in self.receiving:
            self._broken(hio, None if self._peer_gone == 1 else "ECONNRESET")

    def _not_sent(self, hio: Hio) -> None:
        bio = hio.bio
        if not hio.sync and bio.op is Op.WRITE:
            if self.amap.need_sync(bio.offset, bio.length):
                self.flush_map()
            if hio.memsync_write:
                self._release_memsync(hio)
        self._count_down(hio)

    def _release_memsync(self, hio: Hio) -> None:
        hio.writecount -= 1
        if hio.writecount == 0 and hio.errors[0] is None:
            self._acknowledge(hio, None)

    def _check_receiving(self) -> None:
        """The connection's timeouts, for sending and for receiving an answer."""
        self._receive_timer = False
        if not self.receiving or not self.is_connected:
            return
        silent = self.world.now - self._receiving_since
        if silent >= self.config.timeout - 1e-6:
            self._broken(next(iter(self.receiving.values())), "ETIMEDOUT")
        else:
            self._receive_timer = True
            self.later(self.config.timeout - silent, self._check_receiving)

    def _take_reply(self, message: object) -> None:
        if not isinstance(message, Reply):
            return
        self._receiving_since = self.world.now
        hio = self.receiving.get(message.seq)
        if hio is None:
            if self.is_connected:
                self.log(
                    "error",
                    f"Found no request matching received 'seq' field ({message.seq}).",
                )
            return
        if message.error is not None:
            self.log(
                "warning",
                f"Remote request failed ({strerror(message.error)}): {describe(_request(hio))}",
            )
        elif hio.bio.op is Op.READ:
            hio.bio.blocks = message.blocks
        hio.errors[1] = message.error
        if not (hio.memsync_write and message.received and message.error is None):
            del self.receiving[message.seq]
        self._remote_answered(hio)

    def _remote_answered(self, hio: Hio) -> None:
        """The secondary has answered, or never will. Nothing is noted as dirty here (13.2)."""
        if hio.memsync_write and not hio.received:
            hio.received = True
            self._release_memsync(hio)
            if hio.errors[1] is None:
                return  # the second answer is still to come
        self._count_down(hio)

    # --- reload ---------------------------------------------------------------------------------

    def reload(self, config: ResourceConfig) -> None:
        """Take over what may change while it works; other addresses need a new connection."""
        self.log("info", "Reloading configuration...")
        old = self.config
        if (config.remoteaddr, config.sourceaddr) != (old.remoteaddr, old.sourceaddr):
            self.disconnect()
        self.config = config
        self.replication = config.replication
        self.log("info", "Configuration reloaded successfully.")

    # --- the end of a request -------------------------------------------------------------------

    def _count_down(self, hio: Hio) -> None:
        hio.countdown -= 1
        if hio.countdown > 0:
            return
        if hio.sync:
            self.sync.request_done(hio)
        else:
            self._finish(hio)

    def _finish(self, hio: Hio) -> None:
        """One component that succeeded is enough."""
        bio = hio.bio
        error = None if None in hio.errors else hio.errors[0]
        if error is not None and bio.op is Op.READ and self.counters.source == "secondary":
            error = hio.errors[1]
        if bio.op is Op.WRITE:
            if error is None and self.amap.write_complete(bio.offset, bio.length):
                self.statistics.activemap_updates += 1
                self.flush_map()
            self.writing.pop(hio, None)
            self.sync.range_free()
            if not hio.acknowledged:
                self._acknowledge(hio, error)
        elif self.gate is not None:
            self.gate.done(bio, error)
        if hio.errors[0] is not None:  # a read that only the secondary could serve counts as well
            self.statistics.errors[bio.op.value] += 1
        self.busy -= 1
        self._pump()

    def _acknowledge(self, hio: Hio, error: str | None) -> None:
        """Tell the kernel that a write has ended. The first one alone raises localcnt."""
        counters = self.counters
        if not self.is_connected and counters.primary_local == counters.secondary_remote:
            counters.primary_local += 1
            self.write_metadata()
        hio.acknowledged = True
        if self.gate is not None:
            self.gate.done(hio.bio, error)

    def in_sync(self) -> None:
        """The synchronisation is complete: both sets of counters become equal."""
        counters = self.counters
        if counters.source == "secondary" and self.gate is not None:
            self._read_directly(self.gate)
        counters.source = None
        counters.primary_local = counters.secondary_remote
        counters.primary_remote = counters.secondary_local
        self.write_metadata()


def _request(hio: Hio) -> Request:
    """A request as it goes over the wire."""
    bio = hio.bio
    return Request(
        bio.op, hio.sequence, bio.offset, bio.length, bio.blocks, memsync=hio.memsync_write
    )
