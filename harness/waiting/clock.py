"""The time that the pair lives in: the host's, unless a lab makes its own.

Everything in the harness that waits, or notes a time, asks the current clock. On real machines that
is the host's clock and nothing else happens here. A simulated lab brings a clock of virtual time,
which jumps as soon as everybody in the harness waits; for that it has to know of every thread that
uses a node (`workers`, `parked`).
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.waiting import interrupt

if TYPE_CHECKING:
    import paramiko

_SLICE = 0.25
"""Seconds after which a wait looks whether Ctrl-C has been pressed."""


class Clock:
    """The host's own clock."""

    def monotonic(self) -> float:
        """Seconds from some fixed moment, never going back."""
        return time.monotonic()

    def utc(self) -> datetime:
        """The date and time."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Let time pass. Ctrl-C ends it."""
        end = time.monotonic() + seconds
        while True:
            interrupt.checkpoint()
            if (left := end - time.monotonic()) <= 0:
                return
            time.sleep(min(left, _SLICE))

    def claim(self, channel: paramiko.Channel) -> None:
        """Note that the calling thread is about to run a command over this channel."""

    def wait_for_output(self, channel: paramiko.Channel, seconds: float) -> None:
        """Wait until the channel has something to read, or has ended, but not over `seconds`.

        It may return earlier, so whoever waits for more looks again.
        """
        interrupt.checkpoint()
        seconds = min(seconds, _SLICE)
        if channel.eof_received:
            channel.status_event.wait(seconds)
        else:
            select.select([channel], [], [], seconds)  # readable: output, or the end of it

    @contextlib.contextmanager
    def workers(self, count: int) -> Iterator[Workers]:  # noqa: ARG002 - others count
        """While the block runs, `count` threads use nodes in place of the calling one.

        Each of them calls `Workers.done` at its end.
        """
        yield Workers()

    @contextlib.contextmanager
    def parked(self) -> Iterator[None]:
        """While the block runs, the calling thread uses no node, and time need not wait for it."""
        yield


class Workers:
    """Threads that a clock knows of."""

    def done(self) -> None:
        """Note that one of them has ended."""


_current = Clock()


def current() -> Clock:
    """The clock in force."""
    return _current


def use(clock: Clock) -> None:
    """Put another clock in force, for the whole process."""
    global _current  # noqa: PLW0603 - there is one time for everything that belongs to a run
    _current = clock
