"""UDP: datagrams between ports. Who listens on none gets no ICMP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.network.interfaces import Interface
from harness.lab.simulated.network.ip import HEADER, Ip, Packet

PROTOCOL = 17

_HEADER = 8
"""Bytes."""


@dataclass(frozen=True)
class Datagram:
    """What is in a packet of UDP."""

    source_port: int
    target_port: int
    data: Any


class Udp(Part):
    """UDP of one boot: who listens, by port."""

    def __init__(self, guest: Guest) -> None:
        self._ip = guest.part(Ip)
        self._ip.protocols[PROTOCOL] = self._receive
        self.listeners: dict[int, Callable[[Packet], None]] = {}
        """Each gets the packet, with a `Datagram` in it."""

    def send(
        self, target: tuple[str, int], datagram: bytes, port: int, by: Interface | None = None
    ) -> str | None:
        """Send bytes from a port to an address and a port, as `Ip.send` does."""
        payload = Datagram(port, target[1], datagram)
        size = HEADER + _HEADER + len(datagram)
        return self._ip.send(Packet(target[0], PROTOCOL, payload, size), by=by)

    def _receive(self, _: Interface, packet: Packet) -> None:
        if (listener := self.listeners.get(packet.payload.target_port)) is not None:
            listener(packet)
