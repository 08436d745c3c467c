"""Programs about processes: ps, pgrep, pkill, killall, pwait."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.process_table import Row, matching, rows
from harness.lab.simulated.kernel.signals import NAMES, number_of, send
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.state import ShellContext

# --- ps -----------------------------------------------------------------------------------------


def _started(context: Context, row: Row) -> str:
    guest = context.guest
    then = datetime.fromtimestamp(guest.wall_clock() - (guest.world.now - row.started), UTC)
    return f"{then:%H:%M}  "


_USERS = {"root": "0", "hast": "845", "_dhcp": "65", "nobody": "65534"}

_COLUMNS: dict[str, tuple[str, Callable[[Context, Row], str], str]] = {
    "pid": ("PID", lambda _, row: str(row.pid), ">"),
    "ppid": ("PPID", lambda _, row: str(row.parent), ">"),
    "pgid": ("PGID", lambda _, row: str(row.group), ">"),
    "sid": ("SID", lambda _, row: str(row.group), ">"),
    "jid": ("JID", lambda *_: "0", ">"),
    "jobc": ("JOBC", lambda *_: "0", ">"),
    "uid": ("UID", lambda _, row: _USERS[row.user], ">"),
    "user": ("USER", lambda _, row: row.user, "<"),
    "ruser": ("RUSER", lambda _, row: row.user, "<"),
    "tt": ("TT", lambda _, row: row.terminal, "<"),
    "state": ("STAT", lambda _, row: row.state, "<"),
    "command": ("COMMAND", lambda _, row: row.title, "<"),
    "comm": ("COMMAND", lambda _, row: row.name, "<"),
    "time": ("TIME", lambda _, row: row.time, ">"),
    "start": ("STARTED", _started, "<"),
    "nice": ("NI", lambda *_: "0", ">"),
    "%cpu": ("%CPU", lambda _, row: "100.0" if row.name == "idle" else "0.0", ">"),
    "%mem": ("%MEM", lambda _, row: "0.0" if row.title.startswith("[") else "0.4", ">"),
    "vsz": ("VSZ", lambda _, row: "16" if row.title.startswith("[") else "12876", ">"),
    "rss": ("RSS", lambda _, row: "16" if row.title.startswith("[") else "2424", ">"),
}
"""What the model knows. How much memory and time a process has used is made up."""

_ALIASES = {
    "stat": "state",
    "args": "command",
    "ucomm": "comm",
    "tty": "tt",
    "pcpu": "%cpu",
    "pmem": "%mem",
    "vsize": "vsz",
    "rssize": "rss",
    "euid": "uid",
    "ni": "nice",
    "cputime": "time",
}
_UNMODELLED = frozenset("CcdefHhLlmrSvXZEGJMNOtT")
_FORMATS = {
    "": "pid tt state time command",
    "j": "user pid ppid pgid sid jobc state tt time command",
    "u": "user pid %cpu %mem vsz rss tt state start time command",
}
_PS_USAGE = """\
usage: ps [-aCcdefHhjlmrSTuvwxXZ] [-O fmt | -o fmt] [-G gid[,gid...]]
          [-J jid[,jid...]] [-M core] [-N system]
          [-p pid[,pid...]] [-t tty[,tty...]] [-U user[,user...]]
       ps [-L]"""


@command("ps")
def ps(context: Context, arguments: list[str]) -> int:
    """Show processes; sizes and times are made up."""
    words = list(arguments)
    if words and words[0] and not words[0].startswith("-"):
        # The flags of old, without a dash; behind `ps` nothing else can stand.
        if not words[0].isalpha():
            raise NotModelled(f"ps {' '.join(arguments)}")
        words[0] = "-" + words[0]
    try:
        options = Options(words, "axwju", "opU")
    except BadOption as bad:
        if bad.letter in _UNMODELLED or bad.missing:
            raise NotModelled(f"ps -{bad.letter}") from bad
        context.guest.release.check_illegal("ps", bad.letter)
        context.complain(f"ps: illegal option -- {bad.letter}\n{_PS_USAGE}")
        return 1
    if options.rest:
        raise NotModelled(f"ps {' '.join(arguments)}")
    chosen = rows(context.guest, context.process.pid)
    if "p" in options or "U" in options:
        pids = {pid for word in options.values("p") for pid in word.split(",")}
        users = {user for word in options.values("U") for user in word.split(",")}
        if users - set(_USERS) - set(_USERS.values()):
            raise NotModelled(f"ps -U {options.value('U')}")
        chosen = [
            row for row in chosen if str(row.pid) in pids or {row.user, _USERS[row.user]} & users
        ]
    elif "x" not in options:
        chosen = [row for row in chosen if row.terminal.strip() != "-"]
    if "u" in options:
        chosen.sort(key=lambda row: row.name != "idle")
    usual = _FORMATS["".join(letter for letter in "ju" if letter in options)[:1]].split()
    columns = [part for word in options.values("o") for part in _column_words(word)] or usual
    return _print_table(context, columns, chosen)


def _column_words(word: str) -> list[str]:
    """`-o pid,ppid` has several; after `=` all is a heading."""
    return [word] if "=" in word else [part for part in word.replace(",", " ").split() if part]


def _print_table(context: Context, words: list[str], chosen: list[Row]) -> int:
    cells: list[list[str]] = []
    for word in words:
        name, equals, heading = word.partition("=")
        name = _ALIASES.get(name, name)
        if name not in _COLUMNS:
            raise NotModelled(f"ps -o {name}")
        usual, value, side = _COLUMNS[name]
        column = [heading if equals else usual, *(value(context, row) for row in chosen)]
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
    return 0 if chosen else 1


# --- pgrep and pkill ----------------------------------------------------------------------------

_USAGE = """\
usage: {} [-F pidfile] [-G gid] [-M core] [-N system]
             [-P ppid] [-U uid] [-c class] [-g pgrp] [-j jail]
             [-s sid] [-t tty] [-u euid] pattern ..."""
_FLAGS = "SLafilnoqvx"
_VALUED = "dFGgPstUujcMN"
_CRITERIA = frozenset("FGgPstUujc")


@command("pgrep")
def pgrep(context: Context, arguments: list[str]) -> int:
    """Show the processes that a pattern finds, but none of its own ancestors."""
    found = _find(context, "pgrep", arguments, _USAGE.format("pgrep [-LSfilnoqvx] [-d delim]"))
    if isinstance(found, int):
        return found
    chosen, options = found
    shown = []
    for row in chosen:
        text = row.arguments if "f" in options else row.name
        shown.append(f"{row.pid} {text}" if "l" in options else str(row.pid))
    if "q" not in options and shown:
        context.print(options.value("d", "\n").join(shown))
    return 0 if chosen else 1


@command("pkill")
def pkill(context: Context, arguments: list[str]) -> Program:
    """Send a signal to the processes that a pattern finds."""
    words = list(arguments)
    signal = 15
    if words and re.fullmatch(r"-([A-Z][A-Z0-9]{1,8}|\d{1,3})", words[0]):
        word = words.pop(0)[1:]
        number = int(word) if word.isdecimal() else number_of(word)
        if number is None:
            raise NotModelled(f"pkill -{word}")
        signal = number
    if "-I" in words:
        raise NotModelled("pkill -I")
    found = _find(context, "pkill", words, _USAGE.format("pkill [-signal] [-ILfilnovx]"))
    if isinstance(found, int):
        return found
    chosen, options = found
    for row in chosen:
        if "l" in options:
            context.print(f"kill -{signal} {row.pid}")
        send(context.guest, row.pid, signal)
    yield 0.0  # whom it meets has ended when pkill has
    return 0 if chosen else 1


def _find(
    context: Context, name: str, arguments: list[str], usage: str
) -> tuple[list[Row], Options] | int:
    """The processes that all criteria fit, or the status after a complaint."""
    try:
        options = Options(arguments, _FLAGS, _VALUED)
    except BadOption as bad:
        if not bad.missing:
            context.guest.release.check_illegal(name, bad.letter)
        what = "option requires an argument" if bad.missing else "illegal option"
        context.complain(f"{name}: {what} -- {bad.letter}\n{usage}")
        return 2
    given = set(options.letters())
    if given & set("LcGjMNst"):
        raise NotModelled(f"{name} -{sorted(given & set('LcGjMNst'))[0]}")
    if not options.rest and not given & _CRITERIA:
        context.complain(usage)
        return 2
    found = [
        row
        for row in rows(context.guest, context.process.pid)
        if row.pid != context.process.pid
        and (not row.ancestor or "a" in options)
        and ("S" in options or not row.title.startswith("["))
    ]
    chosen = found
    if "F" in options:
        pid = _pid_in(context, name, options.value("F"))
        if pid is None:
            return 3
        chosen = [row for row in chosen if row.pid == pid]
    chosen = _of_parents_and_users(chosen, name, options)
    if options.rest:
        chosen = matching(
            chosen,
            options.rest,
            whole="x" in options,
            full="f" in options,
            ignore_case="i" in options,
        )
    if "v" in options:
        chosen = [row for row in found if row not in chosen]
    if "n" in options:
        chosen = chosen[-1:]
    elif "o" in options:
        chosen = chosen[:1]
    return chosen, options


def _of_parents_and_users(chosen: list[Row], name: str, options: Options) -> list[Row]:
    if "P" in options:
        chosen = [row for row in chosen if str(row.parent) in options.value("P").split(",")]
    if "g" in options:
        chosen = [row for row in chosen if str(row.group) in options.value("g").split(",")]
    for letter in "uU":
        if letter in options:
            users = set(options.value(letter).split(","))
            if users - set(_USERS) - set(_USERS.values()):
                raise NotModelled(f"{name} -{letter} {options.value(letter)}")
            chosen = [row for row in chosen if {row.user, _USERS[row.user]} & users]
    return chosen


def _pid_in(context: Context, program: str, path: str) -> int | None:
    """The process ID in a pid file, or None after a complaint (takepid of bin/pkill/pkill.c)."""
    try:
        words = context.guest.tree.read(context.path(path)).decode("ascii", "replace").split()
    except FileError as error:
        context.complain(f"{program}: Cannot open pidfile `{path}': {error.reason}")
        return None
    if not words:
        context.complain(f"{program}: Pidfile `{path}' is empty")
    elif not words[0].isdecimal():
        context.complain(f"{program}: Invalid pid in file `{path}'")
    else:
        return int(words[0])
    return None


# --- killall and pwait --------------------------------------------------------------------------

_KILLALL_USAGE = """\
usage: killall [-delmsqvz] [-help] [-I] [-j jail]
               [-u user] [-t tty] [-c cmd] [-SIGNAL] [cmd]...
At least one option or argument to specify processes must be given."""


@command("killall")
def killall(context: Context, arguments: list[str]) -> Program:  # noqa: PLR0912 - its options
    """Send a signal to the processes of a name (usr.bin/killall/killall.c)."""
    words = list(arguments)
    signal, quiet, tells, dry = 15, False, False, False
    while words and words[0].startswith("-") and len(words[0]) > 1:
        word = words.pop(0)[1:]
        if word == "q":
            quiet = True
        elif word == "v":
            tells = True
        elif word == "s":
            dry = True
        elif word == "l":
            raise NotModelled("killall -l")
        elif word.isdecimal() and int(word) <= len(NAMES):
            signal = int(word)
        elif word.isupper() and number_of(word) is not None:
            signal = number_of(word) or 0
        else:
            raise NotModelled(f"killall -{word}")
    if not words:
        context.complain(_KILLALL_USAGE)
        return 1
    found = [
        row
        for row in rows(context.guest, context.process.pid)
        if row.name in words and row.pid != context.process.pid and not row.title.startswith("[")
    ]
    for row in found:
        if tells or dry:
            context.print(f"kill -{NAMES[signal - 1] if signal else '0'} {row.pid}")
        if not dry:
            send(context.guest, row.pid, signal)
    yield 0.0
    if not found and not quiet:
        context.complain("No matching processes were found")
    return 0 if found else 1


@command("pwait")
def pwait(context: Context, arguments: list[str]) -> Program:
    """Wait until processes have ended (bin/pwait/pwait.c)."""
    try:
        options = Options(arguments, "ov", "t")
    except BadOption as bad:
        raise NotModelled(f"pwait -{bad.letter}") from bad
    if not options.rest:
        context.complain("usage: pwait [-t timeout] [-ov] pid ...")
        return 64
    if "v" in options or "o" in options or not all(word.isdigit() for word in options.rest):
        raise NotModelled(f"pwait {' '.join(arguments)}")
    limit = math.inf
    if "t" in options:
        if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", options.value("t")):
            raise NotModelled(f"pwait -t {options.value('t')}")
        limit = context.guest.world.now + float(options.value("t"))
    guest = context.guest
    waiting = [int(word) for word in options.rest]
    for pid in waiting:
        if pid not in guest.daemons and pid not in guest.processes:
            context.complain(f"pwait: {pid}: No such process")
    while any(pid in guest.daemons or pid in guest.processes for pid in waiting):
        if guest.world.now >= limit:
            return 124
        if isinstance(context, ShellContext):
            context.budget.step()
        yield 0.1
    return 0
