"""Where the time of a scenario goes: boot or restore, waiting for FreeBSD, evidence, the harness.

What the calling thread does inside `on` counts for that activity, and what is inside it counts with
it. The harness's own share is the time outside of all of them, and the processor time that the
harness itself burns meanwhile: encryption, parsing, the wait's own loop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass


class Activity(enum.StrEnum):
    """What the harness waits for."""

    BOOT = "boot or restore"
    FREEBSD = "waiting for FreeBSD"
    EVIDENCE = "evidence and audit"


@dataclass(frozen=True)
class Spent:
    """The host's seconds of one scenario, from its set-up to the end of its clean-up."""

    total: float
    boot: float
    freebsd: float
    evidence: float
    processor: float
    """Of the harness's own process, on all its threads."""

    @classmethod
    def together(cls, several: Collection[Spent]) -> Spent:
        """The sum of several."""
        return cls(
            *(
                sum((getattr(one, field.name) for one in several), start=0.0)
                for field in dataclasses.fields(cls)
            )
        )

    @property
    def harness(self) -> float:
        """Seconds that would be saved by a harness that costs nothing."""
        outside = self.total - self.boot - self.freebsd - self.evidence
        return max(0.0, outside) + self.processor

    @property
    def share(self) -> float:
        """The harness's share of the total, 0 to 1."""
        return self.harness / self.total if self.total else 0.0


class Meter:
    """Counts the seconds of one thread's activities."""

    def __init__(self) -> None:
        """Start counting, for the calling thread."""
        self._thread = threading.get_ident()
        self._start = time.monotonic()
        self._processor = time.process_time()
        self._seconds: defaultdict[Activity, float] = defaultdict(float)
        self._inside = False

    @contextlib.contextmanager
    def on(self, activity: Activity) -> Iterator[None]:
        """Count the block for an activity, unless it is part of another one's."""
        if self._inside or threading.get_ident() != self._thread:
            yield
            return
        self._inside = True
        start = time.monotonic()
        try:
            yield
        finally:
            self._inside = False
            self._seconds[activity] += time.monotonic() - start

    def read(self) -> Spent:
        """What has been counted so far."""
        return Spent(
            total=time.monotonic() - self._start,
            boot=self._seconds[Activity.BOOT],
            freebsd=self._seconds[Activity.FREEBSD],
            evidence=self._seconds[Activity.EVIDENCE],
            processor=time.process_time() - self._processor,
        )


_meter: Meter | None = None


def start() -> None:
    """Count anew from here on."""
    global _meter  # noqa: PLW0603 - one scenario runs at a time
    _meter = Meter()


def read() -> Spent | None:
    """What has been counted since `start`; None before the first."""
    return None if _meter is None else _meter.read()


def on(activity: Activity) -> contextlib.AbstractContextManager[None]:
    """Count the block for an activity of the scenario that runs, if one does."""
    return contextlib.nullcontext() if _meter is None else _meter.on(activity)


def table(spents: Mapping[str, Spent]) -> Iterator[str]:
    """One line for each scenario, by its name, and one for all of them."""
    total = Spent.together(spents.values())
    yield "  total   boot  FreeBSD  evidence  harness"
    for name, one in [*spents.items(), ("all of them", total)]:
        yield (
            f"{one.total:7.1f}{one.boot:7.1f}{one.freebsd:9.1f}{one.evidence:10.1f}"
            f"{one.harness:7.2f} {one.share:4.1%}  {name.rpartition('/')[2]}"
        )
