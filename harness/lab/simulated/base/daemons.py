"""The daemons of the base system that only run: cron, sshd."""

from __future__ import annotations

from harness.lab.simulated.base import configuration
from harness.lab.simulated.base.rc.services import Service, register, runs
from harness.lab.simulated.kernel.devctl import Notice
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.network.interfaces import Network


class Cron(Part):
    """cron(8): it looks within a minute at a file of its own that was changed."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        guest.root.watchers.append(self._changed)

    def _changed(self, path: str) -> None:
        if configuration.read_by_cron(path):
            self._guest.world.schedule(self._guest, configuration.CRON_SECONDS, self._look)

    def _look(self) -> None:
        if runs(self._guest, "cron"):
            configuration.of_cron(self._guest)


class Sshd(Part):
    """sshd(8): whether the host's SSH reaches it."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        guest.devctl.listen(self._noticed)

    def _noticed(self, _: Notice) -> None:
        self.update()

    def update(self) -> None:
        """Tell the lab whether it can be reached now."""
        up = runs(self._guest, "sshd") and self._guest.part(Network).reachable
        self._guest.set_sshd(up=up)


def _sshd_started(guest: Guest, pid: int, flags: str) -> None:
    guest.part(Sshd).update()


def _sshd_ended(guest: Guest) -> None:
    guest.part(Sshd).update()


register(
    Service(
        *("cron", "Daemon to execute scheduled commands", "cron_enable"),
        *("/usr/sbin/cron", "cron_flags"),
        pid_file="/var/run/cron.pid",
        title="/usr/sbin/cron -s",
        check=configuration.of_cron_service,
        order=40,
        seconds=0.4,
        stop_seconds=0.3,
    ),
    Service(
        *("sshd", "Secure Shell Daemon", "sshd_enable", "/usr/sbin/sshd", "sshd_flags"),
        extra=("configtest", "keygen", "reload"),
        pid_file="/var/run/sshd.pid",
        title="sshd: /usr/sbin/sshd [listener] 0 of 10-100 startups (sshd)",
        check=configuration.of_sshd,
        before_start="Performing sanity check on sshd configuration.",
        started=_sshd_started,
        ended=_sshd_ended,
        order=50,
        seconds=0.9,
        stop_seconds=0.4,
    ),
)
