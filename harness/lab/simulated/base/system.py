"""One boot of FreeBSD's base system, from its start to its end."""

from __future__ import annotations

from harness.lab.simulated.base import root_image as image
from harness.lab.simulated.base.boot import Boot
from harness.lab.simulated.base.shutdown import Shutdown
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.kernel.modules import Kernel


class System(Part):
    """init(8) and what it runs: the boot that is under way, or the shutdown."""

    def __init__(self, guest: Guest) -> None:
        """The base system of `guest`, not booted. A bare root file system is installed first."""
        self._guest = guest
        if len(guest.root.entries) == 1:
            image.install(guest)
        self._boot: Boot | None = None
        self._shutdown: Shutdown | None = None

    def boot(self) -> None:
        """Start the boot: about 20 s later sshd answers."""
        self._boot = Boot(self._guest)
        self._boot.start()

    def shut_down(self, how: str) -> None:
        """Start an orderly shutdown as by shutdown(8): rc.shutdown, sync, then `how`.

        `how` is `reboot`, `halt` or `poweroff`.
        """
        if not self._is_ending:
            if self._boot is not None:
                self._boot.cancel()
            self._shutdown = Shutdown(self._guest, how)
            self._shutdown.start()

    def reboot(self, how: str, *, sync: bool, kill: bool) -> None:
        """Reboot or halt as reboot(8) does: without rc.shutdown."""
        if not self._is_ending:
            self._shutdown = Shutdown(self._guest, how)
            self._shutdown.at_once(sync=sync, kill=kill)

    def power_button(self) -> None:
        """Somebody pressed the ACPI power button: an orderly power-off."""
        self.shut_down("poweroff")

    @property
    def _is_ending(self) -> bool:
        return self._shutdown is not None or self._guest.part(Kernel).stopped
