"""The crossover cable and TCP over it, as far as hastd can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest
    from harness.lab.simulated.world import World

SYN_PAUSES = (1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Seconds between the attempts to reach somebody who does not answer (sys/netinet/tcp_timer.c)."""

SEND_SPACE = 32768
"""Bytes that a socket takes before send(2) waits (net.inet.tcp.sendspace; it can grow)."""

RETRANSMIT = 1.0
"""Seconds after which TCP tries again what got lost. (The real timer starts lower and doubles.)"""

SEGMENT = 1448
"""Bytes of data in a TCP segment, with time stamps, on an Ethernet of 1500."""

_IP_TCP, _ETHERNET = 52, 14
"""Bytes of the headers: IP and TCP with time stamps; Ethernet."""


def _segments(size: int) -> int:
    return max(1, -(-size // SEGMENT))


class Link:
    """A cable with two ends. What meets a gap waits in the sender's TCP and is sent again.

    `delay` is one way in seconds, `rate` in bytes a second, `loss` the chance that a message has to
    be sent again. `plugged` says for each guest by name whether the cable is in its NIC.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.delay = 0.0002
        self.rate = 125e6
        self.loss = 0.0
        self.plugged: dict[str, bool] = {}
        self._busy_until: dict[str, float] = {}
        self.sent: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        """Bytes of frames that each guest has sent and received since it booted, by its name."""

    def carries(self, source: Guest, target: Guest) -> bool:
        """Whether a packet sent now arrives.

        Both ends are in, both NICs up, the target is not frozen, and neither's pf drops it. A
        packet that arrives counts as acknowledged, also where the acknowledgement would not arrive.
        """
        return (
            self.plugged.get(source.name, True)
            and self.plugged.get(target.name, True)
            and source.private_nic_up
            and target.private_nic_up
            and target.running
            and not target.frozen
            and source.system.network.passes("out")
            and target.system.network.passes("in")
        )

    def transit(self, source: Guest, size: int) -> float:
        """Seconds until `size` bytes sent now have arrived, behind what is in the queue."""
        now, loss = self._world.now, self.loss
        start, last = max(now, self._busy_until.get(source.name, 0.0)), 0.0
        if (pipe := source.system.network.pipe) is not None:
            loss += (1 - loss) * pipe.loss
            first, last = pipe.take(now, size + _IP_TCP * _segments(size))
            start = max(start, first)
        end = max(start + size / self.rate, last)
        self._busy_until[source.name] = end
        self.count(source, size)
        extra = 0.0
        while loss and self._world.rng.random() < loss:
            extra += RETRANSMIT / 5
            self.count(source, min(size, SEGMENT))
        return end - now + self.delay + extra

    def latency(self, source: Guest, size: int = _IP_TCP, *, after: float = 0.0) -> float:
        """Seconds that a lone packet of `size` bytes, sent `after` so many more, is on its way."""
        pipe = source.system.network.pipe
        waits = 0.0 if pipe is None else pipe.latency(self._world.now + after, size)
        return waits + self.delay

    def loses_packet(self, source: Guest) -> bool:
        """Whether a packet that nobody sends again is lost in the sender's pipe."""
        pipe = source.system.network.pipe
        return bool(pipe and pipe.loss and self._world.rng.random() < pipe.loss)

    def count(self, source: Guest, size: int) -> None:
        """Count the frames of `size` bytes over TCP, and an acknowledgement of every other one."""
        segments = _segments(size)
        self.count_frame(source, size + segments * (_IP_TCP + _ETHERNET))
        other = self._world.peer(source)
        self.count_frame(other, (segments + 1) // 2 * (_IP_TCP + _ETHERNET))

    def count_frame(self, source: Guest, size: int) -> None:
        """Count so many bytes of frames."""
        self.sent[source.name] += size
        self.received[self._world.peer(source).name] += size

    def count_anew(self, name: str) -> None:
        """A guest has booted: its counters are zero."""
        self.sent[name] = self.received[name] = 0

    def is_shaped(self) -> bool:
        """Whether a node's dummynet(4) takes part."""
        guests = self._world.guests.values()
        return any(guest.system.network.pipe is not None for guest in guests)


class Listener:
    """A listening TCP socket of a guest. `accept` is called with each `Socket` that comes in."""

    def __init__(self, guest: Guest, port: int, accept: Callable[[Socket], None]) -> None:
        self.guest = guest
        self.port = port
        self.accept = accept


class Socket:
    """One end of a TCP connection between the two guests.

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
        guest.sockets.append(self)
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

    def _forget(self) -> None:
        self.open = False
        if self in self.guest.sockets:
            self.guest.sockets.remove(self)

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
        self._forget()
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
        if not world.link.carries(self.guest, peer.guest):
            world.schedule(self.guest, RETRANSMIT, self._transmit)
            return
        _, size = self._queue[0]
        world.schedule(None, world.link.transit(self.guest, size), self._arrive)

    def _arrive(self) -> None:
        peer = self.peer
        world = self.guest.world
        if peer is None or not self._queue or self._forgotten:
            self._sending = False
            return
        if not world.link.carries(self.guest, peer.guest):
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
            world.schedule(self.guest, world.link.latency(peer.guest), self._reset)
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
        elif world.link.carries(self.guest, peer.guest):
            latency = world.link.latency(self.guest)
            world.schedule(peer.guest, latency, peer._closed_by_peer, error)
        elif self.guest.running:
            world.schedule(self.guest, RETRANSMIT, self._tell_closed, error)

    def _closed_by_peer(self, error: str | None) -> None:
        if self.open and not self._forgotten:
            self._forget()
            if self.on_close is not None:
                self.on_close(error)
            else:
                self._ended_early = (error,)


def connect(
    guest: Guest,
    address: str,
    port: int,
    timeout: float,
    done: Callable[[Socket | None, str | None], None],
    *,
    wanted: Callable[[], bool] | None = None,
) -> None:
    """Connect to the other guest; `done(socket, error)` is called later, one of them None.

    The errors are errno's names: ECONNREFUSED where nobody listens; EHOSTUNREACH at once with the
    own cable out ("No route to host"); ETIMEDOUT after `timeout` seconds when the own NIC has a
    carrier and nobody answers (recorded on 13.2 with the peer's power cut, and with the peer's
    cable out); ENETUNREACH without an address. When `wanted` says that the program has ended,
    nothing more is sent and `done` is not called.
    """
    world = guest.world
    attempt = _Attempt(guest, address, port, done, wanted)
    there = world.link.latency(guest)
    back = world.link.latency(world.peer(guest), after=there)
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
        own = guest.private_address
        if own is None:
            # With `ifconfig vtnet1 down` it is the second one (seen on 13.2).
            done(None, "ENETUNREACH" if guest.private_nic_up else "EHOSTUNREACH")
        elif not self._is_answered(peer):
            if not world.link.plugged.get(guest.name, True):
                done(None, "EHOSTUNREACH")
            elif timeout <= 0:
                done(None, "ETIMEDOUT")
            else:
                pause = min(SYN_PAUSES[min(self._tried, len(SYN_PAUSES) - 1)], timeout)
                self._tried += 1
                world.schedule(guest, pause, self.make, timeout - pause)
        elif (listener := peer.listeners.get(self._port)) is None:
            done(None, "ECONNREFUSED")
        else:
            near = Socket(guest, own, guest.rng.randint(10000, 65535))
            far = Socket(peer, self._address, self._port)
            near.peer, far.peer = far, near
            listener.accept(far)
            done(near, None)

    def _is_answered(self, peer: Guest) -> bool:
        link = self._guest.world.link
        return (
            link.carries(self._guest, peer)
            and link.carries(peer, self._guest)
            and peer.private_address == self._address
        )
