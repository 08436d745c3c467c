"""grep(1)."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from harness.lab.simulated.engine.signal import Program, Signal
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import Context
from harness.lab.simulated.shell.regex import BadRegex, Regex, compile_regex
from harness.lab.simulated.shell.tool import Failure, content, entry_of, tool
from harness.lab.simulated.tools.files.listing import names_as_stored
from harness.lab.simulated.tools.text.text import lines_of

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
            try:
                regex = compile_regex(
                    text, extended=extended or fixed, ignore_case=ignore_case, gnu=True
                )
            except BadRegex as bad:
                raise Failure(f"grep: {bad}", 2) from None
            self._regexes.append(regex)

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
    names = yield from _files(context, options, names)
    found, status = yield from _grep_input(context, options, names)
    any_selected = False
    recursive = "r" in options or "R" in options
    titles = ("H" in options or recursive or len(names) > 1) and "h" not in options
    most = int(options.value("m")) if options.value("m").isdigit() else None
    around = _around(options)
    printer = _Context(context, options, *around, titles=titles)
    for name, data in found:
        shown = "(standard input)" if name == "-" else name
        lines = list(enumerate(lines_of(data), 1))
        selected = [(n, line) for n, line in lines if chosen(line)]
        selected = selected[:most]
        any_selected = any_selected or bool(selected)
        if "q" in options:
            if selected:
                return 0
            continue
        if b"\0" in data and selected and not ({"c", "l", "L", "o", "a"} & set(options.letters())):
            context.print(f"Binary file {shown} matches")
            continue
        if any(around) and not {"c", "l", "L", "o"} & set(options.letters()):
            printer.print(shown, lines, [n for n, _ in selected])
            continue
        _print_selected(context, options, shown, selected, chosen, titles=titles)
    if status:
        return 2
    return int(any_selected == ("L" in options))


def _around(options: Options) -> tuple[int, int]:
    """How many lines before and after a match are shown."""
    counts = [0, 0]
    for letter, value in options.in_order():
        if letter in "ABC":
            if not value.isdigit():
                raise Failure("grep: context argument must be non-negative", 2)
            if letter in "BC":
                counts[0] = int(value)
            if letter in "AC":
                counts[1] = int(value)
    return counts[0], counts[1]


class _Context:
    """Prints matches with the lines around them."""

    def __init__(
        self, context: Context, options: Options, before: int, after: int, *, titles: bool
    ) -> None:
        self._context = context
        self._numbers = "n" in options
        self._before = before
        self._after = after
        self._titles = titles
        self._any = False

    def print(self, name: str, lines: list[tuple[int, bytes]], chosen: list[int]) -> None:
        """One file's lines; groups that do not touch have a line of dashes between them."""
        wanted = {
            each
            for number in chosen
            for each in range(number - self._before, number + self._after + 1)
        }
        last = None
        for number, line in lines:
            if number not in wanted:
                continue
            if self._any and (last is None or number != last + 1):
                self._context.print("--")
            self._any = True
            last = number
            sign = b":" if number in chosen else b"-"
            title = _encoded(name) + sign if self._titles else b""
            count = b"%d%s" % (number, sign) if self._numbers else b""
            self._context.stdout += title + count + line + b"\n"


def _files(
    context: Context, options: Options, names: list[str]
) -> Generator[float | Signal, None, list[str]]:
    """The files to read: with -r those below the directories that are named."""
    yield from ()
    if "r" not in options and "R" not in options:
        return names
    found: list[str] = []
    waiting = list(reversed(names or ["."]))
    while waiting:
        name = waiting.pop()
        try:
            kind = entry_of(context, name).kind
        except FileError:
            found.append(name)  # whoever opens it complains
            continue
        if kind == "dir":
            below = names_as_stored(context, name)
            waiting += [f"{name.rstrip('/')}/{each}" for each in reversed(below)]
        elif kind == "file":
            found.append(name)
    return found


def _grep_input(
    context: Context, options: Options, names: list[str]
) -> Generator[float | Signal, None, tuple[list[tuple[str, bytes]], int]]:
    found: list[tuple[str, bytes]] = []
    status = 0
    for name in names or ([] if {"r", "R"} & set(options.letters()) else ["-"]):
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
        valued="emfABC",
        unmodelled="DIOSUVZbdpz",
        usage=_GREP_USAGE,
        status=2,
        illegal="invalid option",
    )(_run)
