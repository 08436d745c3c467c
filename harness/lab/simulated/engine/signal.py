"""What programs wait for, and what ends one that the model does not know."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

Program = Generator["float | Signal", None, int]
"""A running program: yields virtual seconds or a signal to wait for; returns its exit status."""


class NotModelled(Exception):
    """A command, an option or a file that the model does not know. Ends the program with 127."""


class Waiter(Protocol):
    """Who waits for a signal: a process."""

    def wake(self) -> None:
        """Have it go on, at this moment but not within the call."""


class Signal:
    """Something that processes wait for. Once fired it stays fired."""

    def __init__(self) -> None:
        self.fired = False
        self._waiting: list[Waiter] = []

    def wait(self, waiter: Waiter) -> None:
        """Let it go on when this is fired."""
        self._waiting.append(waiter)

    def fire(self, *_: object) -> None:
        """Let everybody go on who waits. Takes and ignores arguments, so it can be a callback."""
        if self.fired:
            return
        self.fired = True
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.wake()
