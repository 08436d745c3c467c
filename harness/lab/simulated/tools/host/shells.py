"""Programs that run others: sh, env, nohup, timeout, xargs, time. And sh's builtins as programs."""

from __future__ import annotations

import re

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.kernel.signals import NAMES, kill_command, number_of, send
from harness.lab.simulated.shell.conditions import TestFault, evaluate
from harness.lab.simulated.shell.interpreter import (
    ProgramNotFound,
    Shell,
    as_shell_context,
    execute,
)
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.printf import echo, printf
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.state import ShellContext
from harness.lab.simulated.shell.streams import open_reader
from harness.lab.simulated.shell.tool import Failure, tool

_SHELL_OPTIONS = frozenset("aefumxC")


@command("sh")
def sh(context: Context, arguments: list[str]) -> Program:
    """sh(1) as a program: `-c text`, a script, or commands from standard input."""
    context = context if isinstance(context, ShellContext) else as_shell_context(context)
    shell = Shell.of(context, "sh")
    words, from_text, from_stdin = _shell_options(shell, arguments)
    if from_text:
        if not words:
            context.complain("sh: Bad -c option")
            return 2
        text = words.pop(0)
        shell.name = words.pop(0) if words else shell.name
    elif words and not from_stdin:
        shell.name = shell.command_name = words.pop(0)
        try:
            reader = open_reader(context.guest, context.path(shell.name))
        except FileError as error:
            context.complain(f"sh: cannot open {shell.name}: {error.reason}")
            return 127
        text = (yield from reader.take()).decode("utf-8", "surrogateescape")
    else:
        yield from context.read_stdin()
        text = (context.stdin or b"").decode("utf-8", "surrogateescape")
    shell.arguments = words
    shell.title = " ".join(["sh", *arguments])
    return (yield from shell.run_text(text))


def _shell_options(shell: Shell, arguments: list[str]) -> tuple[list[str], bool, bool]:
    """What is left of the arguments, and whether there was -c or -s."""
    words = list(arguments)
    from_text = from_stdin = False
    while words and words[0][:1] in {"-", "+"} and len(words[0]) > 1:
        word = words.pop(0)
        if word == "--":
            break
        if word in {"-o", "+o"} and words:
            raise NotModelled(f"sh {word} {words[0]}")
        for letter in word[1:]:
            if letter == "c":
                from_text = True
            elif letter in _SHELL_OPTIONS:
                shell.options = shell.options | {letter}
            elif letter == "s":
                from_stdin = True
            elif letter != "l":
                raise NotModelled(f"sh -{letter}")
    return words, from_text, from_stdin


# --- builtins of the shell that are programs too ------------------------------------------------


@command("true")
def true(context: Context, arguments: list[str]) -> int:
    """true(1)."""
    return 0


@command("false")
def false(context: Context, arguments: list[str]) -> int:
    """false(1)."""
    return 1


@command("echo")
def echo_program(context: Context, arguments: list[str]) -> int:
    """echo(1), which knows only -n."""
    if arguments[:1] == ["-e"]:
        context.print(" ".join(arguments))
    else:
        context.stdout += echo(arguments)
    return 0


@command("printf")
def printf_program(context: Context, arguments: list[str]) -> int:
    """printf(1)."""
    if not arguments:
        context.complain("usage: printf format [arguments ...]")
        return 1
    printed = printf(arguments)
    context.stdout += printed.out
    for complaint in printed.complaints:
        context.complain(f"printf: {complaint}")
    return printed.status


@command("test")
def test(context: Context, arguments: list[str]) -> int:
    """test(1)."""
    return _tested(context, arguments)


def _tested(context: Context, arguments: list[str]) -> int:
    try:
        return int(not evaluate(context.guest, context.directory, arguments))
    except TestFault as fault:
        context.complain(f"test: {fault}")
        return 2


@command("[")
def bracket(context: Context, arguments: list[str]) -> int:
    """[(1)."""
    if arguments[-1:] != ["]"]:
        context.complain("[: missing ]")
        return 2
    return _tested(context, arguments[:-1])


@command("pwd")
def pwd(context: Context, arguments: list[str]) -> int:
    """pwd(1)."""
    context.print(context.directory)
    return 0


@command("kill")
def kill(context: Context, arguments: list[str]) -> Program:
    """kill(1)."""
    status = kill_command(
        context.guest, 0, set(), arguments, out=context.print, err=context.complain
    )
    yield 0.0
    return status


# --- running others -----------------------------------------------------------------------------


def _run(context: Context, argv: list[str], who: str, shown: str = "{}") -> Program:
    """Run a program for `who`, which says itself when there is none."""
    try:
        return (yield from execute(context, argv))
    except ProgramNotFound as missing:
        absent = missing.reason == "not found"
        reason = "No such file or directory" if absent else missing.reason
        context.complain(f"{who}: {shown.format(missing.name)}: {reason}")
        return 127 if absent else 126


_ENV_USAGE = """\
usage: env [-0iv] [-L|-U user[/class]] [-P utilpath] [-S string] [-u name]
           [name=value ...] [utility [argument ...]]"""


@command("env")
def env(context: Context, arguments: list[str]) -> Program:
    """env(1): a changed environment, printed or for a program."""
    context = as_shell_context(context)
    words = list(arguments)
    environment = dict(context.environment)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in {"-i", "-"}:
            environment = {}
        elif word == "-u" and words:
            environment.pop(words.pop(0), None)
        elif word == "--":
            break
        elif set(word[1:]) & set("0ivLUPSu"):
            raise NotModelled(f"env {word}")
        else:
            context.complain(f"env: illegal option -- {word[1:2]}\n{_ENV_USAGE}")
            return 1
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    context.environment = environment
    if words:
        return (yield from _run(context, words, "env"))
    for name, value in environment.items():
        context.print(f"{name}={value}")
    return 0


@tool("nohup", usage="usage: nohup [--] utility [arguments]", status=127)
def nohup(context: Context, options: Options) -> Program:
    """nohup(1): nothing here has a terminal, so nothing needs to be redirected."""
    if not options.rest:
        raise Failure("usage: nohup [--] utility [arguments]", 127)
    return (yield from _run(context, options.rest, "nohup"))


@tool("nice", valued="n", usage="usage: nice [-n increment] utility [argument ...]")
def nice(context: Context, options: Options) -> Program:
    """nice(1): all programs here have the same priority."""
    if not options.rest:
        raise Failure("usage: nice [-n increment] utility [argument ...]")
    return (yield from _run(context, options.rest, "nice"))


@command("time")
def time(context: Context, arguments: list[str]) -> Program:
    """time(1): the real time; the model has no processor whose time it could tell."""
    portable = arguments[:1] == ["-p"]
    words = arguments[1:] if portable else arguments
    if not words or words[0].startswith("-"):
        raise NotModelled(f"time {' '.join(words[:1])}".rstrip())
    start = context.guest.world.now
    status = yield from _run(context, words, "time")
    took = context.guest.world.now - start
    if portable:
        context.complain(f"real {took:.2f}\nuser 0.00\nsys 0.00")
    else:
        context.complain(f"{took:12.2f} real{0:14.2f} user{0:14.2f} sys")
    return status


def seconds(text: str) -> float | None:
    """A number of seconds as sleep(1) takes it, or None."""
    match = re.fullmatch(r"\s*\+?(\d{1,9}(?:\.\d*)?|\.\d+)", text, re.ASCII)
    return float(match[1]) if match is not None else None


@command("sleep")
def sleep(context: Context, arguments: list[str]) -> Program:
    """sleep(1)."""
    wanted = seconds(arguments[0]) if len(arguments) == 1 else None
    if wanted is None:
        context.complain("usage: sleep seconds")
        return 1
    yield wanted
    return 0


_TIMEOUT_USAGE = (
    "Usage: timeout [--signal sig | -s sig] [--preserve-status] [--kill-after time | -k time]"
    " [--foreground] <duration> <command> <arg ...>"
)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@tool(
    "timeout",
    valued="ks",
    usage=_TIMEOUT_USAGE,
    status=64,
    illegal="invalid option",
)
def timeout(context: Context, options: Options) -> Program:
    """timeout(1): a program that is ended after some seconds, with the status 124."""
    if len(options.rest) < 2:
        raise Failure(_TIMEOUT_USAGE, 64)
    words = options.rest
    wanted = seconds(words[0].rstrip("smhd"))
    unit = words[0][len(words[0].rstrip("smhd")) :]
    if wanted is None or unit not in _UNITS:
        raise Failure("timeout: invalid duration", 125)
    name = options.value("s", "TERM")
    number = int(name) if name.isdigit() else number_of(name)
    if number is None or not 0 < number <= len(NAMES):
        raise Failure("timeout: invalid signal", 125)
    limit = wanted * _UNITS[unit]
    child = _Child(as_shell_context(context), words[1:])
    event = None
    if limit > 0:
        event = context.guest.world.schedule(context.guest, limit, child.expire)
    try:
        yield child.changed
        if child.expired:
            yield from _end(child, number, options)
    finally:
        context.guest.world.cancel(event)
        if child.process.status is None:
            child.process.signal(15)
    if child.expired:
        return 124
    status = child.process.status or 0
    return 128 - status if status < 0 else status


def _end(child: _Child, number: int, options: Options) -> Program:
    """Send the signal and wait for the end, which a trap may delay; -k does not wait for ever."""
    guest = child.process.guest
    send(guest, child.process.pid, number)
    ended = Signal()
    child.process.on_end = ended.fire
    event = None
    if "k" in options:
        text = options.value("k")
        wanted, unit = seconds(text.rstrip("smhd")), text[len(text.rstrip("smhd")) :]
        if wanted is None or unit not in _UNITS:
            raise Failure("timeout: invalid duration", 125)
        event = guest.world.schedule(guest, wanted * _UNITS[unit], child.process.signal, 9)
    if child.process.status is None:
        yield ended
    guest.world.cancel(event)
    return 0


class _Child:
    """A program in a process of its own, and a signal for its end or the end of patience."""

    def __init__(self, context: ShellContext, argv: list[str]) -> None:
        self.changed = Signal()
        self.expired = False
        self.process = Process(context.guest, " ".join(argv))
        context.process = self.process
        context.pid = self.process.pid
        self.process.on_end = self.changed.fire
        self.process.feed(b"")
        self.process.start(_run(context, argv, "timeout", "exec({})"))

    def expire(self) -> None:
        """Patience is at its end."""
        self.expired = True
        self.changed.fire()


@tool(
    "xargs",
    flags="0rt",
    valued="nIL",
    unmodelled="EJoPRSsx",
    usage="usage: xargs [-0opt] [-E eofstr] [-I replstr [-R replacements] [-S replsize]]\n"
    "             [-J replstr] [-L number] [-n number [-x]] [-P maxprocs]\n"
    "             [-s size] [utility [argument ...]]",
    illegal="invalid option",
)
def xargs(context: Context, options: Options) -> Program:
    """xargs(1) without quotes in its input."""
    context = as_shell_context(context)
    yield from context.read_stdin()
    text = (context.stdin or b"").decode("utf-8", "surrogateescape")
    if "0" in options:
        items = [item for item in text.split("\0") if item]
    elif "I" in options:
        if any(quote in text for quote in "'\"\\"):
            raise NotModelled("xargs -I with quotes in its input")
        items = [line.lstrip() for line in text.removesuffix("\n").split("\n")] if text else []
    else:
        items = _items(text)
    argv = options.rest or ["echo"]
    batches = [[*argv, *batch] for batch in _batches(items, options)]
    if "L" in options:
        if options.value("L") != "1" or "I" in options or "0" in options:
            raise NotModelled("xargs -L with other options")
        batches = [[*argv, *_items(line)] for line in text.splitlines() if line.strip()]
    if "I" in options:
        mark = options.value("I")
        batches = [[word.replace(mark, item) for word in argv] for item in items]
    status = 0
    for batch in batches:
        context.budget.step()
        if "t" in options:
            context.complain(" ".join(batch))
        ended = yield from _run(context, batch, "xargs")
        if ended == 255:
            context.complain(f"xargs: {batch[0]}: exited with status 255; aborting")
            return 1
        if ended in {126, 127}:
            return ended
        status = 1 if ended else status
    return status


def _items(text: str) -> list[str]:
    """Words apart from each other by blanks, with quotes and backslashes."""
    items: list[str] = []
    for match in re.finditer(
        r"(?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^\s'\"\\])+|['\"\\]", text, re.DOTALL
    ):
        if match[0] in {"'", '"', "\\"}:
            raise NotModelled("xargs with an unterminated quote")
        pieces = re.findall(r"'([^'\n]*)'|\"([^\"\n]*)\"|\\(.)|([^\s'\"\\]+)", match[0], re.DOTALL)
        items.append("".join("".join(piece) for piece in pieces))
    return items


def _batches(items: list[str], options: Options) -> list[list[str]]:
    """FreeBSD runs the utility not at all when there is no item."""
    if not items:
        return []
    text = options.value("n", "5000")
    if not text.isdigit() or int(text) == 0:
        raise NotModelled(f"xargs -n {text}")
    size = int(text)
    return [items[at : at + size] for at in range(0, len(items), size)]
