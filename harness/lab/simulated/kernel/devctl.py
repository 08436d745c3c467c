"""devctl(4): what the kernel tells whoever listens, such as a link that went down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """One thing that happened, as a line of devctl(4) that begins with `!`.

    FreeBSD's own are `IFNET` with `LINK_UP` and `LINK_DOWN`. The model has others for its own
    parts, which devd(8) would not see: `IFNET` with `ADDRESS`, `FIREWALL` with `RULES`, `MODULE`
    with `LOADED`.
    """

    system: str
    subsystem: str
    """An interface, a firewall or a module by its name."""
    type: str

    def __deepcopy__(self, memo: object) -> Notice:
        return self


class Devctl:
    """The notice board of one boot. Who listens is told at once, in the order of listening."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Notice], None]] = []

    def listen(self, listener: Callable[[Notice], None]) -> None:
        """Be told from now on, until the boot ends. For snapshots it is a bound method."""
        self._listeners.append(listener)

    def post(self, system: str, subsystem: str, kind: str) -> None:
        """Tell everybody."""
        notice = Notice(system, subsystem, kind)
        for listener in self._listeners:
            listener(notice)
