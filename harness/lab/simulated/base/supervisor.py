"""daemon(8): it starts a program, hands on its lines, and ends when the program has ended."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable

from harness.lab.simulated.base.rc.start import write_pid
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.kernel.task import Daemon
from harness.lab.simulated.shell import interpreter as shell
from harness.lab.simulated.shell.options import BadOption, getopt

PROGRAMS: dict[str, Callable[[Guest, list[str]], Daemon | None]] = {}
"""Programs that stay in the foreground as daemons, by name: what starts one with its arguments.

It returns None when the program has ended at once. Who has such a program puts it here.
"""

_PASSED_OVER = frozenset({0, 1, 17, 18, 19, 20, 23, 28, 29, 30, 31})


class Supervisor(Daemon):
    """A daemon(8) and the program that it has started."""

    def __init__(self, guest: Guest, program: str, pid_files: tuple[str, ...]) -> None:
        self.guest = guest
        self.program = posixpath.basename(program)
        self.title = f"daemon: {program} (daemon)"
        self.pid = guest.next_pid()
        self.pid_files = pid_files
        """What it removes when its program has ended."""
        self.child: Daemon | None = None
        guest.daemons[self.pid] = self
        guest.part(Supervisors).running.append(self)

    def signal(self, number: int) -> None:
        """End, and its program with it."""
        if number in _PASSED_OVER:
            return
        self.end()
        if self.child is not None and self.child.pid in self.guest.daemons:
            self.child.signal(15)

    def end(self) -> None:
        """It is gone, whatever ended it."""
        self.guest.daemons.pop(self.pid, None)
        self.guest.part(Supervisors).running.remove(self)
        root = self.guest.root
        for path in self.pid_files:
            if path in root.entries and not root.read_only:
                root.remove(path)


class Supervisors(Part):
    """All daemon(8) of a guest that have a program in the foreground."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.running: list[Supervisor] = []

    def pid_for(self, program: str) -> int | None:
        """The one that hands on a program's lines."""
        found = (each.pid for each in reversed(self.running) if each.program == program)
        return next(found, None)

    def parent_of(self, child: Daemon) -> int:
        """The one that has started a daemon, or init."""
        return next((each.pid for each in self.running if each.child is child), 1)

    def reap(self) -> None:
        """Let those end whose program has ended."""
        for each in list(self.running):
            if each.child is None or each.child.pid not in self._guest.daemons:
                each.end()


def start_under_daemon(guest: Guest, words: list[str]) -> None:
    """What daemon(8) does with these arguments."""
    options, command = split_arguments(words)
    if not command:
        raise NotModelled("daemon without a command")
    start = PROGRAMS.get(posixpath.basename(command[0]))
    if start is None:
        process = shell.spawn(guest, shlex.join(command))
        write_pid(guest, options.get("p", ""), process.pid)
        return
    pid_files = tuple(options[letter] for letter in "pP" if letter in options)
    supervisor = Supervisor(guest, command[0], pid_files)
    write_pid(guest, options.get("P", ""), supervisor.pid)
    supervisor.child = start(guest, command[1:])
    if supervisor.child is None:
        delay = guest.rng.uniform(0.01, 0.05)
        guest.world.schedule(guest, delay, guest.part(Supervisors).reap)
    else:
        supervisor.title = f"daemon: {command[0]}[{supervisor.child.pid}] (daemon)"
        write_pid(guest, options.get("p", ""), supervisor.child.pid)


def split_arguments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options of daemon(8) and the command. Raises `NotModelled` for those that restart it."""
    rest = list(words)
    try:
        return dict(getopt(rest, "cfS", "pPlsTtmo")), rest
    except BadOption as bad:
        raise NotModelled(f"daemon -{bad.letter}") from None
