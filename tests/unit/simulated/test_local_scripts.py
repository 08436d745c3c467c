"""Scripts in /usr/local/etc/rc.d: what a boot starts, a shutdown stops, and in which order."""

from __future__ import annotations

import pytest

from harness.cluster.pair import Pair
from harness.freebsd.hast.hastctl import Role
from harness.lab.simulated.base.rc.rcorder import levels
from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.kernel import release
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.release import Headers
from harness.lab.simulated.shell.programs import COMMANDS, Context
from tests.unit.simulated import test_system
from tests.unit.simulated.test_system import Screen, run, up_and_provisioned

screen = test_system.screen

FOLDER = "/usr/local/etc/rc.d"


def script(name: str, *headers: str, body: str = "") -> str:
    """A script as ports install them; what it does is said on the console."""
    lines = "".join(f"# {header}\n" for header in headers)
    return f"""\
#!/bin/sh
{lines}
. /etc/rc.subr
given=$1
name={name}
rcvar={name}_enable
start_cmd={name}_start
stop_cmd="echo {name} ends"
{name}_start()
{{
	echo "{name} begins, $0 $given $rc_service autoboot=$autoboot"
	{body}
}}
load_rc_config $name
: ${{{name}_enable:=NO}}
run_rc_command "$1"
"""


def rebooted(guest: Guest, screen: Screen, within: float = 60.0) -> list[str]:
    """What the console showed of a boot after the power came back."""
    guest.root.write_all()
    guest.power_cut()
    guest.power_on()
    screen.text = ""
    guest.world.pass_time(within)
    return screen.text.splitlines()


def install(guest: Guest, scripts: dict[str, str], mode: int = 0o555) -> None:
    guest.tree.make_directory(FOLDER, parents=True)
    for name, text in scripts.items():
        guest.tree.write(f"{FOLDER}/{name}", text.encode(), mode=mode)


def enable(guest: Guest, *names: str) -> None:
    for name in names:
        run(guest, f"sysrc {name}_enable=YES")


_SERVICES = ("devd", "syslogd", "hastd", "cron", "sshd")


def what_began(shown: list[str]) -> list[str]:
    """The scripts and services that began, in order."""
    found = []
    for line in shown:
        first, _, rest = line.partition(" ")
        if rest.startswith("begins"):
            found.append(first)
        elif first == "Setting" and rest.startswith("hostname"):
            found.append("hostname")
        elif first == "Starting" and rest.rstrip(".") in _SERVICES:
            found.append(rest.rstrip("."))
    return found


def test_a_boot_starts_what_is_enabled_in_the_order_of_its_headers(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    install(
        guest,
        {
            "after": script("after", "PROVIDE: after", "REQUIRE: LOGIN", "KEYWORD: shutdown"),
            "early": script("early", "PROVIDE: early", "REQUIRE: NETWORKING"),
            "guard": script("guard", "PROVIDE: guard", "REQUIRE: early syslogd", "BEFORE: hastd"),
            "late": script("late", "PROVIDE: late", "REQUIRE: hastd", "BEFORE: LOGIN"),
            "alone": script("alone", "PROVIDE: alone"),
            "off": script("off", "PROVIDE: off"),
        },
    )
    enable(guest, "after", "early", "guard", "late", "alone")
    shown = rebooted(guest, screen)
    assert what_began(shown) == [
        *("alone", "hostname", "devd", "early", "syslogd", "guard", "hastd", "late", "cron"),
        *("sshd", "after"),
    ]
    assert f"early begins, /etc/rc faststart {FOLDER}/early autoboot=yes" in shown
    assert shown[-1].endswith("login: ")
    assert not guest.world.gaps


@pytest.mark.parametrize(
    ("name", "text", "mode"),
    [
        ("mine", script("mine", "REQUIRE: LOGIN"), 0o555),
        ("mine.sample", script("mine", "PROVIDE: mine"), 0o555),
        ("mine", script("mine", "PROVIDE: mine"), 0o444),
        ("mine", script("mine", "PROVIDE: mine", "KEYWORD: nostart"), 0o555),
        ("mine", script("mine", "PROVIDE: mine", "KEYWORD: firstboot"), 0o555),
        (".mine", script("mine", "PROVIDE: mine"), 0o555),
    ],
    ids=["no PROVIDE", "sample", "not executable", "nostart", "firstboot", "hidden"],
)
def test_what_a_boot_passes_over(screen: Screen, name: str, text: str, mode: int) -> None:
    """find_local_scripts_new of rc.subr(8), and what rc(8) tells rcorder(8) to skip."""
    guest = up_and_provisioned(screen)
    install(guest, {name: text}, mode)
    enable(guest, "mine")
    assert "mine" not in what_began(rebooted(guest, screen))
    assert not guest.world.gaps


def test_a_boot_waits_for_a_script_and_says_what_it_says(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    body = "warn 'no peer'; sleep 300; echo awake; exit 3"
    install(guest, {"slow": script("slow", "PROVIDE: slow", "REQUIRE: NETWORKING", body=body)})
    enable(guest, "slow")
    shown = rebooted(guest, screen, 200)
    assert shown[-1] == "/etc/rc: WARNING: no peer"
    assert not guest.sshd_up
    guest.world.pass_time(200)
    assert "awake" in screen.text.splitlines()
    assert guest.sshd_up


def test_a_power_cut_during_a_script_is_the_end_of_that_boot(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    slow = script("slow", "PROVIDE: slow", "BEFORE: then", body="sleep 300")
    install(guest, {"slow": slow, "then": script("then", "PROVIDE: then")})
    enable(guest, "slow", "then")
    assert what_began(rebooted(guest, screen, 100)) == ["slow"]
    run(guest, f"rm {FOLDER}/slow")
    assert what_began(rebooted(guest, screen, 100)) == [
        *("then", "hostname", "devd", "syslogd", "hastd", "cron", "sshd"),
    ]
    assert sum("login: " in line for line in screen.text.splitlines()) == 1


@pytest.mark.parametrize("command", ["stop_cmd='sleep 50'", None], ids=["script", "hastctl"])
def test_a_power_cut_during_a_shutdown_stops_nothing_more(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, command: str | None
) -> None:
    def hastctl(context: Context, arguments: list[str]) -> Program:
        yield 50.0
        return 0

    guest = up_and_provisioned(screen)
    if command is None:
        monkeypatch.setitem(COMMANDS, "hastctl", hastctl)
    else:
        text = script("slow", "PROVIDE: slow", "REQUIRE: LOGIN", "KEYWORD: shutdown")
        install(guest, {"slow": text.replace('stop_cmd="echo slow ends"', command)})
        enable(guest, "slow")
    run(guest, "shutdown -r now")
    guest.world.pass_time(20)
    screen.text = ""
    guest.power_cut()
    assert screen.text == ""


def test_a_shutdown_stops_those_that_ask_for_it_the_other_way_round(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    keyword = "KEYWORD: nojail shutdown"
    install(
        guest,
        {
            "after": script("after", "PROVIDE: after", "REQUIRE: LOGIN", keyword),
            "early": script("early", "PROVIDE: early", "REQUIRE: NETWORKING", keyword),
            "logs": script("logs", "PROVIDE: logs", "REQUIRE: newsyslog", keyword),
            "late": script("late", "PROVIDE: late", "REQUIRE: hastd", keyword),
            "unasked": script("unasked", "PROVIDE: unasked"),
            "first": script("first", "PROVIDE: first", keyword),
        },
    )
    enable(guest, "after", "early", "logs", "late", "unasked", "first")
    run(guest, "shutdown -r now")
    guest.world.pass_time(20)
    said = [
        line.rstrip(".")
        for line in screen.text.splitlines()
        if line.endswith(" ends") or line.startswith("Stopping")
    ]
    assert said == [
        *("after ends", "Stopping sshd", "Stopping cron", "late ends", "Stopping hastd"),
        *("logs ends", "early ends", "Stopping devd", "first ends"),
    ]
    assert not guest.world.gaps


def test_a_script_that_hangs_keeps_a_shutdown_until_the_watchdog_barks(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    text = script("stuck", "PROVIDE: stuck", "REQUIRE: LOGIN", "KEYWORD: shutdown").replace(
        'stop_cmd="echo stuck ends"', "stop_cmd='sleep 100'"
    )
    install(guest, {"stuck": text})
    enable(guest, "stuck")
    run(guest, "shutdown -r now")
    guest.world.pass_time(150)
    assert "90 second watchdog timeout expired. Shutdown terminated." in screen.text
    assert "Stopping sshd" not in screen.text
    assert "Rebooting..." not in screen.text


@pytest.mark.parametrize(
    ("name", "text", "gap"),
    [
        ("old.sh", "#!/bin/sh\necho here\n", f"{FOLDER}/old.sh"),
        (
            "knot",
            script("knot", "PROVIDE: knot", "REQUIRE: DAEMON", "BEFORE: hastd"),
            "rc.d: a circle",
        ),
    ],
)
def test_what_the_model_does_not_start_is_a_gap(
    screen: Screen, name: str, text: str, gap: str
) -> None:
    guest = up_and_provisioned(screen)
    install(guest, {name: text})
    rebooted(guest, screen)
    assert [each.what[: len(gap)] for each in guest.world.gaps] == [gap]


def test_the_order_of_the_base_system() -> None:
    """As rcorder(8) of 13.2 has it: 45 levels, of which these are some."""
    found = levels(release.load().rcorder)
    assert len(found) == 173
    assert max(found.values()) == 45
    names = "hostid zpool FILESYSTEMS hostname kld netif devd NETWORKING syslogd hastd DAEMON LOGIN"
    assert [found[name] for name in names.split()] == [
        *(2, 4, 14, 15, 16, 19, 20, 25, 30, 31, 39, 42),
    ]
    assert found["cron"] == found["sshd"] == 43


def test_headers_are_the_first_lines_of_their_kind() -> None:
    text = (
        "#!/bin/sh\n# a note\n# PROVIDE: one two\n# REQUIRES: three\n# REQUIRE: four\n"
        "# BEFORE:\tfive\n# KEYWORD: shutdown\n\n# BEFORE: six\n"
    )
    assert Headers.of(text) == Headers(("one", "two"), ("three", "four"), ("five",), ("shutdown",))
    one, two = Headers(("one",), ("two",)), Headers(("two",), ("one",))
    with pytest.raises(NotModelled, match=r"one waits for two waits for one"):
        levels({"one": one, "two": two})


def test_a_script_that_requires_hastd_starts_when_hastctl_is_answered(pair: Pair) -> None:
    """The start_postcmd of provision/hastd.rc.conf waits for that at a boot, too."""
    node = pair.skunk2
    text = script("ours", "PROVIDE: ours", "REQUIRE: hastd", body="hastctl role secondary mirror")
    node.run("mkdir", "-p", FOLDER)
    node.put(f"{FOLDER}/ours", text.encode(), "0555")
    node.run("sysrc", "ours_enable=YES")
    node.reboot()
    assert pair.role(node) is Role.SECONDARY


def test_a_hastd_that_ends_at_once_holds_up_no_boot(screen: Screen) -> None:
    guest = up_and_provisioned(screen)
    run(guest, "sysrc hastd_enable=YES")
    guest.tree.write("/etc/hast.conf", b"resource {\n")
    assert rebooted(guest, screen)[-1].endswith("login: ")
