"""TCP over the crossover cable, and of a node to itself, as far as hastd can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.lab.simulated.hardware.cable import RETRANSMIT
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.network.interfaces import Network

SYN_PAUSES = (1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Seconds between the attempts to reach somebody who does not answer (sys/netinet/tcp_timer.c)."""

LOOPBACK = 0.0005
"""Seconds, about: there and back within a node."""

SEND_SPACE = 32768
"""Bytes that a socket takes before send(2) waits (net.inet.tcp.sendspace; it can grow)."""


class Listener:
    """A listening TCP socket of a guest. `accept` is called with each `Socket` that comes in.

    `is_at` tells whether it is bound to an address; only connections of the node to itself ask.
    """

    def __init__(
        self,
        guest: Guest,
        port: int,
        accept: Callable[[Socket], None],
        is_at: Callable[[str], bool],
    ) -> None:
        self.guest = guest
        self.port = port
        self.accept = accept
        self.is_at = is_at


class Tcp(Part):
    """TCP of one boot: who listens."""

    def __init__(self, guest: Guest) -> None:  # noqa: ARG002 - as every part
        self.listeners: dict[int, Listener] = {}
        """By port."""


class Socket:
    """One end of a TCP connection between the two guests, or of one of a guest to itself.

    Messages arrive whole and in order. `on_message(message)` and `on_close(error)` are bound
    methods set by whoever uses the end; `error` is None for an orderly end, else an errno's name.
    """

    def __init__(self, guest: Guest, address: str, port: int) -> None:
        """`address` and `port` are this end's own."""
        self.guest = guest
        self._boot = guest.boot
        self.address = address
        self.port = port
        self.peer: Socket | None = None
        self.on_message: Callable[[Any], None] | None = None
        self.on_close: Callable[[str | None], None] | None = None
        self.on_sent: Callable[[], None] | None = None
        """Called with each message that has arrived."""
        self.open = True
        self.unsent = 0
        """Messages that have not arrived yet: what SO_SNDTIMEO looks at."""
        self._queue: list[tuple[Any, int]] = []
        self._sending = False
        self._early: list[Any] = []
        self._ended_early: tuple[str | None] | None = None
        """How the other side ended it before anybody listened."""

    @property
    def description(self) -> str:
        """As hastd logs it: tcp://192.168.0.1:27473."""
        return f"tcp://{self.address}:{self.port}"

    @property
    def _forgotten(self) -> bool:
        """Whether its kernel has died: the next one knows nothing of the connection."""
        return self.guest.boot != self._boot

    def send(self, message: Any, size: int = 128) -> None:
        """Send a message of `size` bytes. On a closed socket nothing happens."""
        if not self.open:
            return
        self.unsent += 1
        self._queue.append((message, size))
        if not self._sending:
            self._sending = True
            self._transmit()

    def listen_to(
        self, on_message: Callable[[Any], None], on_close: Callable[[str | None], None]
    ) -> None:
        """Take messages from now on; those that came early arrive at once, and so does the end."""
        self.on_message, self.on_close = on_message, on_close
        early, self._early = self._early, []
        ended, self._ended_early = self._ended_early, None
        for message in early:
            if self.open or ended == (None,):
                on_message(message)
        if ended is not None:
            on_close(*ended)

    def close(self, error: str | None = None) -> None:
        """Close this end; the other end learns of it if the cable carries it.

        `error` is what the other end sees: None for end of file, ECONNRESET when a process died
        with data unread.
        """
        if not self.open:
            return
        self.open = False
        if self.peer is not None:
            self.guest.world.schedule(None, 0.0, self._tell_closed, error)

    def drop_behind_buffer(self) -> list[Any]:
        """Drop the messages that a program could not yet begin to send, and return them.

        It waits with the one that does not fit into the kernel's buffer any more.
        """
        taken = number = 0
        while number < len(self._queue) and taken <= SEND_SPACE:
            taken += self._queue[number][1]
            number += 1
        dropped = [message for message, _ in self._queue[number:]]
        del self._queue[number:]
        self.unsent -= len(dropped)
        return dropped

    def _transmit(self) -> None:
        """Send the head of the queue, or try again later when the cable does not carry it."""
        peer = self.peer
        if peer is None or not self._queue or not self.guest.running or self._forgotten:
            self._sending = False
            return
        world = self.guest.world
        if not self._reaches(peer):
            world.schedule(self.guest, RETRANSMIT, self._transmit)
            return
        _, size = self._queue[0]
        own = peer.guest is self.guest
        seconds = LOOPBACK / 2 if own else world.link.transit(self.guest.nic, size)
        world.schedule(None, seconds, self._arrive)

    def _reaches(self, peer: Socket) -> bool:
        """Whether what it sends arrives now. Nothing is between a node and itself."""
        link = self.guest.world.link
        return peer.guest is self.guest or link.carries(self.guest.nic, peer.guest.nic)

    def _latency(self, peer: Socket) -> float:
        if peer.guest is self.guest:
            return LOOPBACK / 2
        return self.guest.world.link.latency(self.guest.nic)

    def _arrive(self) -> None:
        peer = self.peer
        world = self.guest.world
        if peer is None or not self._queue or self._forgotten:
            self._sending = False
            return
        if not self._reaches(peer):
            world.schedule(self.guest, RETRANSMIT, self._transmit)
            return
        message, _ = self._queue.pop(0)
        self.unsent -= 1
        if self.on_sent is not None:
            self.on_sent()
        if peer.open and not peer._forgotten:
            if peer.on_message is None:
                peer._early.append(message)
            else:
                world.schedule(peer.guest, 0.0, peer._deliver, message)
        elif self.open:
            # The other end is gone: the answer to data is a reset.
            world.schedule(self.guest, peer._latency(self), self._reset)
        if self._queue:
            self._transmit()
        else:
            self._sending = False

    def _deliver(self, message: Any) -> None:
        if self.open and self.on_message is not None:
            self.on_message(message)

    def _reset(self) -> None:
        self._closed_by_peer("ECONNRESET")

    def _tell_closed(self, error: str | None) -> None:
        peer = self.peer
        world = self.guest.world
        if peer is None or not peer.open or peer._forgotten or self._forgotten:
            return
        if self._queue and self.guest.running:  # what was sent before the end arrives before it
            world.schedule(None, RETRANSMIT / 10, self._tell_closed, error)
        elif self._reaches(peer):
            world.schedule(peer.guest, self._latency(peer), peer._closed_by_peer, error)
        elif self.guest.running:
            world.schedule(self.guest, RETRANSMIT, self._tell_closed, error)

    def _closed_by_peer(self, error: str | None) -> None:
        if self.open and not self._forgotten:
            self.open = False
            if self.on_close is not None:
                self.on_close(error)
            else:
                self._ended_early = (error,)


def is_own(guest: Guest, address: str) -> bool:
    """Whether a connection to it stays within the node."""
    return address.startswith("127.") or guest.part(Network).owns(address)


def connect(
    guest: Guest,
    address: str,
    port: int,
    timeout: float,
    done: Callable[[Socket | None, str | None], None],
    *,
    wanted: Callable[[], bool] | None = None,
) -> None:
    """Connect to the other guest, or to one of the node's own addresses.

    `done(socket, error)` is called later, one of them None.

    The errors are errno's names: ECONNREFUSED where nobody listens; EHOSTUNREACH at once with the
    own cable out ("No route to host"); ETIMEDOUT after `timeout` seconds when the own NIC has a
    carrier and nobody answers (recorded on 13.2 with the peer's power cut, and with the peer's
    cable out); ENETUNREACH without an address. When `wanted` says that the program has ended,
    nothing more is sent and `done` is not called.
    """
    world = guest.world
    attempt = _Attempt(guest, address, port, done, wanted)
    if is_own(guest, address):
        world.schedule(guest, LOOPBACK, attempt.make_within)
        return
    there = world.link.latency(guest.nic)
    back = world.link.latency(world.peer(guest).nic, after=there)
    world.schedule(guest, there + back, attempt.make, timeout)


class _Attempt:
    """A connection that is being made."""

    def __init__(
        self,
        guest: Guest,
        address: str,
        port: int,
        done: Callable[[Socket | None, str | None], None],
        wanted: Callable[[], bool] | None,
    ) -> None:
        self._guest = guest
        self._address = address
        self._port = port
        self._done = done
        self._wanted = wanted
        self._tried = 0

    def make(self, timeout: float) -> None:
        """Try it, and again and again until the time is up."""
        if self._wanted is not None and not self._wanted():
            return
        guest, done = self._guest, self._done
        world = guest.world
        peer = world.peer(guest)
        own = guest.nic.address
        if own is None:
            # With `ifconfig vtnet1 down` it is the second one (seen on 13.2).
            done(None, "ENETUNREACH" if guest.nic.up else "EHOSTUNREACH")
        elif not self._is_answered(peer):
            if not guest.nic.plugged:
                done(None, "EHOSTUNREACH")
            elif timeout <= 0:
                done(None, "ETIMEDOUT")
            else:
                pause = min(SYN_PAUSES[min(self._tried, len(SYN_PAUSES) - 1)], timeout)
                self._tried += 1
                world.schedule(guest, pause, self.make, timeout - pause)
        elif (listener := peer.part(Tcp).listeners.get(self._port)) is None:
            done(None, "ECONNREFUSED")
        else:
            self._accept(listener, own)

    def make_within(self) -> None:
        """Connect to the node itself, where nothing is waited for."""
        if self._wanted is not None and not self._wanted():
            return
        listener = self._guest.part(Tcp).listeners.get(self._port)
        if listener is None or not listener.is_at(self._address):
            self._done(None, "ECONNREFUSED")
        else:
            self._accept(listener, self._address)

    def _accept(self, listener: Listener, own: str) -> None:
        guest = self._guest
        near = Socket(guest, own, guest.rng.randint(10000, 65535))
        far = Socket(listener.guest, self._address, self._port)
        near.peer, far.peer = far, near
        listener.accept(far)
        self._done(near, None)

    def _is_answered(self, peer: Guest) -> bool:
        link, near, far = self._guest.world.link, self._guest.nic, peer.nic
        return link.carries(near, far) and link.carries(far, near) and far.address == self._address
