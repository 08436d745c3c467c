"""ARP, and arp(8) (sys/netinet/if_ether.c and usr.sbin/arp/arp.c, 13.2).

Who wants to send asks for the MAC address when it sends, which takes no time (`Segment.ask`).
Frames of ARP are what a node sends unasked, when it gets an address. Neither is in the counters.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterable
from dataclasses import dataclass

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hardware.segment import BROADCAST, Frame, Nic
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.network.interfaces import Interface, Network
from harness.lab.simulated.network.names import address_of, name_of
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command

ETHERTYPE = 0x0806

_KEEP = 1200.0
"""Seconds that an entry is good for (net.link.ether.inet.max_age)."""

_RENEW = 5.0
"""Seconds before its end from which on an entry that is used is asked for again."""

_DOWN = 20.0
"""Seconds that an entry stays to which nobody has answered (arpt_down)."""


@dataclass(frozen=True)
class Announcement:
    """A packet of ARP that says who has an address: a request for one's own, or an answer."""

    address: str
    mac: str
    target: str
    """For whom it asks, or to whom it answers: an IPv4 address."""
    is_answer: bool = False


@dataclass(frozen=True)
class Entry:
    """Who has an address. `mac` is None when nobody has answered."""

    address: str
    mac: str | None
    until: float
    """Virtual time."""


class Table:
    """What a machine knows of its neighbours on one segment."""

    def __init__(self, nic: Nic, refused: Container[str] = ()) -> None:
        """`refused` are addresses to which nothing is sent."""
        self._nic = nic
        self._refused = refused
        self.entries: dict[str, Entry] = {}

    def learn(self, address: str, mac: str | None) -> None:
        """Note who has an address."""
        until = self._nic.owner.world.now + (_DOWN if mac is None else _KEEP)
        self.entries.pop(address, None)
        self.entries[address] = Entry(address, mac, until)

    def mac_for(self, source: str, address: str) -> str | None:
        """The MAC address for an address, asked for from `source` where it is not known."""
        if address in self._refused:
            return None
        segment, now = self._nic.segment, self._nic.owner.world.now
        entry = self.entries.get(address)
        if entry is not None and entry.mac is not None and now < entry.until - _RENEW:
            return entry.mac
        mac = None if segment is None else segment.ask(self._nic, source, address)
        if mac is None and entry is not None and entry.mac is not None and now < entry.until:
            return entry.mac
        self.learn(address, mac)
        return mac

    def station(self, source: str, address: str) -> Nic | None:
        """The station to which frames for an address go."""
        mac, segment = self.mac_for(source, address), self._nic.segment
        return None if mac is None or segment is None else segment.station(self._nic, mac)


class Arp(Part):
    """ARP of one boot: a table for each interface."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._network = network = guest.part(Network)
        network.when_received[ETHERTYPE] = self._receive
        network.when_asked = self._asked
        network.when_added.append(self._added)
        network.when_link_changed.append(self._link_changed)
        guest.devctl.listen(self._changed)
        self.tables = {
            name: Table(each.nic, network.refused)
            for name, each in network.interfaces.items()
            if each.nic
        }

    def station(self, interface: Interface, address: str) -> Nic | None:
        """The station on an interface's segment to which frames for an address go."""
        return self.tables[interface.name].station(interface.source_to(address), address)

    def mac_for(self, interface: Interface, address: str) -> str | None:
        """The MAC address for an address on an interface's segment; None: nobody answers."""
        return self.tables[interface.name].mac_for(interface.source_to(address), address)

    def announce(self, interface: Interface, address: str, mac: str) -> None:
        """Tell everybody on the segment who has an address (arp_announce_ifaddr)."""
        self._send(interface, BROADCAST, Announcement(address, mac, address))

    def _send(self, interface: Interface, target: str, packet: Announcement) -> None:
        nic = interface.nic
        if nic is not None and nic.segment is not None:
            nic.segment.send(nic, Frame(packet.mac, target, ETHERTYPE, packet, 0))

    def _added(self, interface: Interface, address: str) -> None:
        if interface.nic is not None and address not in interface.virtual:
            self.tables[interface.name].entries.pop(address, None)
            self.announce(interface, address, interface.nic.mac)

    def _link_changed(self, interface: Interface) -> None:
        """`ifconfig down` forgets all; without a carrier nothing is forgotten (13.2)."""
        if not interface.up and interface.name in self.tables:
            self.tables[interface.name].entries = {}

    def _changed(self, _: object) -> None:
        """Forget who was in networks that the node is no longer in."""
        for name, table in self.tables.items():
            networks = [each.network for each in self._network.interfaces[name].addresses]
            table.entries = {
                address: entry
                for address, entry in table.entries.items()
                if any(ipaddress.IPv4Address(address) in each for each in networks)
            }

    def _asked(self, interface: Interface, address: str, mac: str) -> None:
        """Somebody has asked for an address of this node: so it knows that one (in_arpinput)."""
        self._update(interface, address, mac, is_new=True)

    def _receive(self, interface: Interface, frame: Frame) -> None:
        packet: Announcement = frame.payload
        own = interface.mac_of(packet.address)
        if own == packet.mac:
            return
        if own is None and packet.address in interface.virtual:
            self._receive_as_backup(interface, packet)
            return
        if own is not None and packet.address not in interface.virtual:
            self._guest.part(Kernel).say(
                f"arp: {packet.mac} is using my IP address {packet.address} on {interface.name}!"
            )
            if not packet.is_answer:
                answer = Announcement(packet.address, own, packet.address, is_answer=True)
                self._send(interface, packet.mac, answer)
            return
        self._update(interface, packet.address, packet.mac, is_new=interface.has(packet.target))

    def _receive_as_backup(self, interface: Interface, packet: Announcement) -> None:
        """Another node says that it is the MASTER of an address of carp(4).

        To an address that announces itself in_arpinput answers with the NIC's own MAC address, also
        as BACKUP: it looks for the sender among its addresses without asking for their state. Only
        the MASTER gets that answer, and notes it (recorded on 13.2).
        """
        asks_for_itself = packet.target == packet.address
        self._update(interface, packet.address, packet.mac, is_new=asks_for_itself)
        if asks_for_itself and not packet.is_answer and interface.nic is not None:
            own = interface.nic.mac
            answer = Announcement(packet.address, own, packet.address, is_answer=True)
            self._send(interface, packet.mac, answer)

    def forget(self, interface: Interface, address: str) -> None:
        """Know no longer who has an address."""
        self.tables[interface.name].entries.pop(address, None)

    def _update(self, interface: Interface, address: str, mac: str, *, is_new: bool) -> None:
        table = self.tables[interface.name]
        known = table.entries.get(address)
        if known is None and not is_new:
            return
        if known is not None and known.mac not in {None, mac}:
            self._guest.part(Kernel).say(
                f"arp: {address} moved from {known.mac} to {mac} on {interface.name}"
            )
        table.learn(address, mac)


# --- arp(8) -------------------------------------------------------------------------------------

_USAGE = """\
usage: arp [-n] [-i interface] hostname
       arp [-n] [-i interface] -a
       arp -d hostname [pub]
       arp -d [-i interface] -a
       arp -s hostname ether_addr [temp] [reject | blackhole] [pub [only]]
       arp -S hostname ether_addr [temp] [reject | blackhole] [pub [only]]
       arp -f filename"""


@command("arp")
def arp(context: Context, arguments: list[str]) -> int:
    """Show or delete entries. Those of the host, on vtnet0, are not in the model."""
    try:
        options = Options(arguments, "andsSf", "i")
    except BadOption:
        context.complain(_USAGE)
        return 1
    deletes, everything = "d" in options, "a" in options
    if {"s", "S", "f"} & {letter for letter in "sSf" if letter in options}:
        raise NotModelled(f"arp {' '.join(arguments)}")
    if "i" in options:
        if deletes and not everything:
            context.complain("arp: -i not applicable to this operation")
            return 1
        if options.value("i") not in context.guest.part(Network).interfaces:
            context.complain(f"arp: interface {options.value('i')} does not exist")
            return 1
    if len(options.rest) != (0 if everything else 1):
        context.complain(_USAGE)
        return 1
    only = options.value("i", "")
    shown = [each for each in _all(context.guest) if only in {"", each[0].name}]
    if not everything:
        return _one(context, options, shown)
    for interface, entry in shown:
        if deletes and not _is_own(entry):
            _delete(context, interface, entry, entry.address)
        elif not deletes:
            context.print(_line(context.guest, interface, entry, names="n" not in options))
    return 0


def _one(context: Context, options: Options, shown: list[tuple[Interface, Entry]]) -> int:
    host = options.rest[0]
    address = address_of(context.guest, host)
    if address is None:
        raise NotModelled(f"arp {host}")
    found = next((each for each in shown if each[1].address == address), None)
    if "d" in options:
        if found is None or _is_own(found[1]):
            raise NotModelled(f"arp -d {host}")
        _delete(context, *found, host)
        return 0
    if found is None:
        where = f" on {options.value('i')}" if "i" in options else ""
        context.print(f"{host} ({address}) -- no entry{where}")
        return 1
    context.print(_line(context.guest, *found, names="n" not in options))
    return 0


def _all(guest: Guest) -> Iterable[tuple[Interface, Entry]]:
    """All entries in the order of the kernel: by interface, the last one first, and by hash."""
    arp, now = guest.part(Arp), guest.world.now
    for interface in reversed(guest.part(Network).interfaces.values()):
        if interface.nic is None:
            continue
        own = [
            Entry(str(each.ip), interface.nic.mac, 0.0)
            for each in reversed(interface.addresses)
            if str(each.ip) not in interface.virtual
        ]
        known = reversed(arp.tables[interface.name].entries.values())
        newest_first = [*(each for each in known if now < each.until), *own]
        for entry in sorted(newest_first, key=_hash):
            yield interface, entry


def _hash(entry: Entry) -> int:
    """Its bucket, of 32 (LLATBL_HASH)."""
    found = 0
    for byte in ipaddress.IPv4Address(entry.address).packed:
        found ^= byte
    return found & 31


def _is_own(entry: Entry) -> bool:
    return entry.until == 0.0


def _line(guest: Guest, interface: Interface, entry: Entry, *, names: bool) -> str:
    name = (name_of(guest, entry.address) if names else None) or "?"
    if _is_own(entry):
        lasts = "permanent"
    elif entry.mac is None:
        lasts = "expired"
    else:
        lasts = f"expires in {int(entry.until) - int(guest.world.now)} seconds"
    return (
        f"{name} ({entry.address}) at {entry.mac or '(incomplete)'} on {interface.name} "
        f"{lasts} [ethernet]"
    )


def _delete(context: Context, interface: Interface, entry: Entry, host: str) -> None:
    del context.guest.part(Arp).tables[interface.name].entries[entry.address]
    context.print(f"{host} ({entry.address}) deleted")
