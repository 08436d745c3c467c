"""The network interfaces of a guest, as ifconfig(8) sets and shows them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hardware.cable import Direction
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.network.ipfw import Ipfw, Pipe
from harness.lab.simulated.network.pf import Pf

MANAGEMENT = "vtnet0"
PRIVATE = "vtnet1"

_UP = "8863<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST>"
_DOWN = "8822<BROADCAST,SIMPLEX,MULTICAST>"
_LOOPBACK_UP = "8049<UP,LOOPBACK,RUNNING,MULTICAST>"
_LOOPBACK_DOWN = "8008<LOOPBACK,MULTICAST>"


@dataclass
class Interface:
    """One interface. `addresses` are IPv4 with their prefix length, the primary one first."""

    name: str
    ether: str | None
    up: bool = False
    addresses: list[ipaddress.IPv4Interface] = field(default_factory=list)


class Network(Part):
    """vtnet0 to the host, vtnet1 to the other node, and lo0."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        management_mac = f"52:54:00:a0:00:{guest.number:02x}"
        self.interfaces = {
            MANAGEMENT: Interface(MANAGEMENT, management_mac),
            PRIVATE: Interface(PRIVATE, guest.nic.mac),
            "lo0": Interface("lo0", None),
        }
        guest.nic.passes, guest.nic.pipe = self.passes, self.pipe
        guest.nic.on_carrier = self.link_changed
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

    def plugged(self, name: str) -> bool:
        """Whether there is a carrier."""
        return name != PRIVATE or self._guest.nic.plugged

    def passes(self, direction: Direction) -> bool:
        """Whether pf and ipfw let packets of the private link pass."""
        if self.ipfw is not None and not self.ipfw.passes(direction, PRIVATE):
            return False
        return self.pf.passes(direction, PRIVATE)

    def pipe(self) -> Pipe | None:
        """The pipe of dummynet(4) through which packets leave for the other node."""
        return None if self.ipfw is None else self.ipfw.pipe("out", PRIVATE)

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
        if up and self.plugged(name):
            self._guest.part(Kernel).say(f"{name}: link state changed to UP")
            self._guest.devctl.post("IFNET", name, "LINK_UP")
        self._changed(name)

    def add(self, name: str, address: ipaddress.IPv4Interface, *, alias: bool) -> None:
        """Give an interface an address, instead of its first one or beside the others."""
        interface = self.interfaces[name]
        known = [each.ip for each in interface.addresses]
        if address.ip in known:
            interface.addresses[known.index(address.ip)] = address
        elif alias or not interface.addresses:
            interface.addresses.append(address)
        else:
            interface.addresses[0] = address
        self.set_up(name, up=True)
        self._changed(name)

    def remove(self, name: str, address: ipaddress.IPv4Address | None) -> bool:
        """Take an address away, the first one when none is named; False: there is no such one."""
        interface = self.interfaces[name]
        for each in interface.addresses:
            if address in {None, each.ip}:
                interface.addresses.remove(each)
                self._changed(name)
                return True
        return False

    def link_changed(self) -> None:
        """Notice that the cable of the private NIC was pulled out or put back."""
        if self.interfaces[PRIVATE].up:
            state = "UP" if self.plugged(PRIVATE) else "DOWN"
            self._guest.part(Kernel).say(f"{PRIVATE}: link state changed to {state}")
            self._guest.devctl.post("IFNET", PRIVATE, f"LINK_{state}")

    def _changed(self, name: str) -> None:
        """Tell the cable what has changed, and who listens."""
        private, nic = self.interfaces[PRIVATE], self._guest.nic
        nic.up = private.up
        nic.address = str(private.addresses[0].ip) if private.up and private.addresses else None
        self._guest.devctl.post("IFNET", name, "ADDRESS")

    def owns(self, address: str) -> bool:
        """Whether an address is one of its own on an interface that is up."""
        return any(
            str(each.ip) == address
            for interface in self.interfaces.values()
            if interface.up
            for each in interface.addresses
        )

    def show(self, name: str, family: str = "") -> list[str]:
        """The lines of `ifconfig NAME [FAMILY]` (recorded on 13.2)."""
        interface = self.interfaces[name]
        return (
            self._show_loopback(interface, family)
            if interface.ether is None
            else self._show_ethernet(interface, family)
        )

    def _show_ethernet(self, interface: Interface, family: str) -> list[str]:
        lines = [
            f"{interface.name}: flags={_UP if interface.up else _DOWN} metric 0 mtu 1500",
            "\toptions=80028<VLAN_MTU,JUMBO_MTU,LINKSTATE>",
        ]
        if family in {"", "ether", "link"}:
            lines.append(f"\tether {interface.ether}")
        if family in {"", "inet"}:
            lines += [
                f"\tinet {each.ip} netmask {_mask(each)} broadcast {each.network.broadcast_address}"
                for each in interface.addresses
            ]
        if not family:
            carrier = self.plugged(interface.name)
            media = "10Gbase-T <full-duplex>" if carrier else "none"
            lines += [
                f"\tmedia: Ethernet autoselect ({media})",
                f"\tstatus: {'active' if carrier else 'no carrier'}",
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
                "\tinet6 fe80::1%lo0 prefixlen 64 scopeid 0x3",
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
