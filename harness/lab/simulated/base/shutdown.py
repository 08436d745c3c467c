"""The end of a boot: orderly, at once, or by a panic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.lab.simulated.base import configuration, local_scripts
from harness.lab.simulated.base.rc import SERVICES, PlainDaemon
from harness.lab.simulated.engine.signal import NotModelled

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest
    from harness.lab.simulated.kernel.process import Process

_HANGS_IN_RC = 0.75
"""How often a node whose pool lost its device gets stuck in rc.shutdown rather than after it.

Both were seen on 13.2, in rc.shutdown four of the six recorded times; docs/findings.md, claim 2.
"""


class Shutdown:
    """A shutdown that is under way.

    `how` is `reboot`, `halt` or `poweroff`. Each step ends by scheduling the next. With a suspended
    pool it gets stuck, in one of three ways, until somebody resets the machine.
    """

    def __init__(self, guest: Guest, how: str) -> None:
        self._guest = guest
        self._how = how
        self._in_rc = False
        self._waiting_for = 0
        self._boot = guest.boot
        self._local: dict[str, list[str]] = {}
        """Scripts of /usr/local/etc/rc.d to be stopped, by the one that is stopped after them."""
        self._waiting: list[str] = []
        self._then: Callable[[], None] = self._end_rc

    # --- how it begins --------------------------------------------------------------------------

    def start(self) -> None:
        """Run rc.shutdown, then stop everything."""
        self._in_rc = True
        configuration.of_end_of_rc(self._guest, f"shutdown ({self._how})")
        try:
            self._local = local_scripts.to_stop(self._guest)
        except NotModelled as gap:
            self._guest.world.note_gap(self._guest.name, f"shutdown ({self._how})", str(gap))
        self._after(0.6, self._stop_local, ("sshd",), self._stop_sshd)
        timeout = self._guest.system.rc.conf().get("rcshutdown_timeout", "90")
        if timeout.isdecimal():
            self._after(float(timeout), self._watchdog, timeout)

    def at_once(self, *, sync: bool, kill: bool) -> None:
        """As reboot(8) does: no rc.shutdown; `sync` and `kill` are what -n and -q leave out."""
        if not kill:
            if sync:
                self._after(0.05, self._sync)
            else:
                self._after(0.05, self._finish)
            return
        self._after(0.05, self._kill_all if sync else self._kill_unsynced)

    def panic(self, why: str) -> None:
        """Stop the kernel where it is."""
        guest = self._guest
        uptime = self._uptime()
        guest.say(f"panic: {why}\ncpuid = 0\ntime = {int(guest.wall_clock())}")
        guest.say("KDB: stack backtrace:")
        guest.say(
            f"Uptime: {uptime}\n"
            "Automatic reboot in 15 seconds - press a key on the console to abort"
        )
        guest.system.stop_kernel()
        guest.world.schedule(guest, 15.0, guest.reset)

    # --- rc.shutdown ----------------------------------------------------------------------------

    def _stop_local(self, steps: tuple[str, ...], then: Callable[[], None]) -> None:
        """Stop the local scripts that come before some of the base system's, then those."""
        self._waiting = [path for step in steps for path in self._local.pop(step, ())]
        self._then = then
        self._go_on()

    def _go_on(self, _: Process | None = None) -> None:
        if not self._in_rc or self._guest.boot != self._boot:
            return
        if self._waiting:
            process = local_scripts.run(self._guest, self._waiting.pop(0), "faststop")
            process.on_end = self._go_on
        else:
            self._then()

    def _stop_sshd(self) -> None:
        self._stop("sshd")
        self._after(0.4, self._stop_local, ("cron",), self._stop_cron)

    def _stop_cron(self) -> None:
        self._stop("cron")
        self._after(0.3, self._stop_local, ("hastd",), self._stop_hastd)

    def _stop_hastd(self) -> None:
        system = self._guest.system
        pid = system.rc.pid_of(SERVICES["hastd"])
        if pid is None:
            self._after(0.1, self._stop_local, ("syslogd", "devd"), self._stop_devd)
            return
        self._waiting_for = pid
        process = system.spawn("hastctl role init all")
        process.on_end = self._roles_gone

    def _roles_gone(self, process: Process) -> None:
        if self._guest.boot != self._boot:
            return  # the power went meanwhile
        for text in (process.stdout, process.stderr):
            if text:
                self._guest.console.write(text.decode(errors="replace"))
        self._guest.say("Stopping hastd.")
        # The kernel finds out within a transaction group that the pool has lost its device.
        self._after(0.3, self._signal_hastd)

    def _signal_hastd(self) -> None:
        self._guest.console.write(f"Waiting for PIDS: {self._waiting_for}")
        if self._guest.zfs.suspended and self._guest.rng.random() < _HANGS_IN_RC:
            return  # hastd never ends; the watchdog is what comes next
        daemon = self._guest.daemons.get(self._waiting_for)
        if daemon is not None:
            daemon.signal(15)
        self._after(0.2, self._wait_for_hastd)

    def _wait_for_hastd(self) -> None:
        if not self._in_rc:
            return
        if self._waiting_for in self._guest.daemons:
            self._after(0.2, self._wait_for_hastd)
            return
        self._guest.system.reap()
        self._guest.say(".")
        self._after(0.2, self._stop_local, ("syslogd", "devd"), self._stop_devd)

    def _stop_devd(self) -> None:
        if not self._in_rc:
            return
        self._stop("devd")
        self._guest.say("Writing entropy file: .\nWriting early boot entropy file: .")
        last = ("netif", "kld", "hostname", local_scripts.EARLY)
        self._after(0.8, self._stop_local, last, self._end_rc)

    def _end_rc(self) -> None:
        if self._in_rc:
            self._guest.say("Terminated\n.")
            self._kill_all()

    def _watchdog(self, timeout: str) -> None:
        if not self._in_rc:
            return
        self._in_rc = False
        now = self._guest.now_utc()
        text = f"{timeout} second watchdog timeout expired. Shutdown terminated."
        self._guest.system.log("rc.shutdown", None, "user.notice", text)
        self._guest.say(f"\n{text}\n{now:%a %b} {now.day:2} {now:%H:%M:%S} UTC {now:%Y}")
        self._guest.say(
            "init: /bin/sh on /etc/rc.shutdown terminated abnormally, going to single user mode"
        )

    def _stop(self, name: str) -> None:
        service = SERVICES[name]
        pid = self._guest.system.rc.pid_of(service)
        if pid is not None:
            self._guest.say(f"Stopping {name}.")
            self._guest.daemons[pid].signal(15)

    # --- the kernel's part ----------------------------------------------------------------------

    def _kill_all(self) -> None:
        self._in_rc = False
        self._end_processes()
        self._guest.say("Waiting (max 60 seconds) for system process `vnlru' to stop... done")
        self._after(1.0, self._sync)

    def _kill_unsynced(self) -> None:
        self._end_processes()
        self._after(1.0, self._finish)

    def _end_processes(self) -> None:
        """init(8) ends everything that is still there, syslogd with its last word."""
        for daemon in list(self._guest.daemons.values()):
            daemon.signal(15 if isinstance(daemon, PlainDaemon) else 9)
        for process in list(self._guest.processes.values()):
            process.signal(15)
        self._guest.system.update_sshd()

    def _sync(self) -> None:
        self._guest.say(
            "Waiting (max 60 seconds) for system process `syncer' to stop... \n"
            "Syncing disks, vnodes remaining... 0 done\n"
            "All buffers synced."
        )
        # A suspended pool keeps the syncer from UFS, whatever that line says (docs/findings.md).
        if not self._guest.syncer_held_up():
            self._guest.root.write_all()
        self._guest.zfs.shutdown(self._synced)

    def _synced(self) -> None:
        self._guest.disks["vtbd0"].reserved = "clean"
        self._after(0.3, self._finish)

    def _finish(self) -> None:
        guest = self._guest
        guest.say(f"Uptime: {self._uptime()}")
        if self._how == "reboot":
            guest.say("Rebooting...")
            guest.reset()
        elif self._how == "poweroff":
            for disk in guest.disks.values():
                disk.flush()
            guest.power_cut()
        else:
            guest.say("\nThe operating system has halted.\nPlease press any key to reboot.\n")
            guest.system.stop_kernel()

    def _uptime(self) -> str:
        seconds = int(self._guest.wall_clock() - self._guest.system.kernel.booted_at)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        shown = f"{days}d" if days else ""
        shown += f"{hours}h" if days or hours else ""
        shown += f"{minutes}m" if days or hours or minutes else ""
        return f"{shown}{seconds}s"

    def _after(self, delay: float, action: object, *arguments: object) -> None:
        assert callable(action)
        self._guest.world.schedule(self._guest, delay, action, *arguments)
