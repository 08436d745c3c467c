"""A process on a guest: a program that runs in virtual time, with the three streams."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest
    from harness.lab.simulated.kernel.trace import Trace

Program = Generator["float | Signal", None, int]
"""A running program: yields virtual seconds or a signal to wait for; returns its exit status."""


class NotModelled(Exception):
    """A command, an option or a file that the model does not know. Ends the program with 127."""


class Signal:
    """Something that processes wait for. Once fired it stays fired."""

    def __init__(self) -> None:
        self.fired = False
        self._waiting: list[Process] = []

    def wait(self, process: Process) -> None:
        """Let the process go on when this is fired."""
        self._waiting.append(process)

    def fire(self, *_: object) -> None:
        """Let everybody go on who waits. Takes and ignores arguments, so it can be a callback."""
        if self.fired:
            return
        self.fired = True
        waiting, self._waiting = self._waiting, []
        for process in waiting:
            process.guest.world.schedule(process.guest, 0.0, process.resume)


class Process:
    """A running command line on a guest.

    `stdin` is complete once `stdin_ended` is fired; programs that read it wait for that.
    `status` is None while it runs, then the exit status, or minus a signal's number.
    """

    def __init__(self, guest: Guest, command: str) -> None:
        self.guest = guest
        self.command = command
        self.pid = guest.next_pid()
        self.stdin = b""
        self.stdin_ended = Signal()
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.status: int | None = None
        self.failure: Exception | None = None
        """A fault of the model that ended it: a bug, which the lab reports."""
        self.on_end: Callable[[Process], None] | None = None
        self.started = guest.world.now
        self.group = self.pid
        """The process group: what sshd(8) starts leads one, and `set -m` makes another."""
        self.trace: Trace | None = None
        """What ktrace(1) notes of the program that it runs."""
        self._program: Program | None = None
        self._waits_for: Signal | None = None

    @property
    def waits_for_stdin(self) -> bool:
        """Whether it can only go on when more of its standard input comes."""
        return self._waits_for is self.stdin_ended and not self.stdin_ended.fired

    def start(self, program: Program) -> None:
        """Start to run."""
        self._program = program
        self.guest.processes[self.pid] = self
        self.guest.world.schedule(self.guest, 0.0, self.resume)

    def feed(self, data: bytes) -> None:
        """Give it all of its standard input."""
        self.stdin = data
        self.stdin_ended.fire()

    def resume(self) -> None:
        """Go on until the next wait, or the end."""
        if self.status is not None or self._program is None:
            return
        self._waits_for = None
        try:
            wait = next(self._program)
        except StopIteration as stop:
            self.end(stop.value)
            return
        except NotModelled as gap:
            self.guest.world.note_gap(self.guest.name, self.command, str(gap))
            self.end(127)
            return
        except Exception as error:  # a fault of the model must not end the lab
            self.stderr += f"simulated: the model failed: {error!r}\n".encode()
            self.failure = error
            self.end(70)
            return
        if isinstance(wait, Signal):
            self._waits_for = wait
            if wait.fired:
                self.guest.world.schedule(self.guest, 0.0, self.resume)
            else:
                wait.wait(self)
        else:
            self.guest.world.schedule(self.guest, wait, self.resume)

    def kill(self, signal: int) -> None:
        """End it by a signal's number."""
        if self.status is None:
            self.end(-signal)

    def end(self, status: int) -> None:
        """Note how it ended and tell whoever waits."""
        self.status = status
        self.guest.processes.pop(self.pid, None)
        if self._program is not None:
            program, self._program = self._program, None
            if status < 0:
                program.close()
        if self.on_end is not None:
            self.on_end(self)
