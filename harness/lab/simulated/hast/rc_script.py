"""What /etc/rc.d/hastd does: how rc(8) starts hastd, and how rc.shutdown(8) stops it."""

from __future__ import annotations

import shlex

from harness.lab.simulated.base import supervisor
from harness.lab.simulated.base.rc.services import Ending, Service, Start, register
from harness.lab.simulated.base.supervisor import Supervisors, start_under_daemon
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hast import hastd
from harness.lab.simulated.hast.hastd import Hast
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.kernel.task import Daemon
from harness.lab.simulated.shell import interpreter as shell

_HANGS_IN_RC = 0.75
"""How often a node whose pool lost its device gets stuck in rc.shutdown rather than after it.

Both were seen on 13.2, in rc.shutdown four of the six recorded times; docs/findings.md, claim 2.
"""


def start_hastd(
    guest: Guest,
    words: list[str],
    errors: list[str] | None = None,
    echoed: list[str] | None = None,
) -> int:
    """Start hastd with its own arguments; else as `hastd.start`.

    Raises `NotModelled` for an argument that is not known.
    """
    foreground, config = False, "/etc/hast.conf"
    pid_file: str | None = None
    rest = list(words)
    while rest:
        match rest.pop(0):
            case "-F":
                foreground = True
            case "-c" if rest:
                config = rest.pop(0)
            case "-P" if rest:
                pid_file = rest.pop(0)
            case word:
                raise NotModelled(f"hastd {word}")
    return hastd.start(
        guest,
        foreground=foreground,
        config=config,
        pid_file=pid_file,
        errors=errors,
        echoed=echoed,
    )


def _under_daemon(guest: Guest, words: list[str]) -> Daemon | None:
    """As the program of a daemon(8)."""
    return None if start_hastd(guest, words) else guest.part(Hast).hastd


def _start(begin: Start) -> int:
    guest = begin.guest
    program = begin.conf["hastd_program"]
    words = shlex.split(f"{begin.flags} {begin.conf.get('command_args', '')}")
    if program == "/usr/sbin/daemon":
        start_under_daemon(guest, words)
        return 0
    if program != begin.service.command:
        raise NotModelled(f"hastd_program={program}")
    errors: list[str] = []
    echoed: list[str] = []
    status = start_hastd(guest, words, errors, echoed)
    for line in filter(None, echoed):
        begin.say(line)
    for line in errors:
        begin.warn(line)
    if status:
        begin.warn("/etc/rc.d/hastd: WARNING: failed to start hastd")
    return min(status, 1)


def _has_begun(guest: Guest) -> bool:
    """Whether hastd answers hastctl; one that has ended never will."""
    daemon = guest.part(Hast).hastd
    return daemon is None or daemon.is_up or not daemon.alive


class Stop:
    """The stop of hastd at a shutdown: first its roles, then the daemon."""

    def __init__(self, guest: Guest, pid: int, ending: Ending) -> None:
        self.guest = guest
        self.ending = ending
        self._pid = pid
        self._boot = guest.boot

    def begin(self) -> None:
        """Change the roles; the rest follows when hastctl has ended."""
        process = shell.spawn(self.guest, "hastctl role init all")
        process.on_end = self._roles_gone

    def _roles_gone(self, process: Process) -> None:
        guest = self.guest
        if guest.boot != self._boot:
            return  # the power went meanwhile
        for text in (process.stdout, process.stderr):
            if text:
                guest.console.write(text.decode(errors="replace"))
        guest.say("Stopping hastd.")
        # The kernel finds out within a transaction group that the pool has lost its device.
        self.ending.after(0.3, self._signal)

    def _signal(self) -> None:
        guest = self.guest
        guest.console.write(f"Waiting for PIDS: {self._pid}")
        if guest.syncer_held_up() and guest.rng.random() < _HANGS_IN_RC:
            return  # hastd never ends; the watchdog is what comes next
        daemon = guest.daemons.get(self._pid)
        if daemon is not None:
            daemon.signal(15)
        self.ending.after(0.2, self._wait)

    def _wait(self) -> None:
        if not self.ending.in_rc:
            return
        if self._pid in self.guest.daemons:
            self.ending.after(0.2, self._wait)
            return
        self.guest.part(Supervisors).reap()
        self.guest.say(".")
        self.ending.after(0.2, self.ending.next)


def _stop(guest: Guest, pid: int, ending: Ending) -> None:
    Stop(guest, pid, ending).begin()


supervisor.PROGRAMS["hastd"] = _under_daemon
register(
    Service(
        *("hastd", "Highly Available Storage daemon", "hastd_enable", "/sbin/hastd", "hastd_flags"),
        extra=("reload",),
        pid_file="/var/run/hastd.pid",
        required_files=("/etc/hast.conf",),
        required_modules=("geom_gate",),
        honours=("hastd_flags", "hastd_program"),
        start=_start,
        runs_hooks=True,
        waited_for=_has_begun,
        before_stop=("hastctl", "role", "init", "all"),
        order=30,
        seconds=0.7,
        stop_seconds=0.1,
        stop=_stop,
    )
)
