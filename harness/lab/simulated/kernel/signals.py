"""kill(1): FreeBSD's signals by name and number, and who gets them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import NotModelled

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

NAMES = (
    *("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "EMT", "FPE", "KILL", "BUS", "SEGV", "SYS"),
    *("PIPE", "ALRM", "TERM", "URG", "STOP", "TSTP", "CONT", "CHLD", "TTIN", "TTOU", "IO"),
    *("XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "INFO", "USR1", "USR2"),
)
"""By number, from 1 on (signal(3), 13.2)."""

DESCRIPTIONS = (
    *("Hangup", "Interrupt", "Quit", "Illegal instruction", "Trace/BPT trap", "Abort trap"),
    *("EMT trap", "Floating point exception", "Killed", "Bus error", "Segmentation fault"),
    *("Bad system call", "Broken pipe", "Alarm clock", "Terminated", "Urgent I/O condition"),
    *("Suspended (signal)", "Suspended", "Continued", "Child exited", "Stopped (tty input)"),
    *("Stopped (tty output)", "I/O possible", "Cputime limit exceeded", "Filesize limit exceeded"),
    *("Virtual timer expired", "Profiling timer expired", "Window size changes"),
    *("Information request", "User defined signal 1", "User defined signal 2"),
)
"""What sh(1) prints of a program that a signal ended, by number from 1 on (strsignal(3), 13.2)."""

_IGNORED = frozenset({"URG", "CONT", "CHLD", "IO", "WINCH", "INFO"})
_STOPPING = frozenset({"STOP", "TSTP", "TTIN", "TTOU"})

_MOST = 128

_USAGE = """\
usage: kill [-s signal_name] pid ...
       kill -l [exit_status]
       kill -signal_name pid ...
       kill -signal_number pid ..."""


def number_of(name: str) -> int | None:
    """A signal's number by its name, with or without SIG; EXIT and 0 are 0."""
    name = name.upper().removeprefix("SIG")
    if name == "EXIT":
        return 0
    return NAMES.index(name) + 1 if name in NAMES else None


def _name(number: int) -> str:
    """A signal's name; the real-time signals have none."""
    return NAMES[number - 1] if number <= len(NAMES) else ""


def send(guest: Guest, pid: int, number: int) -> bool:
    """Send a signal to a process, a daemon's among them; False when there is none."""
    daemon = guest.daemons.get(pid)
    if daemon is not None:
        if number:
            daemon.signal(number)
        return True
    shell = guest.shells.get(pid)
    process = guest.processes.get(pid) or (None if shell is None else shell.process)
    if process is None:
        return False
    if shell is not None and number and shell.catches(_name(number)):
        return True
    if number and _name(number) in _STOPPING:
        raise NotModelled(f"stopping the process {pid}")
    if number and _name(number) not in _IGNORED:
        # Not now: it may be the process that runs this.
        guest.world.schedule(guest, 0.0, process.signal, number)
    return True


def kill_command(
    guest: Guest,
    own: int,
    trapped: set[int],
    arguments: list[str],
    *,
    out: Callable[[str], None],
    err: Callable[[str], None],
) -> int:
    """Do what kill(1) does with its arguments, and return its status.

    `own` is the shell that runs it. If that gets a signal which it has `trapped`, or is no process
    by itself, the result is minus the signal's number.
    """
    number: int | None = 15
    words = arguments
    if not words:
        err(_USAGE)
        return 2
    if words[0] == "-l":
        return _list(words[1:], out, err)
    if words[0] == "-s" and len(words) > 1:
        name, words = words[1], words[2:]
        number = 0 if name == "0" else number_of(name)
    elif words[0] == "--":
        name, words = "", words[1:]
    elif words[0].startswith("-") and len(words[0]) > 1:
        name, words = words[0][1:], words[1:]
        number = int(name) if re.fullmatch("[0-9]{1,3}", name) else number_of(name)
    else:
        name = ""
    if number is None or number > _MOST:
        err(f"kill: unknown signal {name}; valid signals:")
        err(" ".join(NAMES[:16]) + "\n" + " ".join(NAMES[16:]))
        return 2
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        err(_USAGE)
        return 2
    targets = _Targets(guest, own, trapped, err)
    return targets.send_all(words, number)


class _Targets:
    """Whom one kill(1) may reach."""

    def __init__(
        self, guest: Guest, own: int, trapped: set[int], err: Callable[[str], None]
    ) -> None:
        self._guest = guest
        self._own = own
        self._trapped = trapped
        self._err = err

    def send_all(self, words: list[str], number: int) -> int:
        status = 0
        for word in words:
            if not re.fullmatch("-?[0-9]{1,9}", word, re.ASCII):
                self._err(f"kill: illegal process id: {word}")
                return 2
            pid = int(word)
            if pid < -1:
                ended = self._send_to_group(-pid, number, word)
                if ended < 0:
                    return ended
                status = max(status, ended)
                continue
            if pid <= 1:
                raise NotModelled(f"kill {word}")
            if pid == self._own and (pid not in self._guest.processes or number in self._trapped):
                if number in self._trapped or (number and _name(number) not in _IGNORED):
                    return -number
            elif not send(self._guest, pid, number):
                self._err(f"kill: {word}: No such process")
                status = 1
        return status

    def _send_to_group(self, group: int, number: int, word: str) -> int:
        """Send to all of a process group; minus the signal when the shell itself has to act."""
        if group in self._guest.daemons:
            raise NotModelled(f"a signal to the process group of the daemon {group}")
        found = [each for each in self._guest.processes.values() if each.group == group]
        if not found:
            self._err(f"kill: {word}: No such process")
            return 1
        own = False
        for process in found:
            if process.pid == self._own and number in self._trapped:
                own = True
            else:
                send(self._guest, process.pid, number)
        return -number if own else 0


def _list(words: list[str], out: Callable[[str], None], err: Callable[[str], None]) -> int:
    if words and not words[0][:1].isdigit():
        err(_USAGE)
        return 2
    if not words:
        out(" ".join(NAMES[:16]) + "\n" + " ".join(NAMES[16:]))
        return 0
    number = int(words[0]) if re.fullmatch("[0-9]{1,3}", words[0]) else -1
    if number > 128:
        number -= 128
    if not 1 <= number <= len(NAMES):
        raise NotModelled(f"kill -l {words[0]}")
    out(NAMES[number - 1])
    return 0
