"""ifconfig(8): the interfaces of a node, their addresses, their link and their carp(4) groups.

The format is that of sbin/ifconfig of FreeBSD 13.2. 14 adds a line with the peers of a carp group
under it (sbin/ifconfig/carp.c there); both are read. Lines of other kinds are kept as they are.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.freebsd.output import Output
from harness.words import Word

COMMAND = ("ifconfig", "-a")


class CarpState(Word):
    """The state of one carp group on one node. INIT: its interface is down or has no link."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"


@dataclass(frozen=True)
class Carp:
    """One carp group. Advertised every `advbase` + `advskew`/256 seconds; lowest is master.

    The peers are addresses to which it is advertised, None before FreeBSD 14.
    """

    state: CarpState
    vhid: int
    advbase: int
    advskew: int
    key: str | None = None
    peer: ipaddress.IPv4Address | None = None
    peer6: ipaddress.IPv6Address | None = None


@dataclass(frozen=True)
class Vrrp:
    """One group of carp(4) that speaks VRRPv3 (FreeBSD 15 on).

    Advertised every `interval` hundredths of a second; the highest `priority` is master.
    """

    state: CarpState
    vrid: int
    priority: int
    interval: int

    @property
    def vhid(self) -> int:
        """Its number, under the name that carp has for it."""
        return self.vrid


@dataclass(frozen=True)
class Inet:
    """One IPv4 address. `vhid` is the carp group that it belongs to."""

    interface: ipaddress.IPv4Interface
    broadcast: ipaddress.IPv4Address | None = None
    destination: ipaddress.IPv4Address | None = None
    vhid: int | None = None

    @property
    def address(self) -> ipaddress.IPv4Address:
        """The address without its network."""
        return self.interface.ip


@dataclass(frozen=True)
class Inet6:
    """One IPv6 address, with words such as `tentative` or `duplicated` in `flags`."""

    interface: ipaddress.IPv6Interface
    flags: tuple[str, ...] = ()
    vhid: int | None = None

    @property
    def address(self) -> ipaddress.IPv6Address:
        """The address without its network."""
        return self.interface.ip


@dataclass(frozen=True)
class Interface:
    """One network interface.

    `link` is what its line `status:` says, for Ethernet `active` or `no carrier`; None when the
    driver does not know.
    """

    name: str
    flags: tuple[str, ...]
    metric: int | None = None
    mtu: int | None = None
    description: str | None = None
    options: tuple[str, ...] = ()
    ether: str | None = None
    inet: tuple[Inet, ...] = ()
    inet6: tuple[Inet6, ...] = ()
    carp: tuple[Carp, ...] = ()
    vrrp: tuple[Vrrp, ...] = ()
    groups: tuple[str, ...] = ()
    media: str | None = None
    link: str | None = None
    nd6_options: tuple[str, ...] = ()
    unrecognised: tuple[str, ...] = ()

    @property
    def up(self) -> bool:
        """Whether the administrator has it up; this says nothing of the cable."""
        return "UP" in self.flags

    @property
    def groups_of_carp(self) -> tuple[Carp | Vrrp, ...]:
        """All groups of carp(4), whichever protocol they speak."""
        return (*self.carp, *self.vrrp)

    def group(self, vhid: int) -> Carp | None:
        """Its carp group with this number, if there is one."""
        return next((carp for carp in self.carp if carp.vhid == vhid), None)


_HEADER = re.compile(
    r"(\S+): flags=[0-9a-f]+<([^>]*)>(?: metric ([0-9]+))?(?: mtu ([0-9]+))?(?: .*)?"
)
_OPTIONS = re.compile(r"options=[0-9a-f]+<(.*)>")
_CARP = re.compile(r'carp: (\S+) vhid ([0-9]+) advbase ([0-9]+) advskew ([0-9]+)(?: key "(.*)")?')
_VRRP = re.compile(r"vrrp: (\S+) vrid ([0-9]+) prio ([0-9]+) interval ([0-9]+)")
_PEERS = re.compile(r"peer (\S+) peer6 (\S+)")
_INET = re.compile(
    r"inet (\S+)(?: --> (\S+))? netmask 0x([0-9a-f]{8})(?: broadcast (\S+))?(?: vhid ([0-9]+))?"
)
_INET6 = re.compile(r"inet6 (\S+) prefixlen ([0-9]{1,3})((?: \S+)*?)(?: vhid ([0-9]+))?")


def parse(text: str) -> tuple[Interface, ...]:
    """Read `ifconfig`. Raises `UnrecognisedOutput` when a line belongs to no interface."""
    output = Output("ifconfig", text)
    interfaces: list[Interface] = []
    for line in output.lines():
        if header := _HEADER.fullmatch(line):
            name, flags, metric, mtu = header.groups()
            interfaces.append(
                Interface(
                    name=name,
                    flags=_words(flags, ","),
                    metric=None if metric is None else int(metric),
                    mtu=None if mtu is None else int(mtu),
                )
            )
        elif line[:1].isspace() and interfaces:  # a tab; blanks where somebody pasted it
            interfaces[-1] = _with(output, interfaces[-1], line)
        else:
            raise output.unrecognised(f"the line {line!r} belongs to no interface")
    return tuple(interfaces)


def interface(interfaces: Sequence[Interface], *, ether: str) -> Interface | None:
    """The interface with this Ethernet address, whatever its driver calls it."""
    return next((each for each in interfaces if each.ether == ether.lower()), None)


def _words(text: str, separator: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(separator) if word)


def _with(output: Output, seen: Interface, line: str) -> Interface:  # noqa: PLR0911, PLR0912
    """The interface with what one more line says of it."""
    kind, _, rest = (text := line.strip()).partition(" ")
    try:
        match kind:
            case "ether":
                return replace(seen, ether=rest)
            case "description:":
                return replace(seen, description=rest)
            case "groups:":
                return replace(seen, groups=_words(rest, " "))
            case "media:":
                return replace(seen, media=rest)
            case "status:":
                return replace(seen, link=rest)
            case "inet" if match := _INET.fullmatch(text):
                return replace(seen, inet=(*seen.inet, _inet(match)))
            case "inet6" if match := _INET6.fullmatch(text):
                return replace(seen, inet6=(*seen.inet6, _inet6(match)))
            case "carp:" if match := _CARP.fullmatch(text):
                return replace(seen, carp=(*seen.carp, _carp(output, match)))
            case "vrrp:" if match := _VRRP.fullmatch(text):
                return replace(seen, vrrp=(*seen.vrrp, _vrrp(output, match)))
            case "peer" if seen.carp and (match := _PEERS.fullmatch(text)):
                return replace(seen, carp=(*seen.carp[:-1], _peers(seen.carp[-1], match)))
            case "nd6" if match := _OPTIONS.fullmatch(rest):
                return replace(seen, nd6_options=_words(match[1], ","))
            case _ if match := _OPTIONS.fullmatch(text):
                return replace(seen, options=_words(match[1], ","))
    except ValueError as error:
        raise output.unrecognised(f"the line {line!r}: {error}") from None
    return replace(seen, unrecognised=(*seen.unrecognised, line))


def _inet(match: re.Match[str]) -> Inet:
    address, destination, mask, broadcast, vhid = match.groups()
    return Inet(
        # ifconfig prints the mask as a number; a host's (a carp alias) is 0xffffffff.
        interface=ipaddress.IPv4Interface(f"{address}/{ipaddress.IPv4Address(int(mask, 16))}"),
        broadcast=ipaddress.IPv4Address(broadcast) if broadcast else None,
        destination=ipaddress.IPv4Address(destination) if destination else None,
        vhid=int(vhid) if vhid else None,
    )


def _inet6(match: re.Match[str]) -> Inet6:
    address, prefix, flags, vhid = match.groups()
    return Inet6(
        interface=ipaddress.IPv6Interface(f"{address}/{prefix}"),
        flags=_words(flags, " "),
        vhid=int(vhid) if vhid else None,
    )


def _carp(output: Output, match: re.Match[str]) -> Carp:
    state, vhid, advbase, advskew, key = match.groups()
    return Carp(
        state=output.word(CarpState, state, "the state of a carp group"),
        vhid=int(vhid),
        advbase=int(advbase),
        advskew=int(advskew),
        key=key,
    )


def _vrrp(output: Output, match: re.Match[str]) -> Vrrp:
    state, vrid, priority, interval = match.groups()
    return Vrrp(
        state=output.word(CarpState, state, "the state of a vrrp group"),
        vrid=int(vrid),
        priority=int(priority),
        interval=int(interval),
    )


def _peers(carp: Carp, match: re.Match[str]) -> Carp:
    return replace(
        carp, peer=ipaddress.IPv4Address(match[1]), peer6=ipaddress.IPv6Address(match[2])
    )
