"""route(8) for hosts that are to be out of reach, and netstat(1)'s table (recorded on 13.2)."""

from __future__ import annotations

import ipaddress

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.network.interfaces import Interface, Network
from harness.lab.simulated.network.names import address_of
from harness.lab.simulated.shell.programs import Context, command

_WORDS = frozenset({"-host", "-inet", "-n", "-q", "-nq", "-qn", "-reject", "-blackhole"})


@command("route")
def route(context: Context, arguments: list[str]) -> int:
    """Add or delete a route to a host with -reject or -blackhole, by 127.0.0.1."""
    flags = {word for word in arguments if word.startswith("-")}
    words = [word for word in arguments if word not in flags]
    action, *rest = words or [""]
    lets = {"add": 2, "delete": 1, "del": 1}
    if flags - _WORDS or action not in lets or not lets[action] <= len(rest) <= 2:
        raise NotModelled("route")
    host = rest[0].removesuffix("/32")
    kind = "host" if host == rest[0] else "net"
    address = address_of(context.guest, host)
    if address is None or rest[1:] not in ([], ["127.0.0.1"]):
        raise NotModelled("route")
    network = context.guest.part(Network)
    refused = network.refused
    by = f": gateway {rest[1]}" if rest[1:] else ""
    said, status = f"{action[:6]} {kind} {host}{by}".replace("del ", "delete "), 0
    if action == "add":
        if not flags & {"-reject", "-blackhole"}:
            raise NotModelled("route")
        if address in refused:
            said, status = f"{said} fib 0: route already in table", 1
        refused.setdefault(address, "-reject" in flags)
    elif address in refused:
        del refused[address]
    elif network.owns(address):
        raise NotModelled("route")
    else:
        said, status = f"{said} fib 0: not in table", 1
        context.complain("route: route has not been found")
    if not flags & {"-q", "-nq", "-qn"}:
        context.print(said)
    return status


def table(network: Network) -> list[str]:
    """The lines of `netstat -rn -f inet`. There is no default router."""
    rows = [row for each in network.interfaces.values() for row in _of(each)]
    rows += [
        (int(ipaddress.IPv4Address(address)), 33, address, "127.0.0.1", flags, "lo0")
        for address, rejects in network.refused.items()
        for flags in ("UHRS" if rejects else "UHBS",)
    ]
    return [
        "Routing tables",
        "",
        "Internet:",
        "Destination        Gateway            Flags     Netif Expire",
        *(f"{to:<18} {by:<18} {flags:<5} {name:>9}" for _, _, to, by, flags, name in sorted(rows)),
    ]


def _of(interface: Interface) -> list[tuple[int, int, str, str, str, str]]:
    """The routes that an interface makes: to its networks while it is up, and to itself."""
    found = []
    by = f"link#{interface.index}"
    for each in interface.addresses:
        own, is_shared = str(each.ip), str(each.ip) in interface.virtual
        number = int(each.ip)
        if interface.nic is None:
            found.append((number, 32, own, by, "UH", "lo0"))
        elif not is_shared or interface.has(own):
            found.append((number, 32, own, by, "UH" if is_shared else "UHS", "lo0"))
        if interface.nic is not None and not is_shared and interface.up:
            network = each.network
            start = int(network.network_address)
            found.append((start, network.prefixlen, str(network), by, "U", interface.name))
    return found
