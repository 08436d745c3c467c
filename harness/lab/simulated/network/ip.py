"""IPv4 datagrams: who takes them, where they leave, groups (ip_input.c and ip_output.c, 13.2).

TCP does not go through here: its messages are not frames (network/tcp.py). There is no forwarding,
no fragment, no ICMP and no IGMP: a group is joined by listening.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hardware.segment import BROADCAST, ETHERNET, Frame
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.network.arp import Arp
from harness.lab.simulated.network.interfaces import Interface, Network

ETHERTYPE = 0x0800

HEADER = 20
"""Bytes of a header without options."""

_LOOPBACK = 0.00025
"""Seconds, about: from a node to itself."""


@dataclass(frozen=True)
class Packet:
    """A datagram. `payload` never changes; `size` is in bytes, with the header.

    An empty `source` becomes an address of the interface that it leaves by.
    """

    target: str
    protocol: int
    payload: Any
    size: int
    source: str = ""
    ttl: int = 64

    def __deepcopy__(self, memo: object) -> Packet:
        return self


def group_mac(group: str) -> str:
    """The MAC address of a group: its last 23 bits (ETHER_MAP_IP_MULTICAST)."""
    _, second, third, fourth = ipaddress.IPv4Address(group).packed
    return f"01:00:5e:{second & 0x7F:02x}:{third:02x}:{fourth:02x}"


class Ip(Part):
    """IPv4 of one boot."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._network = network = guest.part(Network)
        network.when_received[ETHERTYPE] = self._receive
        self.protocols: dict[int, Callable[[Interface, Packet], None]] = {}
        """Who takes datagrams, by the number of their protocol; the others are dropped."""
        self.groups: dict[str, set[str]] = {name: set() for name in network.interfaces}
        """Those that were joined, by interface."""

    def join(self, interface: Interface, group: str) -> None:
        """Take what is sent to a group on an interface."""
        self.groups[interface.name].add(group)
        if interface.nic is not None:
            interface.nic.also.add(group_mac(group))

    def leave(self, interface: Interface, group: str) -> None:
        """Take it no more."""
        left = self.groups[interface.name]
        left.discard(group)
        if interface.nic is not None and group_mac(group) not in map(group_mac, left):
            interface.nic.also.discard(group_mac(group))

    def send(
        self, packet: Packet, *, by: Interface | None = None, source_mac: str | None = None
    ) -> str | None:
        """Send a datagram; returns the errno's name of what went wrong at once.

        `by` is the interface that a program asks for (IP_MULTICAST_IF): a group needs one.
        `source_mac` is the sender's where that is not the NIC's. A datagram to whom nobody answers
        ARP is lost. Raises `NotModelled` for one that leaves by the default router.
        """
        network = self._network
        to = ipaddress.IPv4Address(packet.target)
        if packet.target.startswith("127.") or network.owns(packet.target):
            own = replace(packet, source=packet.source or packet.target)
            lo0 = network.interfaces["lo0"]
            self._guest.world.schedule(self._guest, _LOOPBACK, self._take, lo0, own)
            return None
        if network.refused.get(packet.target):
            return "EHOSTUNREACH"
        if by is None and not to.is_multicast:
            by = network.route(packet.target)
        if by is None or not by.has_peers:
            raise NotModelled(f"a datagram to {packet.target}, by the default router")
        if not by.up:
            return "ENETDOWN"
        if not by.passes("out"):
            return "EACCES"
        sent = replace(packet, source=packet.source or by.source_to(packet.target))
        if (pipe := by.pipe()) is None:
            self._put_out(by, sent, source_mac)
        elif self._guest.world.rng.random() >= pipe.loss:
            now = self._guest.world.now
            _, out = pipe.take(now, packet.size)
            delay = out - now
            self._guest.world.schedule(self._guest, delay, self._put_out, by, sent, source_mac)
        return None

    def _put_out(self, by: Interface, packet: Packet, source_mac: str | None) -> None:
        nic = by.nic
        if nic is None or nic.segment is None:
            return
        if (target := self._mac_for(by, packet.target)) is not None:
            size = ETHERNET + packet.size
            frame = Frame(source_mac or nic.mac, target, ETHERTYPE, packet, size)
            nic.segment.send(nic, frame)

    def _mac_for(self, by: Interface, address: str) -> str | None:
        to = ipaddress.IPv4Address(address)
        if to.is_multicast:
            return group_mac(address)
        if any(to == each.network.broadcast_address for each in by.addresses):
            return BROADCAST
        return self._guest.part(Arp).mac_for(by, address)

    def _receive(self, interface: Interface, frame: Frame) -> None:
        packet: Packet = frame.payload
        to = ipaddress.IPv4Address(packet.target)
        is_for_all = to in {each.network.broadcast_address for each in interface.addresses}
        is_ours = is_for_all or self._network.owns(packet.target)
        if interface.passes("in") and (is_ours or packet.target in self.groups[interface.name]):
            self._take(interface, packet)

    def _take(self, interface: Interface, packet: Packet) -> None:
        if (handler := self.protocols.get(packet.protocol)) is not None:
            handler(interface, packet)
