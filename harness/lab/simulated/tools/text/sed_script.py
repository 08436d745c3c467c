"""sed(1)'s language: a script's text as commands (usr.bin/sed/compile.c, 13.2).

What people from other systems stumble over is here, too: the text of `a`, `c` and `i` stands on
a line of its own, labels go to the end of the line, and no `}` follows a command directly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.shell.regex import BadRegex, Regex, compile_regex
from harness.lab.simulated.shell.tool import Failure

_TEXT, _FILE, _LABEL = "aci", "rw", "bt"
_ADDRESSES = {"}": 0, ":": 0, "#": 0, "a": 1, "i": 1, "q": 1, "r": 1, "=": 1}
_COMMANDS = "{}abcdDgGhHilnNpPqrstwxy!:#="
_LONGEST_NAME = 29
"""Characters of a script that a message shows, with the quotes."""


@dataclass(frozen=True, slots=True)
class Address:
    """Which line: `kind` is line, last, regex or relative. No regex is the last one used."""

    kind: str
    number: int = 0
    regex: Regex | None = None


@dataclass(slots=True)
class Command:
    """One command; `jump` is where `{`, `b` and `t` lead when they do."""

    code: str
    first: Address | None = None
    second: Address | None = None
    negated: bool = False
    text: str = ""
    jump: int = -1
    regex: Regex | None = None
    replacement: bytes = b""
    occurrence: int = 1
    """0 is every one."""
    printing: bool = False
    file: str = ""
    table: dict[int, int] = field(default_factory=dict)
    start: int = 0
    """The line on which a range began, while it lasts."""


class Lines:
    """The lines of all scripts, with what messages call them."""

    def __init__(self, scripts: list[tuple[str, str]]) -> None:
        """Each is its name, or "" for a script of the command line, and its text."""
        self._lines: list[tuple[str, int, str]] = []
        for name, text in scripts:
            shown = name or self._shown(text)
            pieces = text.splitlines(keepends=True) if text else []
            for number, line in enumerate(pieces, 1):
                self._lines.append((line, number, shown))
            if not name and text.endswith("\n"):
                self._lines.append(("", len(pieces) + 1, shown))
        self._at = 0
        self.quiet = bool(self._lines) and self._lines[0][0][:3].rstrip("\n") == "#n"
        self.where = '1: ""'

    def _shown(self, text: str) -> str:
        shown = f'"{text}"'
        return shown if len(shown) < _LONGEST_NAME else shown[:24] + ' ..."'

    def next(self) -> str | None:
        """The next line, with its newline."""
        if self._at >= len(self._lines):
            return None
        line, number, shown = self._lines[self._at]
        self._at += 1
        self.where = f"{number}: {shown}"
        return line

    def fail(self, what: str) -> Failure:
        """A complaint about the line that was read last."""
        return Failure(f"sed: {self.where}: {what}")


class Compiler:
    """Reads scripts. Raises `Failure` as sed complains."""

    def __init__(self, scripts: list[tuple[str, str]], *, extended: bool) -> None:
        self.lines = Lines(scripts)
        self._extended = extended
        self._text = ""
        self._at = 0
        self.commands: list[Command] = []
        self._open: list[int] = []
        self._labels: dict[str, int] = {}
        self.warnings: list[str] = []
        """What sed says and goes on."""
        self._read()
        self._link()

    # --- characters -----------------------------------------------------------------------------

    @property
    def _now(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        while self._now and self._now in " \t\n\v\f\r":
            self._at += 1

    def _rest(self, what: str) -> str:
        """What is left of the line."""
        rest = self._text[self._at :].partition("\n")[0]
        self._at = len(self._text)
        if rest[-1:] in {" ", "\t"}:
            raise NotModelled(f"sed: whitespace after {what}")
        return rest

    # --- commands -------------------------------------------------------------------------------

    def _read(self) -> None:
        while (line := self.lines.next()) is not None:
            self._text, self._at = line, 0
            while True:
                self._skip()
                if self._now == ";":
                    self._at += 1
                elif self._now in {"", "#"} or not self._command():
                    break
        if self._open:
            raise self.lines.fail("unexpected EOF (pending }'s)")

    def _command(self) -> bool:
        """Read one command; whether another one may follow on the line."""
        fail = self.lines.fail
        command = Command("")
        count = 0
        if self._now in "0123456789/\\$":
            command.first, count = self._address(), 1
            self._skip()
            if self._now == ",":
                self._at += 1
                self._skip()
                command.second, count = self._address(), 2
                self._skip()
        while True:
            code = self._now
            if not code:
                raise fail("command expected")
            if code not in _COMMANDS:
                raise fail(f"invalid command code {code}")
            most = _ADDRESSES.get(code, 2)
            if count > most:
                raise fail(f"command {code} expects up to {most} address(es), found {count}")
            self._at += 1
            if code != "!":
                break
            self._skip()
            command.negated = True
        command.code = code
        return self._arguments(command)

    def _arguments(self, command: Command) -> bool:  # noqa: PLR0911 - one for each kind
        code = command.code
        self.commands.append(command)
        if code == "{":
            self._open.append(len(self.commands) - 1)
            self._skip()
            return True
        if code == "#":
            return False
        if code in _TEXT:
            self._read_text(command)
            return False
        if code in _FILE:
            self._skip()
            if not self._now:
                raise self.lines.fail("filename expected")
            command.file = self._rest("w command" if code == "w" else "read command")
            return False
        if code in _LABEL:
            self._skip()
            command.text = self._rest("branch")
            return False
        if code == ":":
            self._skip()
            label = self._rest("label")
            if not label:
                raise self.lines.fail("empty label")
            if label in self._labels:
                raise self.lines.fail(f"duplicate label '{label}'")
            self._labels[label] = len(self.commands) - 1
            return False
        if code == "s":
            self._substitution(command)
        elif code == "y":
            self._translation(command)
        elif code == "}":
            self._close()
        return self._ends(command)

    def _ends(self, command: Command) -> bool:
        self._skip()
        if self._now == ";":
            self._at += 1
            return True
        if self._now and command.code == "y":
            raise self.lines.fail("extra text at the end of a transform command")
        if self._now:
            raise self.lines.fail(f"extra characters at the end of {command.code} command")
        return False

    def _close(self) -> None:
        if not self._open:
            raise self.lines.fail("unexpected }")
        self.commands[self._open.pop()].jump = len(self.commands) - 1

    def _read_text(self, command: Command) -> None:
        fail = self.lines.fail
        self._skip()
        if self._now != "\\":
            raise fail(f"command {command.code} expects \\ followed by text")
        self._at += 1
        self._skip()
        if self._now:
            raise fail(f"extra characters after \\ at the end of {command.code} command")
        out = ""
        while (line := self.lines.next()) is not None:
            out += re.sub(r"\\(.)", r"\1", line, flags=re.DOTALL)
            if not re.search(r"(?:^|[^\\])(?:\\\\)*\\\n$", line):
                break
        command.text = out

    def _link(self) -> None:
        used: set[str] = set()
        for command in self.commands:
            if command.code not in _LABEL:
                continue
            if not command.text:
                command.jump = len(self.commands)
            elif command.text in self._labels:
                command.jump = self._labels[command.text]
                used.add(command.text)
            else:
                raise self.lines.fail(f"undefined label '{command.text}'")
        for label in self._labels:
            if label not in used:
                self.warnings.append(f"sed: {self.lines.where}: unused label '{label}'")

    # --- addresses and expressions --------------------------------------------------------------

    def _address(self) -> Address:
        if self._now == "\\":
            self._at += 1
        elif self._now == "$":
            self._at += 1
            return Address("last")
        elif self._now != "/":
            relative = self._now == "+"
            number = re.compile(r"\+?(\d{1,9})").match(self._text, self._at)
            if number is None:
                if relative:
                    raise NotModelled("sed: an address + without a number")
                raise self.lines.fail("expected context address")
            self._at = number.end()
            return Address("relative" if relative else "line", int(number[1]))
        pattern = self._delimited("unterminated regular expression")
        ignore_case = self._now == "I"
        self._at += ignore_case
        return Address("regex", regex=self._compiled(pattern, ignore_case=ignore_case))

    def _compiled(self, pattern: str, *, ignore_case: bool) -> Regex | None:
        if not pattern:
            return None
        try:
            return compile_regex(pattern, extended=self._extended, ignore_case=ignore_case)
        except BadRegex as bad:
            raise self.lines.fail(f"RE error: {bad}") from None

    def _delimited(self, unterminated: str, *, plain: bool = False) -> str:
        """What stands between delimiters; the second one is passed. `plain` is that of `y`."""
        delimiter = self._now
        self._at += 1
        if not delimiter:
            raise self.lines.fail(unterminated)
        if delimiter in "\\\n":
            name = "\\" if delimiter == "\\" else "newline"
            raise self.lines.fail(f"{name} can not be used as a string delimiter")
        out: list[str] = []
        while (character := self._now) != "":
            following = self._text[self._at + 1 : self._at + 2]
            if character == "[" and delimiter != "[" and not plain:
                out.append(self._bracket())
                continue
            if character == delimiter:
                self._at += 1
                return "".join(out)
            if character == "\\":
                self._at += 2
                if following == delimiter:
                    out.append(following)
                elif following in {"n", "r", "t"}:
                    out.append({"n": "\n", "r": "\r", "t": "\t"}[following])
                elif following == "x":
                    raise NotModelled("sed with \\x")
                elif following in {"\\", "["} and plain:
                    out.append(following)
                else:
                    out.append("\\" + following)
                continue
            out.append(character)
            self._at += 1
        raise self.lines.fail(unterminated)

    def _bracket(self) -> str:
        found = re.compile(r"\[\^?\]?((?:\[([.:=])(?:(?!\2\]).)*\2\]|[^\]])*)\]", re.DOTALL).match(
            self._text, self._at
        )
        if found is None:
            raise self.lines.fail("unbalanced brackets ([])")
        self._at = found.end()
        if "\\x" in found[0]:
            raise NotModelled("sed with \\x")
        letters = {"n": "\n", "r": "\r", "t": "\t"}
        return re.sub(r"\\([nrt])", lambda each: letters[each[1]], found[0])

    # --- s and y --------------------------------------------------------------------------------

    def _substitution(self, command: Command) -> None:
        if self._now in {"", "\\"}:
            what = "substitute pattern can not be delimited by newline or backslash"
            raise self.lines.fail(what)
        delimiter = self._now
        pattern = self._delimited("unterminated substitute pattern")
        most = 0
        out: list[str] = []
        while True:
            character = self._now
            if not character:
                # A newline behind a backslash goes on in the next line of the script.
                line = self.lines.next()
                if line is None or not out or out[-1] != "\n":
                    raise self.lines.fail("unterminated substitute in regular expression")
                self._text, self._at = line, 0
                continue
            self._at += 1
            if character == delimiter:
                break
            if character == "\n":
                raise self.lines.fail("unescaped newline inside substitute pattern")
            if character == "\\":
                character = self._now
                self._at += 1
                if character in "123456789" and character:
                    most = max(most, int(character))
                    out.append("\\" + character)
                elif character in {"&", "\\"}:
                    out.append("\\" + character)
                elif character == "x":
                    raise NotModelled("sed with \\x")
                else:
                    out.append({"n": "\n", "r": "\r", "t": "\t"}.get(character, character))
                continue
            out.append(character)
        ignore_case = self._flags(command)
        command.regex = self._compiled(pattern, ignore_case=ignore_case)
        if command.regex is not None and most > command.regex.groups:
            raise self.lines.fail(f"\\{most} not defined in the RE")
        command.replacement = "".join(out).encode("utf-8", "surrogateescape")

    def _flags(self, command: Command) -> bool:
        """Read the flags of `s`; whether case does not matter."""
        ignore_case = counted = False
        while True:
            while self._now and self._now in " \t\v\f\r":
                self._at += 1
            flag = self._now
            if flag in {"", "\n", ";"}:
                return ignore_case
            if flag in "g123456789":
                if counted:
                    raise self.lines.fail("more than one number or 'g' in substitute flags")
                counted = True
                number = re.compile(r"\d{1,9}").match(self._text, self._at)
                command.occurrence = 0 if number is None else int(number[0])
                self._at += 1 if number is None else len(number[0])
                continue
            self._at += 1
            if flag == "p":
                command.printing = True
            elif flag in "iI":
                ignore_case = True
            elif flag == "w":
                self._skip()
                command.file = self._rest("w flag")
                if not command.file:
                    raise self.lines.fail("no wfile specified")
                return ignore_case
            else:
                raise self.lines.fail(f"bad flag in substitute command: '{flag}'")

    def _translation(self, command: Command) -> None:
        if self._now in {"", "\\"}:
            what = "transform pattern can not be delimited by newline or backslash"
            raise self.lines.fail(what)
        before = self._delimited("unterminated transform source string", plain=True)
        self._at -= 1
        after = self._delimited("unterminated transform target string", plain=True)
        if len(before) != len(after):
            raise self.lines.fail("transform strings are not the same length")
        for one, other in zip(before, after, strict=True):
            command.table.setdefault(ord(one), ord(other))
