"""The end of a boot: orderly, at once, or by a panic."""

from __future__ import annotations

from collections.abc import Callable

from harness.lab.simulated.base import configuration
from harness.lab.simulated.base.rc import local_scripts
from harness.lab.simulated.base.rc import start as rc
from harness.lab.simulated.base.rc.rc_conf import conf
from harness.lab.simulated.base.rc.services import SERVICES, PlainDaemon, at_boot
from harness.lab.simulated.base.supervisor import Supervisor
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.zfs.zfs import Zfs


class Shutdown:
    """A shutdown that is under way.

    `how` is `reboot`, `halt` or `poweroff`. Each step ends by scheduling the next. With a suspended
    pool it gets stuck, in one of three ways, until somebody resets the machine.
    """

    def __init__(self, guest: Guest, how: str) -> None:
        self._guest = guest
        self._how = how
        self.in_rc = False
        """Whether rc.shutdown(8) still runs."""
        self._stops = _stops()
        self._boot = guest.boot
        self._local: dict[str, list[str]] = {}
        """Scripts of /usr/local/etc/rc.d to be stopped, by the one that is stopped after them."""
        self._waiting: list[str] = []
        self._then: Callable[[], None] = self._end_rc

    # --- how it begins --------------------------------------------------------------------------

    def start(self) -> None:
        """Run rc.shutdown, then stop everything."""
        self.in_rc = True
        configuration.of_end_of_rc(self._guest, f"shutdown ({self._how})")
        try:
            self._local = local_scripts.to_stop(self._guest)
        except NotModelled as gap:
            self._guest.world.note_gap(self._guest.name, f"shutdown ({self._how})", str(gap))
        self.after(0.6, self.next)
        timeout = conf(self._guest).get("rcshutdown_timeout", "90")
        if timeout.isdecimal():
            self.after(float(timeout), self._watchdog, timeout)

    def at_once(self, *, sync: bool, kill: bool) -> None:
        """As reboot(8) does: no rc.shutdown; `sync` and `kill` are what -n and -q leave out."""
        if not kill:
            if sync:
                self.after(0.05, self._sync)
            else:
                self.after(0.05, self._finish)
            return
        self.after(0.05, self._kill_all if sync else self._kill_unsynced)

    # --- rc.shutdown ----------------------------------------------------------------------------

    def _stop_local(self, steps: tuple[str, ...], then: Callable[[], None]) -> None:
        """Stop the local scripts that come before some of the base system's, then those."""
        self._waiting = [path for step in steps for path in self._local.pop(step, ())]
        self._then = then
        self._go_on()

    def _go_on(self, _: Process | None = None) -> None:
        if not self.in_rc or self._guest.boot != self._boot:
            return
        if self._waiting:
            process = local_scripts.run(self._guest, self._waiting.pop(0), "faststop")
            process.on_end = self._go_on
        else:
            self._then()

    def next(self) -> None:
        """Go on with the next service that is stopped, or with what comes after them."""
        if not self.in_rc or self._guest.boot != self._boot:
            return
        if self._stops:
            self._stop_local(self._stops[0][0], self._stop)
        else:
            self._end_services()

    def _stop(self) -> None:
        """Stop one service."""
        _, name = self._stops.pop(0)
        service = SERVICES[name]
        pid = rc.pid_of(self._guest, service)
        assert service.stop_seconds is not None
        if pid is not None and service.stop is not None:
            service.stop(self._guest, pid, self)
            return
        if pid is not None:
            self._guest.say(f"Stopping {name}.")
            self._guest.daemons[pid].signal(15)
        if self._stops:
            self.after(service.stop_seconds, self.next)
        else:
            self.next()

    def _end_services(self) -> None:
        self._guest.say("Writing entropy file: .\nWriting early boot entropy file: .")
        last = ("netif", "kld", "hostname", local_scripts.EARLY)
        self.after(0.8, self._stop_local, last, self._end_rc)

    def _end_rc(self) -> None:
        if self.in_rc:
            self._guest.say("Terminated\n.")
            self._kill_all()

    def _watchdog(self, timeout: str) -> None:
        if not self.in_rc:
            return
        self.in_rc = False
        now = self._guest.now_utc()
        text = f"{timeout} second watchdog timeout expired. Shutdown terminated."
        self._guest.log("rc.shutdown", None, "user.notice", text)
        self._guest.say(f"\n{text}\n{now:%a %b} {now.day:2} {now:%H:%M:%S} UTC {now:%Y}")
        self._guest.say(
            "init: /bin/sh on /etc/rc.shutdown terminated abnormally, going to single user mode"
        )

    # --- the kernel's part ----------------------------------------------------------------------

    def _kill_all(self) -> None:
        self.in_rc = False
        self._end_processes()
        self._guest.say("Waiting (max 60 seconds) for system process `vnlru' to stop... done")
        self.after(1.0, self._sync)

    def _kill_unsynced(self) -> None:
        self._end_processes()
        self.after(1.0, self._finish)

    def _end_processes(self) -> None:
        """init(8) ends everything that is still there, syslogd with its last word."""
        for daemon in list(self._guest.daemons.values()):
            daemon.signal(15 if isinstance(daemon, PlainDaemon | Supervisor) else 9)
        for process in list(self._guest.processes.values()):
            process.signal(15)

    def _sync(self) -> None:
        self._guest.say(
            "Waiting (max 60 seconds) for system process `syncer' to stop... \n"
            "Syncing disks, vnodes remaining... 0 done\n"
            "All buffers synced."
        )
        # A suspended pool keeps the syncer from UFS, whatever that line says (docs/findings.md).
        if not self._guest.syncer_held_up():
            self._guest.root.write_all()
        self._guest.part(Zfs).shutdown(self._synced)

    def _synced(self) -> None:
        self._guest.disks["vtbd0"].reserved = "clean"
        self.after(0.3, self._finish)

    def _finish(self) -> None:
        guest = self._guest
        guest.say(f"Uptime: {guest.part(Kernel).uptime()}")
        if self._how == "reboot":
            guest.say("Rebooting...")
            guest.reset()
        elif self._how == "poweroff":
            for disk in guest.disks.values():
                disk.flush()
            guest.power_cut()
        else:
            guest.say("\nThe operating system has halted.\nPlease press any key to reboot.\n")
            guest.part(Kernel).stop()

    def after(self, delay: float, action: Callable[..., None], *arguments: object) -> None:
        """Do something in some seconds, unless the power goes meanwhile."""
        self._guest.world.schedule(self._guest, delay, action, *arguments)


def _stops() -> list[tuple[tuple[str, ...], str]]:
    """The services to be stopped, each with the steps whose local scripts are stopped before it."""
    found: list[tuple[tuple[str, ...], str]] = []
    steps: list[str] = []
    for service in reversed(at_boot()):
        steps.append(service.name)
        if service.stop_seconds is not None:
            found.append((tuple(steps), service.name))
            steps = []
    return found
