"""The network interfaces of a guest, as ifconfig(8) sets and shows them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hardware.segment import Direction, Frame, Nic
from harness.lab.simulated.kernel.guest import MANAGEMENT, Guest, Part
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.network.ipfw import Ipfw, Pipe
from harness.lab.simulated.network.pf import Pf

_UP = "8863<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST>"
_UP_PROMISCUOUS = "8963<UP,BROADCAST,RUNNING,PROMISC,SIMPLEX,MULTICAST>"
_DOWN_PROMISCUOUS = "8922<BROADCAST,PROMISC,SIMPLEX,MULTICAST>"
_DOWN = "8822<BROADCAST,SIMPLEX,MULTICAST>"
_LOOPBACK_UP = "8049<UP,LOOPBACK,RUNNING,MULTICAST>"
_LOOPBACK_DOWN = "8008<LOOPBACK,MULTICAST>"


@dataclass(frozen=True)
class Virtual:
    """An address that several nodes have, of which one answers at a time: one of carp(4).

    `mac` is what it answers with, None while it does not and the address is not its own; `words`
    are what ifconfig(8) adds to the address.
    """

    mac: str | None
    words: str


class Interface:
    """One interface, and the driver of its NIC."""

    def __init__(self, network: Network, name: str, index: int, nic: Nic | None) -> None:
        """`nic` is None of lo0; `index` is that of if_nametoindex(3)."""
        self._network = network
        self.name = name
        self.index = index
        self.nic = nic
        self.up = False
        self.link: bool | None = None
        """Whether its link is up, as it was last announced; None: nobody knows yet."""
        self.addresses: list[ipaddress.IPv4Interface] = []
        """IPv4 with their prefix length, the primary one first."""
        self.virtual: dict[str, Virtual] = {}
        """Those of them that it shares with other nodes."""
        self.promiscuous = False
        self.shown: list[Callable[[Interface], list[str]]] = []
        """Who adds lines to those of its addresses in ifconfig(8)."""
        if nic is not None:
            nic.driver = self

    @property
    def plugged(self) -> bool:
        """Whether there is a carrier."""
        return self.nic is None or self.nic.plugged

    @property
    def has_peers(self) -> bool:
        """Whether it leads to a segment of the model, and not to the host or nowhere."""
        return self.nic is not None and self.nic.segment is not None

    def has(self, address: str) -> bool:
        """Whether an address is its own now."""
        return (
            self.up
            and (address not in self.virtual or self.virtual[address].mac is not None)
            and any(str(each.ip) == address for each in self.addresses)
        )

    def source_to(self, address: str) -> str:
        """Its own address in the network in which another one is, the first one if there is none.

        Raises `IndexError` when it has none at all.
        """
        to = ipaddress.IPv4Address(address)
        own = next((each for each in self.addresses if to in each.network), self.addresses[0])
        return str(own.ip)

    # --- the driver -----------------------------------------------------------------------------

    def passes(self, direction: Direction) -> bool:
        """Whether pf and ipfw let packets pass."""
        ipfw, pf = self._network.ipfw, self._network.pf
        if ipfw is not None and not ipfw.passes(direction, self.name):
            return False
        return pf.passes(direction, self.name)

    def pipe(self) -> Pipe | None:
        """The pipe of dummynet(4) through which packets leave."""
        ipfw = self._network.ipfw
        return None if ipfw is None else ipfw.pipe("out", self.name)

    def carrier_changed(self) -> None:
        """Notice that the cable was pulled out or put back."""
        if self.up:
            self._network.carrier_changed(self)

    def receive(self, frame: Frame) -> None:
        """Hand a frame to whoever takes its kind; the others are dropped."""
        if (handler := self._network.when_received.get(frame.kind)) is not None:
            handler(self, frame)

    def mac_of(self, address: str) -> str | None:
        """The MAC address under which it has an address, None when it has not."""
        if self.nic is None or not self.has(address):
            return None
        return self.virtual[address].mac if address in self.virtual else self.nic.mac

    def hear(self, address: str, mac: str) -> None:
        """Somebody has asked by ARP for an address of its own."""
        if self._network.when_asked is not None:
            self._network.when_asked(self, address, mac)


class Network(Part):
    """lo0 and an interface for each NIC: vtnet0 to the host, vtnet1 to the other node."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.interfaces = {
            name: Interface(self, name, number, nic)
            for number, (name, nic) in enumerate(guest.nics.items(), start=1)
        }
        self.interfaces["lo0"] = Interface(self, "lo0", len(self.interfaces) + 1, None)
        self.refused: dict[str, bool] = {}
        """Hosts that route(8) put out of reach; whether with an error (-reject) or silently."""
        self.when_received: dict[int, Callable[[Interface, Frame], None]] = {}
        """Who takes frames, by EtherType."""
        self.when_asked: Callable[[Interface, str, str], None] | None = None
        """Who notes an address and its MAC address that have asked by ARP."""
        self.when_added: list[Callable[[Interface, str], None]] = []
        """Who is told of a new address, once the interface is up."""
        self.when_removed: list[Callable[[Interface, str], None]] = []
        """Who is told of an address that an interface has lost."""
        self.when_link_changed: list[Callable[[Interface], None]] = []
        """Who is told before all others that a cable was moved, or an interface set up or down."""
        self.pf = Pf()
        self.ipfw: Ipfw | None = None
        """Once its module is loaded."""
        kernel = guest.part(Kernel)
        kernel.when_loaded["ipfw"] = self._start_ipfw
        kernel.trees["net.inet.ip.fw."] = self._of_ipfw

    @property
    def reachable(self) -> bool:
        """Whether the host's SSH finds its way in."""
        management = self.interfaces[MANAGEMENT]
        ipfw = self.ipfw
        if ipfw and not (ipfw.passes("in", MANAGEMENT) and ipfw.passes("out", MANAGEMENT)):
            return False
        return management.up and bool(management.addresses)

    def interface_of(self, nic: Nic) -> Interface:
        """The interface of a NIC."""
        return next(each for each in self.interfaces.values() if each.nic is nic)

    def route(self, address: str) -> Interface | None:
        """Where packets to an address leave: by the connected network with the longest prefix.

        The interface may be down. None: by the default router, if there is one.
        """
        to = ipaddress.IPv4Address(address)
        found = [
            (each.network.prefixlen, -interface.index, interface)
            for interface in self.interfaces.values()
            for each in interface.addresses
            if to in each.network
        ]
        return max(found, key=lambda each: each[:2])[2] if found else None

    def _start_ipfw(self) -> None:
        kernel = self._guest.part(Kernel)
        accepts = kernel.environment.get("net.inet.ip.fw.default_to_accept", "0") not in {"0", ""}
        self.ipfw = Ipfw(accepts=accepts)
        kernel.say(
            "ipfw2 (+ipv6) initialized, divert loadable, nat loadable, "
            f"default to {'accept' if accepts else 'deny'}, logging disabled"
        )

    def _of_ipfw(self, name: str) -> str | None:
        """What sysctl(8) shows of net.inet.ip.fw."""
        if self.ipfw is None:
            return None
        known = {"default_to_accept": str(int(self.ipfw.accepts)), "enable": "1", "one_pass": "1"}
        if (leaf := name.rpartition(".")[2]) not in known:
            raise NotModelled(f"sysctl {name}")
        return known[leaf]

    def set_up(self, name: str, *, up: bool) -> None:
        """Bring an interface up or down. The kernel notes the change of its link."""
        interface = self.interfaces[name]
        if interface.up == up:
            return
        interface.up = up
        if interface.nic is not None:
            interface.nic.up = up
        self._tell_of_link(interface)
        if up and interface.plugged:
            self.announce_link(interface)
        self._changed(name)

    def carrier_changed(self, interface: Interface) -> None:
        """The cable of an interface that is up was pulled out or put back."""
        self._tell_of_link(interface)
        self.announce_link(interface)

    def _tell_of_link(self, interface: Interface) -> None:
        for hook in self.when_link_changed:
            hook(interface)

    def announce_link(self, interface: Interface) -> None:
        """Say what the link of an interface is now, if that is new (do_link_state_change)."""
        if interface.link is interface.plugged:
            return
        interface.link = interface.plugged
        state = "UP" if interface.plugged else "DOWN"
        self._guest.part(Kernel).say(f"{interface.name}: link state changed to {state}")
        self._guest.devctl.post("IFNET", interface.name, f"LINK_{state}")

    def add(self, name: str, address: ipaddress.IPv4Interface, *, alias: bool) -> None:
        """Give an interface an address, instead of its first one or beside the others."""
        interface = self.interfaces[name]
        known = [each.ip for each in interface.addresses]
        if address.ip in known:
            interface.addresses[known.index(address.ip)] = address
        elif alias or not interface.addresses:
            interface.addresses.append(address)
        else:
            replaced, interface.addresses[0] = interface.addresses[0], address
            self._forget(interface, replaced)
        self.set_up(name, up=True)
        for hook in self.when_added:
            hook(interface, str(address.ip))
        self._changed(name)

    def remove(self, name: str, address: ipaddress.IPv4Address | None) -> bool:
        """Take an address away, the first one when none is named; False: there is no such one."""
        interface = self.interfaces[name]
        for each in interface.addresses:
            if address in {None, each.ip}:
                interface.addresses.remove(each)
                self._forget(interface, each)
                self._changed(name)
                return True
        return False

    def _forget(self, interface: Interface, address: ipaddress.IPv4Interface) -> None:
        for hook in self.when_removed:
            hook(interface, str(address.ip))

    def _changed(self, name: str) -> None:
        self._guest.devctl.post("IFNET", name, "ADDRESS")

    def owns(self, address: str) -> bool:
        """Whether an address is one of its own on an interface that is up."""
        return any(each.has(address) for each in self.interfaces.values())

    def show(self, name: str, family: str = "") -> list[str]:
        """The lines of `ifconfig NAME [FAMILY]` (recorded on 13.2)."""
        interface = self.interfaces[name]
        return (
            self._show_loopback(interface, family)
            if interface.nic is None
            else self._show_ethernet(interface, interface.nic, family)
        )

    def _show_ethernet(self, interface: Interface, nic: Nic, family: str) -> list[str]:
        up, down = _UP, _DOWN
        if interface.promiscuous:
            up, down = _UP_PROMISCUOUS, _DOWN_PROMISCUOUS
        lines = [
            f"{interface.name}: flags={up if interface.up else down} metric 0 mtu 1500",
            "\toptions=80028<VLAN_MTU,JUMBO_MTU,LINKSTATE>",
        ]
        if family in {"", "ether", "link"}:
            lines.append(f"\tether {nic.mac}")
        if family in {"", "inet"}:
            lines += [
                f"\tinet {each.ip} netmask {_mask(each)} broadcast {each.network.broadcast_address}"
                + (f" {virtual.words}" if (virtual := interface.virtual.get(str(each.ip))) else "")
                for each in interface.addresses
            ]
        if not family:
            lines += [line for each in interface.shown for line in each(interface)]
            media = "10Gbase-T <full-duplex>" if nic.plugged else "none"
            lines += [
                f"\tmedia: Ethernet autoselect ({media})",
                f"\tstatus: {'active' if nic.plugged else 'no carrier'}",
            ]
        if family in {"", "inet6"}:
            lines.append("\tnd6 options=29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>")
        return lines

    def _show_loopback(self, interface: Interface, family: str) -> list[str]:
        lines = [
            f"lo0: flags={_LOOPBACK_UP if interface.up else _LOOPBACK_DOWN} metric 0 mtu 16384",
            "\toptions=680003<RXCSUM,TXCSUM,LINKSTATE,RXCSUM_IPV6,TXCSUM_IPV6>",
        ]
        if family in {"", "inet6"}:
            lines += [
                "\tinet6 ::1 prefixlen 128",
                f"\tinet6 fe80::1%lo0 prefixlen 64 scopeid {interface.index:#x}",
            ]
        if family in {"", "inet"}:
            lines += [f"\tinet {each.ip} netmask {_mask(each)}" for each in interface.addresses]
        if not family:
            lines.append("\tgroups: lo")
        if family in {"", "inet6"}:
            lines.append("\tnd6 options=21<PERFORMNUD,AUTO_LINKLOCAL>")
        return lines


def _mask(address: ipaddress.IPv4Interface) -> str:
    return f"0x{int(address.netmask):08x}"
