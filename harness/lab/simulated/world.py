"""Virtual time: two guests, the cable between them, and everything that is yet to happen."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.lab.base import Gap
from harness.lab.simulated.kernel.process import NotModelled
from harness.lab.simulated.network.tcp import Link

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every simulated lab is switched on. A fixed date, so that runs with one seed are alike."""


class Event:
    """Something that will happen to a guest (or, without one, to the cable) at a virtual time."""

    __slots__ = ("action", "arguments", "at", "boot", "cancelled", "guest")

    def __init__(
        self,
        at: float,
        guest: Guest | None,
        action: Callable[..., None],
        arguments: tuple[Any, ...],
    ) -> None:
        self.at = at
        self.guest = guest
        self.boot = 0 if guest is None else guest.boot
        self.action = action
        self.arguments = arguments
        self.cancelled = False


_MOST_GAPS = 1000


class World:
    """Everything there is. A deep copy of it is a snapshot, because nothing in it is a thread.

    `now` is in virtual seconds since the lab was switched on.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.rng = random.Random(f"{seed}/world")  # noqa: S311 - chance, not secrets
        self.guests: dict[str, Guest] = {}
        self.link = Link(self)
        self.gaps: dict[Gap, None] = {}
        """What programs were asked and the model lacks, in order, each once. A snapshot has those
        that were met before it, because what comes after it rests on them."""
        self._queue: list[tuple[float, str, int, Event]] = []
        """A heap by time, guest and order of making, so that ties are the same in each run."""
        self._made = 0

    def schedule(
        self, guest: Guest | None, delay: float, action: Callable[..., None], *arguments: Any
    ) -> Event:
        """Have `action` happen `delay` seconds from now.

        It belongs to `guest`: it never happens if that loses its power before, and it waits while
        that is frozen. For snapshots `action` must be a bound method of something in the world, no
        lambda and no generator.
        """
        self._made += 1
        event = Event(self.now + max(0.0, delay), guest, action, arguments)
        name = "" if guest is None else guest.name
        heapq.heappush(self._queue, (event.at, name, self._made, event))
        return event

    def cancel(self, event: Event | None) -> None:
        """Let it not happen. Safe to repeat, and for an event that has happened."""
        if event is not None:
            event.cancelled = True

    def next_at(self) -> float | None:
        """When the next event is due, or None when nothing is."""
        queue = self._queue
        while queue and self._is_void(queue[0][3]):
            heapq.heappop(queue)
        return queue[0][0] if queue else None

    def step(self) -> None:
        """Go to the next event and let it happen."""
        if self.next_at() is None:
            return
        event = heapq.heappop(self._queue)[3]
        self.now = max(self.now, event.at)
        try:
            event.action(*event.arguments)
        except NotModelled as gap:
            node = "" if event.guest is None else event.guest.name
            self.note_gap(node, "FreeBSD itself", str(gap))

    def reseed(self, seed: int) -> None:
        """Give everything that is still to come another chance."""
        self.seed = seed
        self.rng.seed(f"{seed}/world")
        for name, guest in sorted(self.guests.items()):
            guest.rng.seed(f"{seed}/{name}")

    def note_gap(self, node: str, command: str, what: str) -> None:
        """Note something that the model does not know, once; the first thousand of them."""
        if len(self.gaps) < _MOST_GAPS:
            self.gaps[Gap(node, command, what)] = None

    def plug(self, name: str, *, plugged: bool) -> None:
        """Put the cable into a guest's private NIC, or pull it out; its kernel notices."""
        if self.link.plugged.get(name, True) != plugged:
            self.link.plugged[name] = plugged
            guest = self.guests[name]
            if guest.running:
                guest.system.link_changed()

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass with all that happens in them: for tests of the model itself."""
        until = self.now + seconds
        while (at := self.next_at()) is not None and at <= until:
            self.step()
        self.now = until

    def utc(self) -> datetime:
        """The true time, as a clock outside of both guests would show it."""
        return EPOCH + timedelta(seconds=self.now)

    def peer(self, guest: Guest) -> Guest:
        """The other guest."""
        return next(each for each in self.guests.values() if each is not guest)

    def _is_void(self, event: Event) -> bool:
        """Whether the head of the queue will not happen now. A frozen guest's is put aside."""
        if event.cancelled:
            return True
        guest = event.guest
        if guest is None:
            return False
        if event.boot != guest.boot:
            return True
        if guest.frozen:
            guest.put_aside(event)
            return True
        return False
