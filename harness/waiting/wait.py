"""Waiting: one deadline object and one way to wait for a condition.

Every wait names what it waits for and has a deadline in seconds. On a slow machine all of them are
stretched by one factor, `set_time_scale`, so that no scenario carries a number of its own for it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from harness.errors import ClaimFailed, NodeUnreachable, SettingsError, WaitExpired
from harness.waiting import clock, spent
from harness.waiting.spent import Activity
from harness.words import in_words

T = TypeVar("T")

_MICROSECOND = 1e-6

_scale = 1.0


@dataclass(frozen=True)
class Waited:
    """A wait that looked more than once: for what, since when (UTC), how long, whether it came."""

    what: str
    since: datetime
    seconds: float
    came: bool


@dataclass(eq=False, kw_only=True)
class Doing:
    """Something that the run is in the middle of, and until when at most."""

    deadline: Deadline
    thread: int = field(default_factory=threading.get_ident)
    began: float = field(default_factory=time.monotonic)
    """On the host's clock."""


@dataclass(eq=False)
class Waiting(Doing):
    """A wait that has begun, and for what."""

    what: str


@dataclass(frozen=True, eq=False)
class Over:
    """It has ended, one way or the other."""

    doing: Doing


Told = Callable[[Doing | Over | Waited], None]
"""What is told of every wait. Several threads may wait at a time."""


def nobody(event: Doing | Over | Waited) -> None:
    """Pass over a wait."""


_told: Told = nobody


def tell(told: Told = nobody) -> Told:
    """Tell `told` of every wait from now on, or nobody; return who was told before."""
    global _told
    before, _told = _told, told
    return before


def set_time_scale(factor: float) -> None:
    """Stretch every deadline made from now on by `factor` (1.0: as written).

    Raises `SettingsError` unless the factor is positive.
    """
    global _scale  # noqa: PLW0603 - one factor for the whole process, set once at the start
    if factor <= 0:
        raise SettingsError(
            f"the time scale must be positive, and is {factor}",
            advice="give 1 for a machine like the reference, 3 for one three times slower",
        )
    _scale = factor


def scaled(seconds: float) -> float:
    """The given duration in seconds on this machine: `seconds` times the time scale."""
    return seconds * _scale


@dataclass(frozen=True)
class Deadline:
    """A point in time on the current clock, `within` seconds after it was made."""

    at: float
    within: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """A deadline `seconds` (stretched by the time scale) from now."""
        within = scaled(seconds)
        return cls(at=clock.current().monotonic() + within, within=within)

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero; less than a microsecond is none.

        Sums of floats are not exact: a clock that sleeps to the deadline may show a moment before.
        """
        left = self.at - clock.current().monotonic()
        return left if left >= _MICROSECOND else 0.0

    @property
    def passed(self) -> float:
        """Seconds since it was made, up to all of them."""
        return self.within - self.remaining

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self.remaining == 0.0


def settle(what: str, probe: Callable[[], T], seconds: float, *, every: float = 1.0) -> None:
    """Watch for `seconds` that `probe` stays true: for what must not happen.

    Raises `ClaimFailed` with the value seen as soon as it does not.
    """
    since = clock.current().utc()
    deadline = Deadline.after(seconds)
    lasted = False
    try:
        with followed(f"{what} to last", deadline):
            while not deadline.expired:
                value = probe()
                if not value:
                    raise ClaimFailed(
                        f"{what} did not last: it ended after {deadline.passed:.1f} s, "
                        f"last seen: {in_words(value)}"
                    )
                with spent.on(Activity.FREEBSD):
                    clock.current().sleep(min(every, deadline.remaining))
        lasted = True
    finally:
        _told(Waited(f"{what} to last", since, deadline.passed, lasted))


def wait_until(
    what: str,
    probe: Callable[[], T],
    within: float,
    *,
    accept: Callable[[T], bool] = bool,
    every: float = 0.25,
    hint: Callable[[T], str | None] | None = None,
) -> T:
    """Call `probe` every `every` seconds until `accept` takes its value, and return that value.

    In a long wait the pauses grow to a hundredth of the time waited so far: what is noticed late is
    noticed at most 1 % late, and a resync of hours is not asked about ten thousand times.

    `probe` must change nothing on the node: it may run any number of times. A node that does not
    answer counts as one more value not accepted, because most waits are for a node that is on its
    way back. Raises `WaitExpired` with `what` and the last value (or error) seen once `within`
    seconds, stretched by the time scale, have passed; `hint` may say what that value means. Every
    other error of `probe` passes through.
    """
    import tenacity  # noqa: PLC0415 - a command that only asks a keeper waits for nothing

    since = clock.current().utc()
    deadline = Deadline.after(within)
    last: object = "nothing yet"
    seen: list[T] = []
    looks = 0

    def look() -> T:
        nonlocal last, looks, seen
        looks += 1
        try:
            value = probe()
        except NodeUnreachable as unreachable:
            last, seen = unreachable, []
            raise
        last, seen = value, [value]
        return value

    retrying = tenacity.Retrying(
        sleep=clock.current().sleep,
        stop=lambda _: deadline.expired,
        wait=lambda _: min(max(every, deadline.passed / 100), deadline.remaining),
        retry=tenacity.retry_if_exception_type(NodeUnreachable)
        | tenacity.retry_if_not_result(accept),
    )
    came = False
    try:
        with spent.on(Activity.FREEBSD), followed(what, deadline):
            value = retrying(look)
        came = True
    except tenacity.RetryError:
        said = hint(seen[0]) if hint is not None and seen else None
        raise WaitExpired(what, deadline.within, last, said) from None
    finally:
        if looks > 1:
            _told(Waited(what, since, deadline.passed, came))
    return value


@contextlib.contextmanager
def followed(what: str, deadline: Deadline) -> Iterator[None]:
    """Show the block as a wait for `what`: for one that has a loop and an error of its own."""
    with under_way(_told, Waiting(what, deadline=deadline)):
        yield


@contextlib.contextmanager
def under_way(told: Callable[[Doing | Over], None], doing: Doing) -> Iterator[None]:
    """Tell `told` that the block does this, and at its end that it is over."""
    told(doing)
    try:
        yield
    finally:
        told(Over(doing))
