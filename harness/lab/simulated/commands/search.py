"""grep(1), sed(1) and a small awk(1)."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

from harness.lab.simulated.commands import Context
from harness.lab.simulated.commands.text import lines_of
from harness.lab.simulated.files import FileError
from harness.lab.simulated.options import Options
from harness.lab.simulated.process import NotModelled, Program, Signal
from harness.lab.simulated.regex import Match, Regex, compile_regex
from harness.lab.simulated.shell_streams import check_size
from harness.lab.simulated.tool import Failure, content, each_input, entry_of, put, tool

_GREP_USAGE = """\
usage: grep [-abcDEFGHhIiLlmnOoPqRSsUVvwxz] [-A num] [-B num] [-C num]
\t[-e pattern] [-f file] [--binary-files=value] [--color=when]
\t[--context=num] [--directories=action] [--label] [--line-buffered]
\t[--null] [pattern] [file ...]"""


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class _Lines:
    """What lines grep selects."""

    def __init__(
        self, patterns: list[str], options: Options, *, fixed: bool, extended: bool
    ) -> None:
        self._negated = "v" in options
        self._whole = "x" in options
        self._word = "w" in options
        self._fixed: list[bytes] | None = None
        self._regexes: list[Regex] = []
        ignore_case = "i" in options or "y" in options
        if fixed and not ignore_case and not self._word:
            self._fixed = [_encoded(pattern) for pattern in patterns]
            return
        for pattern in patterns:
            text = re.sub(r"([\\.\[\]*^$+?(){}|])", r"\\\1", pattern) if fixed else pattern
            self._regexes.append(
                compile_regex(text, extended=extended or fixed, ignore_case=ignore_case)
            )

    def __call__(self, line: bytes) -> bool:
        return self._matches(line) != self._negated

    def _matches(self, line: bytes) -> bool:
        if self._fixed is not None:
            if self._whole:
                return line in self._fixed
            return any(pattern in line for pattern in self._fixed)
        return any(True for _ in self.spans(line))

    def spans(self, line: bytes) -> Iterator[tuple[int, int]]:
        """Where the matches in a line begin and end."""
        if self._fixed is not None:
            for pattern in self._fixed:
                at = line.find(pattern)
                while at >= 0 and pattern:
                    yield at, at + len(pattern)
                    at = line.find(pattern, at + len(pattern))
            return
        for regex in self._regexes:
            at = 0
            while at <= len(line) and (match := regex.search(line, at)) is not None:
                start, end = match.start(), match.end()
                if (not self._whole or (start == 0 and end == len(line))) and (
                    not self._word or _is_word(line, start, end)
                ):
                    yield start, end
                if self._whole:
                    break
                at = end if end > start else end + 1


def _is_word(line: bytes, start: int, end: int) -> bool:
    def part(at: int) -> bool:
        return 0 <= at < len(line) and (line[at : at + 1].isalnum() or line[at] == 95)

    return not part(start - 1) and not part(end) and end > start


def _grep(context: Context, options: Options, *, fixed: bool, extended: bool) -> Program:
    names = list(options.rest)
    patterns = [line for pattern in options.values("e") for line in pattern.split("\n")]
    for name in options.values("f"):
        data = yield from content(context, name)
        patterns += data.decode("utf-8", "surrogateescape").splitlines()
    if not patterns and "f" not in options:
        if not names:
            raise Failure(_GREP_USAGE, 2)
        patterns = names.pop(0).split("\n")
    chosen = _Lines(
        patterns,
        options,
        fixed=fixed or "F" in options,
        extended=extended or "E" in options,
    )
    if "r" in options or "R" in options:
        raise NotModelled("grep -r")
    found, status = yield from _grep_input(context, options, names)
    any_selected = False
    titles = ("H" in options or len(names) > 1) and "h" not in options
    most = int(options.value("m")) if options.value("m").isdigit() else None
    for name, data in found:
        shown = "(standard input)" if name == "-" else name
        selected = [(n, line) for n, line in enumerate(lines_of(data), 1) if chosen(line)]
        selected = selected[:most]
        any_selected = any_selected or bool(selected)
        if "q" in options:
            if selected:
                return 0
            continue
        if b"\0" in data and selected and not ({"c", "l", "L", "o"} & set(options.letters())):
            context.print(f"Binary file {shown} matches")
            continue
        _print_selected(context, options, shown, selected, chosen, titles=titles)
    if status:
        return 2
    return int(any_selected == ("L" in options))


def _grep_input(
    context: Context, options: Options, names: list[str]
) -> Generator[float | Signal, None, tuple[list[tuple[str, bytes]], int]]:
    found: list[tuple[str, bytes]] = []
    status = 0
    for name in names or ["-"]:
        try:
            if name != "-" and entry_of(context, name).kind == "dir":
                raise FileError("EISDIR", name)
            found.append((name, (yield from content(context, name))))
        except FileError as error:
            status = 2
            if "s" not in options:
                context.complain(f"grep: {error.path}: {error.reason}")
    return found, status


def _print_selected(
    context: Context,
    options: Options,
    name: str,
    selected: list[tuple[int, bytes]],
    chosen: _Lines,
    *,
    titles: bool,
) -> None:
    title = _encoded(f"{name}:") if titles else b""
    if "c" in options:
        context.stdout += title + b"%d\n" % len(selected)
        return
    if "l" in options or "L" in options:
        if bool(selected) == ("l" in options):
            context.print(name)
        return
    for number, line in selected:
        before = title + (b"%d:" % number if "n" in options else b"")
        if "o" in options:
            for start, end in chosen.spans(line):
                if end > start:
                    context.stdout += before + line[start:end] + b"\n"
        else:
            context.stdout += before + line + b"\n"


for _name, _fixed, _extended in (
    ("grep", False, False),
    ("egrep", False, True),
    ("fgrep", True, False),
):

    def _run(
        context: Context, options: Options, fixed: bool = _fixed, extended: bool = _extended
    ) -> Program:
        return _grep(context, options, fixed=fixed, extended=extended)

    tool(
        _name,
        flags="qxFEGvcnilLohHwsyrRa",
        valued="emf",
        unmodelled="ABCDIOSUVZbdpz",
        usage=_GREP_USAGE,
        status=2,
        illegal="invalid option",
    )(_run)


# --- sed ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Address:
    number: int = 0
    regex: Regex | None = None
    last: bool = False

    def fits(self, line: bytes, number: int, *, last: bool) -> bool:
        if self.last:
            return last
        if self.regex is not None:
            return self.regex.search(line) is not None
        return number == self.number


@dataclass(frozen=True)
class _Edit:
    first: _Address | None
    second: _Address | None
    negated: bool
    verb: str
    regex: Regex | None = None
    replacement: bytes = b""
    every: bool = False
    occurrence: int = 1
    printing: bool = False


_SED_VERBS = frozenset("abcdDgGhHiNlnpPqrstwxy")


class _SedScript:
    """Reads a script of sed(1)."""

    def __init__(self, text: str, *, extended: bool) -> None:
        self._text = text
        self._at = 0
        self._extended = extended

    def edits(self) -> list[_Edit]:
        found: list[_Edit] = []
        while True:
            self._skip(" \t\n;")
            if self._at >= len(self._text):
                return found
            found.append(self._edit())

    def _skip(self, characters: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in characters:
            self._at += 1

    def _edit(self) -> _Edit:
        first = self._address()
        second = None
        self._skip(" \t")
        if first is not None and self._text[self._at : self._at + 1] == ",":
            self._at += 1
            self._skip(" \t")
            second = self._address()
            if second is None:
                raise NotModelled(f"sed {self._text}")
        self._skip(" \t")
        negated = self._text[self._at : self._at + 1] == "!"
        if negated:
            self._at += 1
            self._skip(" \t")
        verb = self._text[self._at : self._at + 1]
        self._at += 1
        if verb == "s":
            return self._substitution(first, second, negated)
        if verb.isalnum() and verb not in _SED_VERBS:
            raise Failure(f'sed: 1: "{self._text}": invalid command code {verb}')
        if verb not in {"p", "d", "q", "="}:
            raise NotModelled(f"sed {self._text}")
        self._skip(" \t")
        if self._text[self._at : self._at + 1] not in {"", "\n", ";"}:
            raise NotModelled(f"sed {self._text}")
        return _Edit(first, second, negated, verb)

    def _address(self) -> _Address | None:
        match = re.compile(r"\d{1,9}").match(self._text, self._at)
        if match is not None:
            self._at = match.end()
            return _Address(number=int(match[0]))
        character = self._text[self._at : self._at + 1]
        if character == "$":
            self._at += 1
            return _Address(last=True)
        if character == "/":
            self._at += 1
            return _Address(regex=self._compiled(self._until("/")))
        if character == "\\":
            raise NotModelled(f"sed {self._text}")
        return None

    def _until(self, delimiter: str, unterminated: str = "") -> str:
        out = []
        bracket = False
        while True:
            character = self._text[self._at : self._at + 1]
            if not character or character == "\n":
                if unterminated:
                    raise Failure(f'sed: 1: "{self._text}": {unterminated}')
                raise NotModelled(f"sed {self._text}")
            self._at += 1
            if character == "\\":
                following = self._text[self._at : self._at + 1]
                self._at += 1
                out.append(following if following == delimiter else "\\" + following)
                continue
            if character == "[" and not bracket:
                bracket = True
            elif character == "]" and bracket and out[-1] not in {"[", "^"}:
                bracket = False
            elif character == delimiter and not bracket:
                return "".join(out)
            out.append(character)

    def _compiled(self, pattern: str) -> Regex:
        if not pattern:
            raise NotModelled("sed with an empty expression")
        return compile_regex(pattern, extended=self._extended)

    def _substitution(
        self, first: _Address | None, second: _Address | None, negated: bool
    ) -> _Edit:
        delimiter = self._text[self._at : self._at + 1]
        self._at += 1
        if not delimiter or delimiter in "\\\n":
            what = "substitute pattern can not be delimited by newline or backslash"
            raise Failure(f'sed: 1: "{self._text}": {what}')
        pattern = self._until(delimiter, "unterminated substitute pattern")
        regex = self._compiled(pattern)
        text = self._text
        replacement = []
        while True:
            character = text[self._at : self._at + 1]
            if not character or character == "\n":
                what = "unterminated substitute in regular expression"
                raise Failure(f'sed: 1: "{text}": {what}')
            self._at += 1
            if character == delimiter:
                break
            if character == "\\":
                character += text[self._at : self._at + 1]
                self._at += 1
                if character[1:] == delimiter:
                    character = delimiter if delimiter != "&" else "\\&"
            replacement.append(character)
        flags = re.compile(r"([gp]|\d{1,3})*").match(text, self._at)
        assert flags is not None
        self._at = flags.end()
        self._skip(" \t")
        if text[self._at : self._at + 1] not in {"", "\n", ";"}:
            raise NotModelled(f"sed {text}")
        digits = "".join(c for c in flags[0] if c.isdigit())
        return _Edit(
            first,
            second,
            negated,
            "s",
            regex,
            _encoded("".join(replacement)),
            "g" in flags[0],
            int(digits or 1),
            "p" in flags[0],
        )


def _substitute(line: bytes, edit: _Edit) -> tuple[bytes, bool]:
    assert edit.regex is not None
    out = bytearray()
    at = begin = number = 0
    changed = False
    while begin <= len(line) and (match := edit.regex.search(line, begin)) is not None:
        start, end = match.start(), match.end()
        number += 1
        if number >= edit.occurrence:
            out += line[at:start] + _filled(edit.replacement, match)
            at = end
            changed = True
            check_size(len(out))
            if not edit.every:
                break
        begin = end if end > start else end + 1
    return bytes(out) + line[at:], changed


def _filled(replacement: bytes, match: Match) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        token = found[0]
        if token == b"&":
            return match.group(0) or b""
        if token[1:].isdigit():
            try:
                return match.group(int(token[1:])) or b""
            except IndexError:
                raise NotModelled("sed with a group that is not there") from None
        return b"\n" if token[1:] == b"n" else token[1:]

    return re.sub(rb"\\.|&", one, replacement, flags=re.DOTALL)


class _Sed:
    """Runs a script over lines."""

    def __init__(self, edits: list[_Edit], *, quiet: bool) -> None:
        self._edits = edits
        self._quiet = quiet
        self._inside = [False] * len(edits)
        self._ends = [0] * len(edits)

    def run(self, data: bytes) -> bytes:
        out = bytearray()
        lines = lines_of(data)
        for number, line in enumerate(lines, 1):
            last = number == len(lines)
            end = b"" if last and not data.endswith(b"\n") else b"\n"
            stop = self._one(line, number, out, end, last=last)
            if stop:
                break
        return bytes(out)

    def _one(self, line: bytes, number: int, out: bytearray, end: bytes, *, last: bool) -> bool:
        stop = False
        for at, edit in enumerate(self._edits):
            if self._selected(at, edit, line, number, last=last) == edit.negated:
                continue
            if edit.verb == "d":
                return False
            if edit.verb == "p":
                out += line + b"\n"
            elif edit.verb == "=":
                out += b"%d\n" % number
            elif edit.verb == "q":
                stop = True
                break
            else:
                line, changed = _substitute(line, edit)
                if changed and edit.printing:
                    out += line + b"\n"
        if not self._quiet:
            out += line + end
        check_size(len(out))
        return stop

    def _selected(self, at: int, edit: _Edit, line: bytes, number: int, *, last: bool) -> bool:
        if edit.first is None:
            return True
        if edit.second is None:
            return edit.first.fits(line, number, last=last)
        if self._inside[at]:
            second = edit.second
            if second.number and number > second.number:
                self._inside[at] = False
                return edit.first.fits(line, number, last=last)
            if second.fits(line, number, last=last):
                self._inside[at] = False
            return True
        if edit.first.fits(line, number, last=last):
            self._inside[at] = not (edit.second.number and edit.second.number <= number)
            return True
        return False


_SED_USAGE = """\
usage: sed script [-Ealnru] [-i extension] [file ...]
\tsed [-Ealnu] [-i extension] [-e script] ... [-f script_file] ... [file ...]"""


@tool("sed", flags="nEru", valued="ei", unmodelled="afHIl", usage=_SED_USAGE)
def sed(context: Context, options: Options) -> Program:
    """sed(1): s, p, d, q and = with addresses; in place with an empty extension."""
    names = list(options.rest)
    scripts = options.values("e")
    if not scripts:
        scripts = [names.pop(0) if names else ""]
    edits = _SedScript("\n".join(scripts), extended="E" in options or "r" in options).edits()
    quiet = "n" in options
    if "i" not in options:
        found, status = yield from each_input(context, "sed", names)
        context.stdout += _Sed(edits, quiet=quiet).run(b"".join(data for _, data in found))
        return status
    if options.value("i"):
        raise NotModelled("sed -i with an extension")
    status = 0
    for name in names:
        try:
            entry = entry_of(context, name)
            data = yield from content(context, name)
            if entry.kind != "file":
                raise NotModelled(f"sed -i of {name}")
            edited = _Sed(edits, quiet=quiet).run(data)
            now = context.guest.wall_clock()
            yield from put(context, name, replace(entry, data=edited, mtime=now))
        except FileError as error:
            context.complain(f"sed: {error.path}: {error.reason}")
            status = 1
    return status


# --- awk ----------------------------------------------------------------------------------------

_TERM = re.compile(
    r"\s*(?:\$(?P<field>\d{1,4}|NF)|(?P<name>NR|NF)|(?P<number>\d{1,9})"
    r"|\"(?P<text>(?:[^\"\\]|\\.)*)\")\s*"
)


@dataclass(frozen=True)
class _Rule:
    pattern: str
    action: str | None


class _Record:
    def __init__(self, line: bytes, number: int, separator: str) -> None:
        self.line = line
        self.number = number
        if separator == " ":
            self.fields = line.split()
        elif len(separator) == 1:
            self.fields = line.split(_encoded(separator)) if line else []
        else:
            raise NotModelled(f"awk -F {separator}")

    def value(self, match: re.Match[str]) -> bytes:
        if match["field"] is not None:
            index = len(self.fields) if match["field"] == "NF" else int(match["field"])
            if index == 0:
                return self.line
            return self.fields[index - 1] if index <= len(self.fields) else b""
        if match["name"] is not None:
            return b"%d" % (self.number if match["name"] == "NR" else len(self.fields))
        if match["number"] is not None:
            return match["number"].encode()
        text = match["text"]
        letters = {"n": "\n", "t": "\t"}
        return _encoded(re.sub(r"\\(.)", lambda m: letters.get(m[1], m[1]), text))


@tool(
    "awk",
    valued="F",
    unmodelled="fvdVs",
    usage="usage: awk [-F fs] [-v var=value] [prog | -f progfile]",
    status=2,
)
def awk(context: Context, options: Options) -> Program:
    """The part of awk(1) that prints fields of the lines that fit a simple pattern."""
    if not options.rest:
        raise Failure("usage: awk [-F fs] [-v var=value] [-f progfile | 'prog'] [file ...]")
    program, *names = options.rest
    rules = _rules(program)
    separator = options.value("F", " ")
    separator = "\t" if separator in {"t", "\\t"} else separator
    found, status = yield from each_input(context, "awk", names)
    if status:
        return 2
    record = _Record(b"", 0, separator)
    for number, line in enumerate(lines_of(b"".join(data for _, data in found)), 1):
        record = _Record(line, number, separator)
        for rule in rules:
            if rule.pattern != "END" and _fits(rule.pattern, record, program):
                _print(context, rule.action, record, program)
    for rule in rules:
        if rule.pattern == "END":
            _print(context, rule.action, record, program)
    return 0


def _rules(program: str) -> list[_Rule]:
    rules = []
    rest = program.strip()
    while rest:
        match = re.match(
            r"(/(?:[^/\\]|\\.)*/|[^{}/]*(?:/(?:[^/\\]|\\.)*/)?)\s*(?:\{([^{}]*)\})?\s*;?\s*", rest
        )
        if match is None or not match[0]:
            raise NotModelled(f"awk {program}")
        rules.append(_Rule(match[1].strip(), match[2]))
        rest = rest[match.end() :]
    return rules


def _fits(pattern: str, record: _Record, program: str) -> bool:
    if not pattern:
        return True
    negated = pattern.startswith("!")
    bare = pattern.removeprefix("!").strip()
    if re.fullmatch(r"/(?:[^/\\]|\\.)*/", bare):
        regex = compile_regex(bare[1:-1].replace("\\/", "/"), extended=True)
        return (regex.search(record.line) is not None) != negated
    left = _TERM.match(pattern)
    if left is None:
        raise NotModelled(f"awk {program}")
    value = record.value(left)
    rest = pattern[left.end() :]
    if not rest:
        return value not in {b"", b"0"}
    operator = re.match(r"(==|!=|<=|>=|<|>|!~|~)\s*", rest)
    if operator is None:
        raise NotModelled(f"awk {program}")
    other = rest[operator.end() :].strip()
    if operator[1] in {"~", "!~"}:
        if not re.fullmatch(r"/(?:[^/\\]|\\.)*/", other):
            raise NotModelled(f"awk {program}")
        regex = compile_regex(other[1:-1].replace("\\/", "/"), extended=True)
        return (regex.search(value) is not None) == (operator[1] == "~")
    right = _TERM.fullmatch(other)
    if right is None:
        raise NotModelled(f"awk {program}")
    return _compare(value, operator[1], record.value(right), text=right["text"] is not None)


def _compare(left: bytes, operator: str, right: bytes, *, text: bool) -> bool:
    number = re.compile(rb"[-+]?\d{1,18}(\.\d{0,18})?")
    if not text and number.fullmatch(left) and number.fullmatch(right):
        order = (float(left) > float(right)) - (float(left) < float(right))
    else:
        order = (left > right) - (left < right)
    return {
        "==": order == 0,
        "!=": order != 0,
        "<": order < 0,
        ">": order > 0,
        "<=": order <= 0,
        ">=": order >= 0,
    }[operator]


def _print(context: Context, action: str | None, record: _Record, program: str) -> None:
    if action is None:
        context.stdout += record.line + b"\n"
        return
    for statement in action.split(";"):
        text = statement.strip()
        if not text:
            continue
        match = re.fullmatch(r"print\b(.*)", text, re.DOTALL)
        if match is None:
            raise NotModelled(f"awk {program}")
        out: list[bytes] = [b""]
        rest = match[1].strip()
        if not rest:
            out = [record.line]
        while rest:
            term = _TERM.match(rest)
            if term is None:
                raise NotModelled(f"awk {program}")
            out[-1] += record.value(term)
            rest = rest[term.end() :]
            if rest.startswith(","):
                out.append(b"")
                rest = rest[1:]
        context.stdout += b" ".join(out) + b"\n"
