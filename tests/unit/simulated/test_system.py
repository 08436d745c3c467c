"""The base system of a simulated guest: boot, rc(8), syslogd, network, shutdown."""

from __future__ import annotations

import copy
import random

import pytest

from harness.config.paths import PROVISION
from harness.lab.base import Power
from harness.lab.simulated import features
from harness.lab.simulated.base import supervisor
from harness.lab.simulated.base.boot import NOTICE
from harness.lab.simulated.base.rc import start as rc
from harness.lab.simulated.base.rc.services import SERVICES
from harness.lab.simulated.base.system import System
from harness.lab.simulated.kernel.files import DIRECTORY, Entries, Entry
from harness.lab.simulated.kernel.guest import Console, Guest, World
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.kernel.task import Daemon
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.shell import interpreter as shell
from harness.lab.simulated.shell.programs import COMMANDS, Context
from harness.lab.simulated.zfs.zfs import Zfs
from tests.unit.simulated.storage import nics

RECORDED = PROVISION.parent / "tests/unit/recorded/13.2"


class Screen:
    """What a console shows."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class FakeHastd(Daemon):
    """A hastd that only runs and, unless it is stuck, ends when told to."""

    title = "/sbin/hastd -F"

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.pid = guest.next_pid()
        guest.daemons[self.pid] = self
        guest.log("hastd", self.pid, "notice", "[INFO] Started successfully.")

    def signal(self, number: int) -> None:
        self.guest.world.schedule(self.guest, 0.3, self.end)

    def end(self) -> None:
        self.guest.daemons.pop(self.pid, None)


class SuspendedZfs(Zfs):
    """A ZFS whose pool has lost its device."""

    def is_suspended(self) -> bool:
        return True

    def shutdown(self, done: object) -> None:
        """Never call `done`."""


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    features.load_all()

    def start_hastd(guest: Guest, words: list[str]) -> Daemon:
        hastd = FakeHastd(guest)
        rc.write_pid(guest, words[words.index("-P") + 1], hastd.pid)
        return hastd

    def hastctl(context: Context, arguments: list[str]) -> int:
        return 0

    monkeypatch.setitem(supervisor.PROGRAMS, "hastd", start_hastd)
    monkeypatch.setitem(COMMANDS, "hastctl", hastctl)
    return Screen()


def make(screen: Screen, seed: int = 1) -> Guest:
    world = World(seed)
    for number in (1, 2):
        Guest(
            world,
            f"skunk{number}",
            number=number,
            parts=features.parts(),
            data_disk_bytes=512 << 20,
            data_disk_serial=f"skunk{number}-data",
            nics=nics(world, number),
            console=Console((screen if number == 1 else Screen()).write),
        )
    return world.guests["skunk1"]


def start(guest: Guest) -> None:
    guest.power_on()
    guest.world.pass_time(50)
    assert guest.sshd_up


def run(guest: Guest, line: str, within: float = 300.0) -> tuple[int | None, str, str]:
    process = Process(guest, line)
    process.feed(b"")
    process.start(shell.run_line(process, line))
    until = guest.world.now + within
    while process.status is None and guest.world.now < until and guest.world.next_at() is not None:
        guest.world.step()
    assert process.failure is None
    return process.status, process.stdout.decode(), process.stderr.decode()


PROVISIONED = (
    'sysrc -q hostname=skunk1 "ifconfig_vtnet1=inet 192.168.0.1/24" zfs_enable=YES '
    'hastd_enable=YES kld_list+=zfs kld_list+=geom_gate "syslogd_flags=-s -c -c -O rfc5424"'
)


def provision(guest: Guest) -> None:
    """What provision-node.sh leaves, as far as the base system reads it."""
    assert run(guest, PROVISIONED)[0] == 0
    tree = guest.tree
    tree.write("/etc/hast.conf", b"resource mirror {}\n")
    tree.make_directory("/etc/rc.conf.d", parents=True)
    tree.write("/etc/rc.conf.d/hastd", (PROVISION / "hastd.rc.conf").read_bytes())
    tree.write("/etc/syslog.d/hastd.conf", (PROVISION / "syslog-hastd.conf").read_bytes())
    tree.write("/var/log/hastd.log", b"")
    guest.root.write_all()


def up_and_provisioned(screen: Screen, seed: int = 1) -> Guest:
    guest = make(screen, seed)
    start(guest)
    provision(guest)
    guest.reset()
    guest.world.pass_time(40)
    assert guest.sshd_up
    screen.text = ""
    return guest


# --- boot ---------------------------------------------------------------------------------------


def test_boot_starts_what_rc_conf_enables(screen: Screen) -> None:
    guest = make(screen)
    guest.power_on()
    steps = 0
    while not guest.sshd_up:
        guest.world.step()
        steps += 1
    assert steps < 40
    assert 28 < guest.world.now < 42
    assert "simulated" in screen.text.splitlines()[0]
    assert "---<<BOOT>>---" in screen.text
    assert "Starting hastd." not in screen.text
    provision(guest)
    guest.reset()
    screen.text = ""
    guest.world.pass_time(40)
    order = ["Setting hostuuid", "not properly", "Setting hostname: skunk1.", "Starting Network:"]
    order += ["Starting syslogd.", "Starting hastd.", "Starting cron.", "Starting sshd.", "login:"]
    order.remove("not properly")
    places = [screen.text.index(text) for text in order]
    assert places == sorted(places)
    assert "WARNING: / was not properly dismounted" in screen.text
    assert guest.part(Network).owns("192.168.0.1")
    assert guest.nics["vtnet1"].up
    assert run(guest, "kldstat -q -n geom_gate")[0] == 0


def test_lost_rc_conf_boots_as_amnesiac_and_out_of_reach(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    guest.tree.write("/etc/rc.conf", b"")
    guest.root.write_all()
    guest.reset()
    guest.world.pass_time(60)
    assert "FreeBSD/amd64 (Amnesiac) (ttyu0)" in screen.text
    assert not guest.sshd_up
    assert not guest.part(Network).owns("192.168.0.1")


def test_snapshot_in_the_middle_of_a_boot_goes_on_the_same_way(screen: Screen) -> None:
    guest = make(screen)
    guest.power_on()
    guest.world.pass_time(9)
    other = copy.deepcopy(guest.world).guests["skunk1"]
    outcomes = []
    for each in (guest, other):
        screen.text = ""
        while not each.sshd_up:
            each.world.step()
        outcomes.append((each.world.now, screen.text, sorted(each.daemons)))
    assert outcomes[0] == outcomes[1]
    assert guest is not other


# --- the end ------------------------------------------------------------------------------------


def test_orderly_reboot_keeps_what_a_reset_loses(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    run(guest, "echo kept > /root/file")
    status, out, err = run(guest, "shutdown -r now")
    assert status == 0
    assert out == (
        "Shutdown NOW!\nShutdown NOW!\n\r\nSystem shutdown time has arrived\a\a\r\n"
    )  # recorded
    assert err.startswith("shutdown: [pid ")
    while guest.sshd_up:
        guest.world.step()
    while not guest.sshd_up:
        guest.world.step()
    order = ["reboot by root:", "Stopping sshd.", "Stopping cron.", "Stopping hastd."]
    order += ["Waiting for PIDS: ", "Stopping devd.", "exiting on signal 15", "All buffers synced."]
    order += ["Rebooting...", "---<<BOOT>>---", "FILE SYSTEM CLEAN"]
    places = [screen.text.index(text) for text in order]
    assert places == sorted(places)
    run(guest, "echo lost > /root/other")
    guest.reset()
    guest.world.pass_time(40)
    assert guest.tree.read("/root/file") == b"kept\n"
    assert guest.tree.entry("/root/other") is None


def test_power_button_and_panic(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    guest.part(System).power_button()
    guest.world.pass_time(60)
    assert guest.power is Power.OFF
    guest.power_on()
    guest.world.pass_time(50)
    screen.text = ""
    boot = guest.boot
    run(guest, "sysctl debug.kdb.panic=1")
    assert "\npanic: kdb_sysctl_panic" in "\n" + screen.text
    assert not guest.sshd_up
    guest.world.pass_time(14)
    assert guest.boot == boot + 1
    assert NOTICE not in screen.text
    guest.world.pass_time(2)
    assert NOTICE in screen.text
    guest.world.pass_time(40)
    assert guest.boot > boot
    assert guest.sshd_up


def test_a_suspended_pool_keeps_a_reboot_from_ending(screen: Screen) -> None:
    seen = set()
    for seed in range(40):
        guest = up_and_provisioned(screen, seed)
        guest.replace_part(Zfs, SuspendedZfs(guest))
        run(guest, "shutdown -r now")
        guest.world.pass_time(200)
        assert not guest.sshd_up
        assert "Rebooting..." not in screen.text
        in_rc = "90 second watchdog timeout expired. Shutdown terminated." in screen.text
        assert in_rc != ("All buffers synced." in screen.text)
        seen.add(in_rc)
        guest.reset()
        guest.world.pass_time(40)
        assert guest.sshd_up
        if len(seen) == 2:
            break
    assert seen == {True, False}


# --- services -----------------------------------------------------------------------------------


def test_service_says_what_the_running_pair_said(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    pid = rc.pid_of(guest, SERVICES["hastd"])
    cron = rc.pid_of(guest, SERVICES["cron"])
    for line, expected in (
        ("service cron status", (0, f"cron is running as pid {cron}.\n", "")),
        ("service cron start", (1, "", f"cron already running?  (pid={cron}).\n")),
        ("service cron stop", (0, "Stopping cron.\n", "")),
        ("service cron status", (1, "cron is not running.\n", "")),
        ("service cron stop", (1, "", "cron not running? (check /var/run/cron.pid).\n")),
        ("service cron start", (0, "Starting cron.\n", "")),
        ("service cron restart", (0, "Stopping cron.\nStarting cron.\n", "")),
        ("service hastd status", (0, f"hastd is running as pid {pid}.\n", "")),
        ("service hastd stop", (0, f"Stopping hastd.\nWaiting for PIDS: {pid}.\n", "")),
        ("service hastd stop", (1, "", "hastd not running? (check /var/run/hastd.pid).\n")),
        ("service zpool stop", (1, "", "zpool not running?\n")),
        (
            "service inetd start",
            (
                0,
                "Cannot 'start' inetd. Set inetd_enable to YES in /etc/rc.conf or use 'onestart' "
                "instead of 'start'.\n",
                "",
            ),
        ),
        (
            "service nosuch start",
            (
                1,
                "nosuch does not exist in /etc/rc.d or the local startup\n"
                "directories (/usr/local/etc/rc.d), or is not executable\n",
                "",
            ),
        ),
        (
            "service hostid status",
            (
                1,
                "",
                "/etc/rc.d/hostid: unknown directive 'status'.\n"
                "Usage: /etc/rc.d/hostid [fast|force|one|quiet](start|stop|restart|rcvar|enable|"
                "disable|delete|enabled|describe|extracommands|reset)\n",
            ),
        ),
    ):
        assert run(guest, line) == expected, line


def test_hostid_is_made_of_etc_hostid(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    guest.tree.write("/etc/hostid", b"6097a6a3-e6b3-11f1-99db-317049cdd6e1\n")
    assert run(guest, "service hostid onestart")[1].endswith("Setting hostid: 0x9f2d9603.\n")
    assert run(guest, "sysctl -n kern.hostid")[1] == "2670564867\n"  # both as on skunk1


def test_sysrc_says_what_the_running_pair_said(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    for line, expected in (
        ("sysrc -f /tmp/x a=1", (0, "a:  -> 1\n", "")),
        ("sysrc -q -f /tmp/x a=2 b=3", (0, "a: 1 -> 2\nb:  -> 3\n", "")),
        ("sysrc -f /tmp/x c+=zfs", (0, "c:  -> zfs\n", "")),
        ("sysrc -f /tmp/x c+=gate", (0, "c: zfs -> zfs gate\n", "")),
        ("sysrc -f /tmp/x c+=zfs", (0, "c: zfs gate -> zfs gate\n", "")),
        ("sysrc -f /tmp/x c-=zfs", (0, "c: zfs gate -> gate\n", "")),
        ("sysrc -f /tmp/x -n a", (0, "2\n", "")),
        ("sysrc -f /tmp/x -x b", (0, "", "")),
        ("cat /tmp/x", (0, 'a="2"\nc="gate"\n', "")),
        ("sysrc -n hostname", (0, "skunk1\n", "")),
        ("sysrc nosuch_var", (1, "", "sysrc: unknown variable 'nosuch_var'\n")),
        ("sysrc -q nosuch_var", (1, "", "")),
    ):
        assert run(guest, line) == expected, line


def test_provisioning_runs_twice_and_leaves_rc_conf_as_on_the_pair(screen: Screen) -> None:
    guest = make(screen)
    start(guest)
    guest.tree.write("/etc/hast.conf", b"resource mirror {}\n")
    guest.tree.make_directory("/root/provision")
    for path in PROVISION.iterdir():
        guest.tree.write(f"/root/provision/{path.name}", path.read_bytes())
    line = (
        "sh /root/provision/provision-node.sh skunk1 vtnet1 192.168.0.1/24 "
        "'192.168.0.1 skunk1' '192.168.0.2 skunk2'"
    )
    left = []
    for _ in range(2):
        assert run(guest, line) == (0, "", "")
        left.append([guest.tree.read(f"/etc/{name}") for name in ("rc.conf", "hosts", "hostid")])
    assert left[0] == left[1]
    assert left[0][0].decode().splitlines()[16:] == [
        'ifconfig_vtnet1="inet 192.168.0.1/24"',
        'zfs_enable="YES"',
        'hastd_enable="YES"',
        'kld_list="zfs geom_gate"',
        'syslogd_flags="-s -c -c -O rfc5424"',
    ]
    assert guest.part(Network).owns("192.168.0.1")
    assert not guest.world.gaps


# --- syslog -------------------------------------------------------------------------------------


def test_syslog_writes_each_form_to_the_files_of_its_rules(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    log = guest.tree.read("/var/log/hastd.log").decode()
    (supervisor,) = (p for p, d in guest.daemons.items() if d.title.startswith("daemon: "))
    assert log.startswith("<29>1 2026-01-01T00:")
    assert f"+00:00 skunk1 hastd {supervisor} - - [INFO] Started successfully.\n" in log
    run(guest, "logger -p daemon.info -t foo hello")
    assert "foo" not in guest.tree.read("/var/log/messages").decode()
    assert guest.tree.read("/var/log/daemon.log").endswith(b" - - hello\n")
    assert b"hello" not in guest.tree.read("/var/log/hastd.log")
    run(guest, "sysrc syslogd_flags=-s && service syslogd restart && logger -t foo bar")
    last = guest.tree.read("/var/log/messages").decode().splitlines()[-1]
    assert last.startswith("Jan  1 00:0")
    assert " skunk1 foo[" in last
    run(guest, "service syslogd stop; logger -t foo unheard")
    assert "unheard" not in guest.tree.read("/var/log/messages").decode()


# --- network and kernel -------------------------------------------------------------------------


def test_ifconfig_looks_as_recorded(screen: Screen) -> None:
    guest = up_and_provisioned(screen)

    def recorded(name: str) -> list[str]:
        text = (RECORDED / f"ifconfig_{name}.txt").read_text()
        block = text[text.index("vtnet1:") :].split("lo0:")[0]
        return [line for line in block.splitlines() if "inet6" not in line and "nd6" not in line]

    def shown() -> list[str]:
        lines = run(guest, "ifconfig vtnet1")[1].splitlines()
        return [line for line in lines if "nd6" not in line]

    assert shown() == recorded("plain")
    guest.world.plug("skunk1", plugged=False)
    assert shown() == recorded("no_carrier")
    assert "vtnet1: link state changed to DOWN" in screen.text
    guest.world.plug("skunk1", plugged=True)
    run(guest, "ifconfig vtnet1 down")
    down = [
        line.replace("c0:a8:02", "c0:a8:01").replace("0.2 n", "0.1 n") for line in recorded("down")
    ]
    assert shown() == down
    assert not guest.nics["vtnet1"].up
    assert run(guest, "ifconfig nosuch") == (
        1,
        "",
        "ifconfig: interface nosuch does not exist\n",
    )


def test_kldstat_and_kldload_are_as_recorded(screen: Screen) -> None:
    guest = make(screen)
    start(guest)
    assert run(guest, "kldload -n zfs geom_gate") == (0, "", "")
    assert run(guest, "kldstat")[1] == (
        "Id Refs Address                Size Name\n"
        " 1   13 0xffffffff80200000  213e2a0 kernel\n"
        " 2    1 0xffffffff82600000   3c0778 zfs.ko\n"
        " 3    1 0xffffffff82518000     4538 geom_gate.ko\n"
    )
    assert run(guest, "kldload zfs") == (
        1,
        "",
        "kldload: can't load zfs: module already loaded or in kernel\n",
    )


def test_what_the_model_does_not_know_is_a_gap(screen: Screen) -> None:
    guest = make(screen)
    start(guest)
    for line in ("kldload pflog", "service pf onestart", "ifconfig lo1 create", "init 9"):
        assert run(guest, line)[0] == 127, line
    assert len(guest.world.gaps) == 4


def test_a_directory_has_the_names_that_its_paths_have() -> None:
    """Whatever was done to them since it was asked first, and in a copy of them."""
    rng = random.Random(3)
    entry = Entry("file", b"")
    entries = Entries({"/": DIRECTORY})
    entries.names("/")
    paths = ["/a", "/a/b", "/a/c", "/a/b/d", "/e", "/ab"]
    for _ in range(500):
        path = rng.choice(paths)
        match rng.randrange(8):
            case 0:
                entries[path] = entry
            case 1:
                entries.setdefault(path, entry)
            case 2:
                entries.pop(path, None)
            case 3 if path in entries:
                del entries[path]
            case 4:
                entries.update({path: entry})
            case 5:
                entries |= {path: entry}
            case 6 if entries:
                entries.popitem()
            case 7 if rng.random() < 0.1:
                entries.clear()
        for each in (entries, copy.deepcopy(entries)):
            for folder in ("/", "/a", "/a/b", "/none"):
                below = folder.rstrip("/") + "/"
                names = {p.removeprefix(below) for p in each if p.startswith(below)} - {""}
                assert each.names(folder) == sorted(n for n in names if "/" not in n)
