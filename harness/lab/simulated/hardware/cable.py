"""The crossover cable, and the NIC at each end of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from harness.lab.simulated.engine.timeline import Owner, Timeline

RETRANSMIT = 1.0
"""Seconds after which TCP tries again what got lost. (The real timer starts lower and doubles.)"""

SEGMENT = 1448
"""Bytes of data in a TCP segment, with time stamps, on an Ethernet of 1500."""

_IP_TCP, _ETHERNET = 52, 14
"""Bytes of the headers: IP and TCP with time stamps; Ethernet."""

Direction = Literal["in", "out"]


class Pipe(Protocol):
    """What packets go through before they leave, such as a pipe of dummynet(4)."""

    loss: float

    def take(self, now: float, size: int, /) -> tuple[float, float]:
        """When the first and the last byte of `size` sent now are out of it."""

    def latency(self, now: float, size: int, /) -> float:
        """Seconds that a lone packet waits in it."""


class Nic:
    """One end of the cable: the private NIC of a machine.

    The kernel above it sets `up` and `address`, and leaves its own hooks at each boot: `passes`
    says whether its firewall lets packets of a direction pass, `pipe` through what they leave, and
    `on_carrier` is called when the cable was pulled out or put back.
    """

    def __init__(self, owner: Owner, mac: str) -> None:
        self.owner = owner
        self.mac = mac
        self.plugged = True
        """Whether the cable is in it."""
        self.busy_until = 0.0
        """Until when what was sent is still going out."""
        self.start_over()

    def start_over(self) -> None:
        """The machine begins to boot: its kernel knows nothing yet, and the counters are zero."""
        self.go_down()
        self.sent = self.received = 0
        """Bytes of frames."""

    def go_down(self) -> None:
        """The kernel that used it is gone."""
        self.up = False
        self.address: str | None = None
        """Its IPv4 address while it is up and has one."""
        self.passes: Callable[[Direction], bool] | None = None
        self.pipe: Callable[[], Pipe | None] | None = None
        self.on_carrier: Callable[[], None] | None = None

    def plug(self, *, plugged: bool) -> None:
        """Put the cable in, or pull it out; a kernel that runs notices."""
        if self.plugged != plugged:
            self.plugged = plugged
            if self.owner.running and self.on_carrier is not None:
                self.on_carrier()

    def lets(self, direction: Direction) -> bool:
        """Whether the firewall above it lets packets pass."""
        return self.passes is None or self.passes(direction)

    def shaper(self) -> Pipe | None:
        """What packets leave through."""
        return None if self.pipe is None else self.pipe()


def _segments(size: int) -> int:
    return max(1, -(-size // SEGMENT))


class Link:
    """A cable with two ends. What meets a gap waits in the sender's TCP and is sent again.

    `delay` is one way in seconds, `rate` in bytes a second, `loss` the chance that a message has to
    be sent again.
    """

    def __init__(self, time: Timeline) -> None:
        self._time = time
        self.delay = 0.0002
        self.rate = 125e6
        self.loss = 0.0
        self.ends: list[Nic] = []

    def other(self, end: Nic) -> Nic:
        """The NIC at the other end."""
        return self.ends[1] if end is self.ends[0] else self.ends[0]

    def carries(self, source: Nic, target: Nic) -> bool:
        """Whether a packet sent now arrives.

        Both ends are in, both NICs up, the target is not frozen, and neither's firewall drops it. A
        packet that arrives counts as acknowledged, also where the acknowledgement would not arrive.
        """
        return (
            source.plugged
            and target.plugged
            and source.up
            and target.up
            and target.owner.running
            and not target.owner.frozen
            and source.lets("out")
            and target.lets("in")
        )

    def transit(self, source: Nic, size: int) -> float:
        """Seconds until `size` bytes sent now have arrived, behind what is in the queue."""
        now, loss = self._time.now, self.loss
        start, last = max(now, source.busy_until), 0.0
        if (pipe := source.shaper()) is not None:
            loss += (1 - loss) * pipe.loss
            first, last = pipe.take(now, size + _IP_TCP * _segments(size))
            start = max(start, first)
        end = max(start + size / self.rate, last)
        source.busy_until = end
        self.count(source, size)
        extra = 0.0
        while loss and self._time.rng.random() < loss:
            extra += RETRANSMIT / 5
            self.count(source, min(size, SEGMENT))
        return end - now + self.delay + extra

    def latency(self, source: Nic, size: int = _IP_TCP, *, after: float = 0.0) -> float:
        """Seconds that a lone packet of `size` bytes, sent `after` so many more, is on its way."""
        pipe = source.shaper()
        waits = 0.0 if pipe is None else pipe.latency(self._time.now + after, size)
        return waits + self.delay

    def loses_packet(self, source: Nic) -> bool:
        """Whether a packet that nobody sends again is lost in the sender's pipe."""
        pipe = source.shaper()
        return bool(pipe and pipe.loss and self._time.rng.random() < pipe.loss)

    def count(self, source: Nic, size: int) -> None:
        """Count the frames of `size` bytes over TCP, and an acknowledgement of every other one."""
        segments = _segments(size)
        self.count_frame(source, size + segments * (_IP_TCP + _ETHERNET))
        self.count_frame(self.other(source), (segments + 1) // 2 * (_IP_TCP + _ETHERNET))

    def count_frame(self, source: Nic, size: int) -> None:
        """Count so many bytes of frames."""
        source.sent += size
        self.other(source).received += size

    def is_shaped(self) -> bool:
        """Whether a node's dummynet(4) takes part."""
        return any(end.shaper() is not None for end in self.ends)
