"""ifconfig(8) and ping(8)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.network.arp import Arp
from harness.lab.simulated.network.interfaces import Interface, Network
from harness.lab.simulated.network.names import address_of
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command

_FAMILIES = frozenset({"inet", "inet6", "ether", "link"})


@command("ifconfig")
def ifconfig(context: Context, arguments: list[str]) -> int:
    """Show or set network interfaces (recorded on 13.2)."""
    network = context.guest.part(Network)
    if not arguments or arguments[0].startswith("-"):
        return _list(context, network, arguments)
    name, words = arguments[0], arguments[1:]
    if name not in network.interfaces:
        if words[:1] == ["create"]:
            raise NotModelled(f"ifconfig {name} create")
        context.complain(f"ifconfig: interface {name} does not exist")
        return 1
    if not words or (len(words) == 1 and words[0] in _FAMILIES):
        context.print("\n".join(network.show(name, words[0] if words else "")))
        return 0
    if (complaint := change(context.guest, name, words)) is not None:
        context.complain(complaint)
        return 1
    return 0


def _list(context: Context, network: Network, arguments: list[str]) -> int:
    try:
        options = Options(arguments, "aldu")
    except BadOption as bad:
        raise NotModelled(f"ifconfig -{bad.letter}") from bad
    family = options.rest[0] if options.rest else ""
    if len(options.rest) > 1 or (family and family not in _FAMILIES):
        raise NotModelled(f"ifconfig {' '.join(arguments)}")
    chosen = [
        each
        for each in network.interfaces.values()
        if ("d" not in options or not each.up) and ("u" not in options or each.up)
    ]
    if "l" in options:
        shown = [each.name for each in chosen if family not in {"ether", "link"} or each.nic]
        context.print(" ".join(shown))
        return 0
    for each in chosen:
        context.print("\n".join(network.show(each.name, family)))
    return 0


@dataclass
class Wish:
    """What the words after an interface's name ask for."""

    address: ipaddress.IPv4Interface | None = None
    action: str = ""
    up: bool | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    """Those of `PARAMETERS`, by their words."""


PARAMETERS: dict[str, Callable[[Guest, Interface, Wish], str | None]] = {}
"""Words that are followed by a value, and who does what they ask for.

It is asked once, before an address is added, and returns what ifconfig complains of, or None.
"""

_ACTIONS = {
    "alias": "alias",
    "add": "alias",
    "-alias": "remove",
    "delete": "remove",
    "remove": "remove",
}


def change(guest: Guest, name: str, words: list[str]) -> str | None:
    """Do what the words after an interface's name ask for; returns what ifconfig complains of."""
    wish = Wish()
    rest = [word for word in words if word != "inet"]
    while rest:
        word = rest.pop(0)
        if word in {"up", "down"}:
            wish.up = word == "up"
        elif word in _ACTIONS:
            wish.action = _ACTIONS[word]
        elif word == "netmask" and rest and wish.address is not None:
            wish.address = _with_mask(wish.address, rest.pop(0))
        elif word in PARAMETERS:
            if not rest:
                return f"ifconfig: '{word}' requires argument"
            wish.parameters[word] = rest.pop(0)
        elif wish.address is None and word[:1].isdigit():
            wish.address = _address(word)
            if wish.address is None:
                return f"ifconfig: {word.partition('/')[0]}: bad value"
        else:
            raise NotModelled(f"ifconfig {name} {' '.join(words)}")
    return _grant(guest, guest.part(Network).interfaces[name], wish)


def _grant(guest: Guest, interface: Interface, wish: Wish) -> str | None:
    network, name = guest.part(Network), interface.name
    for setter in dict.fromkeys(PARAMETERS[word] for word in wish.parameters):
        if (complaint := setter(guest, interface, wish)) is not None:
            return complaint
    if wish.action == "remove":
        if not network.remove(name, None if wish.address is None else wish.address.ip):
            return "ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address"
    elif wish.address is not None:
        network.add(name, wish.address, alias=wish.action == "alias")
    if wish.up is not None:
        network.set_up(name, up=wish.up)
    return None


def _address(word: str) -> ipaddress.IPv4Interface | None:
    """An address; without a prefix length it is of the class that it is in."""
    try:
        if "/" in word:
            return ipaddress.IPv4Interface(word)
        first = int(word.partition(".")[0])
        prefix = 8 if first < 128 else 16 if first < 192 else 24
        return ipaddress.IPv4Interface(f"{word}/{prefix}")
    except ValueError:
        return None


def _with_mask(address: ipaddress.IPv4Interface, mask: str) -> ipaddress.IPv4Interface:
    try:
        dotted = str(ipaddress.IPv4Address(int(mask, 16))) if mask.startswith("0x") else mask
        return ipaddress.IPv4Interface(f"{address.ip}/{dotted}")
    except ValueError as error:
        raise NotModelled(f"ifconfig netmask {mask}") from error


# --- ping ---------------------------------------------------------------------------------------


_PAYLOAD = bytes(range(8, 56))
"""What an echo request carries behind the time of its sending."""

_PACKET, _FRAME = 84, 98
"""Bytes of an echo request with its IP header, and on Ethernet."""


@command("ping")
def ping(context: Context, arguments: list[str]) -> Program:
    """Send echo requests to one of the two nodes."""
    try:
        options = Options(arguments, "noq", "ctWi")
    except BadOption as bad:
        raise NotModelled(f"ping -{bad.letter}") from bad
    if len(options.rest) != 1 or "c" not in options:
        raise NotModelled("ping without -c and one host")
    count, interval = _number(options, "c", 1.0), _number(options, "i", 1.0)
    limit, wait = _number(options, "t", 1e9), _number(options, "W", 10000.0) / 1000
    name = options.rest[0]
    address = address_of(context.guest, name)
    if address is None:
        context.complain("ping: Unknown host")
        return 1
    context.print(f"PING {name} ({address}): 56 data bytes")
    times: list[float] = []
    sent, passed = 0, 0.0
    while sent < count and passed < limit:
        took = _round_trip(context, address)
        for tap in context.guest.taps:
            tap(_PAYLOAD)
        if took is not None:
            times.append(took)
            if "q" not in options:
                context.print(f"64 bytes from {address}: icmp_seq={sent} ttl=64 time={took:.3f} ms")
        sent += 1
        last = sent >= count
        pause = (0.0 if took is not None else min(wait, limit - passed)) if last else interval
        passed += pause
        yield pause
    return _summary(context, name, sent, times)


def _number(options: Options, letter: str, default: float) -> float:
    try:
        return float(options.value(letter, str(default)))
    except ValueError as error:
        raise NotModelled(f"ping -{letter} {options.value(letter)}") from error


def _round_trip(context: Context, address: str) -> float | None:
    """Milliseconds until the answer, or None when none comes."""
    guest = context.guest
    network = guest.part(Network)
    if network.owns(address):
        return guest.rng.uniform(0.05, 0.2)
    interface = None if network.refused.get(address) else network.route(address)
    if interface is None or not interface.up or not interface.has_peers:
        if address.startswith("10.0.2."):
            raise NotModelled(f"ping {address}")
        context.complain("ping: sendto: No route to host")
        return None
    near = interface.nic
    assert near is not None
    assert near.segment is not None
    link, far = near.segment, guest.part(Arp).station(interface, address)
    if far is None or not link.carries(near, far):
        return None
    link.count_frame(near, far, _FRAME)
    answers = far.driver is not None and far.driver.mac_of(address) is not None
    if link.loses_packet(near) or not link.carries(far, near) or not answers:
        return None
    link.count_frame(far, near, _FRAME)
    if link.loses_packet(far):
        return None
    return 1e3 * link.round_trip(near, far, _PACKET) + guest.rng.uniform(0.1, 0.6)


def _summary(context: Context, name: str, sent: int, times: list[float]) -> int:
    context.print(f"\n--- {name} ping statistics ---")
    lost = 100.0 * (sent - len(times)) / sent
    context.print(
        f"{sent} packets transmitted, {len(times)} packets received, {lost:.1f}% packet loss"
    )
    if not times:
        return 2
    mean = sum(times) / len(times)
    deviation = (sum(t * t for t in times) / len(times) - mean * mean) ** 0.5 if times[1:] else 0.0
    context.print(
        "round-trip min/avg/max/stddev = "
        f"{min(times):.3f}/{mean:.3f}/{max(times):.3f}/{abs(deviation):.3f} ms"
    )
    return 0
