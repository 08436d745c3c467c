"""What FreeBSD's base system does around storage on one boot of a guest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.lab.simulated.base import configuration
from harness.lab.simulated.base import root_image as image
from harness.lab.simulated.base.boot import Boot
from harness.lab.simulated.base.rc import SERVICES, PlainDaemon, Rc
from harness.lab.simulated.base.shutdown import Shutdown
from harness.lab.simulated.base.syslog import Syslog
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.network.interfaces import Network

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest
    from harness.lab.simulated.kernel.process import Process
    from harness.lab.simulated.kernel.task import Daemon


class System:
    """The base system from a kernel's start to its end. Made anew at each boot.

    `hostname` is empty until rc(8) or somebody sets it.
    """

    release = "13.2-RELEASE"

    def __init__(self, guest: Guest) -> None:
        """The base system of `guest`, not booted. A bare root file system is installed first."""
        self._guest = guest
        if len(guest.root.entries) == 1:
            image.install(guest)
        self.hostname: str = ""
        self.terminals: dict[int, str] = {}
        """Each getty(8) and its line, once rc(8) has come to its end."""
        self.kernel: Kernel = Kernel(guest)
        self.syslog = Syslog(guest)
        self.network = Network(guest)
        self.rc = Rc(guest)
        self.supervisors: dict[str, int] = {}
        """The daemon(8) that hands on a program's lines: its pid by the program's name."""
        self._boot: Boot | None = None
        self._shutdown: Shutdown | None = None

    # --- what a guest and the programs on it do ------------------------------------------------

    def boot(self) -> None:
        """Start the boot: about 20 s later sshd answers."""
        self._boot = Boot(self._guest)
        self._boot.start()

    def shut_down(self, how: str) -> None:
        """Start an orderly shutdown as by shutdown(8): rc.shutdown, sync, then `how`.

        `how` is `reboot`, `halt` or `poweroff`.
        """
        if self._shutdown is None:
            if self._boot is not None:
                self._boot.cancel()
            self._shutdown = Shutdown(self._guest, how)
            self._shutdown.start()

    def reboot(self, how: str, *, sync: bool, kill: bool) -> None:
        """Reboot or halt as reboot(8) does: without rc.shutdown."""
        if self._shutdown is None:
            self._shutdown = Shutdown(self._guest, how)
            self._shutdown.at_once(sync=sync, kill=kill)

    def power_button(self) -> None:
        """Somebody pressed the ACPI power button: an orderly power-off."""
        self.shut_down("poweroff")

    def panic(self, why: str) -> None:
        """Panic: nothing is written, and 15 s later the machine starts over."""
        self._shutdown = Shutdown(self._guest, "reboot")
        self._shutdown.panic(why)

    def stop_kernel(self) -> None:
        """Let nothing of this boot happen any more. The machine keeps its power."""
        for interface in self.network.interfaces.values():
            interface.up = False
        self._guest._die()

    def spawn(self, line: str) -> Process:
        """Start a command line in the background, as cron(8) or devd(8) do."""
        from harness.lab.simulated.shell import interpreter as shell  # noqa: PLC0415 - the shell knows the guest

        return shell.spawn(self._guest, line)

    def set_hostname(self, name: str) -> None:
        """Set the kernel's host name, until the next boot."""
        self.hostname = name

    def log(self, program: str, pid: int | None, level: str, text: str) -> None:
        """Send a line to syslogd(8). `level` is as logger(1) has it, `daemon.notice` or `info`.

        Where daemon(8) hands on the program's lines, its pid is logged, as on the running guests.
        """
        self.syslog.log(program, self.supervisors.get(program, pid), level, text)

    def kernel_says(self, text: str) -> None:
        """A line of the kernel's: console, dmesg(8) and syslogd."""
        self.kernel.say(text)

    def link_changed(self) -> None:
        """The cable of the private NIC was pulled out or put back."""
        self.network.link_changed()

    def cron_file_changed(self, path: str) -> None:
        """Let cron(8) look at a file within a minute, if it reads it at all."""
        if configuration.read_by_cron(path):
            self._guest.world.schedule(self._guest, configuration.CRON_SECONDS, self._cron_looks)

    def _cron_looks(self) -> None:
        """cron(8), if it runs, looks at its files, one of which was changed."""
        if any(
            isinstance(each, PlainDaemon) and each.service == "cron"
            for each in self._guest.daemons.values()
        ):
            configuration.of_cron(self._guest)

    # --- for its parts --------------------------------------------------------------------------

    def daemon_started(self, daemon: PlainDaemon, flags: str) -> None:
        """Note that a daemon of the base system runs."""
        if daemon.service == "syslogd":
            self.syslog.start(daemon.pid, flags)
        self.update_sshd()

    def daemon_ended(self, daemon: PlainDaemon) -> None:
        """Note that one has ended; its pid file goes with it."""
        if daemon.service == "syslogd":
            self.syslog.stop()
        service = SERVICES.get(daemon.service)
        if service is not None and service.pid_file:
            entries = self._guest.root.entries
            if service.pid_file in entries and not self._guest.root.read_only:
                self._guest.root.remove(service.pid_file)
        if daemon.service == "daemon":
            self._remove_pid_files(daemon)
            self._supervisor_ended(daemon)
        self.update_sshd()

    def reap(self) -> None:
        """Let a daemon(8) end whose program has ended."""
        pid = self.supervisors.get("hastd")
        if pid is not None and self._guest.hastd is None:
            del self.supervisors["hastd"]
            self._remove_pid_files(self._guest.daemons.pop(pid, None))

    def _remove_pid_files(self, supervisor: Daemon | None) -> None:
        for path in supervisor.pid_files if isinstance(supervisor, PlainDaemon) else ():
            if path in self._guest.root.entries and not self._guest.root.read_only:
                self._guest.root.remove(path)

    def update_sshd(self) -> None:
        """Tell the lab whether sshd(8) can be reached now."""
        runs = any(
            isinstance(daemon, PlainDaemon) and daemon.service == "sshd"
            for daemon in self._guest.daemons.values()
        )
        self._guest.set_sshd(up=runs and self.network.reachable)

    def local_time(self, at: float) -> str:
        """A time as ctime(3) shows it."""
        when = datetime.fromtimestamp(at, UTC)
        return f"{when:%a %b} {when.day:2} {when:%H:%M:%S %Y}"

    def _supervisor_ended(self, daemon: PlainDaemon) -> None:
        """daemon(8) ends its child when it is told to end."""
        self.supervisors = {
            name: pid for name, pid in self.supervisors.items() if pid != daemon.pid
        }
        for child in list(self._guest.daemons.values()):
            if child is self._guest.hastd:
                child.signal(15)
