"""What the small utilities have in common: options, their files, their complaints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import Entry, FileError, FileSystem
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import COMMANDS, Context
from harness.lab.simulated.shell.state import ShellContext
from harness.lab.simulated.shell.streams import (
    Reader,
    Reading,
    absence,
    number_of_stream,
    open_reader,
    when_ready,
)

Tool = Callable[[Context, Options], "int | Program"]
"""A utility: gets its options parsed; returns its status, or is a generator."""


class Failure(Exception):
    """The utility says so on standard error and ends."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


def tool(
    name: str,
    *,
    flags: str = "",
    valued: str = "",
    unmodelled: str = "",
    usage: str = "",
    status: int = 1,
    illegal: str = "illegal option",
    until: str = "",
) -> Callable[[Tool], Tool]:
    """Register a utility with getopt(3)'s view of it.

    An option that FreeBSD's program has and the model does not is a gap, and so is any when the
    release's data (`Release.options`) do not have the program; `unmodelled` are some more of them.
    A wrong option is answered with `usage` and `status`; getopt_long(3) calls it an "invalid
    option". A `Failure` or `FileError` out of it becomes its message and status.
    """

    def register(function: Tool) -> Tool:
        def run(context: Context, arguments: list[str]) -> Program:
            try:
                result = function(context, Options(arguments, flags, valued, until))
                if inspect.isgenerator(result):
                    result = yield from result
                assert isinstance(result, int)
                return result
            except BadOption as bad:
                if bad.letter in unmodelled and bad.letter not in valued:
                    raise NotModelled(f"{name} -{bad.letter}") from None
                if not bad.missing:
                    context.guest.release.check_illegal(name, bad.letter)
                what = "option requires an argument" if bad.missing else illegal
                context.complain(f"{name}: {what} -- {bad.letter}")
                context.complain(usage)
                return status
            except Failure as failure:
                context.complain(failure.text)
                return failure.status
            except FileError as error:
                context.complain(f"{name}: {error.path}: {error.reason}")
                return status

        COMMANDS[name] = run
        return function

    return register


def reader_of(context: Context, name: str) -> Reader:
    """A file for reading; `-` is standard input. Raises `FileError` with the name as given."""
    if name == "-" or number_of_stream(name) == 0:
        if isinstance(context, ShellContext):
            return context.reader
        return Reader(context.stdin or b"")
    try:
        if not name:
            raise FileError("ENOENT", name)
        return open_reader(context.guest, context.path(name))
    except FileError as error:
        raise FileError(error.errno, name) from None


def content(context: Context, name: str) -> Reading:
    """All of a file; `-` is standard input. Raises `FileError` with the name as it was given."""
    if name == "-" or number_of_stream(name) == 0:
        yield from context.read_stdin()
        data, context.stdin = context.stdin or b"", b""  # who reads it again finds its end
        return data
    try:
        return (yield from reader_of(context, name).take())
    except FileError as error:
        raise FileError(error.errno, name) from None


def each_input(
    context: Context, tool_name: str, names: list[str], shown: str = "{}: "
) -> Generator[float | Signal, None, tuple[list[tuple[str, bytes]], int]]:
    """The files that can be read, with their content, and the status that the others leave."""
    found: list[tuple[str, bytes]] = []
    status = 0
    for name in names or ["-"]:
        try:
            found.append((name, (yield from content(context, name))))
        except FileError as error:
            call = "read" if error.errno == "EISDIR" else "open"
            context.complain(f"{tool_name}: {shown.format(error.path, call)}{error.reason}")
            status = 1
    return found, status


def entry_of(context: Context, name: str, *, follow: bool = True) -> Entry:
    """What a name stands for. Raises `FileError` with the name as it was given."""
    try:
        entry = context.guest.tree.entry(context.path(name), follow=follow) if name else None
    except FileError as error:
        raise FileError(error.errno, name) from None
    if entry is None:
        raise FileError(absence(context.guest, context.path(name)), name)
    return entry


def place(
    context: Context, name: str, *, follow: bool = True
) -> Generator[float | Signal, None, tuple[FileSystem, str]]:
    """The file system of a name and the path in it, once files there can be changed.

    Raises `FileError` with the name as it was given.
    """
    path = context.path(name)
    if path == "/dev" or path.startswith("/dev/"):
        raise NotModelled(f"changing {path}")
    try:
        filesystem, inner = context.guest.tree.locate(path, follow=follow)
    except FileError as error:
        raise FileError(error.errno, name) from None
    yield from when_ready(filesystem)
    return filesystem, inner


def put(context: Context, name: str, entry: Entry, *, follow: bool = True) -> Program:
    """Make or replace what is at a name. Raises `FileError` with the name as it was given."""
    filesystem, inner = yield from place(context, name, follow=follow)
    try:
        filesystem.put(inner, entry)
    except FileError as error:
        raise FileError(error.errno, name) from None
    if (signal := filesystem.settled(inner)) is not None:
        yield signal
    return 0


def mask_of(context: Context) -> int:
    """The umask."""
    return context.mask if isinstance(context, ShellContext) else 0o022


def decimal(text: str) -> int | None:
    """A number of at most twelve digits, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


_FACTORS = {"": 1, "b": 512, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "w": 4}


def size_of(text: str) -> int | None:
    """A size with a unit such as 4k or 1m, as expand_number(3) and dd(1) read it, or None."""
    digits = text.rstrip("bBkKmMgGtTwW")
    value, unit = decimal(digits), text[len(digits) :].lower()
    return None if value is None or unit not in _FACTORS else value * _FACTORS[unit]
