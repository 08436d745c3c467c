"""TCP over a segment, and of a node to itself, as far as hastd can tell."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.engine.timeline import Owner
from harness.lab.simulated.hardware.segment import RETRANSMIT, Nic, Segment
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.network.arp import Arp, Table
from harness.lab.simulated.network.interfaces import Network

SYN_PAUSES = (1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Seconds between the attempts to reach somebody who does not answer (sys/netinet/tcp_timer.c)."""

LOOPBACK = 0.0005
"""Seconds, about: there and back within a node."""

SEND_SPACE = 32768
"""Bytes that a socket takes before send(2) waits (net.inet.tcp.sendspace; it can grow)."""


class _End(enum.Enum):
    """What comes after the last message of an end that goes on listening."""

    END = enum.auto()


class Listener:
    """A listening TCP socket. `accept` is called with each `Socket` that comes in.

    `is_at` tells whether it is bound to an address.
    """

    def __init__(
        self, port: int, accept: Callable[[Socket], None], is_at: Callable[[str], bool]
    ) -> None:
        self.port = port
        self.accept = accept
        self.is_at = is_at


@dataclass(frozen=True)
class Way:
    """How packets to an address leave: by a NIC, from an own address, to a station (if any)."""

    nic: Nic
    source: str
    station: Nic | None


class Host(Protocol):
    """A machine that has TCP: a guest, or another station of a segment."""

    @property
    def owner(self) -> Owner:
        """The machine."""

    def owns(self, address: str, /) -> bool:
        """Whether a connection to it stays within the machine."""

    def way_to(self, address: str, /) -> Way | str:
        """How packets leave, or the error of connect(2), an errno's name."""

    def neighbours(self, nic: Nic, /) -> Table:
        """What it knows of the stations beside one of its NICs."""

    def listener(self, port: int, address: str, /) -> Listener | None:
        """Who listens on a port at one of its addresses."""


class Tcp(Part):
    """TCP of one boot: who listens."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.listeners: dict[int, Listener] = {}
        """By port."""

    @property
    def owner(self) -> Guest:
        """The guest."""
        return self._guest

    def owns(self, address: str) -> bool:
        """Whether a connection to it stays within the node."""
        return address.startswith("127.") or self._guest.part(Network).owns(address)

    def way_to(self, address: str) -> Way | str:
        """How packets leave. Raises `NotModelled` when they would go to the host.

        The errors are ENETUNREACH outside of the connected networks, which is what the router of
        the management network answers; EHOSTUNREACH with `ifconfig vtnet1 down` (seen on 13.2).
        """
        network = self._guest.part(Network)
        if network.refused.get(address):
            return "EHOSTUNREACH"
        interface = network.route(address)
        if interface is None:
            return "ENETUNREACH"
        if not interface.up:
            return "EHOSTUNREACH"
        if interface.nic is None or interface.nic.segment is None:
            raise NotModelled(f"TCP to {address} by {interface.name}")
        station = self._guest.part(Arp).station(interface, address)
        return Way(interface.nic, interface.source_to(address), station)

    def neighbours(self, nic: Nic) -> Table:
        """The table of ARP of a NIC."""
        return self._guest.part(Arp).tables[self._guest.part(Network).interface_of(nic).name]

    def listener(self, port: int, address: str) -> Listener | None:
        """Who listens on a port at one of its addresses."""
        found = self.listeners.get(port)
        return found if found is not None and found.is_at(address) else None


def _host(nic: Nic) -> Host | None:
    """TCP of a machine by one of its NICs; of other machines than guests nobody is reached."""
    return nic.owner.part(Tcp) if isinstance(nic.owner, Guest) else None


class Socket:
    """One end of a TCP connection between two machines, or of one of a machine to itself.

    Messages arrive whole and in order. `on_message(message)` and `on_close(error)` are bound
    methods set by whoever uses the end; `error` is None for an orderly end, else an errno's name.
    """

    def __init__(self, host: Host, nic: Nic | None, address: str, port: int) -> None:
        """`address` and `port` are this end's own; no NIC is between a machine and itself."""
        self._host = host
        self.owner = host.owner
        """The machine."""
        self._boot = self.owner.boot
        self.nic = nic
        self._neighbours = None if nic is None else host.neighbours(nic)
        self.address = address
        self.port = port
        self.peer: Socket | None = None
        self.on_message: Callable[[Any], None] | None = None
        self.on_close: Callable[[str | None], None] | None = None
        self.on_end: Callable[[], None] | None = None
        """Called when the other end sends no more, but listens; without it `on_close(None)` is."""
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
        return self.owner.boot != self._boot

    def send(self, message: Any, size: int = 128) -> None:
        """Send a message of `size` bytes. On a closed socket nothing happens."""
        if not self.open:
            return
        self.unsent += 1
        self._queue.append((message, size))
        if not self._sending:
            self._sending = True
            self._transmit()

    def shutdown(self) -> None:
        """Send no more, but listen (SHUT_WR)."""
        self.send(_End.END, 0)

    def listen_to(
        self, on_message: Callable[[Any], None], on_close: Callable[[str | None], None]
    ) -> None:
        """Take messages from now on; those that came early arrive at once, and so does the end."""
        self.on_message, self.on_close = on_message, on_close
        early, self._early = self._early, []
        ended, self._ended_early = self._ended_early, None
        for message in early:
            if self.open or ended == (None,):
                self._hand(message)
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
            self.owner.world.schedule(None, 0.0, self._tell_closed, error)

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
        if peer is None or not self._queue or not self.owner.running or self._forgotten:
            self._sending = False
            return
        world = self.owner.world
        if not self._reaches(peer):
            if self.nic is not None and (other := self._reached(peer)) is not None:
                world.schedule(self.owner, self.segment.round_trip(self.nic, other), self._reset)
            world.schedule(self.owner, RETRANSMIT, self._transmit)
            return
        _, size = self._queue[0]
        seconds = LOOPBACK / 2
        if self.nic is not None and peer.nic is not None:
            seconds = self.segment.transit(self.nic, peer.nic, size)
        world.schedule(None, seconds, self._arrive)

    @property
    def segment(self) -> Segment:
        """What it goes over. Only of a connection to another machine."""
        assert self.nic is not None
        assert self.nic.segment is not None
        return self.nic.segment

    def _reaches(self, peer: Socket) -> bool:
        """Whether what it sends arrives now. Nothing is between a machine and itself."""
        return self.nic is None or self._reached(peer) is peer.nic

    def _reached(self, peer: Socket) -> Nic | None:
        """The NIC that takes what it sends now.

        It is another one than the peer's when the address has moved to another machine, which knows
        no such connection.
        """
        near, table = self.nic, self._neighbours
        if near is None or table is None:
            return None
        far = table.station(self.address, peer.address)
        if far is None or far.driver is None or far.driver.mac_of(peer.address) is None:
            return None
        return far if self.segment.carries(near, far) else None

    def is_through(self, peer: Socket) -> bool:
        """Whether what either end sends arrives now."""
        return self._reaches(peer) and peer._reaches(self)

    @property
    def latency(self) -> float:
        """Seconds that a lone packet is on its way to the other end."""
        return LOOPBACK / 2 if self.nic is None else self.segment.latency(self.nic)

    def _arrive(self) -> None:
        peer = self.peer
        world = self.owner.world
        if peer is None or not self._queue or self._forgotten:
            self._sending = False
            return
        if not self._reaches(peer):
            world.schedule(self.owner, RETRANSMIT, self._transmit)
            return
        message, _ = self._queue.pop(0)
        self.unsent -= 1
        if self.on_sent is not None:
            self.on_sent()
        if peer.open and not peer._forgotten:
            if peer.on_message is None:
                peer._early.append(message)
            else:
                world.schedule(peer.owner, 0.0, peer._deliver, message)
        elif self.open:
            # The other end is gone: the answer to data is a reset.
            world.schedule(self.owner, peer.latency, self._reset)
        if self._queue:
            self._transmit()
        else:
            self._sending = False

    def _deliver(self, message: Any) -> None:
        if self.open and self.on_message is not None:
            self._hand(message)

    def _hand(self, message: Any) -> None:
        if message is not _End.END:
            assert self.on_message is not None
            self.on_message(message)
        elif self.on_end is not None:
            self.on_end()
        elif self.on_close is not None:
            self.on_close(None)

    def _reset(self) -> None:
        self._closed_by_peer("ECONNRESET")

    def _tell_closed(self, error: str | None) -> None:
        peer = self.peer
        world = self.owner.world
        if peer is None or not peer.open or peer._forgotten or self._forgotten:
            return
        if self._queue and self.owner.running:  # what was sent before the end arrives before it
            world.schedule(None, RETRANSMIT / 10, self._tell_closed, error)
        elif self._reaches(peer):
            world.schedule(peer.owner, self.latency, peer._closed_by_peer, error)
        elif self.owner.running:
            world.schedule(self.owner, RETRANSMIT, self._tell_closed, error)

    def _closed_by_peer(self, error: str | None) -> None:
        if self.open and not self._forgotten:
            self.open = False
            if self.on_close is not None:
                self.on_close(error)
            else:
                self._ended_early = (error,)


def connect(
    host: Host,
    address: str,
    port: int,
    timeout: float,
    done: Callable[[Socket | None, str | None], None],
    *,
    wanted: Callable[[], bool] | None = None,
) -> None:
    """Connect to another machine, or to one of the machine's own addresses.

    `done(socket, error)` is called later, one of them None.

    The errors are errno's names: ECONNREFUSED where nobody listens; EHOSTUNREACH at once with the
    own cable out ("No route to host"); ETIMEDOUT after `timeout` seconds when the own NIC has a
    carrier and nobody answers (recorded on 13.2 with the peer's power cut, and with the peer's
    cable out); those of `Host.way_to`. When `wanted` says that the program has ended, nothing more
    is sent and `done` is not called.
    """
    attempt = _Attempt(host, address, port, done, wanted)
    schedule = host.owner.world.schedule
    if host.owns(address):
        schedule(host.owner, LOOPBACK, attempt.make_within)
        return
    way = host.way_to(address)
    if isinstance(way, str):
        schedule(host.owner, LOOPBACK, attempt.make, timeout)
        return
    assert way.nic.segment is not None
    trip = way.nic.segment.round_trip(way.nic, way.station)
    schedule(host.owner, trip, attempt.make, timeout)


class _Attempt:
    """A connection that is being made."""

    def __init__(
        self,
        host: Host,
        address: str,
        port: int,
        done: Callable[[Socket | None, str | None], None],
        wanted: Callable[[], bool] | None,
    ) -> None:
        self._host = host
        self._address = address
        self._port = port
        self._done = done
        self._wanted = wanted
        self._tried = 0

    def make(self, timeout: float) -> None:
        """Try it, and again and again until the time is up."""
        if self._wanted is not None and not self._wanted():
            return
        done = self._done
        way = self._host.way_to(self._address)
        if isinstance(way, str):
            done(None, way)
        elif (far := way.station) is None or not self._is_answered(way.nic, far):
            if not way.nic.plugged:
                done(None, "EHOSTUNREACH")
            elif timeout <= 0:
                done(None, "ETIMEDOUT")
            else:
                pause = min(SYN_PAUSES[min(self._tried, len(SYN_PAUSES) - 1)], timeout)
                self._tried += 1
                owner = self._host.owner
                owner.world.schedule(owner, pause, self.make, timeout - pause)
        else:
            self._meet(_host(far), way.source, way.nic, far)

    def make_within(self) -> None:
        """Connect to the machine itself, where nothing is waited for."""
        if self._wanted is None or self._wanted():
            self._meet(self._host, self._address, None, None)

    def _meet(self, other: Host | None, source: str, near: Nic | None, far: Nic | None) -> None:
        """Connect to who listens at the other machine, if anybody does."""
        listener = None if other is None else other.listener(self._port, self._address)
        if other is None or listener is None:
            self._done(None, "ECONNREFUSED")
            return
        mine = Socket(self._host, near, source, self._host.owner.rng.randint(10000, 65535))
        theirs = Socket(other, far, self._address, self._port)
        mine.peer, theirs.peer = theirs, mine
        listener.accept(theirs)
        self._done(mine, None)

    def _is_answered(self, near: Nic, far: Nic) -> bool:
        segment, driver = near.segment, far.driver
        return (
            segment is not None
            and driver is not None
            and driver.mac_of(self._address) is not None
            and segment.carries(near, far)
            and segment.carries(far, near)
        )
