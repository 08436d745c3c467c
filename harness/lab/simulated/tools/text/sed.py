"""sed(1) (usr.bin/sed/process.c, 13.2)."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, replace

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import Context
from harness.lab.simulated.shell.regex import Match, Regex
from harness.lab.simulated.shell.state import ShellContext
from harness.lab.simulated.shell.streams import Writer, check_size, open_writer
from harness.lab.simulated.shell.tool import Failure, content, entry_of, mask_of, put, tool
from harness.lab.simulated.tools.text.sed_script import Address, Command, Compiler

_USAGE = """\
usage: sed script [-Ealnru] [-i extension] [file ...]
\tsed [-Ealnu] [-i extension] [-e script] ... [-f script_file] ... [file ...]"""

_MOST_STEPS = 200_000

_TAKEN = re.compile(rb"\\[\\&0-9]|&")


@dataclass(frozen=True, slots=True)
class _Line:
    text: bytes
    ended: bool
    """Whether a newline follows it in the output."""


class _Quit(Exception):
    """The script has ended before its input."""


def _lines(pieces: list[bytes]) -> list[_Line]:
    """The lines of files one after the other; only the very last one may lack its newline."""
    found: list[_Line] = []
    for data in pieces:
        lines = data.split(b"\n")
        found += [_Line(line, ended=True) for line in lines[:-1]]
        if lines[-1]:
            found.append(_Line(lines[-1], ended=False))
    return [_Line(line.text, line.ended or line is not found[-1]) for line in found]


class _Run:
    """One run of a script over lines."""

    def __init__(self, context: Context, commands: list[Command], *, quiet: bool) -> None:
        self._context = context
        self._commands = commands
        self._quiet = quiet
        self._last_regex: Regex | None = None
        self._writers: dict[str, Writer] = {}
        self._steps = 0

    def open_files(self) -> Program:
        """Make the files of `w`, which are there even when nothing is written."""
        for command in self._commands:
            if command.code in {"w", "s"} and command.file and command.file not in self._writers:
                path = self._context.path(command.file)
                mode = 0o666 & ~mask_of(self._context)
                try:
                    writer = yield from open_writer(
                        self._context.guest, path, append=False, mode=mode
                    )
                except FileError as error:
                    raise Failure(f"sed: {command.file}: {error.reason}") from None
                self._writers[command.file] = writer
        return 0

    def close_files(self) -> Program:
        """Take what was written to where it belongs."""
        for writer in self._writers.values():
            yield from writer.flush()
        return 0

    def over(self, lines: list[_Line]) -> Generator[float | Signal, None, bytes]:
        """What it makes of the lines."""
        self._lines = lines
        self._number = 0
        self._pattern = b""
        self._hold = b""
        self._ended = True
        self._deleted = False
        self._changed = False
        self._last_of_range = False
        self._appends: list[tuple[str, str]] = []
        self.out = bytearray()
        for command in self._commands:
            command.start = 0
        try:
            while self._next():
                self._deleted = False
                yield from self._cycle()
                if not self._quiet and not self._deleted:
                    self._print()
                yield from self._flush_appends()
        except _Quit:
            pass
        return bytes(self.out)

    def _next(self, *, append: bool = False) -> bool:
        if self._number >= len(self._lines):
            return False
        line = self._lines[self._number]
        self._number += 1
        self._pattern = self._pattern + line.text if append else line.text
        self._ended = line.ended
        check_size(len(self._pattern))
        return True

    def _print(self) -> None:
        self.out += self._pattern + (b"\n" if self._ended else b"")
        check_size(len(self.out))

    def _flush_appends(self) -> Program:
        waiting, self._appends = self._appends, []
        self._changed = False
        for kind, text in waiting:
            if kind == "text":
                self.out += _encoded(text)
                continue
            try:
                self.out += yield from content(self._context, text)
            except FileError:
                continue
        return 0

    # --- selection ------------------------------------------------------------------------------

    def _fits(self, address: Address) -> bool:
        if address.kind == "last":
            return self._number == len(self._lines)
        if address.kind == "regex":
            return self._search(address.regex, self._pattern) is not None
        return self._number == address.number

    def _search(self, regex: Regex | None, text: bytes, at: int = 0) -> Match | None:
        chosen = regex if regex is not None else self._last_regex
        if chosen is None:
            raise Failure("sed: first RE may not be empty")
        self._last_regex = chosen
        return chosen.search(text, at)

    def _selected(self, command: Command) -> bool:
        self._last_of_range = False
        first, second = command.first, command.second
        if first is None:
            chosen = True
        elif second is None:
            chosen = self._fits(first)
        elif command.start:
            chosen = self._goes_on(command, second)
        elif chosen := self._fits(first):
            ends = (second.kind == "line" and self._number >= second.number) or (
                second.kind == "relative" and second.number == 0
            )
            self._last_of_range = ends
            command.start = 0 if ends else self._number
        return chosen != command.negated

    def _goes_on(self, command: Command, second: Address) -> bool:
        if second.kind == "relative":
            if self._number - command.start <= second.number:
                return True
            command.start = 0
            return False
        if self._fits(second):
            command.start = 0
            self._last_of_range = True
            return True
        if second.kind == "line" and self._number > second.number:
            command.start = 0
            return False
        return True

    # --- commands -------------------------------------------------------------------------------

    def _cycle(self) -> Program:  # noqa: PLR0912 - one for each command that jumps
        """Run the script once."""
        at = 0
        while at < len(self._commands):
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise NotModelled("sed: that many steps")
            if self._steps % 64 == 0 and isinstance(self._context, ShellContext):
                self._context.budget.step()
            command = self._commands[at]
            chosen = self._selected(command)
            if command.code == "{":
                at = at + 1 if chosen else command.jump + 1
                continue
            if not chosen:
                at += 1
                continue
            match command.code:
                case "b":
                    at = command.jump
                    continue
                case "t":
                    if self._changed:
                        self._changed = False
                        at = command.jump
                        continue
                case "d":
                    self._deleted = True
                    return 0
                case "D":
                    _, newline, tail = self._pattern.partition(b"\n")
                    if self._deleted or not newline:
                        self._deleted = True
                        return 0
                    self._pattern = tail
                    at = 0
                    continue
                case "n" | "N" | "q" | "r" | "a":
                    yield from self._in_order(command)
                case _:
                    self._do(command)
            at += 1
        return 0

    def _in_order(self, command: Command) -> Program:
        match command.code:
            case "a":
                self._appends.append(("text", command.text))
            case "r":
                self._appends.append(("file", command.file))
            case "n":
                if not self._quiet and not self._deleted:
                    self._print()
                yield from self._flush_appends()
                if not self._next():
                    raise _Quit
                self._deleted = False
            case "N":
                yield from self._flush_appends()
                self._pattern += b"\n"
                if not self._next(append=True):
                    raise _Quit
            case "q":
                if not self._quiet and not self._deleted:
                    self._print()
                yield from self._flush_appends()
                raise _Quit
        return 0

    def _do(self, command: Command) -> None:  # noqa: PLR0912 - one for each command
        match command.code:
            case "s":
                self._substitute(command)
            case "p":
                if not self._deleted:
                    self._print()
            case "P":
                if not self._deleted:
                    head, newline, _ = self._pattern.partition(b"\n")
                    self.out += head + (b"\n" if newline or self._ended else b"")
            case "c":
                self._deleted = True
                self._pattern = b""
                if (
                    command.second is None
                    or self._last_of_range
                    or self._number == len(self._lines)
                ):
                    self.out += _encoded(command.text)
            case "i":
                self.out += _encoded(command.text)
            case "g":
                self._pattern = self._hold
            case "G":
                self._pattern += b"\n" + self._hold
            case "h":
                self._hold = self._pattern
            case "H":
                self._hold += b"\n" + self._pattern
            case "x":
                self._pattern, self._hold = self._hold, self._pattern
            case "l":
                self.out += _visible(self._pattern)
            case "w":
                if not self._deleted:
                    self._writers[command.file].buffer += self._pattern + b"\n"
            case "y":
                if not self._deleted:
                    text = self._pattern.decode("utf-8", "surrogateescape")
                    self._pattern = _encoded(text.translate(command.table))
            case "=":
                self.out += b"%d\n" % self._number
        check_size(len(self._pattern) + len(self._hold))

    def _substitute(self, command: Command) -> None:
        text = self._pattern
        match = self._search(command.regex, text)
        if match is None:
            return
        out = bytearray()
        wanted = command.occurrence
        at = 0
        last_empty = True
        replaced = False
        while match is not None:
            start, end = match.start(), match.end()
            out += text[at:start]
            if last_empty or start > at or start != end:
                if wanted <= 1:
                    out += _filled(command.replacement, match)
                    replaced = True
                    wanted = -1 if wanted == 1 else wanted
                else:
                    out += text[start:end]
                    wanted -= 1
            else:
                out += text[start:end]
            check_size(len(out))
            at = end
            last_empty = start == end
            if wanted < 0 or (last_empty and at >= len(text)):
                break
            if last_empty:
                out += text[at : at + 1]
                at += 1
            match = self._search(command.regex, text, at)
        if not replaced:
            return
        self._pattern = bytes(out) + text[at:]
        self._changed = True
        if command.printing and not self._deleted:
            self._print()
        if command.file and not self._deleted:
            self._writers[command.file].buffer += self._pattern + b"\n"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _filled(replacement: bytes, match: Match) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        token = found[0]
        if token == b"&":
            return match.group(0) or b""
        if token[1:].isdigit():
            return match.group(int(token[1:])) or b""
        return token[1:]

    return _TAKEN.sub(one, replacement)


def _visible(text: bytes) -> bytes:
    """What `l` shows, 60 columns wide."""
    escapes = {92: b"\\\\", 7: b"\\a", 8: b"\\b", 12: b"\\f", 13: b"\\r", 9: b"\\t", 11: b"\\v"}
    out = bytearray()
    column = 0
    for code in text:
        if code > 126 and code != 127:
            raise NotModelled("sed's l with characters that are not ASCII")
        if code == 10:
            out += b"\\\n$\n" if column + 1 >= 60 else b"$\n"
            column = 0
            continue
        shown = escapes.get(code) or (bytes([code]) if 32 <= code < 127 else b"\\%03o" % code)
        if column + len(shown) >= 60:
            out += b"\\\n"
            column = 0
        out += shown
        column += len(shown)
    return bytes(out) + (b"\\\n$\n" if column + 1 >= 60 else b"$\n")


@tool("sed", flags="nErula", valued="efiI", usage=_USAGE)
def sed(context: Context, options: Options) -> Program:
    """sed(1)."""
    names = list(options.rest)
    scripts: list[tuple[str, str]] = []
    for letter, value in options.in_order():
        if letter == "e":
            scripts.append(("", value + "\n"))
        elif letter == "f":
            try:
                data = yield from content(context, value)
            except FileError as error:
                raise Failure(f"sed: {value}: {error.reason}") from None
            scripts.append((value, data.decode("utf-8", "surrogateescape")))
    if not scripts:
        scripts = [("", names.pop(0) if names else "")]
    compiler = Compiler(scripts, extended="E" in options or "r" in options)
    for warning in compiler.warnings:
        context.complain(warning)
    quiet = "n" in options or compiler.lines.quiet
    run = _Run(context, compiler.commands, quiet=quiet)
    yield from run.open_files()
    if "i" in options or "I" in options:
        status = yield from _in_place(context, run, names, options)
    else:
        status, pieces = 0, []
        for name in names or ["-"]:
            try:
                pieces.append((yield from content(context, name)))
            except FileError as error:
                context.complain(f"sed: {error.path}: {error.reason}")
                status = 1
        context.stdout += yield from run.over(_lines(pieces))
    yield from run.close_files()
    return status


def _in_place(context: Context, run: _Run, names: list[str], options: Options) -> Program:
    """Edit files in place; with `I` they are one text."""
    if not names:
        raise Failure("sed: -I or -i may not be used with stdin")
    if "I" in options and len(names) > 1:
        raise NotModelled("sed -I of several files")
    extension = options.value("i") or options.value("I")
    for name in names:
        try:
            entry = entry_of(context, name, follow=False)
        except FileError as error:
            raise Failure(f"sed: {error.path}: {error.reason}") from None
        if entry.kind != "file":
            raise Failure(f"sed: {name}: in-place editing only works for regular files")
        data = yield from content(context, name)
        edited = yield from run.over(_lines([data]))
        if extension:
            yield from put(context, name + extension, entry)
        now = context.guest.wall_clock()
        yield from put(context, name, replace(entry, data=edited, mtime=now))
    return 0
