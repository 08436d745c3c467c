"""A station of a segment that is no node: a client with one address, ARP and TCP."""

from __future__ import annotations

import random

from harness.lab.simulated.engine.timeline import Event, Timeline
from harness.lab.simulated.hardware.segment import Direction, Frame, Nic, Pipe, Segment
from harness.lab.simulated.network.arp import Announcement, Table
from harness.lab.simulated.network.tcp import Listener, Socket, Way, connect


class Client:
    """Always on. It is the owner of its NIC, the driver of it, and a host of TCP."""

    name = "client"
    boot = 0
    running = True
    frozen = False

    def __init__(self, world: Timeline, segment: Segment, address: str, mac: str) -> None:
        self.world = world
        self.rng = random.Random(f"{world.seed}/{self.name}")
        self.address = address
        self.nic = Nic(mac, segment)
        self.nic.put_into(self)
        self.nic.up = True
        self.nic.driver = self
        self.table = Table(self.nic)
        self.frames: list[Frame] = []
        """Those that came and were not about ARP."""
        self.socket: Socket | None = None
        self.errors: list[str | None] = []
        """Of connecting, and of connections that ended."""
        self.said: list[object] = []
        """What came over the connection."""

    def put_aside(self, event: Event) -> None:
        raise AssertionError("it is never frozen")

    def wall_clock(self) -> float:
        return self.world.now

    # --- the driver -----------------------------------------------------------------------------

    def passes(self, _: Direction) -> bool:
        return True

    def pipe(self) -> Pipe | None:
        return None

    def carrier_changed(self) -> None:
        pass

    def receive(self, frame: Frame) -> None:
        if not isinstance(frame.payload, Announcement):
            self.frames.append(frame)
        elif frame.payload.address in self.table.entries:
            self.table.learn(frame.payload.address, frame.payload.mac)

    def mac_of(self, address: str) -> str | None:
        return self.nic.mac if address == self.address else None

    def hear(self, address: str, mac: str) -> None:
        self.table.learn(address, mac)

    # --- TCP ------------------------------------------------------------------------------------

    @property
    def owner(self) -> Client:
        return self

    def owns(self, _: str) -> bool:
        return False

    def way_to(self, address: str) -> Way | str:
        return Way(self.nic, self.address, self.table.station(self.address, address))

    def neighbours(self, _: Nic) -> Table:
        return self.table

    def listener(self, _: int, __: str) -> Listener | None:
        return None

    def connect(self, address: str, port: int, timeout: float = 5.0) -> None:
        """Connect; `socket` or `errors` says later how it went."""
        self.socket = None
        connect(self, address, port, timeout, self._connected)

    def _connected(self, socket: Socket | None, error: str | None) -> None:
        self.socket = socket
        if socket is None:
            self.errors.append(error)
        else:
            socket.listen_to(self.said.append, self.errors.append)
