"""The commands that are part of sh(1)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import STRERROR, normal
from harness.lab.simulated.kernel.signals import NAMES, kill_command, number_of
from harness.lab.simulated.shell.conditions import TestFault, evaluate
from harness.lab.simulated.shell.interpreter import (
    BUILTINS,
    Builtin,
    Leave,
    Return,
    Shell,
    ShellExit,
    find_program,
)
from harness.lab.simulated.shell.language.arithmetic import ArithmeticFault
from harness.lab.simulated.shell.language.arithmetic import evaluate as compute
from harness.lab.simulated.shell.language.parser import is_name, is_reserved, parse, quoted
from harness.lab.simulated.shell.paths import entry_or_none
from harness.lab.simulated.shell.printf import echo, printf
from harness.lab.simulated.shell.state import ShellError
from harness.lab.simulated.shell.streams import absence, open_reader

_LETTERS = {
    "allexport": "a",
    "errexit": "e",
    "monitor": "m",
    "noclobber": "C",
    "noexec": "n",
    "noglob": "f",
    "nolog": "L",
    "nounset": "u",
    "physical": "P",
    "pipefail": "pipefail",
    "trackall": "h",
    "verbose": "v",
    "xtrace": "x",
}
_MODELLED = frozenset("aefumxC") | {"pipefail"}


def _builtin(*names: str) -> Callable[[Builtin], Builtin]:
    def register(function: Builtin) -> Builtin:
        for name in names:
            BUILTINS[name] = function
        return function

    return register


def _status(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ShellError(f"Illegal number: {text}")
    return int(text)


@_builtin(":", "true")
def _true(shell: Shell, arguments: list[str]) -> int:
    return 0


@_builtin("false")
def _false(shell: Shell, arguments: list[str]) -> int:
    return 1


@_builtin("echo")
def _echo(shell: Shell, arguments: list[str]) -> int:
    shell.write(echo(arguments))
    return 0


@_builtin("printf")
def _printf(shell: Shell, arguments: list[str]) -> int:
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not arguments:
        shell.print_error("usage: printf format [arguments ...]")
        return 1
    printed = printf(arguments)
    shell.write(bytes(printed.out))
    for complaint in printed.complaints:
        shell.complain(complaint)
    return printed.status


@_builtin("test")
def _test(shell: Shell, arguments: list[str]) -> int:
    return _tested(shell, arguments)


def _tested(shell: Shell, arguments: list[str]) -> int:
    try:
        return int(not evaluate(shell.guest, shell.directory, arguments))
    except TestFault as fault:
        shell.complain(str(fault))
        return 2


@_builtin("[")
def _bracket(shell: Shell, arguments: list[str]) -> int:
    if arguments[-1:] != ["]"]:
        shell.complain("missing ]")
        return 2
    return _tested(shell, arguments[:-1])


# --- leaving ------------------------------------------------------------------------------------


@_builtin("exit")
def _exit(shell: Shell, arguments: list[str]) -> int:
    raise ShellExit((_status(arguments[0]) if arguments else shell.status) & 0xFF)


@_builtin("return")
def _return(shell: Shell, arguments: list[str]) -> int:
    raise Return(_status(arguments[0]) if arguments else shell.status)


@_builtin("break")
def _break(shell: Shell, arguments: list[str]) -> int:
    return _leave(shell, arguments, again=False)


@_builtin("continue")
def _continue(shell: Shell, arguments: list[str]) -> int:
    return _leave(shell, arguments, again=True)


def _leave(shell: Shell, arguments: list[str], *, again: bool) -> int:
    levels = _status(arguments[0]) if arguments else 1
    if levels == 0 or shell.loops == 0:
        return 0
    raise Leave(levels, again=again)


@_builtin("exec")
def _exec(shell: Shell, arguments: list[str]) -> Program:
    if not arguments:
        return 0
    raise ShellExit((yield from shell.external(arguments)))


@_builtin("let")
def _let(shell: Shell, arguments: list[str]) -> int:
    """Print what an expression comes to (letcmd() in bin/sh/arith_yacc.c)."""
    try:
        value = compute(" ".join(arguments), shell.settable())
    except ArithmeticFault as fault:
        raise ShellError(str(fault)) from None
    shell.print(str(value))
    return int(value == 0)


@_builtin("eval")
def _eval(shell: Shell, arguments: list[str]) -> Program:
    shell.status = 0
    shell.enter()
    yield from shell.run_script(parse(" ".join(arguments)))
    shell.depth -= 1
    return shell.status


LIBRARIES: dict[str, Callable[[Shell], None]] = {}
"""Files of FreeBSD's functions that the model has, by path: what sourcing one does to a shell."""


@_builtin(".")
def _dot(shell: Shell, arguments: list[str]) -> Program:
    if not arguments:
        raise ShellError("file name expected")
    name = arguments[0]
    known = LIBRARIES.get(normal(posixpath.join(shell.directory, name)))
    if known is not None:
        known(shell)
        return 0
    places = [""] if "/" in name else (shell.parameter("PATH") or "").split(":")
    for place in places:
        path = posixpath.join(shell.directory, place, name)
        entry = entry_or_none(shell.guest, path)
        if entry is not None and entry.kind == "file":
            break
    else:
        raise ShellError(f"cannot open {name}: No such file or directory", 127)
    data = yield from open_reader(shell.guest, path).take()
    shell.status = 0
    shell.command_name = name
    shell.enter()
    try:
        yield from shell.run_script(parse(data.decode("utf-8", "surrogateescape")))
    except Return as end:
        shell.status = end.status
    finally:
        shell.depth -= 1
    return shell.status


@_builtin("command")
def _command(shell: Shell, arguments: list[str]) -> Program:
    words = arguments
    show = ""
    while words and words[0].startswith("-") and len(words[0]) > 1:
        if words[0] == "--":
            words = words[1:]
            break
        if not set(words[0][1:]) <= set("pvV"):
            raise ShellError(f"Illegal option {words[0][:2]}")
        show = "V" if "V" in words[0] else "v" if "v" in words[0] else show
        words = words[1:]
    if show:
        if len(words) != 1:
            raise ShellError("wrong number of arguments")
        return _describe(shell, words[0], verbose=show == "V")
    if not words:
        return 0
    shell.command_name = None
    return (yield from shell.call(words, functions=False))


@_builtin("builtin")
def _builtin_command(shell: Shell, arguments: list[str]) -> Program:
    if not arguments:
        return 0
    if arguments[0] not in BUILTINS:
        shell.complain(f"{arguments[0]}: not found")
        return 127
    return (yield from shell.call(arguments, functions=False))


@_builtin("type")
def _type(shell: Shell, arguments: list[str]) -> int:
    return max([0, *(_describe(shell, name, verbose=True) for name in arguments)])


def _describe(shell: Shell, name: str, *, verbose: bool) -> int:
    if is_reserved(name):
        shell.print(f"{name} is a shell keyword" if verbose else name)
    elif name in shell.functions or name in shell.library:
        shell.print(f"{name} is a shell function" if verbose else name)
    elif name in BUILTINS:
        kind = "special shell builtin" if name in _SPECIAL_NAMES else "shell builtin"
        shell.print(f"{name} is a {kind}" if verbose else name)
    else:
        path = shell.parameter("PATH") or ""
        found = find_program(shell.guest, name, path, shell.directory)
        if isinstance(found, str):
            if verbose:
                shell.print_error(f"{name}: not found")
            return 127
        shown = found.path
        shell.print(f"{name} is {shown}" if verbose else shown)
    return 0


_SPECIAL_NAMES = frozenset(
    {
        *(".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return"),
        *("set", "shift", "times", "trap", "unset"),
    }
)


# --- variables ----------------------------------------------------------------------------------


@_builtin("export")
def _export(shell: Shell, arguments: list[str]) -> int:
    return _declare(shell, arguments, shell.exported, "export")


@_builtin("readonly")
def _readonly(shell: Shell, arguments: list[str]) -> int:
    return _declare(shell, arguments, shell.read_only, "readonly")


def _declare(shell: Shell, arguments: list[str], names: set[str], what: str) -> int:
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not arguments or arguments[0] == "-p":
        raise NotModelled(f"{what} without names")
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not is_name(name):
            raise ShellError(f"{name}: bad variable name")
        if equals:
            shell.assign(name, value)
        names.add(name)
    return 0


@_builtin("local")
def _local(shell: Shell, arguments: list[str]) -> int:
    if not shell.locals:
        raise ShellError("Not in a function")
    saved = shell.locals[-1]
    for argument in arguments:
        if argument == "-":
            saved["-"] = ("", False)
            continue
        name, equals, value = argument.partition("=")
        if not is_name(name):
            raise ShellError(f"{name}: bad variable name")
        if name not in saved:
            saved[name] = (shell.variables.get(name), name in shell.exported)
        if equals:
            shell.assign(name, value)
    return 0


@_builtin("unset")
def _unset(shell: Shell, arguments: list[str]) -> int:
    functions = False
    while arguments and arguments[0].startswith("-"):
        if arguments[0] not in {"-f", "-v", "--"}:
            raise ShellError(f"Illegal option {arguments[0][:2]}")
        functions = arguments[0] == "-f"
        arguments = arguments[1:]
    for name in arguments:
        if functions:
            shell.functions.pop(name, None)
        elif name in shell.read_only:
            return 1
        else:
            shell.variables.pop(name, None)
            shell.exported.discard(name)
    return 0


@_builtin("set")
def _set(shell: Shell, arguments: list[str]) -> int:
    if not arguments:
        raise NotModelled("set without arguments")
    words = list(arguments)
    while words and words[0][:1] in {"-", "+"}:
        word = words.pop(0)
        if word in {"--", "-"}:
            shell.arguments = words
            shell.getopts = (None, -1, "")
            return 0
        for letter in word[1:]:
            if letter != "o":
                _set_option(shell, letter, on=word[0] == "-")
                continue
            if not words:
                raise NotModelled("set -o without a name")
            name = words.pop(0)
            if name not in _LETTERS:
                raise ShellError(f"Illegal option {word[0]}o {name}")
            _set_option(shell, _LETTERS[name], on=word[0] == "-")
    if words:
        shell.arguments = words
        shell.getopts = (None, -1, "")
    return 0


def _set_option(shell: Shell, letter: str, *, on: bool) -> None:
    if letter not in _LETTERS.values() and letter not in set("mbiIEVpT"):
        raise ShellError(f"Illegal option -{letter}")
    if on and letter not in _MODELLED:
        raise NotModelled(f"set -{letter}")
    if on:
        shell.options = shell.options | {letter}
    else:
        shell.options = shell.options - {letter}


@_builtin("shift")
def _shift(shell: Shell, arguments: list[str]) -> int:
    count = _status(arguments[0]) if arguments else 1
    if count > len(shell.arguments):
        return 1
    shell.arguments = shell.arguments[count:]
    shell.getopts = (None, -1, "")
    return 0


@_builtin("read")
def _read(shell: Shell, arguments: list[str]) -> Program:
    names, raw = _read_options(shell, arguments)
    characters: list[tuple[str, bool]] = []
    """Each with whether a backslash protects it."""
    ended = True
    while ended:
        line = (yield from shell.reader.line()).replace(b"\0", b"")
        ended = line.endswith(b"\n")
        text = line.decode("utf-8", "surrogateescape").removesuffix("\n")
        shell.budget.spend_bytes(16 * len(text))
        continued = False
        at = 0
        while at < len(text):
            if text[at] == "\\" and not raw:
                continued = at + 1 == len(text)
                characters += [(character, True) for character in text[at + 1 : at + 2]]
                at += 2
            else:
                characters.append((text[at], False))
                at += 1
        if not continued:
            break
    _spread(shell, names, characters)
    return int(not ended)


def _read_options(shell: Shell, arguments: list[str]) -> tuple[list[str], bool]:
    """The names of the variables, and whether a backslash is a character like others."""
    raw = False
    while arguments and arguments[0].startswith("-") and len(arguments[0]) > 1:
        option, arguments = arguments[0], arguments[1:]
        if option == "--":
            break
        if option in {"-p", "-t"} and arguments:
            # A prompt is printed on a terminal only; what is there already is in time.
            arguments = arguments[1:]
            if option == "-t" and shell.reader.waits:
                raise NotModelled("read -t before its input has come")
        elif option == "-r":
            raw = True
        else:
            raise NotModelled(f"read {option}")
    if not arguments:
        raise ShellError("arg count")
    for name in arguments:
        if not is_name(name):
            raise ShellError(f"{name}: bad variable name")
    return arguments, raw


def _spread(shell: Shell, names: list[str], characters: list[tuple[str, bool]]) -> None:
    """Give the fields of a line to variables; the last gets all that is left."""
    separators = shell.separators
    blanks = {c for c in separators if c in " \t\n"}
    at = _skip(characters, 0, blanks)
    for name in names[:-1]:
        start = at
        while at < len(characters) and (characters[at][1] or characters[at][0] not in separators):
            at += 1
        shell.assign(name, "".join(character for character, _ in characters[start:at]))
        at = _skip(characters, at, blanks)
        if at < len(characters) and not characters[at][1] and characters[at][0] in separators:
            at = _skip(characters, at + 1, blanks)
    end = len(characters)
    while end > at and not characters[end - 1][1] and characters[end - 1][0] in blanks:
        end -= 1
    last = characters[at:end]
    # One field with one separator behind it is that field alone.
    inner = [n for n, (c, protected) in enumerate(last) if c in separators and not protected]
    if inner == [len(last) - 1]:
        last = last[:-1]
    shell.assign(names[-1], "".join(character for character, _ in last))


def _skip(characters: list[tuple[str, bool]], at: int, blanks: set[str]) -> int:
    while at < len(characters) and not characters[at][1] and characters[at][0] in blanks:
        at += 1
    return at


# --- directories and the rest -------------------------------------------------------------------


@_builtin("cd", "chdir")
def _cd(shell: Shell, arguments: list[str]) -> int:
    while arguments and arguments[0] in {"-L", "-P", "--", "-e"}:
        arguments = arguments[1:]
    if len(arguments) > 1:
        raise ShellError("too many arguments")
    name = arguments[0] if arguments else shell.parameter("HOME")
    if name is None:
        raise ShellError("HOME not set")
    if name == "-":
        # Only an interactive shell prints where that is.
        if "OLDPWD" not in shell.variables:
            raise ShellError("OLDPWD not set")
        name = shell.variables["OLDPWD"]
    path = normal(posixpath.join(shell.directory, name or "."))
    path = "/" + path.lstrip("/")
    entry = entry_or_none(shell.guest, path)
    if entry is None or entry.kind != "dir":
        errno = "ENOTDIR" if entry is not None else absence(shell.guest, path)
        raise ShellError(f"{name}: {STRERROR[errno]}")
    shell.assign("OLDPWD", shell.directory)
    shell.directory = path
    shell.assign("PWD", path)
    shell.exported.add("PWD")
    return 0


@_builtin("pwd")
def _pwd(shell: Shell, arguments: list[str]) -> int:
    shell.print(shell.directory)
    return 0


@_builtin("umask")
def _umask(shell: Shell, arguments: list[str]) -> int:
    symbolic = arguments[:1] == ["-S"]
    if symbolic:
        arguments = arguments[1:]
    if not arguments:
        if symbolic:
            shell.print(
                ",".join(
                    f"{who}={_letters(shell, at)}" for who, at in zip("ugo", (6, 3, 0), strict=True)
                )
            )
        else:
            shell.print(f"{shell.mask:04o}")
        return 0
    if re.match("[ugoa]*[-+=]", arguments[0]):
        raise NotModelled(f"umask {arguments[0]}")
    if not re.fullmatch("[0-7]{1,4}", arguments[0]):
        raise ShellError(f"Illegal number: {arguments[0]}")
    shell.mask = int(arguments[0], 8) & 0o777
    return 0


def _letters(shell: Shell, shift: int) -> str:
    allowed = ~(shell.mask >> shift) & 7
    return "".join(letter for letter, bit in zip("rwx", (4, 2, 1), strict=True) if allowed & bit)


@_builtin("trap")
def _trap(shell: Shell, arguments: list[str]) -> int:
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not arguments:
        for name in ("EXIT", *NAMES):
            if name in shell.traps:
                shell.print(f"trap -- {quoted(shell.traps[name])} {name}")
        return 0
    if arguments == ["-l"]:
        raise NotModelled("trap -l")
    action, signals = arguments[0], arguments[1:]
    if not signals:
        action, signals = "-", arguments
    status = 0
    for signal in signals:
        number = int(signal) if re.fullmatch("[0-9]{1,2}", signal) else number_of(signal)
        if number is None or number > len(NAMES):
            if arguments == [signal]:
                continue
            shell.complain(f"bad signal {signal}")
            status = 1
            continue
        name = "EXIT" if number == 0 else NAMES[number - 1]
        if action == "-":
            shell.traps.pop(name, None)
        else:
            shell.traps[name] = action
    return status


class _Woken:
    """Tells both who waits for a job and the shell in its `wait` of the job's end."""

    def __init__(self, *signals: Signal) -> None:
        self._signals = signals

    def fire(self, *_: object) -> None:
        for signal in self._signals:
            signal.fire()


@_builtin("wait")
def _wait(shell: Shell, arguments: list[str]) -> Program:
    status = 0
    for argument in arguments or [str(pid) for pid in shell.jobs]:
        pid = int(argument) if re.fullmatch("[0-9]{1,9}", argument) else -1
        if pid not in shell.jobs:
            status = 127
            continue
        job, ended = shell.jobs[pid]
        if job.status is None:
            shell.woken = Signal()
            job.on_end = _Woken(ended, shell.woken).fire
            yield shell.woken
            shell.woken = None
        if job.status is None:
            # A signal with a trap ends the wait; the job goes on and can be waited for again.
            job.on_end = ended.fire
            return 128 + (number_of(shell.caught[0]) or 0)
        del shell.jobs[pid]
        status = job.status or 0
        status = 128 - status if status < 0 else status
    return status if arguments else 0


@_builtin("kill")
def _kill(shell: Shell, arguments: list[str]) -> Program:
    trapped = {number_of(name) or 0 for name in shell.traps}
    status = kill_command(
        shell.guest, shell.pid, trapped, arguments, out=shell.print, err=shell.print_error
    )
    if status < 0:
        action = shell.traps.get(NAMES[-status - 1]) if -status <= len(NAMES) else None
        if action is not None:
            yield from shell.run_script(parse(action))
            return 0
        if shell.origin is not None:
            shell.origin.signal = -status
        raise ShellExit(128 - status)
    yield 0.0  # a signal to this very process arrives now
    return status


@_builtin("jobs")
def _jobs(shell: Shell, arguments: list[str]) -> int:
    if any(job.status is None for job, _ in shell.jobs.values()):
        raise NotModelled("jobs while there are some")
    return 0


@_builtin("hash")
def _hash(shell: Shell, arguments: list[str]) -> int:
    return 0


@_builtin("alias")
def _alias(shell: Shell, arguments: list[str]) -> int:
    if arguments:
        raise NotModelled(f"alias {arguments[0]}")
    return 0


_ENDED = -2
"""Where getopts is when there are no more options."""


@_builtin("getopts")
def _getopts(shell: Shell, arguments: list[str]) -> int:
    """One option a call (getopts() in bin/sh/options.c)."""
    if len(arguments) < 2:
        raise ShellError("usage: getopts optstring var [arg]")
    letters, name = arguments[:2]
    own, at, rest = shell.getopts
    if at == _ENDED:
        return 1
    if at < 0:
        own, at, rest = (tuple(arguments[2:]) or None), 0, ""
    words = shell.arguments if own is None else list(own)
    shell.variables.pop("OPTARG", None)
    if not rest:
        word = words[at] if at < len(words) else ""
        if word == "--" or not word.startswith("-") or word == "-":
            at += word == "--"
            shell.getopts = (own, at, "")
            _getopts_result(shell, name, "?", at)
            shell.getopts = (own, _ENDED, "")
            return 1
        at, rest = at + 1, word[1:]
    letter, rest = rest[0], rest[1:]
    found = letters.find(letter, 1 if letters[:1] == ":" else 0) if letter != ":" else -1
    argument = None
    if found < 0:
        argument = letter if letters[:1] == ":" else None
        if argument is None:
            shell.print_error(f"Illegal option -{letter}")
        letter = "?"
    elif letters[found + 1 : found + 2] == ":":
        if rest or at < len(words):
            argument, rest, at = (rest, "", at) if rest else (words[at], "", at + 1)
        elif letters[:1] == ":":
            argument, letter = letter, ":"
        else:
            shell.print_error(f"No arg for -{letter} option")
            letter = "?"
    if argument is not None:
        shell.assign("OPTARG", argument)
    _getopts_result(shell, name, letter, at)
    shell.getopts = (own, at, rest)
    return 0


def _getopts_result(shell: Shell, name: str, letter: str, at: int) -> None:
    shell.variables["OPTIND"] = str(at + 1)  # unlike an assignment, this starts nothing anew
    shell.assign(name, letter)


@_builtin("bg", "bind", "fc", "fg", "jobid", "setvar", "times", "ulimit")
def _not_modelled(shell: Shell, arguments: list[str]) -> int:
    raise NotModelled(f"sh's {shell.command_name} {' '.join(arguments)}".rstrip())


@_builtin("unalias")
def _unalias(shell: Shell, arguments: list[str]) -> int:
    return 0
