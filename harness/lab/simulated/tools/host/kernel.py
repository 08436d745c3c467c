"""Programs about the kernel and its end: sysctl, kldload, logger, shutdown, ..."""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.lab.simulated.base.syslog import FACILITIES, LEVELS, Syslog
from harness.lab.simulated.base.system import System
from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.kernel.modules import Kernel, Module
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command

# --- sysctl and kenv ----------------------------------------------------------------------------

_SYSCTL_USAGE = """\
usage: sysctl [-bdehiNnoqTtWx] [ -B <bufsize> ] [-f filename] name[=value] ...
       sysctl [-bdehNnoqTtWx] [ -B <bufsize> ] -a"""


_READ_ONLY = frozenset(
    {
        *("kern.ostype", "kern.osrelease", "kern.osreldate", "kern.boottime", "hw.machine"),
        *("hw.machine_arch", "hw.byteorder", "hw.ncpu", "hw.pagesize", "hw.model"),
    }
)
_INTEGERS = frozenset({"net.inet.ip.forwarding", "kern.geom.debugflags", "kern.securelevel"})
_INTEGER_TREES = ("net.inet.carp.",)


@command("sysctl")
def sysctl(context: Context, arguments: list[str]) -> int | Program:
    """Show or set kernel variables (recorded on 13.2)."""
    try:
        options = Options(arguments, "einqNw")
    except BadOption as bad:
        if bad.letter in "AaBbdfhoTtWXx":
            raise NotModelled(f"sysctl -{bad.letter}") from bad
        context.complain(f"sysctl: illegal option -- {bad.letter}\n{_SYSCTL_USAGE}")
        return 1
    if not options.rest:
        context.complain(_SYSCTL_USAGE)
        return 1
    if "debug.kdb.panic=1" in options.rest:
        return _panic(context)
    if "N" in options and "n" in options:
        context.complain(_SYSCTL_USAGE)
        return 1
    kernel = context.guest.part(Kernel)
    words = [each for word in options.rest for each in kernel.leaves(word)]
    return sum(_sysctl_one(context, options, word) for word in words)


def _sysctl_one(context: Context, options: Options, word: str) -> int:
    """Show or set one variable; 1 when that fails, so that the status is how many did."""
    found = re.match(r"([^=:]*)[=:]\s*(.*)", word, re.DOTALL)
    name, value = (found[1].strip(), found[2]) if found is not None else (word, None)
    kernel = context.guest.part(Kernel)
    before = kernel.value(name)
    if before is None:
        if "i" in options:
            return 0
        if "q" not in options:
            context.complain(f"sysctl: unknown oid '{name}'")
        return 1
    if "N" in options and value is None:
        context.print(name)
        return 0
    prefix = "" if "n" in options else f"{name}=" if "e" in options else f"{name}: "
    if value is None:
        context.print(prefix + before)
        return 0
    if value[:1] in {'"', "'"} and value[-1:] == value[:1] and len(value) > 1:
        value = value[1:-1]
    if (refused := _refused(name, value, before)) is not None:
        context.complain(f"sysctl: {refused}")
        return 1
    return _assign(context, name, value, prefix + before)


def _assign(context: Context, name: str, value: str, before: str) -> int:
    """Set a variable to a good value, and show what it was and is."""
    kernel = context.guest.part(Kernel)
    if name == "debug.kdb.panic":
        if value != "0":
            raise NotModelled(f"sysctl {name}={value}")
    elif (refused := kernel.assign(name, value)) is not None:
        context.print(before)
        context.complain(f"sysctl: {name}={value}: {refused}")
        return 1
    context.print(f"{before} -> {kernel.value(name)}")
    return 0


def _refused(name: str, value: str, before: str) -> str | None:
    """What is wrong with setting a variable, if something is."""
    if name in _READ_ONLY:
        return f"oid '{name}' is read only"
    if not before.lstrip("-").isdecimal() or re.fullmatch(r"-?(\d{1,10}|0[xX][0-9a-fA-F]+)", value):
        return None
    if not value:
        return "empty numeric value"
    if name not in _INTEGERS and not name.startswith(_INTEGER_TREES):
        raise NotModelled(f"sysctl {name}={value}")
    return f"invalid integer '{value}'"


def _panic(context: Context) -> Program:
    """Panic, from which no command returns."""
    guest = context.guest
    guest.world.schedule(guest, 0.0, guest.part(Kernel).panic, "kdb_sysctl_panic")
    while True:
        yield 3600.0


@command("kenv")
def kenv(context: Context, arguments: list[str]) -> int:
    """Show or set the kernel's environment."""
    environment = context.guest.part(Kernel).environment
    words = list(arguments)
    quiet = words[:1] == ["-q"]
    if quiet:
        words.pop(0)
    if words[:1] == ["-u"] and len(words) == 2:
        if environment.pop(words[1], None) is None:
            context.complain(f"kenv: unable to unset {words[1]}")
            return 255
        return 0
    if len(words) != 1 or words[0].startswith("-"):
        raise NotModelled("kenv " + " ".join(arguments))
    name, equals, value = words[0].partition("=")
    if equals:
        environment[name] = value
        context.print(f'{name}="{value}"')
        return 0
    if name not in environment:
        if not quiet:
            context.complain(f"kenv: unable to get {name}")
        return 255
    context.print(environment[name])
    return 0


@command("dmesg")
def dmesg(context: Context, arguments: list[str]) -> int:
    """Show the kernel's message buffer."""
    if arguments:
        raise NotModelled(f"dmesg {arguments[0]}")
    for line in context.guest.part(Kernel).messages:
        if line != "---<<BOOT>>---":
            context.print(line)
    return 0


@command("uptime")
def uptime(context: Context, arguments: list[str]) -> int:
    """How long the node is up. The load is always the same: the model has none."""
    if arguments:
        raise NotModelled(f"uptime {arguments[0]}")
    guest = context.guest
    seconds = int(guest.wall_clock() - guest.part(Kernel).booted_at)
    now = guest.now_utc()
    clock = f"{(now.hour % 12) or 12:2}:{now:%M}{'AM' if now.hour < 12 else 'PM'}"
    context.print(f"{clock}  up {_for_how_long(seconds)}, 0 users, load averages: 0.20, 0.20, 0.20")
    return 0


def _for_how_long(seconds: int) -> str:
    if seconds > 60:
        seconds += 30
    days, rest = divmod(seconds, 86400)
    hours, minutes = rest // 3600, rest % 3600 // 60
    parts = [f"{days} day{'s' if days > 1 else ''}"] if days else []
    if hours and minutes:
        parts.append(f"{hours}:{minutes:02}")
    elif hours:
        parts.append(f"{hours} hr{'s' if hours > 1 else ''}")
    elif minutes:
        parts.append(f"{minutes} min{'s' if minutes > 1 else ''}")
    elif not days:
        parts.append(f"{seconds} sec{'s' if seconds > 1 else ''}")
    return ", ".join(parts)


# --- modules ------------------------------------------------------------------------------------

_REASONS = {
    "EEXIST": "module already loaded or in kernel",
    "ENOENT": "No such file or directory",
}


@command("kldload")
def kldload(context: Context, arguments: list[str]) -> int:
    """Load modules into the kernel (recorded on 13.2)."""
    try:
        options = Options(arguments, "nqv")
    except BadOption as bad:
        raise NotModelled(f"kldload -{bad.letter}") from bad
    if not options.rest:
        context.complain("usage: kldload [-nqv] file ...")
        return 1
    status = 0
    for name in options.rest:
        error = context.guest.part(Kernel).load(name)
        if error == "EEXIST" and "n" in options:
            if "v" in options:
                context.print(f"{name} is already loaded")
        elif error is not None:
            if "q" not in options:
                context.complain(f"kldload: can't load {name}: {_REASONS[error]}")
            status = 1
        elif "v" in options:
            number = context.guest.part(Kernel).modules[name.removesuffix(".ko")].number
            context.print(f"Loaded {name}, id={number}")
    return status


@command("kldstat")
def kldstat(context: Context, arguments: list[str]) -> int:
    """Show the kernel and its modules (recorded on 13.2)."""
    try:
        options = Options(arguments, "q", "imn")
    except BadOption as bad:
        raise NotModelled(f"kldstat -{bad.letter}") from bad
    if options.rest or ("m" in options and "q" not in options):
        raise NotModelled(f"kldstat {' '.join(arguments)}")
    kernel = context.guest.part(Kernel)
    loaded = [Module(1, "kernel", *context.guest.release.kernel)]
    loaded += sorted(kernel.modules.values(), key=lambda each: each.number)
    if "m" in options:
        name = {"g_gate": "geom_gate", "g_nop": "geom_nop", "zfsctrl": "zfs"}.get(
            options.value("m"), options.value("m")
        )
        if not kernel.knows(name):
            raise NotModelled(f"kldstat -m {name}")
        return 0 if name in kernel.modules else 1
    if "n" in options:
        wanted = options.value("n")
        loaded = [m for m in loaded if m.name == wanted.removesuffix(".ko")]
        if not loaded and "q" not in options:
            context.complain(f"kldstat: can't find file {wanted}: No such file or directory")
    if "i" in options:
        loaded = [module for module in loaded if str(module.number) == options.value("i")]
        if not loaded:
            raise NotModelled("kldstat -i of nothing")
    if not loaded:
        return 1
    if "q" not in options:
        context.print("Id Refs Address                Size Name")
        for module in loaded:
            if not module.size:
                raise NotModelled(f"the size of {module.name} in kldstat")
            references = kernel.references if module.number == 1 else 1
            name = module.name if module.number == 1 else f"{module.name}.ko"
            context.print(
                f"{module.number:2} {references:4} 0x{module.address:016x} {module.size:8x} {name}"
            )
    return 0


@command("kldunload")
def kldunload(context: Context, arguments: list[str]) -> int:
    """Unload modules."""
    try:
        options = Options(arguments, "nfv")
    except BadOption as bad:
        raise NotModelled(f"kldunload -{bad.letter}") from bad
    if not options.rest:
        context.complain("usage: kldunload [-fv] -i id ...\n       kldunload [-fv] [-n] name ...")
        return 64
    kernel = context.guest.part(Kernel)
    status = 0
    for word in options.rest:
        name = word.removesuffix(".ko")
        if name not in kernel.modules:
            context.complain(f"kldunload: can't find file {word}")
            status = 1
        elif name in kernel.when_unloaded:
            if not kernel.unload(name):
                context.complain("kldunload: can't unload file: Device busy")
                status = 1
        else:
            raise NotModelled(f"kldunload {name}")
    return status


# --- logger -------------------------------------------------------------------------------------


@command("logger")
def logger(context: Context, arguments: list[str]) -> Program:
    """Send lines to syslogd (recorded on 13.2: with the process's id, also without -i)."""
    try:
        options = Options(arguments, "is46", "pt")
    except BadOption as bad:
        raise NotModelled(f"logger -{bad.letter}") from bad
    level = options.value("p", "user.notice")
    facility, _, priority = level.rpartition(".")
    if facility and facility not in FACILITIES:
        context.complain(f"logger: unknown facility name: {facility}")
        return 1
    if priority not in LEVELS:
        context.complain(f"logger: unknown priority name: {level}")
        return 1
    lines = [" ".join(options.rest)]
    if not options.rest:
        yield from context.read_stdin()
        lines = (context.stdin or b"").decode(errors="surrogateescape").splitlines()
    guest = context.guest
    pid = guest.next_pid()
    tag = options.value("t", "root")
    for line in lines:
        guest.part(Syslog).log(tag, pid, f"{facility or 'user'}.{priority}", line)
        if "s" in options:
            context.complain(f"{tag} {pid} - - {line}")
    return 0


# --- the end ------------------------------------------------------------------------------------

_SHUTDOWN_USAGE = """\
usage: shutdown [-] [-c | -h | -p | -r | -k] [-o [-n]] time [warning-message ...]
       poweroff"""

_HOW = {"r": ("reboot", "reboot"), "p": ("poweroff", "power-down"), "h": ("halt", "halt")}


@command("shutdown")
def shutdown(context: Context, arguments: list[str]) -> int:
    """Start an orderly shutdown (recorded on 13.2)."""
    try:
        options = Options(arguments, "chkprno")
    except BadOption as bad:
        raise NotModelled(f"shutdown -{bad.letter}") from bad
    if not options.rest:
        context.complain(_SHUTDOWN_USAGE)
        return 1
    how = [letter for letter in "rph" if letter in options]
    if len(how) != 1 or {"c", "k", "n", "o"} & set(options.letters()):
        raise NotModelled(f"shutdown {' '.join(arguments)}")
    if options.rest[0] not in {"now", "+0"}:
        raise NotModelled(f"shutdown at {options.rest[0]}")
    _announce(context, how[0], " ".join(options.rest[1:]))
    return 0


def _announce(context: Context, letter: str, message: str) -> None:
    guest = context.guest
    how, word = _HOW[letter]
    pid = guest.next_pid()
    shown = f"{message}\n" if message else ""
    context.stdout += (
        (f"Shutdown NOW!\nShutdown NOW!\n{shown}\n\r\nSystem shutdown time has arrived\a\a\r\n")
        .replace("\n\n\r\n", "\n\r\n")
        .encode()
    )
    context.complain(f"shutdown: [pid {pid}]")
    guest.log("shutdown", pid, "auth.notice", f"{word} by root: {message}")
    guest.part(System).shut_down(how)


@command("poweroff")
def poweroff(context: Context, arguments: list[str]) -> int:
    """`shutdown -p now` by another name."""
    if arguments:
        raise NotModelled(f"poweroff {arguments[0]}")
    _announce(context, "p", "")
    return 0


def _at_once(name: str, how: str) -> Callable[[Context, list[str]], Program]:
    def run(context: Context, arguments: list[str]) -> Program:
        usage = "[-cdlNnpqr]" if name == "reboot" else "[-clNnpq]"
        try:
            options = Options(arguments, "lnpq")
        except BadOption as bad:
            if bad.letter in "cdkNr":
                raise NotModelled(f"{name} -{bad.letter}") from bad
            context.complain(
                f"{name}: illegal option -- {bad.letter}\nusage: {name} {usage} [-k kernel]"
            )
            return 1
        if options.rest:
            raise NotModelled(f"{name} {options.rest[0]}")
        guest = context.guest
        sync, kill = "n" not in options, "q" not in options
        if kill and "l" not in options:
            verb = "rebooted" if name == "reboot" else "halted"
            guest.log(name, guest.next_pid(), "auth.crit", f"{verb} by root")
        if sync and guest.syncer_held_up():
            yield guest.root.sync()  # sync(2) does not come back
        guest.part(System).reboot("poweroff" if "p" in options else how, sync=sync, kill=kill)
        while True:
            yield 3600.0

    return run


command("reboot", "fastboot")(_at_once("reboot", "reboot"))
command("halt", "fasthalt")(_at_once("halt", "halt"))


@command("init")
def init(context: Context, arguments: list[str]) -> int:
    """`init 0` and `init 6`, as telinit(8)."""
    how = {"0": "poweroff", "6": "reboot"}.get(" ".join(arguments))
    if how is None:
        raise NotModelled(f"init {' '.join(arguments)}")
    context.guest.part(System).shut_down(how)
    return 0
