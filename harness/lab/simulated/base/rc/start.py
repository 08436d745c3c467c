"""rc(8): what a service's script does for `start`, whatever the service is."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from harness.lab.simulated.base.rc.rc_conf import RC_CONF, conf, defaults
from harness.lab.simulated.base.rc.services import PlainDaemon, Service, Start
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.modules import Kernel

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


def enabled(guest: Guest, service: Service) -> bool:
    """Whether its variable says yes (rc.subr's checkyesno)."""
    if service.rcvar is None:
        return True
    value = conf(guest, service.name).get(service.rcvar, "NO")
    return value.lower() in {"yes", "true", "on", "1"}


def pid_of(guest: Guest, service: Service) -> int | None:
    """The process that its pid file names, if that is the right program."""
    if not service.pid_file:
        return None
    entry = guest.root.entries.get(service.pid_file)
    text = entry.data.decode("ascii", "replace").split() if entry is not None else []
    if not text or not text[0].isdecimal():
        return None
    pid = int(text[0])
    daemon = guest.daemons.get(pid)
    if daemon is None:
        return None
    name = posixpath.basename(service.command)
    program = posixpath.basename(daemon.title.split()[0]).rstrip(":")
    return pid if program == name else None


def write_pid(guest: Guest, path: str, pid: int) -> None:
    """Write a pid file, unless the file system does not let it."""
    if path:
        try:
            guest.tree.write(path, str(pid).encode(), mode=0o600)
        except FileError:
            return


def start(
    guest: Guest, service: Service, say: Callable[[str], None], warn: Callable[[str], None]
) -> int:
    """Do what the script does for `start`, after the check of its variable."""
    settings = conf(guest, service.name)
    _check_start(guest, service, settings)
    if service.check is not None:
        service.check(guest, settings)
    begin = Start(guest, service, settings, say, warn)
    if service.command:
        return _start_daemon(begin)
    if service.start is not None:
        return service.start(begin)
    raise NotModelled(f"service {service.name} start")


def _check_start(guest: Guest, service: Service, settings: Mapping[str, str]) -> None:
    """Note what rc.conf asks of a service's start that the model does not do (rc.subr(8))."""
    for name in (*(f"{service.name}_{what}" for what in _OF_ALL_SERVICES), *_HOOKS):
        if (value := settings.get(name, "")) != defaults(guest.release).get(name, ""):
            guest.world.note_gap(guest.name, RC_CONF, f"{name}={value}")


def _start_daemon(begin: Start) -> int:
    guest, service = begin.guest, begin.service
    for path in service.required_files:
        if path not in guest.root.entries:
            begin.warn(f"/etc/rc.d/{service.name}: WARNING: {path} is not readable.")
            return 1
    for name in service.required_modules:
        guest.part(Kernel).load(name)
    if service.before_start:
        begin.say(service.before_start)
    begin.say(f"Starting {service.name}.")
    if service.start is not None:
        return service.start(begin)
    title = service.title or f"{service.command} {begin.flags}".strip()
    daemon = PlainDaemon(guest, service, title)
    write_pid(guest, service.pid_file, daemon.pid)
    if service.started is not None:
        service.started(guest, daemon.pid, begin.flags)
    return 0
