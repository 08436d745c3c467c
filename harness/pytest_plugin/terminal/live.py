"""What a run does right now: which scenario, which part of it, what it waits for and for how long.

In a terminal it is one line below pytest's own, redrawn in place and gone when pytest writes. (A
`rich.live` display would not do: it wants every line that is written to pass through it, and
pytest's begins with a test's name and ends with its verdict, minutes later.) Without a terminal it
is a plain line with the time, for what takes long. Under pytest-xdist the workers say nothing and
the controller shows which scenarios run.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TextIO, cast

import pytest
from rich.cells import cell_len, set_cell_size

from harness.lab.choose import mark_of
from harness.pytest_plugin.terminal.verdict_lines import short_name
from harness.record.marked import MarkedStream, prefix
from harness.record.outgoing import outgoing
from harness.record.sinks import (
    Asking,
    Event,
    PartBegan,
    PartOver,
    RunBegan,
    ScenarioBegan,
    ScenarioOver,
    Sink,
)
from harness.waiting.wait import Doing, Over, Waiting

LIVE = pytest.StashKey["Live"]()
"""The live line of a run, where there is one."""

REDRAWN_EVERY = 0.2
FIRST_LINE_AFTER = 10.0
LINES_EVERY = 60.0
"""Seconds of the host: without a terminal, the first line of what takes long, and further ones.

A set-up, which may boot two machines, has all of its lines as often as the first; there, as in a
scenario, it is many short waits that take long.
"""

SET_UP = "set-up"
"""The part of a scenario before its first line."""

_MOST_COMMAND = 60

_PLAIN_COMMAND = re.compile(r"[\w./:@%+,-]+(?:[ \t]+[\w./:@%+,=-]+)*(?=[\s;|&]|$)")
_PIECES = re.compile(r"[\r\n]|[^\S\r\n]+|\S+")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SHELL_WORDS = {
    *("set", "if", "for", "while", "until", "case", "umask", "export", "trap", "cd", "exec", "eval")
}
"""What a script begins with that does nothing yet."""


def sink(config: pytest.Config) -> Sink | None:
    """The sink of a run that is not to be brief."""
    if config.getoption("verbose") <= 0:
        return None
    live = config.stash[LIVE] = Live(config, mark_of(config.getoption("--lab")))
    config.pluginmanager.register(live)
    return live


@dataclass(eq=False)
class Running:
    """A test that runs. `part` is set-up, scenario or clean-up where that is known."""

    nodeid: str
    part: str = ""
    began: float = field(default_factory=time.monotonic)
    part_began: float = field(default_factory=time.monotonic)

    def is_silent(self, since: float, now: float) -> bool:
        """Whether a person has heard nothing of it for long, if there was a line at `since`."""
        most = FIRST_LINE_AFTER if self.part == SET_UP else LINES_EVERY
        return now - max(self.part_began, since) >= most


class Live(Sink):
    """The sink, and a plugin that knows when pytest writes."""

    def __init__(self, config: pytest.Config, mark: str | None) -> None:
        """`mark` begins the line, as it does every other."""
        self._config = config
        self._mark = prefix(mark)
        self._lock = threading.RLock()
        self._running: dict[str, Running] = {}
        self._doing: list[Doing] = []
        self._ending = threading.Event()
        self._restore = contextlib.ExitStack()
        self._stream: _Stream | None = None
        self._silent = 0
        self._writable = False
        self._next_line = FIRST_LINE_AFTER
        self._last: Doing | Running | None = None
        self._written = -math.inf
        self._total = 0
        self._ended = 0

    # --- what happens ---------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Know what runs, and what it is in the middle of."""
        with self._lock:
            match event:
                case Doing():
                    self._doing.append(event)
                case Over(doing) if doing in self._doing:
                    self._doing.remove(doing)
                case RunBegan(scenarios):
                    self._total = scenarios
                case ScenarioBegan(nodeid):
                    self._running[nodeid] = Running(nodeid)
                    self._writable = True
                case PartBegan(nodeid, part):
                    self._writable = True
                    if (running := self._running.get(nodeid)) is not None:
                        running.part, running.part_began = part, time.monotonic()
                case PartOver():
                    self._writable = False
                case ScenarioOver(nodeid):
                    self._running.pop(nodeid, None)
                    self._ended += 1

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Show nothing while the block runs."""
        with self._lock:
            self._silent += 1
            self._clear()
        try:
            yield
        finally:
            with self._lock:
                self._silent -= 1

    # --- what pytest tells ----------------------------------------------------------------------

    def pytest_sessionstart(self) -> None:
        """Begin to show."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if terminal is None:
            return
        writer = terminal._tw
        real = self._real(writer._file)
        if real is None:
            return
        self._restore.callback(setattr, writer, "_file", writer._file)
        # With `-s` a test's own output comes in between, at places that nobody knows.
        captured = self._config.getoption("capture") != "no"
        if real.isatty() and os.environ.get("TERM") != "dumb" and captured:
            self._stream = _Stream(writer._file, real, self._lock)
            writer._file = cast(TextIO, self._stream)
        elif not isinstance(writer._file, MarkedStream):
            writer._file = real
        threading.Thread(target=self._show, name="live", daemon=True).start()

    def _real(self, stream: object) -> TextIO | None:
        """Standard output as it is now; while a test runs, pytest puts another in its place.

        A marked stream is told to write there; None where there is no such file.
        """
        try:
            number = os.dup(sys.stdout.fileno())
        except (OSError, ValueError):
            return None
        real = os.fdopen(number, "w", encoding=sys.stdout.encoding, errors="replace")
        real.reconfigure(line_buffering=True, write_through=True)
        self._restore.callback(real.close)
        if isinstance(stream, MarkedStream):
            self._restore.callback(setattr, stream, "unmarked", stream.unmarked)
            stream.unmarked = real
        return real

    def pytest_unconfigure(self) -> None:
        """Show no more."""
        self._ending.set()
        with self._lock:
            self._clear()
            self._restore.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        """A verdict is about to be written."""
        with self._lock:
            self._writable = False

    # --- showing --------------------------------------------------------------------------------

    def text(self) -> str:
        """What goes on, in one line; nothing between two tests."""
        with self._lock:
            running = list(self._running.values())
            doing = self._outermost()
        if not running:
            return ""
        count = f"[{self._ended + 1}/{self._total}] " if self._total else ""
        if len(running) > 1:
            names = ", ".join(f"{short_name(each.nodeid)} {_seconds(each)}" for each in running)
            return f"{count}{len(running)} run: {names}"
        text = f"{count}{short_name(running[0].nodeid)} {_seconds(running[0])}"
        if running[0].part:
            text += f", {running[0].part}"
        if doing:
            text += ": " + "; ".join(map(_said, doing))
        return outgoing(text)

    def _outermost(self) -> list[Doing]:
        """The first thing of each thread: a wait, and not the command that it asks with."""
        first: dict[int, Doing] = {}
        for doing in self._doing:
            first.setdefault(doing.thread, doing)
        return list(first.values())[:2]

    def _show(self) -> None:
        while not self._ending.wait(REDRAWN_EVERY):
            with self._lock:
                if self._silent or self._ending.is_set():
                    continue
                if self._stream is not None:
                    self._draw()
                elif self._writable:
                    self._write_if_it_takes_long()

    def _draw(self) -> None:
        assert self._stream is not None
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        columns = self._stream.columns
        text = self.text()
        if not text:
            self._clear()
            return
        width = terminal._tw.width_of_current_line
        column = (width + len(self._mark) if width else 0) % columns
        line = set_cell_size(f"{self._mark}{text}", columns - 1).rstrip()
        self._stream.draw(line, column)

    def _clear(self) -> None:
        if self._stream is not None:
            self._stream.clear()

    def _write_if_it_takes_long(self) -> None:
        doing = self._outermost()
        longest: Doing | Running | None = doing[0] if doing else None
        if longest is None:
            longest = next(iter(self._running.values()), None)
        if longest is not self._last:
            self._last, self._next_line = longest, FIRST_LINE_AFTER
        now = time.monotonic()
        due = longest is not None and now - longest.began >= self._next_line
        if not due and not any(
            each.is_silent(self._written, now) for each in self._running.values()
        ):
            return
        if now - self._written < FIRST_LINE_AFTER:
            return  # one wait ended, and the next longest is as old: the line would say the same
        self._written = now
        if due:
            self._next_line = (
                LINES_EVERY if self._next_line < LINES_EVERY else self._next_line + LINES_EVERY
            )
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        terminal.write_line(f"{datetime.now().astimezone():%H:%M:%S} {self.text()}")
        terminal.flush()


def in_words(argv: Sequence[str]) -> str:
    """A command as a person would say it, in one short line: of a shell script only its beginning.

    That is the first command in it, where the script begins with a plain one.
    """
    if tuple(argv[:2]) == ("/bin/sh", "-c"):
        first = _PLAIN_COMMAND.match(argv[2].strip())
        if first is None or first[0].split()[0] in _SHELL_WORDS:
            return "a shell script"
        text = first[0].strip() + ("" if first.end() == len(argv[2].strip()) else " ...")
    else:
        text = " ".join(shlex.join(argv).split())
    return text if len(text) <= _MOST_COMMAND else f"{text[:_MOST_COMMAND]}..."


def _said(doing: Doing) -> str:
    match doing:
        case Waiting(what=what):
            text = f"waiting for {what}"
        case Asking(node=node, argv=argv):
            text = f"{node} # {in_words(argv)}"
    return f"{text}, {doing.deadline.passed:.0f} of {doing.deadline.within:.0f} s"


def _seconds(running: Running) -> str:
    return f"{time.monotonic() - running.began:.0f} s"


class WholeWords:
    """Breaks what is written at blanks where a line is full, as the terminal would in mid-word.

    A line goes on below its own beginning. What is longer than a line by itself stays whole.
    """

    def __init__(self) -> None:
        self._column = 0
        self._indent = 0
        self._blanks = ""

    def broken(self, text: str, width: int) -> str:
        """The text, which goes on where the last one ended."""
        written = []
        for piece in _PIECES.findall(text):
            columns = cell_len(_ESCAPES.sub("", piece))
            if piece in "\r\n":
                self._column = self._indent = 0
                self._blanks = ""
            elif piece.isspace():
                self._blanks += piece
                continue
            elif columns:
                columns += len(self._blanks)
                if self._column == 0:
                    self._indent = len(self._blanks)
                elif self._column + columns > width:
                    columns += self._indent + 2 - len(self._blanks) - self._column
                    self._blanks = "\n" + " " * (self._indent + 2)
                self._column += columns
            written += [self._blanks, piece]
            self._blanks = ""
        if self._column + len(self._blanks) < width:
            written.append(self._blanks)
            self._column += len(self._blanks)
            self._blanks = ""
        return "".join(written)


class _Stream:
    """A terminal with one line below the cursor, which goes before anything else is written."""

    def __init__(self, stream: TextIO, real: TextIO, lock: AbstractContextManager[object]) -> None:
        self._stream = stream if isinstance(stream, MarkedStream) else real
        self._real = real
        self._lock = lock
        self._drawn = ""
        self._lines = WholeWords()

    def write(self, text: str) -> int:
        with self._lock:
            self.clear()
            mark = self._stream.width if isinstance(self._stream, MarkedStream) else 0
            self._stream.write(self._lines.broken(text, self.columns - mark))
            return len(text)

    @property
    def columns(self) -> int:
        """The width of the terminal now."""
        try:
            return os.get_terminal_size(self._real.fileno()).columns or 80
        except OSError:
            return 80

    def draw(self, line: str, column: int) -> None:
        """Write a line below the current one, and go back to where the cursor was."""
        if line == self._drawn:
            return
        right = f"\x1b[{column}C" if column else ""
        # A newline and one up again, because at the bottom the newline scrolls.
        self._real.write(f"\n\r\x1b[2K{line}\x1b[A\r{right}")
        self._drawn = line

    def clear(self) -> None:
        """Remove that line."""
        if self._drawn:
            self._real.write("\x1b[J")
            self._drawn = ""

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
