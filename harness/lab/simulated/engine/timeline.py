"""Virtual time: everything that is yet to happen, in order, and whose it is."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from harness.lab.base import Gap
from harness.lab.simulated.engine.signal import NotModelled

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every simulated lab is switched on. A fixed date, so that runs with one seed are alike."""

_MOST_GAPS = 1000


class Owner(Protocol):
    """Whose an event is: a machine, as far as time and chance know it."""

    name: str
    boot: int
    """Counts power-ons and resets. What was to happen to an earlier boot never does."""
    rng: random.Random

    @property
    def world(self) -> Timeline:
        """The time that it lives in."""

    @property
    def running(self) -> bool:
        """Whether it has power (frozen or not)."""

    @property
    def frozen(self) -> bool:
        """Whether what would happen to it has to wait."""

    def put_aside(self, event: Event) -> None:
        """Keep what would happen now until it is no longer frozen."""

    def wall_clock(self) -> float:
        """Seconds since 1970 by its own clock."""


class Event:
    """Something that will happen to a machine (or, without one, to the cable) at a virtual time."""

    __slots__ = ("action", "arguments", "at", "boot", "cancelled", "owner")

    def __init__(
        self,
        at: float,
        owner: Owner | None,
        action: Callable[..., None],
        arguments: tuple[Any, ...],
    ) -> None:
        self.at = at
        self.owner = owner
        self.boot = 0 if owner is None else owner.boot
        self.action = action
        self.arguments = arguments
        self.cancelled = False


class Timeline:
    """The time, what is yet to happen, chance, and what was asked that the model lacks.

    `now` is in virtual seconds since the lab was switched on.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.rng = random.Random(f"{seed}/world")  # noqa: S311 - chance, not secrets
        self.gaps: dict[Gap, None] = {}
        """What programs were asked and the model lacks, in order, each once. A snapshot has those
        that were met before it, because what comes after it rests on them."""
        self._queue: list[tuple[float, str, int, Event]] = []
        """A heap by time, owner and order of making, so that ties are the same in each run."""
        self._made = 0

    def schedule(
        self, owner: Owner | None, delay: float, action: Callable[..., None], *arguments: Any
    ) -> Event:
        """Have `action` happen `delay` seconds from now.

        It never happens if its owner loses the power before, and it waits while that is frozen. For
        snapshots `action` must be a bound method of something in the world, no lambda and no
        generator.
        """
        event = Event(self.now + max(0.0, delay), owner, action, arguments)
        self._push(event)
        return event

    def put_back(self, event: Event, delay: float) -> None:
        """Have an event that was put aside happen after all; whoever knows it can cancel it."""
        event.at = self.now + max(0.0, delay)
        self._push(event)

    def _push(self, event: Event) -> None:
        self._made += 1
        name = "" if event.owner is None else event.owner.name
        heapq.heappush(self._queue, (event.at, name, self._made, event))

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
            node = "" if event.owner is None else event.owner.name
            self.note_gap(node, "FreeBSD itself", str(gap))

    def note_gap(self, node: str, command: str, what: str) -> None:
        """Note something that the model does not know, once; the first thousand of them."""
        if len(self.gaps) < _MOST_GAPS:
            self.gaps[Gap(node, command, what)] = None

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass with all that happens in them: for tests of the model itself."""
        until = self.now + seconds
        while (at := self.next_at()) is not None and at <= until:
            self.step()
        self.now = until

    def utc(self) -> datetime:
        """The true time, as a clock outside of the machines would show it."""
        return EPOCH + timedelta(seconds=self.now)

    def _is_void(self, event: Event) -> bool:
        """Whether the head of the queue will not happen now. A frozen machine's is put aside."""
        if event.cancelled:
            return True
        owner = event.owner
        if owner is None:
            return False
        if event.boot != owner.boot:
            return True
        if owner.frozen:
            owner.put_aside(event)
            return True
        return False
