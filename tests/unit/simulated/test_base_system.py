"""Whatever FreeBSD's base system has is modelled or a gap; what it has not is not found."""

from __future__ import annotations

import copy
import posixpath
import shlex
from dataclasses import FrozenInstanceError
from functools import cache

import pytest

from harness.lab.simulated import features
from harness.lab.simulated.kernel import release
from harness.lab.simulated.kernel.files import DIRECTORY, Entry
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.shell import interpreter as shell
from harness.lab.simulated.shell.programs import COMMANDS
from tests.unit.simulated.storage import whole

NAMES = release.load()
features.load_all()


@cache
def _installed() -> Guest:
    """A node before its first boot, beside another one."""
    return whole().guests["skunk1"]


@cache
def _booted() -> Guest:
    guest = copy.deepcopy(_installed().world).guests["skunk1"]
    _boot(guest)
    return guest


@pytest.fixture
def guest() -> Guest:
    """A node that is up."""
    return copy.deepcopy(_booted().world).guests["skunk1"]


def _boot(guest: Guest) -> None:
    guest.power_on()
    guest.world.pass_time(60.0)
    assert guest.sshd_up


def _run(guest: Guest, line: str, within: float = 30.0) -> Process:
    process = Process(guest, line)
    process.feed(b"")
    process.start(shell.run_line(process, line))
    until = guest.world.now + within
    while process.status is None and guest.world.now < until and guest.world.next_at() is not None:
        guest.world.step()
    assert process.failure is None
    return process


def _gaps(guest: Guest) -> list[str]:
    return [gap.what for gap in guest.world.gaps]


# --- programs -----------------------------------------------------------------------------------


def test_the_list_is_that_of_a_whole_installation() -> None:
    by_folder = {
        folder: sum(posixpath.dirname(path) == folder for path in NAMES.programs)
        for folder in ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
    }
    assert by_folder == {"/bin": 46, "/sbin": 149, "/usr/bin": 482, "/usr/sbin": 292}
    assert len(NAMES.rc_scripts) == 173
    present = (
        "/usr/bin/lockf /usr/bin/sockstat /usr/sbin/jail /usr/bin/cc /usr/sbin/bhyve /rescue/sh"
    )
    assert set(present.split()) <= NAMES.programs
    # Ports, and what other releases have.
    absent = "/usr/bin/bash /usr/bin/perl /usr/sbin/ucarp /usr/bin/svnlite /usr/bin/python3"
    assert not set(absent.split()) & NAMES.programs
    modelled = {name for name in COMMANDS if "/" not in name}
    assert modelled <= {posixpath.basename(path) for path in NAMES.programs}


def test_each_program_of_the_base_system_is_there_and_modelled_or_a_gap(guest: Guest) -> None:
    folders = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
    paths = sorted(path for path in NAMES.programs if posixpath.dirname(path) in folders)
    seen = _run(
        guest, "".join(f"test -x {each} || echo {each}\n" for each in map(shlex.quote, paths))
    )
    assert (seen.status, bytes(seen.stdout), bytes(seen.stderr)) == (0, b"", b"")
    names = [name for path in paths if (name := posixpath.basename(path)) not in COMMANDS]
    assert len(names) > 800
    for name in set(names) - set(shell.BUILTINS):
        guest.world.gaps.clear()
        process = _run(guest, f"{shlex.quote(name)} -x y")
        assert b"not found" not in process.stderr
        assert _gaps(guest) == [name]


@pytest.mark.parametrize("folder", ["/etc/rc.d/", "service "])
def test_each_rc_script_is_modelled_or_a_gap(guest: Guest, folder: str) -> None:
    for name in NAMES.rc_scripts:
        guest.world.gaps.clear()
        process = _run(guest, f"{folder}{name} onestatus")
        said = bytes(process.stdout + process.stderr)
        assert b"not found" not in said
        assert b"does not exist" not in said
        if name not in {"cron", "devd", "hastd", "inetd", "powerd", "sshd", "syslogd"}:
            assert _gaps(guest) or b"unknown directive 'onestatus'" in said, name


@pytest.mark.parametrize(
    "line",
    [
        "lpq -t 0 F true || echo another instance",
        "systat -l | grep -q 8457 || echo nobody listens",
        "/etc/rc.d/nfsd forcestop; echo on",
        "service nfsd onestart; echo on",
        "(lpq -t 0 F true) 2>/dev/null; echo on",
        "x=$(systat -l); echo on",
        "timeout 5 lpq -t 0 F true; echo on",
        "env A=b lpq -t 0 F true; echo on",
        "echo F | xargs lpq -t 0; echo on",
        "find /etc/fstab -exec lpq -t 0 {} \\; ; echo on",
        "sh -c 'lpq -t 0 F true'; echo on",
        "eval lpq -t 0 F true; echo on",
        "f() { lpq -t 0 F true; }; f || echo on",
        "printf 'lpq -t 0 F true\\n' > s; chmod +x s; ./s; echo on",
        "ln -s /usr/bin/lpq l; ./l -t 0 F true; echo on",
        "mv /usr/bin/lpq /root/l; ./l -t 0 F true; echo on",
        "/rescue/vi x; echo on",
        "/usr/libexec/atrun; echo on",
        "cat /etc/defaults/rc.conf | grep -q nfs || echo on",
        "grep -q hast /etc/protocols || echo on",
        ". /etc/network.subr; echo on",
        "cp /bin/sleep /root/x; echo on",
        "test -s /etc/protocols; echo on",
        "ls -l /usr/bin/lockf; echo on",
        "ls /usr/share/examples; echo on",
        "[ -f /usr/share/examples/hast/ucarp.sh ] || echo on",
        "echo /usr/share/*; echo on",
        "[ -e /usr/lib/libc.a ] || echo on",
        "test -e /dev/diskid/DISK-x || echo on",
        "head -c 1 /dev/mem; echo on",
        "kldload nullfs || echo on",
        "kldload /boot/kernel/tmpfs.ko || echo on",
        "kldstat -q -m g_part || echo on",
        "sysctl kern.maxfiles; echo on",
        "kldload carp; sysctl net.inet.carp.stats; echo on",
        "sysctl kern.securelevel=1; echo on",
        "service -e; echo on",
        "ifconfig vtnet1 inet6 vhid 1 alias 2001:db8::1; echo on",
        "ifconfig bridge0 create; echo on",
        "crontab -l; echo on",
        "pkg info; echo on",
    ],
)
def test_what_the_model_lacks_is_a_gap_and_no_branch_is_taken(guest: Guest, line: str) -> None:
    process = _run(guest, line)
    assert _gaps(guest)
    assert b"not found" not in process.stdout + process.stderr
    assert not process.stdout.endswith(b"on\n") or "timeout" in line
    assert b"another instance" not in process.stdout
    assert b"nobody" not in process.stdout


def test_a_gap_in_the_background_or_of_a_process_of_its_own_is_noted(guest: Guest) -> None:
    process = _run(guest, "lpq -t 0 F true >/dev/null 2>&1 & echo on")
    assert bytes(process.stdout) == b"on\n"
    guest.world.pass_time(5.0)
    assert _gaps(guest) == ["lpq"]
    guest.world.gaps.clear()
    shell.spawn(guest, "systat -l")
    guest.world.pass_time(5.0)
    assert _gaps(guest) == ["systat"]


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("[ -x /usr/bin/lockf ] && echo there", "there"),
        (
            "which lockf; command -v lockf; type lockf",
            "/usr/bin/lockf\n/usr/bin/lockf\nlockf is /usr/bin/lockf",
        ),
        ("ls /usr/bin/lockf", "/usr/bin/lockf"),
        ("[ -f /etc/rc.d/nfsd ] && [ -x /etc/rc.d/nfsd ] && echo there", "there"),
        ("[ -f /boot/kernel/if_bridge.ko ] && echo there", "there"),
        ("[ -u /usr/bin/su ] && ! [ -u /bin/ls ] && echo set", "set"),
        ("[ -c /dev/console ] && [ ! -e /dev/ada0 ] && echo there", "there"),
        ("[ -e /etc/pf.conf ] || [ -e /etc/rc.local ] || echo neither", "neither"),
        ("service -l | grep -c .", "174"),
        ("service -l | grep -x nfsd; service -l | grep -x nosuch", "nfsd"),
        ("/usr/bin/pgrep -q nosuch || echo none", "none"),
        ("/rescue/echo a", "a"),
        ("/etc/rc.d/sshd onestatus | cut -c 1-15", "sshd is running"),
        ("kldload nosuch 2>&1", "kldload: can't load nosuch: No such file or directory"),
        ("sysctl nosuch.name 2>&1", "sysctl: unknown oid 'nosuch.name'"),
        ("sysrc nfs_server_enable", "nfs_server_enable: NO"),
        ("sysrc nosuch_enable 2>&1", "sysrc: unknown variable 'nosuch_enable'"),
        ("bash -c true 2>&1", "sh: bash: not found"),
        ("[ -x /usr/local/bin/ucarp ] || echo not installed", "not installed"),
        (
            "rm /usr/bin/lockf; lockf x 2>&1; [ -e /usr/bin/lockf ] || echo gone",
            "sh: lockf: not found\ngone",
        ),
        ("printf 'echo mine\\n' >l; chmod +x l; mv l /usr/bin/lockf; lockf", "mine"),
    ],
)
def test_what_can_be_answered_by_the_name_is_answered(
    guest: Guest, line: str, printed: str
) -> None:
    process = _run(guest, line)
    assert bytes(process.stdout).decode() == printed + "\n"
    assert bytes(process.stderr) == b""
    assert not guest.world.gaps


_DANGEROUS = frozenset({"fastboot", "fasthalt", "halt", "init", "poweroff", "reboot", "shutdown"})


@pytest.mark.parametrize("name", sorted(set(NAMES.options) & set(COMMANDS) - _DANGEROUS))
def test_no_option_of_freebsd_is_called_illegal(guest: Guest, name: str) -> None:
    letters, _, _ = NAMES.options[name].partition(" ")
    for letter in letters.replace(":", ""):
        guest.world.gaps.clear()
        process = _run(guest, f"{name} -{letter}")
        said = bytes(process.stderr).lower()
        illegal = b"illegal option" in said or b"invalid option" in said
        assert not illegal or _gaps(guest), letter


# --- configuration ------------------------------------------------------------------------------


def _boot_with(files: dict[str, str], mode: int = 0o755) -> Guest:
    """A node that booted with some files, or lines at the end of some."""
    guest = copy.deepcopy(_installed().world).guests["skunk1"]
    entries = guest.root.entries
    for path, text in files.items():
        folder = posixpath.dirname(path)
        while folder not in entries:
            entries[folder] = DIRECTORY
            folder = posixpath.dirname(folder)
        before = entries[path].data if path in _CONTINUED else b""
        entries[path] = Entry("file", before + text.encode(), mode)
    guest.root.write_all()
    _boot(guest)
    return guest


_CONTINUED = frozenset({"/etc/rc.conf", "/boot/loader.conf", "/etc/fstab"})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/rc.conf", 'ifconfig_vtnet1_alias0="inet6 2001:db8::1 vhid 1"'),
        ("/etc/rc.conf", 'ifconfig_vtnet1="DHCP"'),
        ("/etc/rc.conf", 'ifconfig_vtnet1_ipv6="inet6 2001:db8::1/64"'),
        ("/etc/rc.conf", 'ipv4_addrs_vtnet1="192.168.0.1/24"'),
        ("/etc/rc.conf", 'cloned_interfaces="bridge0"'),
        ("/etc/rc.conf", 'defaultrouter="192.168.0.254"'),
        ("/etc/rc.conf", "nfs_server_enable=YES"),
        ("/etc/rc.conf", "pf_enable=YES"),
        ("/etc/rc.conf", "ucred_x=1\nzfsd_enable=YES"),
        ("/etc/rc.conf", "netif_enable=NO"),
        ("/etc/rc.conf", "clear_tmp_enable=YES"),
        ("/etc/rc.conf", "sshd_flags=-v"),
        ("/etc/rc.conf", "cron_user=nobody"),
        ("/etc/rc.conf", "kld_list=nullfs"),
        ("/etc/rc.conf", 'a=b\nhostname="$a"'),
        ("/etc/rc.conf", "if true; then hostname=x; fi"),
        ("/etc/rc.conf", "static_routes=a\nroute_a=x"),
        ("/etc/rc.conf.d/sshd", "f() { echo here; }\nstart_precmd=f"),
        ("/etc/rc.conf.d/cron", "f() { echo here; }\nstop_cmd=f"),
        ("/etc/rc.conf.d/nfsd", "nfs_server_enable=YES"),
        ("/etc/rc.conf.local", "powerd_enable=YES"),
        ("/etc/rc.local", "echo here"),
        ("/etc/rc.d/hastd", "echo here"),
        ("/etc/rc.d/mine", "echo here"),
        ("/usr/local/etc/rc.d/mine.sh", "echo here"),
        ("/etc/start_if.vtnet1", "echo here"),
        ("/etc/fstab", "/dev/hast/mirror /failover ufs rw 2 2"),
        ("/etc/sysctl.conf", "kern.maxfiles=10"),
        ("/etc/sysctl.conf", "kern.securelevel=1"),
        ("/boot/loader.conf", 'nullfs_load="YES"'),
        ("/boot/loader.conf", "kern.maxusers=64"),
        ("/boot/loader.conf", 'vfs.zfs.arc_max="1G"'),
        ("/boot/loader.conf", 'init_path="/rescue/init"'),
        ("/boot/loader.conf.local", "hint.ahci.0.msi=0"),
        ("/boot/device.hints", "hint.x.0=1"),
        ("/etc/devd/zfs.conf", "notify 30 { };"),
        ("/etc/crontab", "* * * * * root true"),
        ("/etc/cron.d/mine", "* * * * * root true"),
        ("/var/cron/tabs/root", "* * * * * true"),
        ("/etc/ssh/sshd_config", "Port 2222"),
    ],
)
def test_a_file_that_a_boot_obeys_and_the_model_does_not_is_a_gap(path: str, text: str) -> None:
    assert _boot_with({path: text + "\n"}).world.gaps


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/rc.conf", 'nfs_server_enable="NO"\nsendmail_enable=NONE # off\nmoused_enable=NO'),
        ("/etc/rc.conf", "keymap=de\nkeyrate=fast\nmy_own_variable=1\nucarp_enable=YES"),
        ("/etc/rc.conf", "ifconfig_em0=DHCP\nifconfig_em0_alias0='inet vhid 1'"),
        ("/etc/rc.conf", "ifconfig_vtnet1='inet 192.168.0.1 netmask 255.255.255.0'"),
        ("/etc/rc.conf", 'ifconfig_vtnet1_alias0="inet vhid 1 10.0.0.1/32"\nkld_list=carp'),
        ("/etc/rc.conf", "zfs_enable=YES; hastd_enable=NO\nkld_list='zfs geom_gate'"),
        ("/etc/rc.conf.d/hastd", "hastd_flags="),
        ("/usr/local/etc/rc.d/mine.sample", "# a note"),
        ("/etc/fstab", "/dev/hast/mirror /failover ufs rw,noauto 0 0"),
        ("/etc/sysctl.conf", "# kern.maxfiles=10\nnet.inet.ip.forwarding=1\nnosuch.name=1"),
        ("/boot/loader.conf", 'zfs_load="YES"\nautoboot_delay="2"\nnullfs_load="NO"\nmine=1'),
        ("/etc/devd/hast.conf", 'attach 30 { device-name "da[0-9]+"; action "true"; };'),
        ("/usr/local/etc/devd/hast.conf", "notify 30 { };"),
        ("/etc/devd.conf", 'options { pid-file "/var/run/devd.pid"; };'),
        ("/etc/devd/hast.conf.sample", "notify 30 { };"),
        ("/etc/pf.conf", "pass all"),
        ("/etc/exports", "/failover"),
        ("/etc/cron.d/mine", "# nothing\n"),
    ],
)
def test_a_file_that_nobody_reads_or_the_model_obeys_is_none(path: str, text: str) -> None:
    assert not _boot_with({path: text + "\n"}, 0o644).world.gaps


def test_rc_conf_and_loader_conf_are_obeyed() -> None:
    guest = _boot_with(
        {
            "/etc/rc.conf": "ifconfig_vtnet1='inet 192.168.7.1 netmask 0xfffffe00'\n",
            "/etc/sysctl.conf": "net.inet.ip.forwarding=1\n",
            "/boot/loader.conf": 'zfs_load="YES"\nmine="a b"\n',
        }
    )
    line = "ifconfig vtnet1 | grep -o 'netmask [^ ]*'; sysctl -n net.inet.ip.forwarding; kenv mine"
    process = _run(guest, f"{line}; kldstat -q -m zfs && echo zfs")
    assert bytes(process.stdout) == b"netmask 0xfffffe00\n1\na b\nzfs\n"


def test_cron_is_asked_when_it_looks(guest: Guest) -> None:
    _run(guest, "echo '* * * * * root true' > /etc/cron.d/mine; rm /etc/cron.d/mine")
    guest.world.pass_time(70.0)
    assert not guest.world.gaps
    _run(guest, "echo '* * * * * root true' > /etc/cron.d/mine")
    assert not guest.world.gaps
    guest.world.pass_time(70.0)
    assert _gaps(guest) == ["/etc/cron.d/mine"]


def test_a_snapshot_has_its_own_names_and_shares_the_files(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of some thousand entries one by one takes five times as long as the rest of it."""

    def copied(self: Entry, memo: object) -> Entry:
        raise AssertionError(f"a snapshot copies {self}")

    monkeypatch.setattr(Entry, "__deepcopy__", copied)
    guest.root.lose_power()
    again = copy.deepcopy(guest.world).guests["skunk1"]
    assert all(again.root.entries[path] is entry for path, entry in guest.root.entries.items())
    _run(again, "echo new > /root/new; sync; rm /etc/hosts")
    assert "/root/new" not in guest.root.entries
    assert "/etc/hosts" in guest.root.entries
    guest.root.lose_power()
    assert "/root/new" not in guest.root.entries
    again.root.lose_power()
    assert again.root.entries["/root/new"].data == b"new\n"
    assert "/etc/hosts" in again.root.entries


def test_entries_never_change(guest: Guest) -> None:
    """Snapshots share them."""
    for entry in (guest.root.entries["/etc/hosts"], guest.root.entries["/bin/sh"]):
        for name in ("kind", "data", "mode", "mtime", "target"):
            with pytest.raises(FrozenInstanceError):
                setattr(entry, name, None)
