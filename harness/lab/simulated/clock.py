"""Virtual time as the harness lives in it: it stands still while anybody works, and then jumps."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import paramiko

from harness.errors import LabError
from harness.lab.simulated.engine.timeline import EPOCH
from harness.lab.simulated.kernel.guest import World
from harness.lab.simulated.kernel.process import Process
from harness.waiting import interrupt
from harness.waiting.clock import Clock, Workers

CallKey = tuple[int, int]
"""Which command over SSH: the client's TCP port and its number of the channel."""

_LOOK_AGAIN = 1.0
"""Seconds of the host's time after which a thread that waits for its packets looks again."""

_WHOLE_ANSWER = 0.05
"""Seconds of the host's time in which an answer is here that needs nobody to make room for it."""

_INSTANT = 1e-9
"""Seconds by which two moments may differ and still be the same: sums of floats are not exact."""


@dataclass(eq=False)
class _Waiter:
    """A thread that waits for something to be true, at most until `until` (virtual seconds)."""

    ready: Callable[[], bool]
    until: float
    counted: bool
    done: bool = False


class VirtualClock(Clock):
    """The clock of a `World`, and the lock of everything in it.

    Time moves only when every thread of the harness that uses a node waits: for a moment to come,
    or for a command to end. The thread that was the last to wait lets things happen until somebody
    can go on. So the harness's own work takes no time at all, and the order of things does not
    depend on how the host schedules its threads.
    """

    def __init__(self, world: World) -> None:
        """Start at the world's own time."""
        self.condition = threading.Condition(threading.RLock())
        self.calls: dict[CallKey, Process] = {}
        """Commands that the SSH server has received and whose channels are open."""
        self._claimed: set[CallKey] = set()
        self._world = world
        self._ahead = 0.0
        self._active = 1
        self._waiters: list[_Waiter] = []

    # --- the clock ------------------------------------------------------------------------------

    def monotonic(self) -> float:
        """Virtual seconds since the lab was made. A restored snapshot does not turn it back."""
        return self._world.now + self._ahead

    def utc(self) -> datetime:
        """The virtual date and time."""
        return EPOCH + timedelta(seconds=self.monotonic())

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.wait(lambda: False, seconds)

    def replace_world(self, world: World) -> None:
        """Go on with a restored world, from the moment that this clock shows."""
        with self.condition:
            self._ahead = self.monotonic() - world.now
            self._world = world

    def wait(self, ready: Callable[[], bool], seconds: float, *, counted: bool = True) -> bool:
        """Let virtual time pass until `ready`, at most `seconds`; return whether it is.

        A thread of the harness is `counted`; a stranger's SSH session is not.
        """
        interrupt.checkpoint()
        with self.condition:
            if ready():
                return True
            waiter = _Waiter(ready, self.monotonic() + max(0.0, seconds), counted)
            self._waiters.append(waiter)
            try:
                while not waiter.done:
                    if not self._all_wait() or not self._advance():
                        self.condition.wait()
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
            return ready()

    def _all_wait(self) -> bool:
        return sum(waiter.counted for waiter in self._waiters) >= self._active

    def _advance(self) -> bool:
        """Let things happen until a waiter can go on, and wake that one.

        Only one at a time: if several can go on at the same moment, the one that has waited longest
        is first, and the next comes when it waits again. False when nothing can happen: nothing is
        to come, and nobody waits for a moment.
        """
        while True:
            for waiter in self._waiters:
                if waiter.ready() or waiter.until <= self.monotonic() + _INSTANT:
                    waiter.done = True
                    self._waiters.remove(waiter)
                    self.condition.notify_all()
                    return True
            until = min(waiter.until for waiter in self._waiters)
            next_at = self._world.next_at()
            if next_at is None and until == math.inf:
                return False
            if next_at is None or next_at + self._ahead > until:
                self._world.now = max(self._world.now, until - self._ahead)
            else:
                self._world.step()

    # --- threads --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def workers(self, count: int) -> Iterator[Workers]:
        """Count `count` threads in place of the calling one."""
        with self.condition:
            self._active += count - 1
        yield _VirtualWorkers(self, count)

    @contextlib.contextmanager
    def parked(self) -> Iterator[None]:
        """Do not count the calling thread."""
        self.change_active(-1)
        try:
            yield
        finally:
            self.change_active(+1)

    def change_active(self, change: int) -> None:
        """Count more or fewer threads; whoever waits looks again whether time can move."""
        with self.condition:
            self._active += change
            self.condition.notify_all()

    # --- commands over SSH ----------------------------------------------------------------------

    def claim(self, channel: paramiko.Channel) -> None:
        """Note that a counted thread will wait for the command on this channel."""
        with self.condition:
            self._claimed.add(_key(channel))

    def is_claimed(self, key: CallKey) -> bool:
        """Whether a thread of the harness waits for this command, and not a stranger."""
        return key in self._claimed

    def wait_for_output(self, channel: paramiko.Channel, seconds: float) -> None:
        """Wait until the command on the channel has ended and its output is here.

        What is on the host's wire takes no virtual time: neither the request that has not reached
        the server yet, nor the answer that has left it.
        """
        key = _key(channel)
        with self.condition:
            while not channel.closed and not channel.eof_received and key in self._claimed:
                process = self.calls.get(key)
                if process is not None and not process.waits_for_stdin:
                    break
                # The server's thread notifies; a connection that is cut notifies nobody.
                self.condition.wait(0.02)
                if channel.transport is None or not channel.transport.is_active():
                    return
            else:
                process = None
            if process is not None and process.status is None:
                here = process
                self.wait(
                    lambda: (
                        here.status is not None or here.waits_for_stdin or not _is_open(channel)
                    ),
                    seconds,
                )
                if here.status is None:
                    return
        # The exit status comes last. Output that fills the window has to be read before it comes.
        if not channel.closed and not channel.status_event.wait(_WHOLE_ANSWER):
            super().wait_for_output(channel, _LOOK_AGAIN)

    def forget(self, key: CallKey) -> None:
        """Note that a command's channel is closed."""
        with self.condition:
            self.calls.pop(key, None)
            self._claimed.discard(key)


class _VirtualWorkers(Workers):
    def __init__(self, clock: VirtualClock, count: int) -> None:
        self._clock = clock
        self._left = count

    def done(self) -> None:
        """Count one fewer; the last one's place is taken by the thread that started them."""
        with self._clock.condition:
            self._left -= 1
            if self._left:
                self._clock.change_active(-1)


def _is_open(channel: paramiko.Channel) -> bool:
    return not channel.closed and channel.transport is not None and channel.transport.is_active()


def _key(channel: paramiko.Channel) -> CallKey:
    try:
        port: int = channel.get_transport().sock.getsockname()[1]  # type: ignore[union-attr]
    except OSError as error:
        raise LabError(f"the connection to the simulated node is gone: {error}") from error
    return port, channel.chanid
