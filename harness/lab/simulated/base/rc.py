"""rc(8): /etc/rc.conf, and how the services of the base system start and stop."""

from __future__ import annotations

import functools
import posixpath
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.lab.simulated.base import configuration
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel import release
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.task import Daemon
from harness.lab.simulated.shell.parser import Function, Pipeline, Sequence, Simple, parse

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

RC_CONF = "/etc/rc.conf"


@functools.cache
def defaults() -> Mapping[str, str]:
    """What /etc/defaults/rc.conf sets, and kld_list, which it has in a comment."""
    return MappingProxyType({**release.load().rc_conf, "kld_list": ""})


@functools.lru_cache(maxsize=256)
def parse_conf(text: str) -> Mapping[str, str]:
    """The variables that a file of rc.conf(5)'s kind sets."""
    return read_conf(text)[0]


@functools.lru_cache(maxsize=256)
def read_conf(text: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The variables that a file of rc.conf(5)'s kind sets, and its lines that do anything else.

    It is a script for sh(1): the model takes values as they stand, and no commands.
    """
    found: dict[str, str] = {}
    others: list[str] = []
    script = parse(text)
    for command in script.commands:
        for each in command.commands if isinstance(command, Sequence) else (command,):
            if isinstance(each, Pipeline) and len(each.commands) == 1 and not each.negated:
                each = each.commands[0]  # noqa: PLW2901
            if isinstance(each, Function):
                continue  # of what a service's start runs, see `Rc.of_start`
            if not isinstance(each, Simple) or each.words or each.redirections:
                others.append(getattr(each, "text", "") or type(each).__name__.lower())
                continue
            for assignment in each.assignments:
                if assignment.word.plain is None:
                    others.append(f"{assignment.name}=... to be expanded")
                else:
                    found[assignment.name] = assignment.word.plain
    if script.error is not None:
        others.append(script.error)
    return MappingProxyType(found), tuple(others)


@functools.lru_cache(maxsize=256)
def _merged(*files: bytes) -> Mapping[str, str]:
    """The defaults and what files say after them."""
    found = dict(defaults())
    for data in files:
        found.update(parse_conf(data.decode(errors="replace")))
    return MappingProxyType(found)


@dataclass(frozen=True)
class Service:
    """A script in /etc/rc.d."""

    name: str
    description: str
    rcvar: str | None
    command: str = ""
    """The daemon's program; empty for a script that only does something."""
    flags: str = ""
    """The variable with its arguments."""
    extra: tuple[str, ...] = ()
    pid_file: str = ""

    @property
    def directives(self) -> str:
        """What its usage lists after the prefixes."""
        usual = "start stop restart rcvar enable disable delete enabled describe extracommands"
        more = ("status", "poll") if self.command else ()
        return "|".join((*usual.split(), *self.extra, *more))


_SERVICES = (
    Service(
        "cron",
        "Daemon to execute scheduled commands",
        "cron_enable",
        "/usr/sbin/cron",
        "cron_flags",
        pid_file="/var/run/cron.pid",
    ),
    Service(
        "devd",
        "Device state change daemon",
        "devd_enable",
        "/sbin/devd",
        "devd_flags",
        pid_file="/var/run/devd.pid",
    ),
    Service(
        "hastd",
        "Highly Available Storage daemon",
        "hastd_enable",
        "/sbin/hastd",
        "hastd_flags",
        ("reload",),
        "/var/run/hastd.pid",
    ),
    Service("hostid", "Generate a unique host ID", "hostid_enable", extra=("reset",)),
    Service("hostid_save", "Save unique host ID to disk", "hostid_enable"),
    Service("hostname", "Set the system's hostname", None),
    Service("inetd", 'Internet "super-server"', "inetd_enable", "/usr/sbin/inetd", "inetd_flags"),
    Service("kld", "Load kernel modules", None),
    Service(
        "netif",
        "Network interface setup",
        "netif_enable",
        extra=("cloneup", "clonedown", "clear", "vnetup", "vnetdown"),
    ),
    Service("newsyslog", "Logfile rotation", "newsyslog_enable"),
    Service("ntpdate", "Set the date and time via NTP", "ntpdate_enable"),
    Service("pf", "Packet filter", "pf_enable", extra=("check", "reload", "resync", "status")),
    Service("powerd", "Modify the power profile", "powerd_enable", "/usr/sbin/powerd"),
    Service(
        "sshd",
        "Secure Shell Daemon",
        "sshd_enable",
        "/usr/sbin/sshd",
        "sshd_flags",
        ("configtest", "keygen", "reload"),
        "/var/run/sshd.pid",
    ),
    Service(
        "syslogd",
        "System log daemon",
        "syslogd_enable",
        "/usr/sbin/syslogd",
        "syslogd_flags",
        ("reload",),
        "/var/run/syslog.pid",
    ),
    Service("zfs", "Mount and share ZFS datasets", "zfs_enable"),
    Service("zpool", "Import ZPOOLs", "zfs_enable"),
)

SERVICES = {service.name: service for service in _SERVICES}

_OF_ALL_SERVICES = (
    *("chdir", "chroot", "cpuset", "env", "env_file", "fib", "group", "groups", "limits"),
    *("login_class", "nice", "oomprotect", "prepend", "setup", "umask", "user"),
)
"""What rc.subr(8) takes for any service as NAME_WHAT, besides flags and program."""

_HOOKS = (
    *("command", "extra_commands", "pidfile", "required_dirs", "required_files"),
    *("required_modules", "required_vars", "start_cmd", "stop_cmd", "stop_precmd", "stop_postcmd"),
    *("reload_cmd", "reload_precmd", "reload_postcmd", "status_cmd", "poll_cmd"),
    *("restart_cmd", "restart_precmd", "restart_postcmd", "sig_stop", "sig_reload"),
)
"""What a file of rc.conf.d may set over a script, besides start_precmd and start_postcmd."""


class PlainDaemon(Daemon):
    """A daemon that does nothing the model cares about, but runs, and ends when told to."""

    def __init__(self, guest: Guest, service: str, title: str) -> None:
        self.guest = guest
        self.service = service
        self.title = title
        self.pid = guest.next_pid()
        self.pid_files: tuple[str, ...] = ()
        """What a daemon(8) removes when its program has ended."""
        guest.daemons[self.pid] = self

    def signal(self, number: int) -> None:
        """SIGHUP makes it read its configuration again; the usual others end it."""
        if number in {0, 17, 18, 19, 20, 23, 28, 29, 30, 31}:
            return
        if number == 1:
            if self.service == "syslogd":
                self.guest.system.syslog.reload()
            return
        self.guest.daemons.pop(self.pid, None)
        self.guest.system.daemon_ended(self)


class Rc:
    """The services of one boot."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    # --- configuration --------------------------------------------------------------------------

    def conf(self, service: str = "") -> Mapping[str, str]:
        """The variables that a script sees: defaults, rc.conf and its own file."""
        files = [RC_CONF, "/etc/rc.conf.local"]
        if service:
            files += [f"/etc/rc.conf.d/{service}", f"/usr/local/etc/rc.conf.d/{service}"]
        entries = (self._guest.root.entries.get(path) for path in files)
        return _merged(*(entry.data for entry in entries if entry and entry.kind == "file"))

    def of_start(self, service: Service) -> None:
        """Note what rc.conf asks of a service's start that the model does not do (rc.subr(8))."""
        conf = self.conf(service.name)
        for name in (*(f"{service.name}_{what}" for what in _OF_ALL_SERVICES), *_HOOKS):
            if (value := conf.get(name, "")) != defaults().get(name, ""):
                self._guest.world.note_gap(self._guest.name, RC_CONF, f"{name}={value}")

    def enabled(self, service: Service) -> bool:
        """Whether its variable says yes (rc.subr's checkyesno)."""
        if service.rcvar is None:
            return True
        value = self.conf(service.name).get(service.rcvar, "NO")
        return value.lower() in {"yes", "true", "on", "1"}

    # --- what runs ------------------------------------------------------------------------------

    def pid_of(self, service: Service) -> int | None:
        """The process that its pid file names, if that is the right program."""
        if not service.pid_file:
            return None
        entry = self._guest.root.entries.get(service.pid_file)
        text = entry.data.decode("ascii", "replace").split() if entry is not None else []
        if not text or not text[0].isdecimal():
            return None
        pid = int(text[0])
        daemon = self._guest.daemons.get(pid)
        if daemon is None:
            return None
        name = posixpath.basename(service.command)
        program = posixpath.basename(daemon.title.split()[0]).rstrip(":")
        return pid if program == name else None

    def start(
        self, service: Service, say: Callable[[str], None], warn: Callable[[str], None]
    ) -> int:
        """Do what the script does for `start`, after the check of its variable."""
        self.of_start(service)
        configuration.of_service(self._guest, service.name)
        if service.command:
            return self._start_daemon(service, say, warn)
        match service.name:
            case "hostid":
                self.set_host_id(say)
            case "hostname":
                self._set_hostname(say, warn)
            case "kld":
                self.load_modules(say)
            case "zpool":
                self._guest.system.kernel.load("zfs")
                self._guest.zfs.boot_import()
            case "zfs" | "hostid_save":
                pass
            case _:
                raise NotModelled(f"service {service.name} start")
        return 0

    def _start_daemon(
        self, service: Service, say: Callable[[str], None], warn: Callable[[str], None]
    ) -> int:
        if service.name == "hastd":
            if "/etc/hast.conf" not in self._guest.root.entries:
                warn("/etc/rc.d/hastd: WARNING: /etc/hast.conf is not readable.")
                return 1
            self._guest.system.kernel.load("geom_gate")
        if service.name == "sshd":
            say("Performing sanity check on sshd configuration.")
        conf = self.conf(service.name)
        say(f"Starting {service.name}.")
        flags = conf.get(service.flags, "")
        if service.name == "hastd":
            return self._start_hastd(conf, flags, say, warn)
        title = _TITLES.get(service.name, f"{service.command} {flags}".strip())
        daemon = PlainDaemon(self._guest, service.name, title)
        self.write_pid(service.pid_file, daemon.pid)
        self._guest.system.daemon_started(daemon, flags)
        return 0

    def _start_hastd(
        self,
        conf: Mapping[str, str],
        flags: str,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> int:
        program = conf["hastd_program"]
        words = shlex.split(f"{flags} {conf.get('command_args', '')}")
        if program == "/usr/sbin/daemon":
            start_under_daemon(self._guest, words)
            return 0
        if program != "/sbin/hastd":
            raise NotModelled(f"hastd_program={program}")
        errors: list[str] = []
        echoed: list[str] = []
        status = start_hastd(self._guest, words, errors, echoed)
        for line in filter(None, echoed):
            say(line)
        for line in errors:
            warn(line)
        if status:
            warn("/etc/rc.d/hastd: WARNING: failed to start hastd")
        return min(status, 1)

    def write_pid(self, path: str, pid: int) -> None:
        """Write a pid file, unless the file system does not let it."""
        if path:
            try:
                self._guest.tree.write(path, str(pid).encode(), mode=0o600)
            except FileError:
                return

    # --- what a boot does -----------------------------------------------------------------------

    def set_host_id(self, say: Callable[[str], None]) -> None:
        """As rc.d/hostid: from /etc/hostid, else from the firmware."""
        system = self._guest.system
        entry = self._guest.root.entries.get("/etc/hostid")
        text = entry.data.decode("ascii", "replace").strip() if entry is not None else ""
        system.kernel.set_host_uuid(text or system.kernel.environment["smbios.system.uuid"])
        say(f"Setting hostuuid: {system.kernel.host_uuid}.")
        say(f"Setting hostid: 0x{system.kernel.host_id:08x}.")

    def _set_hostname(self, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        name = self.conf("hostname")["hostname"]
        if name:
            say(f"Setting hostname: {name}.")
            self._guest.system.set_hostname(name)
        elif not self._guest.system.hostname and not self.dhcp_interfaces():
            warn("/etc/rc: WARNING: $hostname is not set -- see rc.conf(5).")

    def dhcp_interfaces(self) -> list[str]:
        """The interfaces that rc.conf wants DHCP for."""
        conf = self.conf("netif")
        return [
            name
            for name in self._guest.system.network.interfaces
            if "DHCP" in conf.get(f"ifconfig_{name}", "").upper().split()
            or "SYNCDHCP" in conf.get(f"ifconfig_{name}", "").upper().split()
        ]

    def load_modules(self, say: Callable[[str], None]) -> None:
        """Load what kld_list names."""
        names = self.conf("kld")["kld_list"].split()
        say("Loading kernel modules:")
        for name in names:
            if self._guest.system.kernel.load(name) == "ENOENT":
                say(f"kldload: can't load {name}: No such file or directory")


_TITLES = {
    "cron": "/usr/sbin/cron -s",
    "sshd": "sshd: /usr/sbin/sshd [listener] 0 of 10-100 startups (sshd)",
}
"""As ps(1) shows those whose title is not their command line (13.2)."""


def start_hastd(
    guest: Guest,
    words: list[str],
    errors: list[str] | None = None,
    echoed: list[str] | None = None,
) -> int:
    """Start hastd with its own arguments; else as `hastd.start`.

    Raises `NotModelled` for an argument that is not known.
    """
    from harness.lab.simulated.hast import hastd  # noqa: PLC0415 - hastd knows the guest

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


def start_under_daemon(guest: Guest, words: list[str]) -> None:
    """What daemon(8) does with these arguments."""
    options, command = split_daemon_arguments(words)
    if not command:
        raise NotModelled("daemon without a command")
    if posixpath.basename(command[0]) == "hastd":
        supervisor = PlainDaemon(guest, "daemon", f"daemon: {command[0]} (daemon)")
        guest.system.supervisors["hastd"] = supervisor.pid
        supervisor.pid_files = tuple(options[letter] for letter in "pP" if letter in options)
        guest.system.rc.write_pid(options.get("P", ""), supervisor.pid)
        if start_hastd(guest, command[1:]):
            guest.world.schedule(guest, guest.rng.uniform(0.01, 0.05), guest.system.reap)
        for pid, daemon in guest.daemons.items():
            if daemon is guest.hastd:
                supervisor.title = f"daemon: {command[0]}[{pid}] (daemon)"
                guest.system.rc.write_pid(options.get("p", ""), pid)
        return
    process = guest.system.spawn(shlex.join(command))
    guest.system.rc.write_pid(options.get("p", ""), process.pid)


def split_daemon_arguments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options of daemon(8) and the command. Raises `NotModelled` for those that restart it."""
    options: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        while len(word) > 1:
            letter, word = word[1], "-" + word[2:]
            if letter in "cfS":
                options[letter] = ""
            elif letter in "pPlsTtmo":
                value = word[1:]
                if not value and rest:
                    value = rest.pop(0)
                options[letter] = value
                word = "-"
            else:
                raise NotModelled(f"daemon -{letter}")
    return options, rest
