"""A daemon of the tests' own is added to the model, and no file of the model is changed for it."""

from __future__ import annotations

import copy

import pytest

from harness.lab.simulated import features
from harness.lab.simulated.base.rc.services import SERVICES, Service
from harness.lab.simulated.kernel.devctl import Notice
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.shell import interpreter as shell
from harness.lab.simulated.shell.programs import COMMANDS, Context
from tests.unit.simulated.storage import whole


class Watchdogd(Part):
    """It notes what the kernel announces."""

    def __init__(self, guest: Guest) -> None:
        self.noticed: list[str] = []
        guest.devctl.listen(self._noticed)

    def _noticed(self, notice: Notice) -> None:
        if notice.type.startswith("LINK"):
            self.noticed.append(f"{notice.subsystem} {notice.type}")


class Screen:
    """What a console shows; outside of the world."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


WATCHDOGD = Service(
    *("watchdogd", "Watchdog daemon", "watchdogd_enable", "/usr/sbin/watchdogd"),
    pid_file="/var/run/watchdogd.pid",
    order=45,
    seconds=0.5,
    stop_seconds=0.1,
)


def watchdog(context: Context, _: list[str]) -> int:
    """A program that asks the daemon."""
    context.print(" ".join(context.guest.part(Watchdogd).noticed))
    return 0


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """The model with the daemon, which 13.2 has and the model has not."""
    features.load_all()
    monkeypatch.setitem(SERVICES, "watchdogd", WATCHDOGD)
    monkeypatch.setitem(COMMANDS, "watchdog", watchdog)
    return Screen()


def make(screen: Screen) -> Guest:
    """Two nodes of which the first one is up and has the daemon enabled."""
    world = whole(Watchdogd, write=screen.write)
    guest = world.guests["skunk1"]
    guest.tree.mounts = {"/": guest.root}
    text = 'watchdogd_enable="YES"\nifconfig_vtnet1="inet 192.168.0.1/24"\n'
    guest.tree.write("/etc/rc.conf", text.encode(), append=True)
    guest.root.write_all()
    guest.power_on()
    world.pass_time(60)
    assert guest.sshd_up
    return guest


def out(guest: Guest, line: str) -> str:
    process: Process = shell.spawn(guest, line)
    while process.status is None:
        guest.world.step()
    assert process.status == 0, process.stderr
    return process.stdout.decode()


def test_a_daemon_is_started_and_stopped_and_hears_of_links(screen: Screen) -> None:
    guest = make(screen)
    lines = screen.text.splitlines()
    starts = [line for line in lines if line.startswith("Starting ")]
    assert starts.index("Starting watchdogd.") == starts.index("Starting cron.") + 1
    assert list(guest.world.gaps) == []
    assert out(guest, "pgrep -x watchdogd").strip() == out(guest, "cat /var/run/watchdogd.pid")
    assert "running as pid" in out(guest, "service watchdogd status")

    saved = copy.deepcopy(guest.world).guests["skunk1"]
    guest.world.plug("skunk1", plugged=False)
    guest.world.plug("skunk1", plugged=True)
    assert out(guest, "watchdog").endswith("vtnet1 LINK_DOWN vtnet1 LINK_UP\n")
    assert "LINK_DOWN" not in out(saved, "watchdog")

    shell.spawn(guest, "shutdown -p now")
    guest.world.pass_time(60)
    assert not guest.running
    stops = [line for line in screen.text.splitlines() if line.startswith("Stopping ")]
    assert stops == [f"Stopping {name}." for name in ("sshd", "watchdogd", "cron", "devd")]
