"""service(8), sysrc(8) and daemon(8)."""

from __future__ import annotations

import posixpath
import re

from harness.lab.simulated.base.early import configure
from harness.lab.simulated.base.rc import start as rc
from harness.lab.simulated.base.rc.rc_conf import RC_CONF, conf, defaults, parse_conf
from harness.lab.simulated.base.rc.services import SERVICES, Service
from harness.lab.simulated.base.supervisor import Supervisors, start_under_daemon
from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.kernel.files import FileError, Unseen
from harness.lab.simulated.kernel.guest import MANAGEMENT
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.shell import programs as commands
from harness.lab.simulated.shell.interpreter import as_shell_context, execute
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.paths import entry_or_none
from harness.lab.simulated.shell.programs import Context, command

_SERVICE_USAGE = """
Usage:
service [-j <jail name or id>] -e
service [-j <jail name or id>] -R
service [-j <jail name or id>] [-v] -l | -r
service [-j <jail name or id>] [-v] <rc.d script> start|stop|etc.
service -h

-j\tPerform actions within the named jail
-e\tShow services that are enabled
-R\tStop and start enabled /usr/local/etc/rc.d services
-l\tList all scripts in /etc/rc.d and /usr/local/etc/rc.d
-r\tShow the results of boot time rcorder
-v\tVerbose
"""

_PREFIXES = ("fast", "force", "one", "quiet")


@command("service")
def service(context: Context, arguments: list[str]) -> Program:
    """Run a script of /etc/rc.d (messages and statuses recorded on 13.2)."""
    try:
        options = Options(arguments, "hlv")
    except BadOption as bad:
        raise NotModelled(f"service -{bad.letter}") from bad
    words = options.rest
    if "h" in options:
        context.print(_SERVICE_USAGE)
        return 0
    if "l" in options:
        return _list(context, verbose="v" in options)
    if len(words) < 2:
        context.print(_SERVICE_USAGE)
        return 1
    name, directive = words[0], words[1]
    path = _script(context, name)
    if path is None:
        context.print(f"{name} does not exist in /etc/rc.d or the local startup")
        context.print("directories (/usr/local/etc/rc.d), or is not executable")
        return 1
    if "v" in options:
        context.print(f"{name} is located in {posixpath.dirname(path)}")
    if path != f"/etc/rc.d/{name}" or not isinstance(entry_or_none(context.guest, path), Unseen):
        return (yield from execute(_as_service(context), [path, *words[1:]]))
    if name not in SERVICES:
        raise NotModelled(f"service {name} {directive}")
    yield context.guest.rng.uniform(0.05, 0.15)
    return (yield from _run(context, SERVICES[name], directive, words[2:]))


_FOLDERS = ("/etc/rc.d", "/usr/local/etc/rc.d")


def _script(context: Context, name: str) -> str | None:
    """Where a script is that may be run."""
    for folder in _FOLDERS:
        path = posixpath.join(folder, name)
        entry = entry_or_none(context.guest, path) if "/" not in name else None
        if entry is not None and entry.kind == "file" and entry.mode & 0o111:
            return path
    if "/" in name:
        raise NotModelled(f"service {name}")
    return None


def _as_service(context: Context) -> Context:
    """What service(8) lets a script have of its environment."""
    context = as_shell_context(context)
    context.environment = {"HOME": "/", "PATH": "/sbin:/bin:/usr/sbin:/usr/bin"}
    context.directory = "/"
    return context


def _list(context: Context, *, verbose: bool) -> int:
    for folder in _FOLDERS:
        if verbose:
            context.print(f"From {folder}:")
        entry = entry_or_none(context.guest, folder)
        if entry is not None and entry.kind == "dir":
            for name in context.guest.tree.names(folder):
                if not name.startswith("."):
                    context.print(name)
    return 0


@command("/etc/rc.d")
def rc_script(context: Context, arguments: list[str]) -> Program:
    """A script of /etc/rc.d by its own path: its name, then what it is given."""
    name, words = arguments[0], arguments[1:]
    if not words or name not in SERVICES:
        raise NotModelled(f"/etc/rc.d/{' '.join(arguments)}")
    yield context.guest.rng.uniform(0.05, 0.15)
    return (yield from _run(context, SERVICES[name], words[0], words[1:]))


def _run(context: Context, service: Service, directive: str, rest: list[str]) -> Program:
    prefix = next((p for p in _PREFIXES if directive.startswith(p)), "")
    action = directive.removeprefix(prefix)
    if action not in service.directives.split("|"):
        context.complain(f"/etc/rc.d/{service.name}: unknown directive '{directive}'.")
        context.complain(
            f"Usage: /etc/rc.d/{service.name} [fast|force|one|quiet]({service.directives})"
        )
        return 1
    context.guest.part(Supervisors).reap()
    if action in _ABOUT:
        return _about(context, service, action)
    if not rc.enabled(context.guest, service) and prefix not in {"one", "force"}:
        if prefix != "quiet":
            context.print(
                f"Cannot '{directive}' {service.name}. Set {service.rcvar} to YES in /etc/rc.conf "
                f"or use 'one{action}' instead of '{action}'."
            )
        return 0
    if service.name == "netif":
        return _netif(context, action, rest)
    return (yield from _act(context, service, action))


_ABOUT = frozenset({"describe", "extracommands", "enabled", "rcvar"})


def _about(context: Context, service: Service, action: str) -> int:
    """What a script says of itself, whether it is enabled or not."""
    if action == "describe":
        context.print(service.description)
    elif action == "extracommands":
        context.print(" ".join(service.extra))
    elif action == "rcvar":
        _print_rcvar(context, service)
    elif not rc.enabled(context.guest, service):
        return 1
    return 0


def _act(context: Context, service: Service, action: str) -> Program:
    if action == "stop":
        return (yield from _stop(context, service))
    if action == "restart":
        yield from _stop(context, service)
    elif action == "poll":
        return (yield from _poll(context, service))
    elif action != "start":
        return _at_once(context, service, action)
    return (yield from _start(context, service))


def _at_once(context: Context, service: Service, action: str) -> int:
    if action == "status" and "status" not in service.extra:
        return _status(context, service)
    if action == "reload":
        return _reload(context, service)
    if action == "configtest":
        context.print(service.before_start)
        return 0
    raise NotModelled(f"service {service.name} {action}")


def _print_rcvar(context: Context, service: Service) -> None:
    context.print(f"# {service.name} : {service.description}\n#")
    if service.rcvar is not None:
        shown = "YES" if rc.enabled(context.guest, service) else "NO"
        context.print(f'{service.rcvar}="{shown}"\n#   (default: "")\n')


def _start(context: Context, service: Service) -> Program:
    pid = rc.pid_of(context.guest, service)
    if pid is not None:
        context.complain(f"{service.name} already running?  (pid={pid}).")
        return 1
    if service.command and not service.pid_file:
        raise NotModelled(f"service {service.name} start")
    settings = conf(context.guest, service.name)
    if status := (yield from _hook(context, service, settings.get("start_precmd"))):
        return status
    if status := rc.start(context.guest, service, context.print, context.complain):
        return status
    while service.ready is not None and not service.ready(context.guest):
        yield 0.02
    return (yield from _hook(context, service, settings.get("start_postcmd")))


def _hook(context: Context, service: Service, function: str | None) -> Program:
    """Run a function that a file of rc.conf.d names for before or after a start."""
    if function is None:
        return 0
    path = f"/etc/rc.conf.d/{service.name}"
    return (yield from commands.run(context, "sh", ["-c", f'. "$0" && {function}', path]))


def _stop(context: Context, service: Service) -> Program:
    guest = context.guest
    if not service.command:
        if service.name == "zpool":
            context.complain("zpool not running?")
            return 1
        return 0
    pid = rc.pid_of(guest, service)
    if pid is None:
        where = f" (check {service.pid_file})." if service.pid_file else ""
        context.complain(f"{service.name} not running?{where}")
        return 1
    if service.before_stop and (
        yield from commands.run(context, service.before_stop[0], [*service.before_stop[1:]])
    ):
        return 1  # what its script does first has failed, so rc.subr(8) stops nothing
    context.print(f"Stopping {service.name}.")
    guest.daemons[pid].signal(15)
    if pid in guest.daemons:
        context.stdout += f"Waiting for PIDS: {pid}".encode()
        while pid in guest.daemons:
            yield 0.1
        context.print(".")
    guest.part(Supervisors).reap()
    return 0


def _status(context: Context, service: Service) -> int:
    pid = rc.pid_of(context.guest, service)
    if pid is None:
        context.print(f"{service.name} is not running.")
        return 1
    context.print(f"{service.name} is running as pid {pid}.")
    return 0


def _reload(context: Context, service: Service) -> int:
    pid = rc.pid_of(context.guest, service)
    if service.before_start:
        context.print(service.before_start)
    if pid is None:
        context.complain(f"{service.name} not running? (check {service.pid_file}).")
        return 1
    context.guest.daemons[pid].signal(1)
    return 0


def _poll(context: Context, service: Service) -> Program:
    guest = context.guest
    pid = rc.pid_of(guest, service)
    if pid is None:
        context.complain(f"{service.name} not running? (check {service.pid_file}).")
        return 1
    context.stdout += f"Waiting for PIDS: {pid}".encode()
    while pid in guest.daemons:
        yield 0.2
    context.print(".")
    return 0


def _netif(context: Context, action: str, names: list[str]) -> int:
    """Only a named interface: the others would take SSH away."""
    network = context.guest.part(Network)
    others = context.guest.nics.keys() - {MANAGEMENT}
    if action not in {"start", "stop", "restart"} or not names or not set(names) <= others:
        raise NotModelled(f"service netif {' '.join([action, *names])}")
    for name in names:
        if action in {"stop", "restart"}:
            while network.remove(name, None):
                pass
            network.set_up(name, up=False)
            context.print(f"Stopping Network: {name}.")
            context.print("\n".join(network.show(name)))
        if action in {"start", "restart"}:
            configure(context.guest, name)
            context.print(f"Starting Network: {name}.")
            context.print("\n".join(network.show(name)))
    return 0


# --- sysrc --------------------------------------------------------------------------------------

_SYSRC_USAGE = """\
Usage: sysrc [OPTIONS] {name[[+|-]=value] ... | -a | -A | -l | -L [name ...]}
Try `sysrc --help' for more information."""

_ASSIGNMENT = re.compile(r"^([A-Za-z0-9_]+)(\+|-)?=(.*)$", re.DOTALL)


@command("sysrc")
def sysrc(context: Context, arguments: list[str]) -> int:
    """Show or change rc.conf(5) (recorded on 13.2)."""
    try:
        options = Options(arguments, "aceinqvx", "f")
    except BadOption as bad:
        if bad.missing or bad.letter in "-AdDEFhjlLNRsX":
            raise NotModelled(f"sysrc -{bad.letter}") from bad
        context.complain(f"Illegal option -{bad.letter}\n{_SYSRC_USAGE}")
        return 1
    if any(word.startswith("-") for word in options.rest):
        raise NotModelled("sysrc with an option after a name")
    if not options.rest and "a" not in options:
        context.complain(_SYSRC_USAGE)
        return 1
    return _Sysrc(context, options).run()


class _Sysrc:
    """One run of sysrc(8) on one file."""

    def __init__(self, context: Context, options: Options) -> None:
        self.context = context
        self.options = options
        self.own = "f" in options
        self.path = context.path(options.value("f", RC_CONF))
        self.status = 0

    def run(self) -> int:
        if "a" in self.options:
            for name, value in sorted(self._set().items()):
                self._show(name, value)
            return 0
        for word in self.options.rest:
            assignment = _ASSIGNMENT.match(word)
            if assignment is None:
                self._ask(word)
            elif "x" in self.options:
                raise NotModelled("sysrc -x with a value")
            else:
                self._assign(assignment[1], assignment[2] or "", assignment[3])
        return self.status

    def _set(self) -> dict[str, str]:
        try:
            text = self.context.guest.tree.read(self.path).decode(errors="replace")
        except FileError:
            return {}
        return dict(parse_conf(text))

    def _known(self) -> dict[str, str]:
        return self._set() if self.own else {**defaults(self.context.guest.release), **self._set()}

    def _show(self, name: str, shown: str) -> None:
        if "e" in self.options:
            self.context.print(f'{name}="{shown}"')
        elif "n" in self.options:
            self.context.print(shown)
        elif "v" in self.options:
            self.context.print(f"{self.path}: {name}: {shown}")
        else:
            self.context.print(f"{name}: {shown}")

    def _ask(self, name: str) -> None:
        if not name.isidentifier():
            raise NotModelled(f"sysrc {name}")
        known = self._known()
        if name not in known:
            if not {"q", "i"} & set(self.options.letters()):
                self.context.complain(f"sysrc: unknown variable '{name}'")
            self.status = 1
        elif "x" in self.options:
            self._remove(name)
        elif "c" not in self.options:
            self._show(name, known[name])

    def _assign(self, name: str, how: str, value: str) -> None:
        if any(sign in value for sign in '"$`\\'):
            raise NotModelled("sysrc with a value that sh(1) expands")
        before = self._known().get(name, "")
        after = _changed(before, how, value)
        if "c" in self.options:
            if before != after:
                self.status = 1
            return
        self._write(name, after)
        self._show(name, f"{before} -> {after}")

    def _write(self, name: str, value: str) -> None:
        """Put the value in the last line that sets it, or in a new one."""
        lines = self._lines()
        at = [n for n, line in enumerate(lines) if re.match(rf"[ \t]*{name}=", line)]
        if at:
            indent = lines[at[-1]][: len(lines[at[-1]]) - len(lines[at[-1]].lstrip())]
            lines[at[-1]] = f'{indent}{name}="{value}"'
        else:
            lines.append(f'{name}="{value}"')
        self._save(lines)

    def _remove(self, name: str) -> None:
        if name not in self._set():
            raise NotModelled(f"sysrc -x of a default, {name}")
        self._save([line for line in self._lines() if not re.match(rf"[ \t]*{name}=", line)])

    def _lines(self) -> list[str]:
        try:
            return self.context.guest.tree.read(self.path).decode(errors="replace").splitlines()
        except FileError:
            return []

    def _save(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        self.context.guest.tree.write(self.path, text.encode())


def _changed(before: str, how: str, value: str) -> str:
    """A list with a value added or taken away; its first character may be the delimiter."""
    if not how:
        return value
    delimiter = " "
    if value[:1] and not (value[0].isalnum() or value[0] in "/_-. "):
        delimiter, value = value[0], value[1:]
    words = [word for word in before.split(delimiter) if word]
    for word in value.split(delimiter):
        if how == "+" and word and word not in words:
            words.append(word)
        elif how == "-":
            words = [each for each in words if each != word]
    return delimiter.join(words)


# --- daemon -------------------------------------------------------------------------------------

_DAEMON_USAGE = """\
usage: daemon [-cfHrS] [-p child_pidfile] [-P supervisor_pidfile]
              [-u user] [-o output_file] [-t title]
              [-l syslog_facility] [-s syslog_priority]
              [-T syslog_tag] [-m output_mask] [-R restart_delay_secs]
command arguments ..."""


@command("daemon")
def daemon(context: Context, arguments: list[str]) -> int:
    """Run a program in the background."""
    if not arguments:
        context.complain(_DAEMON_USAGE)
        return 1
    start_under_daemon(context.guest, arguments)
    return 0
