"""Names of machines, by /etc/hosts alone: there is no name server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from harness.lab.simulated.kernel.guest import Guest


def address_of(guest: Guest, name: str) -> str | None:
    """An IPv4 address for a name, or for an address itself."""
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        lines = (words for words in _hosts(guest) if name in words[1:] and "." in words[0])
        return next((words[0] for words in lines), None)


def name_of(guest: Guest, address: str) -> str | None:
    """The first name of an address."""
    lines = (words for words in _hosts(guest) if words[0] == address and words[1:])
    return next((words[1] for words in lines), None)


def _hosts(guest: Guest) -> Iterator[list[str]]:
    entry = guest.root.entries.get("/etc/hosts")
    for line in (entry.data.decode(errors="replace") if entry else "").splitlines():
        if words := line.partition("#")[0].split():
            yield words
