"""The addresses of hast.conf(5), as hastd and hastctl take them (proto_tcp.c, proto_uds.c, 13.2).

A name is looked up in /etc/hosts. The nodes have no resolver and no IPv6 address but those of lo0,
so that AI_ADDRCONFIG of getaddrinfo(3) finds no IPv6 address for a name, and none with `tcp6://`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.files import STRERROR
from harness.lab.simulated.network.interfaces import Network

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

PORT = 8457

_LONGEST_PATH = 104
"""Bytes of sockaddr_un's sun_path (sys/sys/un.h), the NUL at its end included."""

_LONGEST_HOST = 256
"""MAXHOSTNAMELEN."""

_LOOPBACK = ipaddress.IPv6Address("::1")


class AddressError(Exception):
    """An address that cannot be used; `errno` is the name of the error."""

    def __init__(self, errno: str) -> None:
        self.errno = errno
        super().__init__(STRERROR[errno])

    @property
    def reason(self) -> str:
        """As strerror(3) puts it."""
        return STRERROR[self.errno]


@dataclass(frozen=True)
class UnixAddress:
    """A socket of the local domain: its path."""

    path: str


@dataclass(frozen=True)
class TcpAddress:
    """An IP address and a port."""

    ip: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int

    @property
    def host(self) -> str:
        """The IP address as inet_ntop(3) prints it."""
        return str(self.ip)


def resolve(guest: Guest, address: str, port: int = PORT) -> UnixAddress | TcpAddress:
    """What an address of hast.conf comes to on a node. Raises `AddressError` and `NotModelled`.

    `port` is taken when the address has none.
    """
    path = _path(address)
    return _tcp(guest, address, port) if path is None else path


def matches(guest: Guest, address: str, peer: str) -> bool:
    """Whether a connection from the IP address `peer` is one from this `remote`."""
    try:
        return _tcp(guest, address, PORT).host == peer
    except AddressError:
        return False


def _path(address: str) -> UnixAddress | None:
    lower = address.lower()
    for prefix in ("uds://", "unix://"):
        if lower.startswith(prefix):
            path = address[len(prefix) :]
            break
    else:
        if not address.startswith("/") or "://" in address:
            return None
        path = address
    if len(path) >= _LONGEST_PATH:
        raise AddressError("ENAMETOOLONG")
    if not path.startswith("/"):
        raise NotModelled(f"hast.conf with the relative path of a socket, {address}")
    return UnixAddress(path)


def _tcp(guest: Guest, address: str, port: int) -> TcpAddress:
    """tcp_addr() of proto_tcp.c."""
    family = 0
    lower = address.lower()
    for prefix, number in (("tcp4://", 4), ("tcp6://", 6), ("tcp://", 0)):
        if lower.startswith(prefix):
            address, family = address[len(prefix) :], number
            break
    host, colon, text = address.rpartition(":")
    if not colon or (":" in host and not address.startswith("[")):
        host = address  # no port: a name, an IPv4 address, or an IPv6 address as it is
    else:
        if re.fullmatch(r"[0-9]+", text) is None or not 1 <= int(text) <= 65535:
            raise AddressError("EINVAL")
        port = int(text)
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
    if len(host) >= _LONGEST_HOST:
        raise AddressError("ENAMETOOLONG")
    return TcpAddress(_ip(guest, host, family), port)


def _ip(guest: Guest, host: str, family: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """getaddrinfo(3): a number of either family, else a name of /etc/hosts."""
    if family != 4:
        try:
            return ipaddress.IPv6Address(host)
        except ValueError:
            pass
    if family != 6 and (number := _inet_aton(host)) is not None:
        return number
    if family == 6:
        raise AddressError("EINVAL")  # AI_ADDRCONFIG: the node has no IPv6
    for words in _hosts(guest):
        if host.lower() in (word.lower() for word in words[1:]):
            number = _inet_aton(words[0])
            if number is not None:
                return number
    raise AddressError("EINVAL")


def _hosts(guest: Guest) -> list[list[str]]:
    entry = guest.tree.entry("/etc/hosts")
    text = "" if entry is None else entry.data.decode("utf-8", "replace")
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    return [words for words in lines if len(words) > 1]


def _inet_aton(text: str) -> ipaddress.IPv4Address | None:
    """inet_aton(3): one to four numbers, each decimal, octal or hexadecimal; the last fills up."""
    parts = text.split(".")
    numbers = []
    for part in parts:
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", part):
            numbers.append(int(part, 16))
        elif re.fullmatch(r"0[0-7]{0,11}", part):
            numbers.append(int(part, 8))
        elif re.fullmatch(r"[1-9][0-9]{0,9}", part):
            numbers.append(int(part))
        else:
            return None
    *first, last = numbers
    if len(numbers) > 4 or any(number > 255 for number in first):
        return None
    if last >= 1 << 8 * (4 - len(first)):
        return None
    value = last
    for place, number in enumerate(first):
        value |= number << 8 * (3 - place)
    return ipaddress.IPv4Address(value)


def is_own(guest: Guest, ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether a socket can be bound to it: it is one of the node's own, or any."""
    if ip.is_unspecified:
        return True
    if isinstance(ip, ipaddress.IPv6Address):
        return ip == _LOOPBACK
    host = str(ip)
    return host == "127.0.0.1" or guest.part(Network).owns(host)
