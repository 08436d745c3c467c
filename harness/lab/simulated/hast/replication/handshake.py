"""How a primary connects to its secondary: two connections, and who has the newer data."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.engine.timeline import Event
from harness.lab.simulated.hast.address import (
    AddressError,
    TcpAddress,
    UnixAddress,
    is_own,
    resolve,
)
from harness.lab.simulated.hast.replication.decision import Hello
from harness.lab.simulated.hast.replication.primary_state import PrimaryState
from harness.lab.simulated.hast.replication.wire import Accepted, Greeting, Refusal, Welcome
from harness.lab.simulated.hast.replication.worker import strerror
from harness.lab.simulated.kernel.files import STRERROR
from harness.lab.simulated.network import tcp as link
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.network.tcp import Socket

AT_ONCE = frozenset({"ENETUNREACH", "EHOSTUNREACH", "EHOSTDOWN"})
"""Errors of connect(2) itself, which the parent sees before the worker does (13.2)."""


class Handshake:
    """One attempt. It ends in `PrimaryState.connected` or `PrimaryState.not_connected`, once.

    The connection itself is made by the parent, because the worker is in a sandbox.
    """

    def __init__(self, worker: PrimaryState) -> None:
        self._worker = worker
        self._outgoing: Socket | None = None
        self._incoming: Socket | None = None
        self._token = 0
        self._waits_for: type = Welcome
        self._timer: Event | None = None
        self._over = False

    def start(self) -> None:
        """Ask the parent for the first connection."""
        self._worker.hastd.post(self._migrate)

    def abandon(self) -> None:
        """The worker has ended."""
        self._over = True
        self._close()

    # --- connections ----------------------------------------------------------------------------

    def _migrate(self) -> None:
        """In the parent: make a connection for the worker."""
        worker = self._worker
        if self._over or not worker.alive:
            return
        try:
            where = self._resolve()
        except AddressError as error:
            self._say(f"Unable to create outgoing connection to {worker.config.remoteaddr}", error)
            self._not_reached(error.errno)
            return
        except NotModelled as gap:
            worker.world.note_gap(worker.guest.name, "hastd", str(gap))
            self._not_reached("EINVAL")
            return
        if isinstance(where, str):
            self._say(f"Unable to connect to {worker.config.remoteaddr}", AddressError(where))
            self._not_reached(where)
            return
        timeout = worker.config.timeout
        link.connect(
            worker.guest.part(link.Tcp),
            where.host,
            where.port,
            timeout,
            self._reached,
            wanted=self._is_wanted,
        )

    def _resolve(self) -> TcpAddress | str:
        """Where to connect to, or the error of connect(2). Raises `AddressError`, `NotModelled`."""
        worker = self._worker
        guest, config = worker.guest, worker.config
        where = resolve(guest, config.remoteaddr)
        if isinstance(where, UnixAddress):
            if guest.tree.entry(where.path) is None:
                return "ENOENT"
            raise NotModelled(f"remote {config.remoteaddr}: a node that replicates to itself")
        if config.sourceaddr:
            self._bind(where)
        if where.ip.version == 6:
            # The nodes have no IPv6 address but those of lo0.
            return "ECONNREFUSED" if is_own(guest, where.ip) else "EHOSTUNREACH"
        if is_own(guest, where.ip):
            if not self._worker.hastd.is_bound_to(where):
                return "ECONNREFUSED"
            raise NotModelled(f"remote {config.remoteaddr}: a node that replicates to itself")
        if not self._is_on_the_link(where):
            return "ENETUNREACH"  # what the router of the management network answers
        return where

    def _bind(self, where: TcpAddress) -> None:
        """bind(2) to `source`. Raises `AddressError` and `NotModelled`."""
        guest, text = self._worker.guest, self._worker.config.sourceaddr
        source = resolve(guest, text, 0)
        if isinstance(source, UnixAddress):
            raise NotModelled(f"source {text}")
        if source.ip.version != where.ip.version:
            raise AddressError("EAFNOSUPPORT")
        if not is_own(guest, source.ip):
            raise AddressError("EADDRNOTAVAIL")
        if source.port and self._worker.hastd.is_bound_to(source):
            raise AddressError("EADDRINUSE")
        way = guest.part(Network).route(where.host) if where.ip.version == 4 else None
        is_usual = source.ip.is_unspecified or (way and way.source_to(where.host) == source.host)
        if source.port or not is_usual:
            raise NotModelled(f"source {text}")

    def _is_on_the_link(self, where: TcpAddress) -> bool:
        """Whether packets for an address leave for another node, as far as it has addresses."""
        network = self._worker.guest.part(Network)
        linked = [each for each in network.interfaces.values() if each.has_peers]
        by = network.route(where.host)
        return by in linked if by else not any(each.addresses for each in linked)

    def _say(self, what: str, error: AddressError) -> None:
        """Have the parent log why there is no connection."""
        worker = self._worker
        worker.hastd.resource_log(worker.resource, "warning", f"{what}: {error}.")

    def _is_wanted(self) -> bool:
        return not self._over and self._worker.alive

    def _reached(self, socket: Socket | None, error: str | None) -> None:
        worker = self._worker
        if self._over or not worker.alive:
            if socket is not None:
                socket.close()
            return
        if socket is None:
            assert error is not None
            if error in AT_ONCE and worker.hastd.alive:
                worker.hastd.resource_log(
                    worker.resource,
                    "warning",
                    f"Unable to connect to {worker.config.remoteaddr}: {STRERROR[error]}.",
                )
            self._not_reached(error)
        elif self._outgoing is None:
            self._outgoing = socket
            worker.call(self._greet)
        else:
            self._incoming = socket
            worker.call(self._introduce)

    def _not_reached(self, error: str) -> None:
        remote = self._worker.config.remoteaddr
        self._worker.call(self._fail, f"Unable to connect to {remote}: {STRERROR[error]}.")

    # --- the two steps --------------------------------------------------------------------------

    def _greet(self) -> None:
        assert self._outgoing is not None
        self._outgoing.send(Greeting(self._worker.config.name))
        self._outgoing.listen_to(self._on_message, self._on_close)
        self._wait_for(Welcome)

    def _introduce(self) -> None:
        assert self._incoming is not None
        worker = self._worker
        virgin = worker.make_resuid()
        metadata = worker.meta
        counters = worker.counters
        hello = Hello(
            worker.config.name,
            self._token,
            metadata.resuid,
            counters.primary_local,
            counters.primary_remote,
            virgin,
        )
        self._incoming.send(hello)
        self._incoming.listen_to(worker.on_message, worker.on_close)
        self._wait_for(Accepted)

    def _wait_for(self, kind: type) -> None:
        self._waits_for = kind
        worker = self._worker
        self._timer = worker.later(worker.config.timeout, self._broken, "ETIMEDOUT")

    def _on_message(self, message: object) -> None:
        self._worker.call(self._take, message)

    def _on_close(self, error: str | None) -> None:
        if self._over:
            self._worker.on_close(error)
        else:
            self._worker.call(self._broken, error)

    def _take(self, message: object) -> None:
        if self._over:
            return
        self._worker.world.cancel(self._timer)
        if isinstance(message, Refusal):
            self._refused(message)
        elif isinstance(message, Welcome):
            self._token = message.token
            self._worker.hastd.post(self._migrate)
        elif isinstance(message, Accepted):
            self._accepted(message)

    def _accepted(self, answer: Accepted) -> None:
        metadata = self._worker.meta
        for name, ours, theirs in (
            ("Data", metadata.datasize, answer.datasize),
            ("Extent", metadata.extentsize, answer.extentsize),
        ):
            if ours != theirs:
                self._fail(f"{name} size differs between nodes (local={ours}, remote={theirs}).")
                return
        assert self._outgoing is not None
        assert self._incoming is not None
        self._over = True
        self._worker.connected(self._incoming, self._outgoing, answer)

    # --- failures -------------------------------------------------------------------------------

    def _broken(self, error: str | None) -> None:
        if not self._over:
            remote = self._worker.config.remoteaddr
            self._fail(f"Unable to receive handshake header from {remote}: {strerror(error)}.")

    def _refused(self, refusal: Refusal) -> None:
        self._worker.log("warning", refusal.text)
        if refusal.text == "Split-brain condition!":
            self._worker.event("split-brain")
        self._end(wait=refusal.wait)

    def _fail(self, text: str) -> None:
        if not self._over:
            self._worker.log("warning", text)
            self._end(wait=False)

    def _end(self, *, wait: bool) -> None:
        self._over = True
        self._worker.world.cancel(self._timer)
        self._close()
        self._worker.not_connected(wait=wait)

    def _close(self) -> None:
        for socket in (self._outgoing, self._incoming):
            if socket is not None:
                socket.close()
