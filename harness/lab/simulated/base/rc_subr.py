"""What `. /etc/rc.subr` gives to a script of rc.d(8): its functions, as 13.2's behave.

The file itself is not on the model. Its functions act on the shell that asked for them: they read
its variables, run its functions and print what FreeBSD's print (libexec/rc/rc.subr).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

from harness.lab.simulated.base.rc.rc_conf import RC_CONF, defaults
from harness.lab.simulated.base.supervisor import Supervisors
from harness.lab.simulated.base.syslog import Syslog
from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.kernel.process_table import rows
from harness.lab.simulated.shell.builtins import LIBRARIES
from harness.lab.simulated.shell.interpreter import Builtin, Shell, ShellExit
from harness.lab.simulated.shell.language.parser import parse
from harness.lab.simulated.shell.paths import entry_or_none

RC_SUBR = "/etc/rc.subr"

FUNCTIONS: dict[str, Builtin] = {}
"""By name."""

_LACKING = (
    *("list_vars", "set_rcvar_obsolete", "stop_boot", "mount_critical_filesystems", "sort_lite"),
    *("get_pidfile_from_conf", "run_rc_script", "backup_file", "make_symlink", "mount_md"),
    *("devfs_rulesets_from_file", "devfs_init_rulesets", "devfs_set_ruleset", "devfs_domount"),
    *("devfs_apply_ruleset", "ltr", "geli_make_list", "root_hold_wait", "check_jail"),
    *("find_local_scripts_old", "find_local_scripts_new", "check_kern_features"),
    *("check_namevarlist", "_echoonce", "_find_processes"),
)
"""Functions of the file that the model does not have."""

_YES = frozenset({"yes", "true", "on", "1"})
_NO = frozenset({"no", "false", "off", "0"})
_OWN_KEYWORDS = "start stop restart rcvar enable disable delete enabled describe extracommands"
_PREFIXES = ("fast", "force", "one", "quiet")
_UNCHECKED = frozenset({"rcvar", "stop", "delete", "enable", "describe"})
"""What is done also to a service that is not enabled (`stop` if it runs)."""

_SETTINGS = (
    *("chdir", "chroot", "nice", "user", "group", "groups", "fib", "env", "prepend"),
    *("limits", "oomprotect", "env_file"),
)


def _function(*names: str) -> Callable[[Builtin], Builtin]:
    def register(function: Builtin) -> Builtin:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return register


def source(shell: Shell) -> None:
    """Do to a shell what sourcing the file does."""
    shell.library = FUNCTIONS
    shell.variables.setdefault("_rc_subr_loaded", "YES")
    for name, value in (
        ("SYSCTL", "/sbin/sysctl"),
        ("SYSCTL_N", "/sbin/sysctl -n"),
        ("SYSCTL_W", "/sbin/sysctl"),
        ("ID", "/usr/bin/id"),
        ("IDCMD", "if [ -x /usr/bin/id ]; then /usr/bin/id -un; fi"),
        ("PS", "/bin/ps -ww"),
        ("PROTECT", "/usr/bin/protect"),
    ):
        shell.variables[name] = value


LIBRARIES["/etc/rc.subr"] = source


# --- helpers ------------------------------------------------------------------------------------


def _value(shell: Shell, name: str) -> str:
    return shell.variables.get(name, "")


def _run(shell: Shell, text: str) -> Program:
    """Run a text as the script's own, and return its status."""
    before, shell.command_name = shell.command_name, None
    try:
        yield from shell.run_script(parse(text))
    finally:
        shell.command_name = before
    return shell.status


def _log(shell: Shell, kind: str, words: Iterable[str]) -> str:
    text = f"{shell.name}: {kind}: {' '.join(words)}"
    guest = shell.guest
    guest.part(Syslog).log("root", guest.next_pid(), "user.notice", text)
    return text


def _warn(shell: Shell, text: str) -> None:
    shell.print_error(_log(shell, "WARNING", [text]))


def _debug(shell: Shell, text: str) -> None:
    if _value(shell, "rc_debug").lower() in _YES:
        shell.print_error(_log(shell, "DEBUG", [text]))


def _is_yes(shell: Shell, name: str) -> bool:
    value = shell.variables.get(name)
    service = name.removesuffix("_enable")
    if value is None and name != service and service in shell.guest.release.rc_scripts:
        raise NotModelled(f"the default of {name}")
    value = value or ""
    _debug(shell, f"checkyesno: {name} is set to {value}.")
    if value.lower() in _YES:
        return True
    if value.lower() not in _NO:
        _warn(shell, f"${name} is not set properly - see rc.conf(5).")
    return False


# --- messages -----------------------------------------------------------------------------------


@_function("warn")
def _warn_function(shell: Shell, arguments: list[str]) -> int:
    _warn(shell, " ".join(arguments))
    return 0


@_function("err")
def _err(shell: Shell, arguments: list[str]) -> int:
    status = arguments[0] if arguments else ""
    shell.print_error(_log(shell, "ERROR", arguments[1:]))
    if not status.isdigit():
        raise NotModelled(f"err {status}")
    raise ShellExit(int(status) & 0xFF)


@_function("info")
def _info(shell: Shell, arguments: list[str]) -> int:
    if _value(shell, "rc_info").lower() in _YES:
        shell.print(_log(shell, "INFO", arguments))
    return 0


@_function("debug")
def _debug_function(shell: Shell, arguments: list[str]) -> int:
    _debug(shell, " ".join(arguments))
    return 0


@_function("rc_usage")
def _usage(shell: Shell, arguments: list[str]) -> int:
    shell.print_error(f"Usage: {shell.name} [fast|force|one|quiet]({'|'.join(arguments)})")
    raise ShellExit(1)


# --- variables ----------------------------------------------------------------------------------


@_function("checkyesno")
def _checkyesno(shell: Shell, arguments: list[str]) -> int:
    return int(not _is_yes(shell, arguments[0] if arguments else ""))


@_function("set_rcvar")
def _set_rcvar(shell: Shell, arguments: list[str]) -> int:
    if len(arguments) < 2:
        shell.print(f"{arguments[0] if arguments else _value(shell, 'name')}_enable")
        return 0
    name, default, *description = arguments
    shell.assign("rcvars", f"{_value(shell, 'rcvars').removeprefix(' ')} {name}")
    shell.assign(f"{name}_defval", default)
    shell.assign(f"{name}_desc", " ".join(description))
    return 0


@_function("reverse_list")
def _reverse_list(shell: Shell, arguments: list[str]) -> int:
    shell.print(" ".join(reversed(arguments)))
    return 0


@_function("load_rc_config")
def _load_rc_config(shell: Shell, arguments: list[str]) -> Program:
    """The defaults, rc.conf and its parts for one service."""
    if _value(shell, "_rc_conf_loaded") != "true":
        for name, value in defaults(shell.guest.release).items():
            shell.variables[name] = value
        for path in (RC_CONF, "/etc/rc.conf.local"):
            yield from _source_if_there(shell, path)
        shell.assign("_rc_conf_loaded", "true")
    name = arguments[0] if arguments else ""
    if name:
        for folder in ("/etc", "/usr/local/etc"):
            path = f"{folder}/rc.conf.d/{name}"
            entry = entry_or_none(shell.guest, path)
            if entry is not None and entry.kind == "dir":
                for each in shell.guest.tree.names(path):
                    yield from _source_if_there(shell, f"{path}/{each}")
            else:
                yield from _source_if_there(shell, path)
    for each in f"{_value(shell, 'rcvar')} {_value(shell, 'rcvars')}".split():
        default = _value(shell, f"{each}_defval")
        if default and not _value(shell, each):
            shell.assign(each, default)
    return 0


@_function("load_rc_config_var")
def _load_rc_config_var(shell: Shell, arguments: list[str]) -> Program:
    if len(arguments) != 2:
        raise NotModelled("load_rc_config_var without two names")
    other = shell.copy()
    yield from _load_rc_config(other, arguments[:1])  # type: ignore[misc]
    value = _value(other, arguments[1])
    if value:
        shell.assign(arguments[1], value)
    return 0


def _source_if_there(shell: Shell, path: str) -> Program:
    entry = entry_or_none(shell.guest, path)
    if entry is None or entry.kind != "file":
        return 0
    return (yield from _run(shell, f". {path}"))


# --- processes ----------------------------------------------------------------------------------


def _matching(shell: Shell, program: str, interpreter: str, pid: int | None = None) -> str:
    """The ids of the processes of a program, as the file finds them in ps(1)."""
    if interpreter:
        raise NotModelled("rc.subr's search for a script with an interpreter")
    shell.guest.part(Supervisors).reap()
    base = posixpath.basename(program)
    names = {program, base, f"{base}:", f"({base})", f"[{base}]"}
    return " ".join(
        str(row.pid)
        for row in rows(shell.guest, shell.process.pid)
        if (pid is None or row.pid == pid) and (row.title.split() or [""])[0] in names
    )


def _pid_from_file(shell: Shell, path: str, program: str, interpreter: str) -> str:
    entry = entry_or_none(shell.guest, path)
    if entry is None or entry.kind != "file":
        _debug(shell, f"pid file ({path}): not readable.")
        return ""
    words = shell.guest.tree.read(path).decode(errors="replace").partition("\n")[0].split()
    if not words or not words[0].isdigit():
        _debug(shell, f"pid file ({path}): no pid in file.")
        return ""
    return _matching(shell, program, interpreter, int(words[0]))


@_function("check_pidfile")
def _check_pidfile(shell: Shell, arguments: list[str]) -> int:
    if len(arguments) < 2:
        return _err(shell, ["3", "USAGE: check_pidfile pidfile procname [interpreter]"])  # type: ignore[return-value]
    path, program, *rest = arguments
    shell.write(_pid_from_file(shell, path, program, " ".join(rest)).encode())
    return 0


@_function("check_process")
def _check_process(shell: Shell, arguments: list[str]) -> int:
    if not arguments:
        return _err(shell, ["3", "USAGE: check_process procname [interpreter]"])  # type: ignore[return-value]
    shell.write(_matching(shell, arguments[0], " ".join(arguments[1:])).encode())
    return 0


@_function("wait_for_pids")
def _wait_for_pids(shell: Shell, arguments: list[str]) -> Program:
    waiting = [int(word) for word in arguments if word.isdigit()]
    prefix = "Waiting for PIDS: "
    guest = shell.guest
    while waiting := [pid for pid in waiting if pid in guest.daemons or pid in guest.processes]:
        shell.write(f"{prefix}{' '.join(map(str, waiting))}".encode())
        prefix = ", "
        while all(pid in guest.daemons or pid in guest.processes for pid in waiting):
            yield 0.1
    if prefix == ", ":
        shell.print(".")
    return 0


@_function("force_depend")
def _force_depend(shell: Shell, arguments: list[str]) -> Program:
    name = arguments[0] if arguments else ""
    yield from _run(shell, f"service {name} forcestatus >/dev/null 2>&1")
    if shell.status == 0:
        return 0
    depends = f"{_value(shell, 'name')} depends on {name}, which will be forced to start."
    _info(shell, [depends])
    yield from _run(shell, f"service {name} forcestart")
    if shell.status:
        _warn(shell, f"Unable to force {name}. It may already be running.")
        return 1
    return 0


@_function("load_kld")
def _load_kld(shell: Shell, arguments: list[str]) -> Program:
    words = list(arguments)
    module = ""
    while words and words[0] in {"-e", "-m"} and len(words) > 1:
        option, value, *words = words
        if option == "-e":
            raise NotModelled("load_kld -e")
        module = value
    if len(words) != 1:
        return _err(shell, ["3", "USAGE: load_kld [-e regex] [-m module] file"])  # type: ignore[return-value]
    yield from _run(shell, f"kldstat -q -m {module or words[0]}")
    if shell.status == 0:
        return 0
    yield from _run(shell, f"kldload {words[0]}")
    if shell.status:
        _warn(shell, f"Unable to load kernel module {words[0]}")
        return 1
    _info(shell, [f"{words[0]} kernel module loaded."])
    return 0


# --- run_rc_command -----------------------------------------------------------------------------


@_function("run_rc_command")
def _run_rc_command(shell: Shell, arguments: list[str]) -> Program:
    if not _value(shell, "name"):
        return _err(shell, ["3", "run_rc_command: $name is not set."])  # type: ignore[return-value]
    return (yield from _Command(shell, arguments).run())


class _Command:
    """One directive of a script."""

    def __init__(self, shell: Shell, arguments: list[str]) -> None:
        self.shell = shell
        given = arguments[0] if arguments else ""
        prefix = next((each for each in _PREFIXES if given.startswith(each)), "")
        self.directive = given.removeprefix(prefix)
        self.prefix = prefix if prefix in {"force", "one", "quiet"} else ""
        self.rest = " ".join(arguments[1:])
        self.name = _value(shell, "name")
        self.rcvar = _value(shell, "rcvar")
        self.result = 0
        for name, value in (("rc_arg", self.directive), ("rc_extra_args", self.rest)):
            shell.assign(name, value)
        if prefix == "fast":
            shell.assign("rc_fast", "yes")
        if prefix in {"fast", "quiet"}:
            shell.assign("rc_quiet", "yes")
        if prefix == "force":
            shell.assign("rc_force", "yes")
        if prefix in {"force", "one"} and self.rcvar:
            shell.assign(self.rcvar, "YES")
        program = _value(shell, f"{self.name}_program") or _value(shell, "command")
        shell.assign("command", program)
        self.process = _value(shell, "procname") or program
        keywords = [*_OWN_KEYWORDS.split(), *_value(shell, "extra_commands").split()]
        self.keywords = [*keywords, *(["status", "poll"] if self.process else [])]

    def run(self) -> Program:  # noqa: PLR0911 - each check may end it
        shell = self.shell
        if not self.directive:
            return _usage(shell, self.keywords)  # type: ignore[return-value]
        if self.directive == "enabled":
            return int(not _is_yes(shell, self.rcvar))
        flags = _value(shell, "flags") or _value(shell, f"{self.name}_flags")
        shell.assign("rc_flags", flags)
        for setting in _SETTINGS:
            if _value(shell, f"{self.name}_{setting}"):
                raise NotModelled(f"rc.subr's {self.name}_{setting}")
        self._find_process()
        if self.directive not in self.keywords:
            shell.print_error(f"{shell.name}: unknown directive '{self.directive}'.")
            return _usage(shell, self.keywords)  # type: ignore[return-value]
        if self.rcvar and self._needs_rcvar() and not _is_yes(shell, self.rcvar):
            if not _value(shell, "rc_quiet"):
                shell.print(
                    f"Cannot '{self.directive}' {self.name}. Set {self.rcvar} to YES in "
                    f"/etc/rc.conf or use 'one{self.directive}' instead of '{self.directive}'."
                )
            return 0
        if self.directive == "start" and self.pid and not _value(shell, "rc_fast"):
            if not _value(shell, "rc_quiet"):
                shell.print_error(f"{self.name} already running?  (pid={self.pid}).")
            return 1
        own = _value(shell, f"{self.directive}_cmd")
        if own:
            return (yield from self._own(own))
        return (yield from self._usual())

    def _find_process(self) -> None:
        self.pid = ""
        if self.process:
            interpreter = _value(self.shell, "command_interpreter")
            path = _value(self.shell, "pidfile")
            if path:
                self.pid = _pid_from_file(self.shell, path, self.process, interpreter)
            else:
                self.pid = _matching(self.shell, self.process, interpreter)
        self.shell.assign("rc_pid", self.pid)

    def _needs_rcvar(self) -> bool:
        return self.directive not in _UNCHECKED or (self.directive == "stop" and not self.pid)

    # --- steps ----------------------------------------------------------------------------------

    def _own(self, command: str) -> Program:
        if not (yield from self._before()):
            return 1
        if not (yield from self._do(f"{command} {self.rest}")):
            return 1
        yield from self._after()
        return self.result

    def _before(self) -> Program:
        """What is required, and `*_precmd`; 0 when the directive ends there."""
        if self.directive == "start" and not self._required():
            return 0
        text = _value(self.shell, f"{self.directive}_precmd")
        if text:
            self.result = yield from _run(self.shell, f"{text} {self.rest}")
            if self.result and not self._forced:
                return 0
        if self.directive == "start":
            for module in _value(self.shell, "required_modules").split():
                if "~" in module:
                    raise NotModelled("required_modules with an expression")
                file, _, name = module.partition(":")
                words = ["-m", name, file] if name else [file]
                failed = yield from _load_kld(self.shell, words)  # type: ignore[misc]
                if failed and not self._forced:
                    return 0
        return 1

    @property
    def _forced(self) -> bool:
        return bool(_value(self.shell, "rc_force"))

    def _required(self) -> bool:
        shell = self.shell
        missing = [
            f"${name} is not enabled."
            for name in _value(shell, "required_vars").split()
            if not _is_yes(shell, name)
        ]
        for path in _value(shell, "required_dirs").split():
            entry = entry_or_none(shell.guest, path)
            if entry is None or entry.kind != "dir":
                missing.append(f"{path} is not a directory.")
        for path in _value(shell, "required_files").split():
            if entry_or_none(shell.guest, path) is None:
                missing.append(f"{path} is not readable.")
        for text in missing:
            _warn(shell, text)
            if not self._forced:
                return False
        return True

    def _do(self, text: str) -> Program:
        """Run the directive's text; 0 when it failed and nothing forces it."""
        self.result = yield from _run(self.shell, text)
        return int(not self.result or self._forced)

    def _after(self) -> Program:
        text = _value(self.shell, f"{self.directive}_postcmd")
        if text:
            self.result = yield from _run(self.shell, f"{text} {self.rest}")
        return 0

    # --- what a script gets without a command of its own ------------------------------------------

    def _usual(self) -> Program:  # noqa: PLR0911, PLR0912 - one for each directive
        match self.directive:
            case "start":
                return (yield from self._start())
            case "stop" | "reload":
                return (yield from self._signal())
            case "restart":
                return (yield from self._restart())
            case "status":
                return (yield from self._status())
            case "poll":
                if not (yield from self._before()):
                    return 1
                yield from _wait_for_pids(self.shell, self.pid.split())  # type: ignore[misc]
                yield from self._after()
                return self.result
            case "describe":
                if _value(self.shell, "desc"):
                    self.shell.print(_value(self.shell, "desc"))
            case "extracommands":
                self.shell.print(_value(self.shell, "extra_commands"))
            case "rcvar":
                self._print_rcvar()
            case "enable" | "disable":
                value = "YES" if self.directive == "enable" else "NO"
                yield from _run(self.shell, f"sysrc {self.rcvar}={value} >/dev/null")
                self.shell.print(f"{self.name} {self.directive}d in {RC_CONF}")
            case "delete":
                raise NotModelled(f"{self.shell.name} delete")
            case _:
                return _usage(self.shell, self.keywords)  # type: ignore[return-value]
        return self.result

    def _start(self) -> Program:
        shell = self.shell
        program = _value(shell, "command")
        entry = entry_or_none(shell.guest, program) if program else None
        runs = entry is not None and entry.kind == "file" and entry.mode & 0o111
        if not runs:
            _warn(shell, f"run_rc_command: cannot run {program}")
            return 1
        if not (yield from self._before()):
            _warn(shell, f"failed precmd routine for {self.name}")
            return 1
        shell.print(f"Starting {self.name}.")
        words = [program, _value(shell, "rc_flags"), _value(shell, "command_args")]
        if not (yield from self._do(" ".join(words))):
            _warn(shell, f"failed to start {self.name}")
            return 1
        yield from self._after()
        return self.result

    def _signal(self) -> Program:
        shell = self.shell
        stops = self.directive == "stop"
        if not self.pid:
            if stops and _value(shell, "rc_fast"):
                return 0
            path = _value(shell, "pidfile")
            shell.print_error(f"{self.name} not running?" + (f" (check {path})." if path else ""))
            return 1
        if not (yield from self._before()):
            return 1
        if stops:
            shell.print(f"Stopping {self.name}.")
        usual = "TERM" if stops else "HUP"
        signal = _value(shell, f"sig_{self.directive}") or usual
        if not (yield from self._do(f"kill -{signal} {self.pid}")):
            return 1
        if stops:
            yield from _wait_for_pids(shell, self.pid.split())  # type: ignore[misc]
        yield from self._after()
        return self.result

    def _restart(self) -> Program:
        shell = self.shell
        if _value(shell, "_rc_restart_done") == "true":
            return 0
        shell.assign("_rc_restart_done", "true")
        if not (yield from self._before()):
            return 1
        for verb in ("stop", "start"):
            text = f"(run_rc_command {self.prefix}{verb} {self.rest})"
            self.result = yield from _run(shell, text)
        if self.result and not self._forced:
            return 1
        yield from self._after()
        return self.result

    def _status(self) -> Program:
        if not (yield from self._before()):
            return 1
        if not self.pid:
            self.shell.print(f"{self.name} is not running.")
            return 1
        self.shell.print(f"{self.name} is running as pid {self.pid}.")
        yield from self._after()
        return self.result

    def _print_rcvar(self) -> None:
        shell = self.shell
        description = _value(shell, "desc")
        shell.print(f"# {self.name}" + (f" : {description}" if description else ""))
        shell.print("#")
        names = dict.fromkeys(f"{self.rcvar} {_value(shell, 'rcvars')}".split())
        for name in names:
            shell.print(f'{name}="{_value(shell, name)}"')
            mark = "-"
            for line in filter(None, re.split(r"\^\^", _value(shell, f"{name}_desc"))):
                shell.print(f"# {mark} {line}")
                mark = " "
            shell.print(f'#   (default: "{_value(shell, f"{name}_defval")}")')
        shell.print("")


@_function(*_LACKING)
def _lacking(shell: Shell, arguments: list[str]) -> int:
    raise NotModelled(f"rc.subr's {shell.command_name}")
