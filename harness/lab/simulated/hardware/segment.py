"""Ethernet: a segment with any number of stations (the crossover cable has two), and NICs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from harness.lab.simulated.engine.timeline import Owner, Timeline

RETRANSMIT = 1.0
"""Seconds after which TCP tries again what got lost. (The real timer starts lower and doubles.)"""

SEGMENT = 1448
"""Bytes of data in a TCP segment, with time stamps, on an Ethernet of 1500."""

_IP_TCP, ETHERNET = 52, 14
"""Bytes of the headers: IP and TCP with time stamps; Ethernet."""

BROADCAST = "ff:ff:ff:ff:ff:ff"

Direction = Literal["in", "out"]


@dataclass(frozen=True)
class Frame:
    """A frame. `kind` is its EtherType; `payload` never changes; `size` is in bytes, all of it."""

    source: str
    target: str
    kind: int
    payload: Any
    size: int

    def __deepcopy__(self, memo: object) -> Frame:
        return self


class Pipe(Protocol):
    """What packets go through before they leave, such as a pipe of dummynet(4)."""

    loss: float

    def take(self, now: float, size: int, /) -> tuple[float, float]:
        """When the first and the last byte of `size` sent now are out of it."""

    def latency(self, now: float, size: int, /) -> float:
        """Seconds that a lone packet waits in it."""


class Driver(Protocol):
    """The kernel above a NIC."""

    def passes(self, direction: Direction, /) -> bool:
        """Whether its firewalls let packets of a direction pass."""

    def pipe(self) -> Pipe | None:
        """What packets leave through."""

    def carrier_changed(self) -> None:
        """The cable was pulled out or put back."""

    def receive(self, frame: Frame, /) -> None:
        """A frame has come."""

    def mac_of(self, address: str, /) -> str | None:
        """The MAC address under which it has an IPv4 address on this NIC; None: it has it not."""

    def hear(self, address: str, mac: str, /) -> None:
        """Somebody has asked for an address of its own by ARP: who that is."""


class Nic:
    """A NIC of a machine, with a cable to a segment: one of its stations.

    The kernel that drives it sets `up` and `also`, and itself as the `driver`, at each boot.
    """

    def __init__(self, mac: str, segment: Segment | None = None) -> None:
        """Without a segment it leads to the host, of which the model has nothing."""
        self.mac = mac
        self.segment = segment
        self.owner: Owner
        """The machine that it was put into."""
        self.plugged = True
        """Whether the cable is in it."""
        self.busy_until = 0.0
        """Until when what was sent is still going out."""
        self.start_over()

    def put_into(self, owner: Owner) -> None:
        """Make it a part of a machine, and a station of its segment."""
        self.owner = owner
        if self.segment is not None:
            self.segment.stations.append(self)

    def start_over(self) -> None:
        """The machine begins to boot: its kernel knows nothing yet, and the counters are zero."""
        self.go_down()
        self.sent = self.received = 0
        """Bytes of frames."""

    def go_down(self) -> None:
        """The kernel that used it is gone."""
        self.up = False
        self.also: set[str] = set()
        """What it takes frames for, besides itself and everybody: groups, virtual addresses."""
        self.driver: Driver | None = None

    def plug(self, *, plugged: bool) -> None:
        """Put the cable in, or pull it out; a kernel that runs notices."""
        if self.plugged != plugged:
            self.plugged = plugged
            if self.owner.running and self.driver is not None:
                self.driver.carrier_changed()

    def takes(self, mac: str) -> bool:
        """Whether frames to an address are for it."""
        return mac in {self.mac, BROADCAST} or mac in self.also

    def lets(self, direction: Direction) -> bool:
        """Whether the firewall above it lets packets pass."""
        return self.driver is None or self.driver.passes(direction)

    def shaper(self) -> Pipe | None:
        """What packets leave through."""
        return None if self.driver is None else self.driver.pipe()


def _segments(size: int) -> int:
    return max(1, -(-size // SEGMENT))


class Segment:
    """An Ethernet segment: it carries frames, and TCP's messages as if they were frames.

    Of messages, what meets a gap waits in the sender's TCP and is sent again. `delay` is one way in
    seconds, `rate` in bytes a second, `loss` the chance that a message has to be sent again, and
    that a frame is lost.
    """

    def __init__(self, time: Timeline) -> None:
        self._time = time
        self.delay = 0.0002
        self.rate = 125e6
        self.loss = 0.0
        self.stations: list[Nic] = []
        self._learnt: dict[str, Nic] = {}
        """Who has sent from a MAC address last, as a switch knows it."""

    # --- who is there ---------------------------------------------------------------------------

    def joins(self, source: Nic, target: Nic) -> bool:
        """Whether a frame sent now arrives: both cables in, both NICs up, the target not frozen."""
        return (
            source.plugged
            and target.plugged
            and source.up
            and target.up
            and target.owner.running
            and not target.owner.frozen
        )

    def carries(self, source: Nic, target: Nic) -> bool:
        """Whether an IP packet sent now arrives: a frame would, and no firewall drops it.

        A packet that arrives counts as acknowledged, also where the acknowledgement would not
        arrive.
        """
        return self.joins(source, target) and source.lets("out") and target.lets("in")

    def station(self, source: Nic, mac: str) -> Nic | None:
        """The other station that takes frames for one address.

        Of several, as with a virtual address of carp(4), the one that has sent from it last.
        """
        others = [each for each in self.stations if each is not source]
        found = [each for each in others if each.up and each.takes(mac)]
        last = self._learnt.get(mac)
        return last if last in found else next(iter(found), None)

    def ask(self, source: Nic, asker: str, address: str) -> str | None:
        """The MAC address with which somebody answers who asks by ARP for an IPv4 address.

        An exchange of ARP takes no time here, and is not counted. Of two who answer the later one
        in the order of the stations wins, as the later answer does.
        """
        found = None
        for each in self.stations:
            joined = each is not source and self.joins(source, each) and self.joins(each, source)
            driver = each.driver if joined else None
            if driver is not None and (mac := driver.mac_of(address)) is not None:
                driver.hear(asker, source.mac)
                found = mac
        return found

    # --- frames ---------------------------------------------------------------------------------

    def send(self, source: Nic, frame: Frame) -> None:
        """Send a frame, behind what is in the queue. Who is out or frozen then never sees it."""
        if not (source.plugged and source.up):
            return
        end = max(self._time.now, source.busy_until) + frame.size / self.rate
        source.busy_until = end
        source.sent += frame.size
        self._learnt[frame.source] = source
        delay = end - self._time.now + self.delay
        for each in self.stations:
            lost = self.loss and self._time.rng.random() < self.loss
            if each is not source and each.takes(frame.target) and not lost:
                self._time.schedule(None, delay, self._arrive, each, frame)

    def _arrive(self, target: Nic, frame: Frame) -> None:
        if self.joins(target, target) and target.driver is not None:
            target.received += frame.size
            target.driver.receive(frame)

    # --- TCP ------------------------------------------------------------------------------------

    def transit(self, source: Nic, target: Nic, size: int) -> float:
        """Seconds until `size` bytes sent now have arrived, behind what is in the queue."""
        now, loss = self._time.now, self.loss
        start, last = max(now, source.busy_until), 0.0
        if (pipe := source.shaper()) is not None:
            loss += (1 - loss) * pipe.loss
            first, last = pipe.take(now, size + _IP_TCP * _segments(size))
            start = max(start, first)
        end = max(start + size / self.rate, last)
        source.busy_until = end
        self.count(source, target, size)
        extra = 0.0
        while loss and self._time.rng.random() < loss:
            extra += RETRANSMIT / 5
            self.count(source, target, min(size, SEGMENT))
        return end - now + self.delay + extra

    def latency(self, source: Nic, size: int = _IP_TCP, *, after: float = 0.0) -> float:
        """Seconds that a lone packet of `size` bytes, sent `after` so many more, is on its way."""
        pipe = source.shaper()
        waits = 0.0 if pipe is None else pipe.latency(self._time.now + after, size)
        return waits + self.delay

    def round_trip(self, near: Nic, far: Nic | None, size: int = _IP_TCP) -> float:
        """Seconds that a lone packet and the answer to it take. Without anybody there, as long."""
        there = self.latency(near, size)
        return there + (self.delay if far is None else self.latency(far, size, after=there))

    def loses_packet(self, source: Nic) -> bool:
        """Whether a packet that nobody sends again is lost in the sender's pipe."""
        pipe = source.shaper()
        return bool(pipe and pipe.loss and self._time.rng.random() < pipe.loss)

    def count(self, source: Nic, target: Nic, size: int) -> None:
        """Count the frames of `size` bytes over TCP, and an acknowledgement of every other one."""
        segments = _segments(size)
        self.count_frame(source, target, size + segments * (_IP_TCP + ETHERNET))
        self.count_frame(target, source, (segments + 1) // 2 * (_IP_TCP + ETHERNET))

    def count_frame(self, source: Nic, target: Nic, size: int) -> None:
        """Count so many bytes of frames."""
        source.sent += size
        target.received += size

    def is_shaped(self) -> bool:
        """Whether a node's dummynet(4) takes part."""
        return any(each.shaper() is not None for each in self.stations)
