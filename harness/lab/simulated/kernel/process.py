"""A process on a guest: a program that runs in virtual time, with the three streams."""

from __future__ import annotations

from collections.abc import Callable

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.task import Task
from harness.lab.simulated.kernel.trace import Trace


class Process(Task):
    """A running command line on a guest.

    `stdin` is complete once `stdin_ended` is fired; programs that read it wait for that.
    `status` is None while it runs, then the exit status, or minus a signal's number.
    """

    group: int = 0
    """The process group: what sshd(8) starts leads one, and `set -m` makes another."""

    def __init__(self, guest: Guest, command: str) -> None:
        self.guest = guest
        self.title = self.command = command
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
        self.started_by: int | None = None
        """The daemon that has started it, where that is not sshd(8)."""
        self.trace: Trace | None = None
        """What ktrace(1) notes of the program that it runs."""
        self._program: Program | None = None
        self._waits_for: Signal | None = None

    @property
    def parent(self) -> int:
        """The sshd(8) that has started it, or init."""
        daemons = self.guest.daemons.items()
        if self.started_by is not None:
            return self.started_by if self.started_by in self.guest.daemons else 1
        return next((pid for pid, each in daemons if each.title.startswith("sshd:")), 1)

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

    def wake(self) -> None:
        """Go on, at this moment but not within the call."""
        self.guest.world.schedule(self.guest, 0.0, self.resume)

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
                self.wake()
            else:
                wait.wait(self)
        else:
            self.guest.world.schedule(self.guest, wait, self.resume)

    def signal(self, number: int) -> None:
        """End by a signal."""
        if self.status is None:
            self.end(-number)

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
