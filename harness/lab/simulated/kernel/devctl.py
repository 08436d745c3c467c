"""devctl(4): what the kernel tells whoever listens, such as a link that went down."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_OWN = frozenset({"ADDRESS", "RULES", "LOADED"})
"""Types of what only the model announces."""

_ROOM = 1000
"""Events that wait for devd(8) at most (DEVCTL_DEFAULT_QUEUE_LEN in sys/kern/subr_bus.c, 13.2)."""


@dataclass(frozen=True)
class Notice:
    """One thing that happened, as a line of devctl(4) that begins with `!`.

    FreeBSD's own are `IFNET` with `LINK_UP` and `LINK_DOWN`, and `CARP` with a state. The model
    has others for its own parts, which devd(8) would not see: `IFNET` with `ADDRESS`, `FIREWALL`
    with `RULES`, `MODULE` with `LOADED`.
    """

    system: str
    subsystem: str
    """An interface, a firewall or a module by its name."""
    type: str

    def __deepcopy__(self, memo: object) -> Notice:
        return self

    def __str__(self) -> str:
        """As devd(8) gets it."""
        return f"!system={self.system} subsystem={self.subsystem} type={self.type}"


class Devctl:
    """The notice board of one boot. Who listens is told at once, in the order of listening."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Notice], None]] = []
        self._queue: deque[Notice] = deque()
        self.room = _ROOM
        """How many events wait at most; the oldest ones make room."""
        self.reader: Callable[[], None] | None = None
        """Who is told that one waits: devd(8), as a bound method."""

    def listen(self, listener: Callable[[Notice], None]) -> None:
        """Be told from now on, until the boot ends. For snapshots it is a bound method."""
        self._listeners.append(listener)

    def post(self, system: str, subsystem: str, kind: str) -> None:
        """Tell everybody."""
        notice = Notice(system, subsystem, kind)
        for listener in self._listeners:
            listener(notice)
        if kind not in _OWN and self.room:
            if len(self._queue) == self.room:
                self._queue.popleft()
            self._queue.append(notice)
            if self.reader is not None:
                self.reader()

    def take(self) -> Notice | None:
        """The oldest event that waits. They wait also while nobody reads."""
        return self._queue.popleft() if self._queue else None

    def turn_off(self) -> None:
        """Let none wait any more, until the boot ends."""
        self.room = 0
        self._queue.clear()
