"""carp(4): addresses that nodes share, for which the MASTER answers (sys/netinet/ip_carp.c, 13.2).

IPv4 alone. A digest stands for the SHA-1 of an advertisement: it is of the password and of the
addresses, so another of either is another group to those who hear it. The counter against replay
is not checked, as on FreeBSD.
"""

from __future__ import annotations

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.network.arp import Arp
from harness.lab.simulated.network.carp_group import GROUP, PROTOCOL, Advertisement, Group, State
from harness.lab.simulated.network.interfaces import Interface, Network
from harness.lab.simulated.network.ip import Ip, Packet

_TREE = "net.inet.carp."
_TTL = 255
_INVALID = "Invalid argument"


class Carp(Part):
    """carp(4) of one boot: its variables, and the groups of all interfaces."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.ip = guest.part(Ip)
        self.kernel = kernel = guest.part(Kernel)
        self._variables = {
            "ifdown_demotion_factor": 240,
            "senderr_demotion_factor": 240,
            "demotion": 0,
            "log": 1,
            "preempt": 0,
            "dscp": 56,
            "allow": 1,
        }
        self.groups: dict[str, dict[int, Group]] = {}
        """By interface and vhid, in the order of making."""
        kernel.when_loaded["carp"] = self._load
        kernel.when_unloaded["carp"] = self._unload
        kernel.trees[_TREE] = self._value
        kernel.setters[_TREE] = self._assign
        kernel.nodes[_TREE.rstrip(".")] = self._names
        network = guest.part(Network)
        network.when_link_changed.append(self._link_changed)
        network.when_removed.append(self.detach)

    # --- the module and its variables -----------------------------------------------------------

    @property
    def is_loaded(self) -> bool:
        """Whether its module is."""
        return "carp" in self.kernel.modules

    def _load(self) -> None:
        allow = self.kernel.environment.get("net.inet.carp.allow", "1")
        self._variables["allow"] = int(allow) if allow.isdecimal() else 1
        self.ip.protocols[PROTOCOL] = self._receive

    def _unload(self) -> bool:
        """Whether it may go: not while there is a group."""
        if any(self.groups.values()):
            return False
        del self.ip.protocols[PROTOCOL]
        return True

    def variable(self, name: str) -> int:
        """One of net.inet.carp."""
        return self._variables[name]

    def _names(self) -> list[str]:
        return [_TREE + leaf for leaf in self._variables] if self.is_loaded else []

    def _value(self, name: str) -> str | None:
        leaf = name.removeprefix(_TREE)
        if not self.is_loaded:
            return None
        if leaf == "stats":
            raise NotModelled(f"sysctl {name}")
        return str(self._variables[leaf]) if leaf in self._variables else None

    def _assign(self, name: str, value: str) -> str | None:
        leaf, number = name.removeprefix(_TREE), int(value, 0)
        if leaf == "dscp" and not 0 <= number <= 63:
            return _INVALID
        if leaf == "demotion":
            self.demote(number, "sysctl")
            return None
        before, self._variables[leaf] = self._variables[leaf], number
        if leaf == "allow" and before != number:
            for group in self._newest_first():
                group.start_over()
        return None

    def demote(self, by: int, reason: str) -> None:
        """Add to what is added to every advskew, and let every MASTER say so (carp_demote_adj)."""
        self._variables["demotion"] += by
        self.say(f"demoted by {by} to {self._variables['demotion']} ({reason})")
        self.guest.world.schedule(self.guest, 0.0, self._advertise_all)

    def _advertise_all(self) -> None:
        for group in self._newest_first():
            if group.state is State.MASTER:
                group.advertise()

    def _newest_first(self) -> list[Group]:
        found = [group for groups in self.groups.values() for group in groups.values()]
        return sorted(found, key=lambda each: -each.number)

    def say(self, text: str) -> None:
        """A line of its own in the kernel's log, unless net.inet.carp.log is 0."""
        if self._variables["log"] > 0:
            self.kernel.log(f"carp: {text}", "kern.info")

    def _debug(self, text: str) -> None:
        if self._variables["log"] > 1:
            self.kernel.log(text, "kern.debug")

    # --- groups ---------------------------------------------------------------------------------

    def group(self, interface: Interface, vhid: int) -> Group:
        """A group of an interface, made where it is not there (carp_alloc)."""
        groups = self.groups.setdefault(interface.name, {})
        if vhid not in groups:
            if not groups:
                interface.promiscuous = True
                self.kernel.log(f"{interface.name}: promiscuous mode enabled", "kern.info")
                if self._lines not in interface.shown:
                    interface.shown.append(self._lines)
            number = 1 + max((each.number for each in self._newest_first()), default=0)
            groups[vhid] = Group(self, interface, vhid, number)
        return groups[vhid]

    def find(self, interface: Interface, vhid: int) -> Group | None:
        """A group of an interface, if there is such a one."""
        return self.groups.get(interface.name, {}).get(vhid)

    def attach(self, interface: Interface, vhid: int, address: str) -> None:
        """Let an address that an interface is about to get belong to a group (carp_attach)."""
        group = self.group(interface, vhid)
        self.ip.join(interface, GROUP)
        group.addresses.append(address)
        group.show()
        group.start_over()

    def detach(self, interface: Interface, address: str, *, keeps: bool = False) -> None:
        """An address was taken from an interface (carp_detach). An empty group is gone."""
        groups = self.groups.get(interface.name, {})
        group = next((each for each in groups.values() if address in each.addresses), None)
        if group is None:
            return
        group.addresses.remove(address)
        self.guest.part(Arp).forget(interface, address)
        del interface.virtual[address]
        if not any(each.addresses for each in groups.values()):
            self.ip.leave(interface, GROUP)
        group.start_over()
        if not keeps and not group.addresses:
            group.removed()
            del groups[group.vhid]
        if not keeps and not groups:
            interface.promiscuous = False
            self.kernel.log(f"{interface.name}: promiscuous mode disabled", "kern.info")

    def _lines(self, interface: Interface) -> list[str]:
        """Those of ifconfig(8)."""
        return [
            f"\tcarp: {each.state.value} vhid {each.vhid} "
            f"advbase {each.advbase} advskew {each.advskew}"
            for each in self.groups.get(interface.name, {}).values()
        ]

    # --- the network ----------------------------------------------------------------------------

    def _link_changed(self, interface: Interface) -> None:
        for group in self.groups.get(interface.name, {}).values():
            group.start_over()

    def _receive(self, interface: Interface, packet: Packet) -> None:
        heard: Advertisement = packet.payload
        if not self._variables["allow"]:
            return
        if packet.ttl != _TTL:
            self._debug(f"carp_input: received ttl {packet.ttl} != 255 on {interface.name}")
            return
        group = self.find(interface, heard.vhid)
        if group is None or not group.addresses:
            return
        if heard.digest != group.digest:
            self._debug(f"carp_input_c: incorrect hash for VHID {heard.vhid}@{interface.name}")
            return
        group.hear(heard)
