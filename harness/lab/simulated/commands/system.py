"""Programs about the kernel, its processes and its end: sysctl, kldload, ps, shutdown, ..."""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.lab.simulated.commands import Context, command
from harness.lab.simulated.files import FileError
from harness.lab.simulated.kernel import KERNEL_BASE, KERNEL_SIZE, Module
from harness.lab.simulated.options import BadOption, Options
from harness.lab.simulated.process import NotModelled, Program
from harness.lab.simulated.processes import Row, matching, rows
from harness.lab.simulated.signals import number_of, send
from harness.lab.simulated.syslog import FACILITIES, LEVELS

# --- sysctl and kenv ----------------------------------------------------------------------------

_SYSCTL_USAGE = """\
usage: sysctl [-bdehiNnoqTtWx] [ -B <bufsize> ] [-f filename] name[=value] ...
       sysctl [-bdehNnoqTtWx] [ -B <bufsize> ] -a"""


@command("sysctl")
def sysctl(context: Context, arguments: list[str]) -> int | Program:
    """Show or set kernel variables (recorded on 13.2)."""
    try:
        options = Options(arguments, "einqN")
    except BadOption as bad:
        raise NotModelled(f"sysctl -{bad.letter}") from bad
    if not options.rest:
        context.complain(_SYSCTL_USAGE)
        return 1
    if "debug.kdb.panic=1" in options.rest:
        return _panic(context)
    status = 0
    for word in options.rest:
        status |= _sysctl_one(context, options, word)
    return status


def _sysctl_one(context: Context, options: Options, word: str) -> int:
    name, equals, value = word.partition("=")
    kernel = context.guest.system.kernel
    before = kernel.value(name)
    if before is None:
        if "i" not in options:
            context.complain(f"sysctl: unknown oid '{name}'")
            return 1
        return 0
    if "N" in options:
        context.print(name)
        return 0
    prefix = "" if "n" in options else f"{name}=" if "e" in options else f"{name}: "
    if not equals:
        context.print(prefix + before)
        return 0
    if name == "debug.kdb.panic":
        if value != "0":
            raise NotModelled(f"sysctl {word}")
    else:
        kernel.assign(name, value)
    context.print(f"{prefix}{before} -> {kernel.value(name)}")
    return 0


def _panic(context: Context) -> Program:
    """Panic, from which no command returns."""
    guest = context.guest
    guest.world.schedule(guest, 0.0, guest.system.panic, "kdb_sysctl_panic")
    while True:
        yield 3600.0


@command("kenv")
def kenv(context: Context, arguments: list[str]) -> int:
    """Show or set the kernel's environment."""
    environment = context.guest.system.kernel.environment
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
    for line in context.guest.system.kernel.messages:
        if line != "---<<BOOT>>---":
            context.print(line)
    return 0


@command("uptime")
def uptime(context: Context, arguments: list[str]) -> int:
    """How long the node is up. The load is always the same: the model has none."""
    if arguments:
        raise NotModelled(f"uptime {arguments[0]}")
    guest = context.guest
    seconds = int(guest.wall_clock() - guest.system.kernel.booted_at)
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
        error = context.guest.system.kernel.load(name)
        if error == "EEXIST" and "n" in options:
            if "v" in options:
                context.print(f"{name} is already loaded")
        elif error is not None:
            if "q" not in options:
                context.complain(f"kldload: can't load {name}: {_REASONS[error]}")
            status = 1
        elif "v" in options:
            number = context.guest.system.kernel.modules[name.removesuffix(".ko")].number
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
    kernel = context.guest.system.kernel
    loaded = [Module(1, "kernel", KERNEL_BASE, KERNEL_SIZE)]
    loaded += sorted(kernel.modules.values(), key=lambda each: each.number)
    if "m" in options:
        name = {"g_gate": "geom_gate", "g_nop": "geom_nop", "zfsctrl": "zfs"}.get(
            options.value("m"), options.value("m")
        )
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
    kernel = context.guest.system.kernel
    status = 0
    for word in options.rest:
        name = word.removesuffix(".ko")
        if name not in kernel.modules:
            context.complain(f"kldunload: can't find file {word}")
            status = 1
        elif name == "carp":
            kernel.unload(name)
        else:
            raise NotModelled(f"kldunload {name}")
    return status


# --- processes ----------------------------------------------------------------------------------

_COLUMNS: dict[str, tuple[str, Callable[[Row], str], str]] = {
    "pid": ("PID", lambda row: str(row.pid), ">"),
    "ppid": ("PPID", lambda row: str(row.parent), ">"),
    "tt": ("TT", lambda row: row.terminal, "<"),
    "state": ("STAT", lambda row: row.state, "<"),
    "command": ("COMMAND", lambda row: row.title, "<"),
    "comm": ("COMMAND", lambda row: row.name, "<"),
    "time": ("TIME", lambda row: row.time, ">"),
    "user": ("USER", lambda row: row.user, "<"),
}
_ALIASES = {"stat": "state", "args": "command", "ucomm": "comm", "tty": "tt"}


@command("ps")
def ps(context: Context, arguments: list[str]) -> int:
    """Show processes; times are made up."""
    words = list(arguments)
    if words and words[0].isalpha():
        words[0] = "-" + words[0]
    try:
        options = Options(words, "axwdhc", "op")
    except BadOption as bad:
        raise NotModelled(f"ps -{bad.letter}") from bad
    if options.rest or "h" in options or "c" in options or "d" in options:
        raise NotModelled(f"ps {' '.join(arguments)}")
    chosen = rows(context.guest, context.process.pid)
    if "p" in options:
        wanted = {pid for word in options.values("p") for pid in word.split(",")}
        chosen = [row for row in chosen if str(row.pid) in wanted]
    elif "x" not in options:
        chosen = [row for row in chosen if row.terminal.strip() != "-"]
    columns = [part for word in options.values("o") for part in _column_words(word)] or [
        "pid",
        "tt",
        "state",
        "time",
        "command",
    ]
    _print_table(context, columns, chosen)
    return 0 if chosen else 1


def _column_words(word: str) -> list[str]:
    """`-o pid,ppid` has several; after `=` all is a heading."""
    return [word] if "=" in word else [part for part in word.replace(",", " ").split() if part]


def _print_table(context: Context, words: list[str], chosen: list[Row]) -> None:
    cells: list[list[str]] = []
    for word in words:
        name, equals, heading = word.partition("=")
        name = _ALIASES.get(name, name)
        if name not in _COLUMNS:
            raise NotModelled(f"ps -o {name}")
        usual, value, side = _COLUMNS[name]
        column = [heading if equals else usual, *(value(row) for row in chosen)]
        width = max(3 if name == "tt" else 1, *(len(cell) for cell in column))
        last = word is words[-1]
        if side == ">":
            column = [cell.rjust(width) for cell in column]
        elif not last:
            column = [cell.ljust(width) for cell in column]
        cells.append(column)
    lines = [" ".join(line) for line in zip(*cells, strict=True)]
    if all("=" in word and word.endswith("=") for word in words):
        lines = lines[1:]
    for line in lines:
        context.print(line)


_PGREP_USAGE = """\
usage: pgrep [-LSfilnoqvx] [-d delim] [-F pidfile] [-G gid] [-M core] [-N system]
             [-P ppid] [-U uid] [-c class] [-g pgrp] [-j jail]
             [-s sid] [-t tty] [-u euid] pattern ..."""


@command("pgrep")
def pgrep(context: Context, arguments: list[str]) -> int:
    """Show the processes that a pattern finds, but none of its own ancestors."""
    options = _find_options("pgrep", arguments, "aflnoqx", "FP")
    if not options.rest and "P" not in options and "F" not in options:
        context.complain(_PGREP_USAGE)
        return 2
    if "F" in options:
        pid = _pid_in(context, options.value("F"))
        if pid is None:
            return 3
        found = [row for row in _find(context, options) if row.pid == pid]
    else:
        found = _find(context, options)
    if "q" not in options:
        for row in found:
            shown = row.title if "f" in options else row.name
            context.print(f"{row.pid} {shown}" if "l" in options else str(row.pid))
    return 0 if found else 1


def _pid_in(context: Context, path: str) -> int | None:
    """The process ID in a pid file, or None after a complaint (takepid of bin/pkill/pkill.c)."""
    try:
        words = context.guest.tree.read(context.path(path)).decode("ascii", "replace").split()
    except FileError as error:
        context.complain(f"pgrep: Cannot open pidfile `{path}': {error.reason}")
        return None
    if not words:
        context.complain(f"pgrep: Pidfile `{path}' is empty")
    elif not words[0].isdecimal():
        context.complain(f"pgrep: Invalid pid in file `{path}'")
    else:
        return int(words[0])
    return None


@command("pkill")
def pkill(context: Context, arguments: list[str]) -> int:
    """Send a signal to the processes that a pattern finds."""
    words = list(arguments)
    signal = 15
    if words and re.fullmatch(r"-[A-Z0-9]{1,7}", words[0]) and words[0] not in {"-P"}:
        word = words.pop(0)[1:]
        number = int(word) if word.isdecimal() else number_of(word)
        if number is None:
            raise NotModelled(f"pkill -{word}")
        signal = number
    options = _find_options("pkill", words, "afnox", "P")
    if not options.rest and "P" not in options:
        raise NotModelled("pkill without a pattern")
    found = _find(context, options)
    for row in found:
        send(context.guest, row.pid, signal)
    return 0 if found else 1


def _find_options(name: str, arguments: list[str], flags: str, valued: str) -> Options:
    try:
        return Options(arguments, flags, valued)
    except BadOption as bad:
        raise NotModelled(f"{name} -{bad.letter}") from bad


def _find(context: Context, options: Options) -> list[Row]:
    found = [
        row
        for row in rows(context.guest, context.process.pid)
        if row.pid != context.process.pid and not row.ancestor
    ]
    if "P" in options:
        found = [row for row in found if str(row.parent) in options.value("P").split(",")]
    if options.rest:
        found = matching(found, options.rest, whole="x" in options, full="f" in options)
    if "n" in options:
        found = found[-1:]
    elif "o" in options:
        found = found[:1]
    return found


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
        guest.system.syslog.log(tag, pid, f"{facility or 'user'}.{priority}", line)
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
    guest.system.shut_down(how)


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
        guest.system.reboot("poweroff" if "p" in options else how, sync=sync, kill=kill)
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
    context.guest.system.shut_down(how)
    return 0
