"""syslogd(8): which lines go to which file, and in which form."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime

from harness.lab.simulated.base.configuration import check_program
from harness.lab.simulated.base.rc.services import Service, register
from harness.lab.simulated.base.supervisor import Supervisors
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.kernel.modules import Kernel

_FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console"
)
_LEVELS = "emerg alert crit err warning notice info debug"

FACILITIES = {name: number for number, name in enumerate(_FACILITIES.split())} | {
    f"local{number}": 16 + number for number in range(8)
}
"""Facilities by name (syslog(3))."""

LEVELS = {name: number for number, name in enumerate(_LEVELS.split())} | {
    "panic": 0,
    "error": 3,
    "warn": 4,
}
"""Levels by name (syslog(3)); a smaller number is more urgent."""


class Rule:
    """A line of syslog.conf(5): which facilities and levels, of which program, go where."""

    __slots__ = ("action", "except_program", "levels", "program")

    def __init__(
        self, levels: dict[int, frozenset[int]], program: str, *, negated: bool, action: str
    ) -> None:
        self.levels = levels
        self.program = program
        self.except_program = negated
        self.action = action

    def __deepcopy__(self, memo: object) -> Rule:
        return self

    def takes(self, program: str, facility: int, level: int) -> bool:
        """Whether a message goes where this says."""
        if self.program != "*" and (self.program == program) == self.except_program:
            return False
        return level in self.levels.get(facility, ())


def _levels(word: str) -> frozenset[int]:
    if word == "*":
        return frozenset(range(8))
    if word == "none":
        return frozenset()
    exact, word = word.startswith("="), word.lstrip("=")
    number = LEVELS.get(word, -1)
    return frozenset({number} if exact else range(number + 1))


def _selectors(text: str) -> dict[int, frozenset[int]]:
    chosen: dict[int, frozenset[int]] = {}
    for selector in text.split(";"):
        names, _, level = selector.rpartition(".")
        numbers = (
            FACILITIES.values()
            if names == "*"
            else [FACILITIES[name] for name in names.split(",") if name in FACILITIES]
        )
        for number in numbers:
            chosen[number] = _levels(level)
    return chosen


@functools.lru_cache(maxsize=64)
def parse(text: str) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """The rules of a file and the folders that it includes."""
    rules: list[Rule] = []
    folders: list[str] = []
    program, negated = "*", False
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith("!"):
            program = line.strip()[1:].strip()
            negated = program.startswith("-")
            program = program.lstrip("+-")
        elif words[0] == "include" and len(words) > 1:
            folders.append(words[1])
        elif len(words) > 1:
            rules.append(Rule(_selectors(words[0]), program, negated=negated, action=words[1]))
    return tuple(rules), tuple(folders)


class Syslog(Part):
    """The daemon, while it runs: `pid` is None when it does not.

    Deviations: without -c -c repeated lines are not summed up; actions other than a file or the
    console are ignored.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.pid: int | None = None
        self.rfc5424 = False
        self.rules: tuple[Rule, ...] = ()
        self._has_read = False
        """Whether it has read the kernel's message buffer in this boot."""
        guest.logger = self._take
        guest.part(Kernel).log_is_read = self._runs

    def _take(self, program: str, pid: int | None, level: str, text: str) -> None:
        """A line of a program's own.

        Where daemon(8) hands on the program's lines, its pid is logged, as on the running guests.
        """
        supervisor = self._guest.part(Supervisors).pid_for(program)
        self.log(program, pid if supervisor is None else supervisor, level, text)

    def _runs(self) -> bool:
        return self.pid is not None

    def read_messages(self) -> None:
        """Read what the kernel has said before anybody listened, once a boot."""
        if not self._has_read:
            self._has_read = True
            kernel = self._guest.part(Kernel)
            for number, line in enumerate(kernel.messages):
                self.log("kernel", None, kernel.levels.get(number, "kern.crit"), line)

    def start(self, pid: int, flags: str) -> None:
        """Read the configuration and begin to write."""
        self.pid = pid
        self.rfc5424 = "-O rfc5424" in flags or "-O syslog" in flags
        self.reload()
        self.log("syslogd", None, "kern.info", "kernel boot file is /boot/kernel/kernel")

    def stop(self) -> None:
        """End, as after SIGTERM."""
        if self.pid is not None:
            self.log("syslogd", None, "syslog.err", "exiting on signal 15")
        self.pid = None

    def reload(self) -> None:
        """Read the configuration anew."""
        rules, folders = self._read("/etc/syslog.conf")
        for folder in folders:
            try:
                names = self._guest.tree.names(folder)
            except FileError:
                continue
            for name in names:
                if name.endswith(".conf"):
                    rules += self._read(f"{folder}/{name}")[0]
        self.rules = rules

    def log(self, program: str, pid: int | None, level: str, text: str) -> None:
        """Write a line wherever the rules say. Nothing is kept while the daemon does not run.

        `level` is as logger(1) has it: `daemon.notice`; without a facility it is daemon's.
        """
        if self.pid is None:
            return
        facility_name, _, level_name = level.rpartition(".")
        facility = FACILITIES[facility_name or "daemon"]
        number = LEVELS[level_name]
        line = ""
        for rule in self.rules:
            if not rule.takes(program, facility, number):
                continue
            line = line or self._line(program, pid, facility * 8 + number, text)
            if rule.action == "/dev/console":
                if program != "kernel":
                    self._guest.console.write(line + "\n")
            elif rule.action.startswith("/"):
                self._append(rule.action, line)

    def _line(self, program: str, pid: int | None, priority: int, text: str) -> str:
        now = self._guest.now_utc()
        host = self._guest.part(Kernel).hostname.partition(".")[0]
        if self.rfc5424:
            shown = "-" if pid is None else str(pid)
            return f"<{priority}>1 {_iso(now)} {host or '-'} {program} {shown} - - {text}"
        tag = program if pid is None else f"{program}[{pid}]"
        return f"{now:%b} {now.day:2} {now:%H:%M:%S} {host} {tag}: {text}"

    def _append(self, path: str, line: str) -> None:
        tree = self._guest.tree
        entry = self._guest.root.entries.get(path)
        if entry is None or entry.kind != "file":
            return  # syslogd makes no file without -C
        try:
            tree.write(path, line.encode("utf-8", "surrogateescape") + b"\n", append=True)
        except FileError:
            return

    def _read(self, path: str) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
        entry = self._guest.root.entries.get(path)
        if entry is None:
            return (), ()
        return parse(entry.data.decode(errors="replace"))


def _started(guest: Guest, pid: int, flags: str) -> None:
    guest.part(Syslog).start(pid, flags)
    guest.part(Syslog).read_messages()


def _ended(guest: Guest) -> None:
    guest.part(Syslog).stop()


def _reload(guest: Guest) -> None:
    guest.part(Syslog).reload()


def _check(guest: Guest, conf: Mapping[str, str]) -> None:
    check_program(guest, conf, "syslogd", "/usr/sbin/syslogd")


register(
    Service(
        *("syslogd", "System log daemon", "syslogd_enable", "/usr/sbin/syslogd", "syslogd_flags"),
        extra=("reload",),
        pid_file="/var/run/syslog.pid",
        honours=("syslogd_flags",),
        check=_check,
        started=_started,
        ended=_ended,
        reload=_reload,
        order=20,
        seconds=0.7,
    )
)


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="microseconds")
